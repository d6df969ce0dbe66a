//! What `#[agent]` makes of an `impl` block.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::parse_quote;
use syn::spanned::Spanned;

use crate::model::AgentImpl;

/// The hooks that an agent pays for only if it has them.
const HOOKS: [&str; 13] = [
    "on_start",
    "on_request",
    "on_connect",
    "on_message",
    "on_close",
    "on_connection_error",
    "on_error",
    "connection_tags",
    "should_send_protocol_messages",
    "should_connection_be_readonly",
    "on_state_changed",
    "has_scope",
    "should_handle_message",
];

/// The block, completed, and the class.
pub(crate) fn expand(mut agent: AgentImpl) -> TokenStream {
    for name in ["State", "ConnectionState", "Props"] {
        if !agent.defines(name) {
            let name = format_ident!("{name}");
            agent.block.items.push(parse_quote!(type #name = ();));
        }
    }
    if !agent.defines("CLASS") {
        let class = agent.name.to_string();
        agent.block.items.push(parse_quote!(const CLASS: &'static str = #class;));
    }
    if !agent.defines("HOOKS") {
        let hooks = HOOKS.iter().filter(|hook| agent.defines(hook)).map(|hook| format_ident!("{}", hook.to_uppercase()));
        agent.block.items.push(parse_quote! {
            const HOOKS: ::durable_agents::Hooks = ::durable_agents::Hooks::NONE #(.and(::durable_agents::Hooks::#hooks))*;
        });
    }
    if !agent.defines("new") {
        // At the struct's name, where the author can add the derive that may be missing.
        let default = quote_spanned!(agent.block.self_ty.span()=> <Self as ::core::default::Default>::default());
        agent.block.items.push(parse_quote! {
            fn new(_: &::durable_agents::Context<Self>) -> Self {
                #default
            }
        });
    }
    for (table, row) in [
        ("callables", quote!(::durable_agents::rpc::Callable<Self>)),
        ("callbacks", quote!(::durable_agents::task::Handler<Self>)),
        ("uncallable", quote!(&'static str)),
    ] {
        if !agent.defines(table) {
            let table = format_ident!("{table}");
            agent.block.items.push(parse_quote! {
                fn #table() -> &'static [#row] {
                    // What the agent's block of marked methods defines, or else what this trait does.
                    #[allow(unused_imports)]
                    use ::durable_agents::__private::WithoutMarkedMethods as _;
                    Self::__an_agent_has_one_block_of_marked_methods().#table
                }
            });
        }
    }
    let block = &agent.block;
    let class = class(&agent);
    quote! {
        #block
        #class
    }
}

/// The class that workerd constructs: a thin shell, in a module of its own so that it can bear the struct's name.
fn class(agent: &AgentImpl) -> TokenStream {
    let name = &agent.name;
    let module = format_ident!("__durable_agents_class_of_{name}");
    quote! {
        #[cfg(target_arch = "wasm32")]
        #[doc(hidden)]
        #[allow(non_snake_case, missing_docs, missing_debug_implementations, unreachable_pub)]
        mod #module {
            use ::durable_agents::__private::Object;
            use ::durable_agents::__private::wasm_bindgen::{self, JsValue, prelude::wasm_bindgen};

            #[wasm_bindgen(wasm_bindgen = ::durable_agents::__private::wasm_bindgen)]
            pub struct #name(Object);

            #[wasm_bindgen(wasm_bindgen = ::durable_agents::__private::wasm_bindgen)]
            impl #name {
                #[wasm_bindgen(constructor)]
                pub fn new(state: JsValue, env: JsValue) -> Self {
                    Self(Object::new::<super::#name>(state, env))
                }

                #[wasm_bindgen(js_name = fetch)]
                pub fn fetch(&self, request: JsValue) -> JsValue {
                    self.0.fetch(request)
                }

                #[wasm_bindgen(js_name = webSocketMessage)]
                pub fn web_socket_message(&self, socket: JsValue, message: JsValue) -> JsValue {
                    self.0.web_socket_message(socket, message)
                }

                // The two for which JavaScript of ours asks; no events, as their names tell.
                #[wasm_bindgen(js_name = __receive)]
                pub fn receive(&self, key: f64, taken: f64) -> u32 {
                    self.0.receive(key, taken)
                }

                #[wasm_bindgen(js_name = __rest)]
                pub fn rest(&self) -> JsValue {
                    self.0.rest()
                }

                #[wasm_bindgen(js_name = webSocketClose)]
                pub fn web_socket_close(&self, socket: JsValue, code: u16, reason: String, was_clean: bool) -> JsValue {
                    self.0.web_socket_close(socket, code, reason, was_clean)
                }

                #[wasm_bindgen(js_name = webSocketError)]
                pub fn web_socket_error(&self, socket: JsValue, error: JsValue) -> JsValue {
                    self.0.web_socket_error(socket, error)
                }

                #[wasm_bindgen(js_name = alarm)]
                pub fn alarm(&self) -> JsValue {
                    self.0.alarm()
                }
            }
        }
    }
}
