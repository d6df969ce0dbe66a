//! The attributes of Durable Agents. Use them through `durable-agents`.

mod agent;
mod model;

use proc_macro::TokenStream;

/// Makes an `impl Agent for …` block a Durable Object class, exported under the struct's own name.
///
/// `class_name` in `wrangler.toml` is that name. What the block does not write is filled in:
///
/// | Missing | Filled in |
/// |---|---|
/// | `type State`, `type ConnectionState`, `type Props` | `()` |
/// | `const CLASS` | the struct's name |
/// | `const HOOKS` | the hooks that the block writes |
/// | `fn new` | `Default::default()` |
///
/// So this
///
/// ```
/// use durable_agents::prelude::*;
///
/// #[derive(Default)]
/// struct Counter;
///
/// #[agent]
/// impl Agent for Counter {
///     type State = u32;
/// }
/// ```
///
/// becomes, in outline,
///
/// ```text
/// impl Agent for Counter {
///     type State = u32;
///     type ConnectionState = ();
///     type Props = ();
///     const CLASS: &'static str = "Counter";
///     const HOOKS: Hooks = Hooks::NONE;
///     fn new(_: &Context<Self>) -> Self { Default::default() }
/// }
///
/// // For wasm only, in a hidden module: the class that workerd constructs, with `fetch`, `webSocketMessage` and so on.
/// #[wasm_bindgen]
/// pub struct Counter(durable_agents::__private::Object);
/// ```
///
/// The struct has no type parameters: a class cannot have any.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = model::AgentImpl::parse(arguments.into(), item.into()).map(agent::expand);
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}
