//! A worker of agents for conformance suites from outside, which know them by name and drive them as black boxes.
//!
//! Names, texts and methods are what such a suite expects, down to the letter; that explains them where they are odd. States are
//! [`Value`](serde_json::Value)s wherever a suite may set any JSON, as it may with an agent of the JavaScript SDK.
//!
//! | Agents | Are about |
//! |---|---|
//! | [`state`] | state, its change hook and the row it is stored in |
//! | [`readonly`], [`protocol_messages`] | flags and states of connections |
//! | [`callable`], [`inherited`] | calls and streams |
//! | [`race`], [`small`] | connecting, addresses |
//! | [`schedule`], [`destroy`] | schedules and the alarm |
//! | [`queue`], [`retry`], [`keep_alive`] | the rest of the background work |

pub mod callable;
pub mod connections;
pub mod destroy;
pub mod inherited;
pub mod keep_alive;
pub mod protocol_messages;
pub mod queue;
pub mod race;
pub mod readonly;
pub mod retry;
pub mod schedule;
pub mod small;
pub mod state;

mod list;
mod number;
mod routes;
