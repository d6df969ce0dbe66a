//! What `#[fetch]` makes of a function.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, Expr, ItemFn, Result, parse_quote, parse2};

/// The function, and the export that calls it.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = parse2(item.clone())
        .map_err(|_| Error::new_spanned(item, "#[fetch] belongs on an `async fn(Request, Env, Context)`"))?;
    let signature = &function.sig;
    if signature.asyncness.is_none() || signature.inputs.len() != 3 || !signature.generics.params.is_empty() {
        return Err(Error::new_spanned(signature, "#[fetch] belongs on an `async fn(Request, Env, Context)`"));
    }
    let options: Expr =
        if arguments.is_empty() { parse_quote!(::durable_agents::RouteOptions::new()) } else { parse2(arguments)? };
    let options = match options {
        of_env @ (Expr::Closure(_) | Expr::Path(_)) => of_env.into_token_stream(),
        constant => quote!(|_| #constant),
    };
    let name = &signature.ident;
    Ok(quote! {
        #function

        const _: () = {
            use ::durable_agents::__private::wasm_bindgen::{self, JsValue, prelude::wasm_bindgen};

            #[wasm_bindgen(wasm_bindgen = ::durable_agents::__private::wasm_bindgen, js_name = fetch)]
            pub fn __durable_agents_fetch(request: JsValue, env: JsValue, context: JsValue) -> JsValue {
                ::durable_agents::__private::fetch(request, env, context, #options, |request, env, context| {
                    ::std::boxed::Box::pin(async move { ::durable_agents::__private::outcome(#name(request, env, context).await) })
                })
            }
        };
    })
}
