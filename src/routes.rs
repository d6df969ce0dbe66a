//! What is behind which path.
//!
//! | Path | Behind it |
//! |---|---|
//! | `/agents/:class/:name[/…]` | that agent |
//! | `/agents/:name[/…]` | [`ChatAgent`], where no agent's class is `:name` |
//! | a file of the page | the file; the platform answers before the worker is asked |
//! | anything else | 404 `Not found` |

use durable_agents::{Agent, RouteOptions};

use crate::chat::ChatAgent;

/// Binding of the agent that needs no class in its path.
pub const DEFAULT_AGENT: &str = ChatAgent::CLASS;

/// How requests find their agent.
///
/// No CORS here: the page has the worker's own origin, and [`RestAgent`](crate::rest::RestAgent) answers other origins itself.
pub fn options() -> RouteOptions<'static> {
    RouteOptions::new().default_agent(DEFAULT_AGENT)
}
