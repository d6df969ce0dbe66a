//! What is behind which path.
//!
//! | Path | Behind it |
//! |---|---|
//! | `/agents/:class/:name[/…]` | that agent |
//! | `/agents/:name[/…]` | [`ChatAgent`], where no agent's class is `:name` |
//! | `/ws`, `/worlds[/…]`, `/health[/…]` | the [worlds](crate::world) of the user that `?user=` names |
//! | a file of the page | the file; the platform answers before the worker is asked |
//! | anything else | 404 `Not found` |

use durable_agents::{Agent, Route, RouteOptions};
use worker::Env;

use crate::auth::gate;
use crate::chat::ChatAgent;
use crate::secure::SecureAgent;

/// Binding of the agent that needs no class in its path.
pub const DEFAULT_AGENT: &str = ChatAgent::CLASS;

/// Agents that are there for signed-in users only: others wake none of them.
const FOR_USERS: &[&str] = &[SecureAgent::CLASS];

/// How requests find their agent.
///
/// No CORS here: the page has the worker's own origin, and [`RestAgent`](crate::rest::RestAgent) answers other origins itself.
pub fn options(env: &Env) -> RouteOptions<'_> {
    let admit = async |request, route: Route| gate::admit(request, env, &route).await;
    RouteOptions::new().default_agent(DEFAULT_AGENT).on_before_connect(admit).on_before_request(admit).hooks_for(FOR_USERS)
}
