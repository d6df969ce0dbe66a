//! What an event costs, in statements.

#![allow(clippy::expect_used, clippy::panic, reason = "agents and helpers of tests are part of the tests")]

mod common;

use common::agent;
use durable_agents_core::http::{Request, Response};
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{Context, Result};

/// How many statements `act` takes.
fn statements(object: &Object, act: impl FnOnce()) -> u64 {
    let before = object.storage_calls();
    act();
    object.storage_calls() - before
}

#[test]
fn a_statement_is_one_and_only_who_wants_the_number_of_rows_pays_for_it() {
    agent!(Writer: (), (), ();
        async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
            let changed = match cx.sub_path(&request) {
                "begin" => {
                    cx.sql("CREATE TABLE t (n INTEGER)", ()).execute()?;
                    0
                }
                "insert" => {
                    cx.sql("INSERT INTO t VALUES (1), (2), (3)", ()).execute()?;
                    0
                }
                below => cx.sql("DELETE FROM t WHERE n < ?", (below.parse::<u32>()?,)).changes()?,
            };
            Ok(Response::text(changed.to_string()))
        }
    );
    let host = MemoryHost::new();
    let object = host.agent::<Writer>("a");
    assert_eq!(object.get("begin").status, 200);
    for (asked, changed, expected) in [("insert", "0", 1), ("0", "0", 1), ("3", "2", 2), ("3", "0", 1)] {
        let taken = statements(&object, || assert_eq!(object.get(asked).text(), changed, "{asked}"));
        assert_eq!(taken, expected, "{asked}");
    }
}
