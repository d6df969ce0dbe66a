//! What a block of marked methods becomes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use crate::methods::{Argument, Callable, Callback, MethodBlock, is_answer, is_unit, signature, type_text};

/// The block, its tables, the names of its callbacks, and the trait by which other agents call it.
pub(crate) fn expand(methods: &MethodBlock) -> TokenStream {
    let MethodBlock { block, name, callables, callbacks, uncallable } = methods;
    let rows = callables.iter().map(callable_row);
    let handlers = callbacks.iter().map(handler_row);
    let names = callbacks.iter().map(callback_name);
    let calls = calls_trait(methods);
    // The name is the error where there are two blocks: rustc points at both and tells it. Seen from the whole crate, as the block may be
    // in another module than `impl Agent`, which would not find it and go without.
    let tables = quote_spanned!(block.self_ty.span()=> __an_agent_has_one_block_of_marked_methods);
    quote! {
        #block

        #[allow(private_interfaces, missing_docs)]
        impl #name {
            #(#names)*

            #[doc(hidden)]
            #[allow(dead_code, unused_mut, clippy::needless_question_mark, clippy::unit_arg, clippy::unused_unit)]
            // Also for an `impl Agent` elsewhere in the crate: to it, a private one would not be there.
            pub(crate) fn #tables() -> ::durable_agents::rpc::Methods<Self> {
                ::durable_agents::rpc::Methods {
                    callables: const { &[#(#rows),*] },
                    callbacks: const { &[#(#handlers),*] },
                    uncallable: &[#(#uncallable),*],
                }
            }
        }

        #calls
    }
}

fn callable_row(callable: &Callable) -> TokenStream {
    let Callable { ident, wire_name, description, scope, is_async, takes_context, stream, arguments, returns } = callable;
    let signature = signature(callable);
    let values: Vec<_> = (0..arguments.len()).map(|index| format_ident!("value_{index}")).collect();
    let names: Vec<_> = arguments.iter().map(|argument| &argument.ident).collect();
    let reads = arguments.iter().zip(&values).map(|(argument, value)| read(argument, value));
    // Unlike any name of an argument.
    let event = Ident::new("call", Span::mixed_site());
    let take = match names.as_slice() {
        [] => quote!(let [] = #event.args.take(#signature)?;),
        names => quote! {
            let (#(#names,)*) = {
                let [#(#values),*] = #event.args.take(#signature)?;
                (#(#reads,)*)
            };
        },
    };
    let context = takes_context.then(|| quote!(&#event.cx,));
    let stream_argument = stream.as_ref().map(|_| quote!(#event.stream()?,));
    let wait = is_async.then(|| quote!(.await));
    let call = quote!(#event.agent.#ident(#context #stream_argument #(#names),*) #wait ?);
    let answer = if is_unit(returns) {
        quote! {
            #call;
            ::core::result::Result::Ok(::core::option::Option::None)
        }
    } else if is_answer(returns) {
        quote! {
            let answer: #returns = #call;
            ::core::result::Result::Ok(answer)
        }
    } else {
        // At the type's own place, which is where it may lack `Serialize`.
        let write = quote_spanned!(returns.span()=> ::durable_agents::rpc::answer::<#returns>);
        quote! {
            let result: #returns = #call;
            #write(&result)
        }
    };
    let scope = scope.as_ref().map(|scope| quote!(.scope(#scope)));
    let streaming = stream.as_ref().map(|_| quote!(.streaming()));
    quote! {
        ::durable_agents::rpc::Callable::new(#wire_name, |#event: ::durable_agents::rpc::Call<Self>| {
            ::std::boxed::Box::pin(async move {
                // In one piece, so that the future has one thing to let go of.
                let #event = &#event;
                #take
                #answer
            })
        })
        .description(#description) #scope #streaming
    }
}

fn read(argument: &Argument, value: &syn::Ident) -> TokenStream {
    let Argument { ident, ty, optional } = argument;
    let name = ident.unraw().to_string();
    // At the type's own place, which is where it may lack `Deserialize`.
    match optional {
        Some(inner) => {
            let read = quote_spanned!(inner.span()=> ::durable_agents::rpc::optional::<#inner>);
            quote!(#read(#value, #name)?)
        }
        None => {
            let read = quote_spanned!(ty.span()=> ::durable_agents::rpc::argument::<#ty>);
            let expected = type_text(ty);
            quote!(#read(#value, #name, #expected)?)
        }
    }
}

fn handler_row(callback: &Callback) -> TokenStream {
    let Callback { ident, name, is_async, takes_context, payload, takes_run } = callback;
    let context = takes_context.then(|| quote!(&task.cx,));
    let read = payload.as_ref().map(|payload| {
        let read = quote_spanned!(payload.span()=> payload::<#payload>);
        quote!(let payload = task.#read()?;)
    });
    let payload = payload.as_ref().map(|_| quote!(payload,));
    let run = takes_run.then(|| quote!(&task.run));
    let wait = is_async.then(|| quote!(.await));
    quote! {
        ::durable_agents::task::Handler {
            name: #name,
            run: |task: ::durable_agents::task::Task<Self>| {
                ::std::boxed::Box::pin(async move {
                    let task = &task;
                    #read
                    task.agent.#ident(#context #payload #run) #wait ?;
                    ::core::result::Result::Ok(())
                })
            },
        }
    }
}

fn callback_name(callback: &Callback) -> TokenStream {
    let Callback { ident, name, payload, .. } = callback;
    let constant = syn::Ident::new(&ident.unraw().to_string().to_uppercase(), ident.span());
    let payload = payload.as_ref().map_or_else(|| quote!(()), |payload| quote!(#payload));
    let doc = format!("Names the callback [`{ident}`](Self::{ident}), for schedules and the queue.");
    quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        pub const #constant: ::durable_agents::task::Callback<Self, #payload> = ::durable_agents::task::Callback::new(#name);
    }
}

/// The trait that makes the methods those of a stub.
fn calls_trait(methods: &MethodBlock) -> TokenStream {
    let name = &methods.name;
    let calls = format_ident!("{name}Calls");
    let doc = format!("The callable methods of [`{name}`], as methods of a stub that reaches one.");
    let methods = methods.callables.iter().filter(|callable| callable.stream.is_none()).map(|callable| {
        let Callable { ident, wire_name, description, arguments, returns, .. } = callable;
        let names: Vec<_> = arguments.iter().map(|argument| &argument.ident).collect();
        let types: Vec<_> = arguments.iter().map(|argument| &argument.ty).collect();
        let doc = format!("{description}\n\nCalls `{}`.", signature(callable));
        // The lifetime makes these bounds ones that only a caller has to meet.
        quote! {
            #[doc = #doc]
            #[allow(clippy::too_many_arguments)]
            fn #ident<'w>(&'w self, #(#names: #types),*) -> ::durable_agents::rpc::Calling<'w, #returns>
            where
                #(#types: ::durable_agents::rpc::WireArgument<'w>,)*
                #returns: ::durable_agents::rpc::WireResult<'w> + 'w,
            {
                let arguments = ::durable_agents::rpc::array_of(&[#(&#names),*]);
                ::durable_agents::rpc::typed(self.call_method(#wire_name, arguments))
            }
        }
    });
    quote! {
        #[doc = #doc]
        #[allow(private_interfaces, private_bounds, missing_docs, unreachable_pub, dead_code, unused_imports)]
        pub trait #calls: ::durable_agents::rpc::Stub<Agent = #name> {
            #(#methods)*
        }

        impl<S: ::durable_agents::rpc::Stub<Agent = #name> + ?Sized> #calls for S {}
    }
}
