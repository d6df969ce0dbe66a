//! The attributes of Durable Agents. Use them through `durable-agents`.

mod agent;
mod callable;
mod fetch;
mod methods;
mod model;
mod rename;

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
///
/// # On a block of methods
/// On an `impl Counter` block it makes the methods marked [`#[callable]`](macro@callable) or [`#[callback]`](macro@callback) known to
/// the agent; the others stay as they are. An agent has one such block. `#[agent(rename_all = "camelCase")]` renames what is marked:
/// `camelCase`, `snake_case`, `PascalCase` or `kebab-case`.
#[proc_macro_attribute]
pub fn agent(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = model::impl_block(item.into()).and_then(|block| match block.trait_ {
        Some(_) => model::AgentImpl::parse(arguments.into(), block).map(agent::expand),
        None => method_block(arguments.into(), block, false),
    });
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Lets clients and other agents call methods of an agent.
///
/// On a method of a block marked `#[agent]`, or on an `impl` block itself, all of whose methods are callable then, but those marked
/// `#[callable(skip)]` or [`#[callback]`](macro@callback).
///
/// | Option | Meaning |
/// |---|---|
/// | `name = "getState"` | Name on the wire; otherwise the method's own, renamed as the block says |
/// | `description = "…"` | What it does; otherwise the first line of the doc comment |
/// | `scope = "admin"` | Clients need it: `Agent::has_scope` is asked before the method runs |
/// | `streaming` | Answers by a stream: the first parameter after the context is `Stream<T>` or `Stream<T, F>` |
/// | `skip` | Not callable, in a block where all methods are |
/// | `rename_all = "camelCase"` | On a block: names on the wire are `camelCase`, `snake_case`, `PascalCase` or `kebab-case` |
///
/// A method takes `&self`, then `cx: &Context<Self>` if it wants it, then its arguments, by value; it returns `Result<T>` and may be
/// `async`. Arguments are read from JSON by position, the result is written to JSON. Trailing `Option`s may be missing.
///
/// ```
/// use durable_agents::prelude::*;
///
/// #[derive(Default)]
/// struct Calculator;
///
/// #[agent]
/// impl Agent for Calculator {}
///
/// #[agent]
/// impl Calculator {
///     /// Adds two numbers.
///     #[callable]
///     async fn add(&self, a: i64, b: i64) -> Result<i64> {
///         Ok(a + b)
///     }
/// }
/// ```
///
/// becomes, in outline,
///
/// ```text
/// impl Calculator {
///     async fn add(&self, a: i64, b: i64) -> Result<i64> { Ok(a + b) }
/// }
///
/// // What `#[agent] impl Agent for Calculator` reads `callables()` from.
/// impl Calculator {
///     pub(crate) fn __an_agent_has_one_block_of_marked_methods() -> Methods<Self> {
///         Methods {
///             callables: &[Callable::new("add", |call| Box::pin(async move {
///                 let [a, b] = call.args.take("add(a: i64, b: i64)")?;
///                 let (a, b) = (argument::<i64>(a, "a", "i64")?, argument::<i64>(b, "b", "i64")?);
///                 answer(&call.agent.add(a, b).await?)
///             }))
///             .description("Adds two numbers.")],
///             callbacks: &[],
///             uncallable: &[],
///         }
///     }
/// }
///
/// // For other agents and the worker: `cx.agent::<Calculator>("c").add(1, 2).await`. Streaming methods are not in it.
/// pub trait CalculatorCalls: Stub<Agent = Calculator> {
///     fn add(&self, a: i64, b: i64) -> impl Future<Output = Result<i64, CallError>> { … }
/// }
/// impl<S: Stub<Agent = Calculator>> CalculatorCalls for S {}
/// ```
#[proc_macro_attribute]
pub fn callable(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let item = proc_macro2::TokenStream::from(item);
    let expanded = match syn::parse2::<syn::ItemImpl>(item.clone()) {
        Ok(block) if block.trait_.is_none() => method_block(arguments.into(), block, true),
        _ => {
            Err(misplaced(&item, "#[callable] belongs on a method of an `#[agent] impl …` block, or on an `impl` block itself"))
        }
    };
    expanded.unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Lets schedules and the queue run a method of an agent, by its name.
///
/// On a method of a block marked [`#[agent]`](macro@agent) or [`#[callable]`](macro@callable). The method takes `&self`, then
/// `cx: &Context<Self>`, a payload by value, and `run: &Run`, each if it wants it, and returns `Result<()>`.
///
/// ```
/// use durable_agents::prelude::*;
///
/// #[derive(Default)]
/// struct Chat;
///
/// #[agent]
/// impl Agent for Chat {}
///
/// #[agent]
/// impl Chat {
///     #[callback]
///     async fn trim(&self, cx: &Context<Self>, keep: u32) -> Result<()> {
///         // …
/// #       let _ = (cx, keep);
///         Ok(())
///     }
/// }
///
/// assert_eq!(Chat::TRIM.name(), "trim");
/// ```
///
/// It adds a row to `Agent::callbacks` and makes the constant that code names the callback by:
///
/// ```text
/// pub const TRIM: Callback<Chat, u32> = Callback::new("trim");
/// ```
///
/// `#[callback(name = "…")]` gives it another name on disk. Tasks that are stored already keep the old one.
#[proc_macro_attribute]
pub fn callback(_: TokenStream, item: TokenStream) -> TokenStream {
    let misplaced = misplaced(&item.into(), "#[callback] belongs on a method of an `#[agent] impl …` block");
    misplaced.into_compile_error().into()
}

fn method_block(
    arguments: proc_macro2::TokenStream,
    block: syn::ItemImpl,
    marks_all: bool,
) -> syn::Result<proc_macro2::TokenStream> {
    let mut complaints = model::Complaints::default();
    let options = methods::BlockOptions::parse(arguments, marks_all, &mut complaints);
    methods::MethodBlock::parse(block, &options, complaints).map(|methods| callable::expand(&methods))
}

/// The complaint about an attribute in the wrong place, at the name of what it stands on.
fn misplaced(item: &proc_macro2::TokenStream, text: &str) -> syn::Error {
    match syn::parse2::<syn::ImplItemFn>(item.clone()) {
        Ok(method) => syn::Error::new_spanned(method.sig.ident, text),
        Err(_) => syn::Error::new_spanned(item, text),
    }
}

/// Exports the worker's `fetch`: requests for agents go to them, all others to this function.
///
/// Its signature is that of `worker`'s `#[event(fetch)]`, and it replaces that. The argument, if there is one, is an expression for the
/// `RouteOptions<'static>` of a request, or a function or closure that makes them from the `&Env`. An error is logged and answered with `500`.
///
/// ```
/// use durable_agents::{Result, RouteOptions};
/// use worker::{Context, Env, Request, Response};
///
/// #[durable_agents::fetch(RouteOptions::new().default_agent("Lobby"))]
/// async fn not_found(_: Request, _: Env, _: Context) -> Result<Response> {
///     Ok(Response::error("Not found", 404)?)
/// }
/// # fn main() {}
/// ```
///
/// Cheaper than `route_agent_request` in a handler of one's own: where no hook, CORS header or props are wanted (see
/// `RouteOptions::hooks_for`), request and answer pass without a copy, and nothing waits for the answer.
#[proc_macro_attribute]
pub fn fetch(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = fetch::expand(arguments.into(), item.into());
    expanded.unwrap_or_else(|error| error.into_compile_error()).into()
}
