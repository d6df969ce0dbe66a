//! The agent's state: checks C99–C114.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::{CONNECT_FAILED, MCP, REJECTED, agent, identity, identity_before_state, note, notes, state};
use durable_agents_core::http::{Request, Response};
use durable_agents_core::rpc::{Callable, answer};
use durable_agents_core::testing::{Client, MemoryHost, Object, for_every_eviction};
use durable_agents_core::{Connection, Context, Error, MAX_STATE_BYTES, Message, Result, Source, StateError, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

agent!(Counter: Value, (), ();
    fn initial_state(&self) -> Option<Value> {
        Some(json!({"count": 0}))
    }

    fn callables() -> &'static [Callable<Self>] {
        const {
        &[
            Callable::new("set", |call| Box::pin(async move {
                call.cx.set_state(call.args.get(0, "next")?)?;
                answer(&"done")
            })),
            Callable::new("get", |call| Box::pin(async move { answer(&*call.cx.state()?) })),
        ]
        }
    }

    fn validate_state_change(&self, _: &Context<Self>, next: &Value, _: &Source<Self>) -> Result<()> {
        if next["count"].as_i64().is_some_and(|count| count < 0) {
            bail!("count must not be negative");
        }
        if next == "panic" {
            panic!("no hunter2");
        }
        Ok(())
    }

    async fn on_state_changed(&self, cx: &Context<Self>, state: &Value, source: &Source<Self>) -> Result<()> {
        note(format!("{state} by {}", source.id()));
        match (state["hook"].as_str(), source) {
            (Some("fail"), _) => bail!("no hunter2"),
            (Some("panic"), _) => panic!("no hunter2"),
            (Some("again"), Source::Connection(_)) => cx.set_state(json!({"hook": "done"}))?,
            (Some("late"), _) => {
                cx.sleep(Duration::from_millis(10)).await;
                note("late part");
            }
            _ => {}
        }
        Ok(())
    }

    async fn on_error(&self, _: &Context<Self>, error: &Error) -> Result<()> {
        note(format!("error hook: {}", error.to_string().ends_with("no hunter2")));
        Ok(())
    }

    async fn on_request(&self, _: &Context<Self>, _: Request) -> Result<Response> {
        Ok(Response::text("untouched"))
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        let text = message.as_text().unwrap_or_default();
        match text.split_once(' ') {
            Some(("set", next)) => cx.set_state(serde_json::from_str(next)?)?,
            Some(("grow", size)) => match cx.set_state("x".repeat(size.parse()?).into()) {
                Ok(()) => connection.send("grown")?,
                Err(StateError::TooLarge { size_bytes, limit_bytes }) => {
                    connection.send(format!("{size_bytes} of {limit_bytes}"))?;
                }
                Err(other) => connection.send(other.to_string())?,
            },
            Some(("write", row)) => {
                cx.sql("UPDATE cf_agents_state SET state = ? WHERE id = 'cf_state_row_id'", (row,)).execute()?;
                connection.send(cx.state()?.to_string())?;
                cx.reload_state();
                connection.send(cx.state()?.to_string())?;
            }
            Some(("count", count)) => {
                for _ in 0..count.parse::<u32>()? {
                    cx.update_state(|state| state["count"] = (state["count"].as_i64().unwrap_or_default() + 1).into())?;
                }
            }
            _ => connection.send(cx.state()?.to_string())?,
        }
        Ok(())
    }
);

agent!(Bare: Value, (), ();
    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message.as_text() {
            Some("get") => connection.send(cx.state().map_or_else(|error| error.to_string(), |state| state.to_string()))?,
            Some("try") => connection.send(format!("{:?}", cx.try_state()?))?,
            Some(next) => cx.set_state(serde_json::from_str(next)?)?,
            None => {}
        }
        Ok(())
    }
);

// Lets the state grow from none, one at a time.
agent!(Stepwise: u32, (), ();
    fn initial_state(&self) -> Option<u32> {
        Some(FIRST.get())
    }

    fn validate_state_change(&self, cx: &Context<Self>, next: &u32, _: &Source<Self>) -> Result<()> {
        let now = cx.try_state()?.as_deref().copied();
        note(format!("{now:?} to {next}"));
        if *next > now.map_or(0, |now| now + 1) {
            bail!("too far");
        }
        Ok(())
    }
);

thread_local! {
    static FIRST: Cell<u32> = const { Cell::new(0) };
}

#[derive(Clone, Serialize, Deserialize)]
struct Address {
    street: String,
    number: u32,
}

#[derive(Clone, Serialize, Deserialize)]
struct Profile {
    name: String,
    addresses: Vec<Address>,
}

agent!(Typed: Option<Profile>, (), ();
    fn initial_state(&self) -> Option<Option<Profile>> {
        Some(None)
    }
);

agent!(Stateless: (), (), ();
    fn initial_state(&self) -> Option<()> {
        Some(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, _: Message) -> Result<()> {
        connection.send(format!("{:?} {:?}", cx.set_state(()), cx.try_state()?))?;
        Ok(())
    }
);

fn world() -> (MemoryHost, Object) {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    (host, object)
}

fn stored(object: &Object) -> Option<String> {
    object.sql("SELECT state FROM cf_agents_state WHERE id = 'cf_state_row_id'", ()).optional().expect("SQL")
}

#[test]
fn c99_a_clients_update_reaches_the_others_and_not_itself() {
    for_every_eviction(|host| {
        let object = host.agent::<Counter>("a");
        let mut a = object.connect("?_pk=a");
        let mut b = object.connect("?_pk=b");
        let mut c = object.connect("?_pk=c");
        a.send(r#"{"type":"cf_agent_state","state":{"count":5}}"#);
        assert_eq!(b.texts(), [state(r#"{"count":5}"#)]);
        assert_eq!(c.texts(), [state(r#"{"count":5}"#)]);
        a.expect_no_frame();
        assert_eq!(stored(&object).as_deref(), Some(r#"{"count":5}"#));
    });
}

#[test]
fn a_twin_under_the_same_id_is_told_of_the_others_update() {
    let (_host, object) = world();
    let mut older = object.connect("?_pk=me");
    let mut newer = object.connect("?_pk=me");
    newer.set_state(&json!({"count": 5}));
    assert_eq!(older.texts(), [state(r#"{"count":5}"#)]);
    newer.expect_no_frame();
}

#[test]
fn c100_c109_a_set_by_the_server_reaches_everybody_also_if_nothing_changes() {
    for_every_eviction(|host| {
        let object = host.agent::<Counter>("a");
        let mut a = object.connect("");
        let mut b = object.connect("");
        for _ in 0..2 {
            a.send(r#"set {"count":3}"#);
            assert_eq!(a.texts(), [state(r#"{"count":3}"#)]);
            assert_eq!(b.texts(), [state(r#"{"count":3}"#)]);
        }
    });
}

#[test]
fn c101_the_caller_gets_the_state_before_its_reply() {
    let (_host, object) = world();
    let mut caller = object.connect("");
    let mut other = object.connect("");
    caller.send(r#"{"type":"rpc","id":"1","method":"set","args":[{"count":9}]}"#);
    let reply = r#"{"done":true,"id":"1","result":"done","success":true,"type":"rpc"}"#;
    assert_eq!(caller.texts(), [state(r#"{"count":9}"#), reply.to_owned()]);
    assert_eq!(other.texts(), [state(r#"{"count":9}"#)]);
}

#[test]
fn c102_a_state_is_replaced_whole() {
    let (_host, object) = world();
    let mut client = object.connect("");
    client.set_state(&json!({"a": 1}));
    client.set_state(&json!({"b": 2}));
    client.send("get");
    assert_eq!(client.next_text(), r#"{"b":2}"#);
}

#[test]
fn c103_c110_every_state_survives_eviction_and_crash() {
    for value in [r#"{"count":41}"#, "null", "0", "false", "\"\"", r#"["a\u0000","🦀"]"#, "1.5", "-9007199254740993"] {
        let (_host, object) = world();
        let mut client = object.connect("");
        client.set_state(&serde_json::from_str(value).expect("JSON"));
        object.evict();
        client.send("get");
        assert_eq!(client.next_text(), value);
        object.crash();
        assert_eq!(client.close_event().code, 1006);
        let mut client = object.connect("");
        assert_eq!(client.greeting(), [identity_before_state("a", "counter"), state(value), MCP.to_owned()]);
    }
}

#[test]
fn c104_an_update_that_validation_refuses_is_told_to_its_sender_alone() {
    let (host, object) = world();
    let mut client = object.connect("");
    let mut other = object.connect("");
    notes();
    for (refused, logged) in [(json!({"count": -1}), "count must not be negative"), (json!("panic"), "no hunter2")] {
        client.set_state(&refused);
        assert_eq!(client.texts(), [REJECTED]);
        other.expect_no_frame();
        assert_eq!(stored(&object).as_deref(), Some(r#"{"count":0}"#));
        let log = host.take_log();
        assert!(log.len() == 1 && log[0].contains(logged), "{log:?}");
    }
    assert_eq!(notes(), Vec::<String>::new());
    client.set_state(&json!({"count": 1}));
    assert_eq!(other.texts(), [state(r#"{"count":1}"#)]);
}

#[test]
fn c105_a_set_that_validation_refuses_is_the_callers_error() {
    let (_host, object) = world();
    let mut client = object.connect("");
    let mut other = object.connect("");
    assert_eq!(client.call("set", &json!([{"count": -1}])), Err("count must not be negative".to_owned()));
    assert_eq!(client.call("get", &json!([])), Ok(json!({"count": 0})));
    client.expect_no_frame();
    other.expect_no_frame();
}

#[test]
fn validation_may_look_at_the_state_and_finds_none_before_the_initial_one() {
    let host = MemoryHost::new();
    let object = host.agent::<Stepwise>("a");
    notes();
    let mut client = object.connect("");
    assert_eq!(client.greeting()[1], state("0"));
    client.set_state(&json!(1));
    client.expect_no_frame();
    client.set_state(&json!(3));
    assert_eq!(client.texts(), [REJECTED]);
    object.evict();
    client.set_state(&json!(2));
    client.expect_no_frame();
    assert_eq!(notes(), ["None to 0", "Some(0) to 1", "Some(1) to 3", "Some(1) to 2"]);
}

#[test]
fn an_initial_state_that_validation_refuses_is_asked_for_again_at_the_next_look() {
    let host = MemoryHost::new();
    let object = host.agent::<Stepwise>("a");
    notes();
    FIRST.set(7);
    for _ in 0..2 {
        assert_eq!(object.connect("").texts(), [CONNECT_FAILED]);
    }
    assert_eq!(notes(), ["None to 7", "None to 7"]);
    FIRST.set(0);
    assert_eq!(object.connect("").greeting()[1], state("0"));
}

#[test]
fn c106_a_failing_change_hook_undoes_nothing() {
    for hook in ["fail", "panic"] {
        let (host, object) = world();
        let mut client = object.connect("?_pk=me");
        let mut other = object.connect("");
        client.set_state(&json!({"hook": hook}));
        let expected = json!({"hook": hook}).to_string();
        assert_eq!(other.texts(), [state(&expected)]);
        assert_eq!(stored(&object), Some(expected.clone()));
        assert_eq!(notes()[1..], [format!("{expected} by me"), "error hook: true".to_owned()]);
        assert!(host.log()[0].contains("event=on_state_changed"), "{:?}", host.log());
        assert!(client.is_open() && other.is_open());
    }
}

#[test]
fn c107_the_change_hook_knows_the_state_and_who_set_it() {
    let (host, object) = world();
    let mut client = object.connect("?_pk=me");
    assert_eq!(notes(), [r#"{"count":0} by server"#]);
    client.set_state(&json!(1));
    client.send("set 2");
    client.call("set", &json!([3])).expect("set");
    assert_eq!(notes(), ["1 by me", "2 by server", "3 by server"]);
    client.set_state(&json!({"hook": "late"}));
    client.set_state(&json!(4));
    host.advance(Duration::from_millis(10));
    assert_eq!(notes(), [r#"{"hook":"late"} by me"#, "4 by me", "late part"]);
}

#[test]
fn c108_a_state_set_by_the_change_hook_follows_the_one_it_reacts_to() {
    let (_host, object) = world();
    let mut client = object.connect("");
    let mut other = object.connect("");
    client.set_state(&json!({"hook": "again"}));
    assert_eq!(other.texts(), [state(r#"{"hook":"again"}"#), state(r#"{"hook":"done"}"#)]);
    assert_eq!(client.texts(), [state(r#"{"hook":"done"}"#)]);
}

#[test]
fn c111_a_row_that_cannot_be_read_gives_way_to_the_initial_state_and_is_kept_aside() {
    for corrupt in ["'{broken'", "''", "NULL", "x'ff00'", "5"] {
        let (host, object) = world();
        object.connect("").cut();
        object.evict();
        object.sql(&format!("UPDATE cf_agents_state SET state = {corrupt}"), ()).execute().expect("SQL");
        let mut client = object.connect("");
        // A number in the row reads as text 5, which is a state as good as any.
        let expected = if corrupt == "5" { "5" } else { r#"{"count":0}"# };
        assert_eq!(client.greeting()[1], state(expected), "{corrupt}");
        assert_eq!(stored(&object).as_deref(), Some(expected));
        if corrupt == "'{broken'" {
            let aside: Option<String> =
                object.sql("SELECT state FROM cf_agents_state WHERE id <> 'cf_state_row_id'", ()).optional().expect("SQL");
            assert_eq!(aside.as_deref(), Some("{broken"));
            assert!(host.log().iter().any(|line| line.contains("event=read state")), "{:?}", host.log());
        }
    }
}

#[test]
fn c111_without_an_initial_state_a_row_that_cannot_be_read_is_no_state() {
    let host = MemoryHost::new();
    let object = host.agent::<Bare>("a");
    object.sql("CREATE TABLE cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)", ()).execute().expect("SQL");
    object.sql("INSERT INTO cf_agents_state VALUES ('cf_state_row_id', 'x')", ()).execute().expect("SQL");
    for _ in 0..2 {
        let mut client = object.connect("");
        assert_eq!(client.greeting(), [identity("a", "bare"), MCP.to_owned()]);
        client.send("get");
        client.send("try");
        assert_eq!(client.texts(), ["agent has no state yet", "None"]);
        object.evict();
    }
}

#[test]
fn c112_an_untouched_agent_has_no_state_row_nor_table() {
    let (_host, object) = world();
    assert_eq!(object.get("").text(), "untouched");
    assert_eq!(object.sql("SELECT count(*) FROM sqlite_master", ()).one::<u32>().expect("SQL"), 0);
    assert_eq!(notes(), Vec::<String>::new());
}

#[test]
fn c113_a_state_up_to_2_mb_is_kept_and_one_above_is_refused() {
    let (_host, object) = world();
    let mut client = object.connect("");
    let mut other = object.connect("");
    // Two quotes around it.
    client.send(format!("grow {}", MAX_STATE_BYTES - 1));
    assert_eq!(client.texts(), [format!("{} of {MAX_STATE_BYTES}", MAX_STATE_BYTES + 1)]);
    other.expect_no_frame();
    client.send("get");
    assert_eq!(client.next_text(), r#"{"count":0}"#);
    client.set_state(&"y".repeat(3_000_000).into());
    assert_eq!(client.texts(), [REJECTED]);
    other.expect_no_frame();

    client.send(format!("grow {}", MAX_STATE_BYTES - 2));
    assert_eq!(client.texts().last().map(String::as_str), Some("grown"));
    object.crash();
    let mut client = object.connect("");
    assert_eq!(client.greeting()[1].len(), MAX_STATE_BYTES + state("").len());
}

#[test]
fn a_write_that_fails_leaves_memory_and_clients_where_they_were() {
    let (host, object) = world();
    let mut client = object.connect("");
    let mut other = object.connect("");
    let trigger =
        "CREATE TRIGGER full BEFORE INSERT ON cf_agents_state BEGIN SELECT RAISE(ABORT, 'disk is full of hunter2'); END";
    object.sql(trigger, ()).execute().expect("SQL");
    notes();
    client.set_state(&json!({"count": 5}));
    assert_eq!(client.texts(), [REJECTED]);
    assert_eq!(client.call("set", &json!([6])).expect_err("not stored"), "Internal Server Error");
    other.expect_no_frame();
    client.send("get");
    assert_eq!(client.next_text(), r#"{"count":0}"#);
    assert_eq!(notes(), Vec::<String>::new());
    object.sql("DROP TRIGGER full", ()).execute().expect("SQL");
    client.set_state(&json!({"count": 5}));
    assert_eq!(other.texts(), [state(r#"{"count":5}"#)]);
    assert!(host.log().iter().any(|line| line.contains("disk is full")), "{:?}", host.log());
}

#[test]
fn c114_twenty_clients_end_with_the_servers_state() {
    let (_host, object) = world();
    let mut clients: Vec<Client> = (0..20).map(|_| object.connect("")).collect();
    for round in 0..50 {
        for (number, client) in clients.iter_mut().enumerate() {
            if (round + number) % 3 == 0 {
                client.send("count 1");
            } else {
                client.set_state(&json!({"count": round * 20 + number}));
            }
        }
    }
    let last = "set {\"count\":\"final\"}";
    clients[0].send(last);
    let expected = state(r#"{"count":"final"}"#);
    for client in &mut clients {
        assert_eq!(client.texts().last(), Some(&expected));
    }
    assert_eq!(stored(&object).as_deref(), Some(r#"{"count":"final"}"#));
}

#[test]
fn a_state_of_another_shape_is_refused_and_the_log_names_the_field() {
    let host = MemoryHost::new();
    let object = host.agent::<Typed>("a");
    let mut client = object.connect("");
    let mut other = object.connect("");
    for (wrong, path) in [
        (
            json!({"name": "x", "addresses": [{"street": "s", "number": 1}, {"street": "s", "number": "two"}]}),
            "addresses[1].number",
        ),
        (json!({"name": 5, "addresses": []}), "name"),
        (json!({"name": "x"}), "missing field `addresses`"),
        (json!([1]), "invalid type"),
    ] {
        client.set_state(&wrong);
        assert_eq!(client.texts(), [REJECTED]);
        other.expect_no_frame();
        let log = host.take_log();
        assert!(log.len() == 1 && log[0].contains(path), "{path}: {log:?}");
        assert_eq!(stored(&object).as_deref(), Some("null"));
    }
    client.set_state(&json!({"addresses": [], "name": "x", "unknown": 1}));
    assert_eq!(other.texts(), [state(r#"{"name":"x","addresses":[]}"#)]);
}

#[test]
fn a_state_that_is_too_large_is_refused_before_anybody_reads_it() {
    let host = MemoryHost::new();
    let object = host.agent::<Typed>("a");
    let mut client = object.connect("");
    for (size, expected) in [
        (MAX_STATE_BYTES, "addresses: invalid type: string"),
        (MAX_STATE_BYTES + 1, &format!("state is {} bytes of JSON, limit is {MAX_STATE_BYTES}", MAX_STATE_BYTES + 1)),
    ] {
        let wrong = json!({"addresses": "x".repeat(size - r#"{"addresses":""}"#.len())});
        client.set_state(&wrong);
        assert_eq!(client.texts(), [REJECTED]);
        let log = host.take_log();
        assert!(log.len() == 1 && log[0].contains(expected), "{log:?}");
        assert!(log[0].len() < 10_000, "{} bytes", log[0].len());
    }
    assert_eq!(stored(&object).as_deref(), Some("null"));
}

#[test]
fn an_agent_without_state_cannot_be_given_one() {
    let host = MemoryHost::new();
    let object = host.agent::<Stateless>("a");
    let mut client = object.connect("");
    let mut other = object.connect("");
    for given in [json!(null), json!({}), json!([])] {
        client.set_state(&given);
        assert_eq!(client.texts(), [REJECTED]);
    }
    client.send("by itself");
    assert_eq!(client.texts(), ["Err(Unset) None"]);
    other.expect_no_frame();
    assert_eq!(object.sql("SELECT count(*) FROM sqlite_master", ()).one::<u32>().expect("SQL"), 0);
}

#[test]
fn an_agent_without_state_leaves_alone_what_an_earlier_version_has_stored() {
    let host = MemoryHost::new();
    let object = host.agent::<Stateless>("a");
    for statement in [
        "CREATE TABLE cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)",
        "INSERT INTO cf_agents_state VALUES ('cf_state_row_id', '{\"count\":1}')",
    ] {
        object.sql(statement, ()).execute().expect("SQL");
    }
    let mut client = object.connect("");
    assert_eq!(client.greeting(), [identity("a", "stateless"), MCP.to_owned()]);
    client.send("by itself");
    assert_eq!(client.texts(), ["Err(Unset) None"]);
    assert_eq!((stored(&object), host.log().len()), (Some("{\"count\":1}".to_owned()), 0));
}

#[test]
fn a_state_set_before_anybody_asked_needs_no_initial_one() {
    for_every_eviction(|host| {
        let object = host.agent::<Bare>("a");
        let mut client = object.connect("");
        client.send("[1]");
        assert_eq!(client.texts(), [state("[1]")]);
        let mut later = object.connect("");
        assert_eq!(later.greeting(), [identity_before_state("a", "bare"), state("[1]"), MCP.to_owned()]);
    });
}

#[test]
fn a_row_of_the_javascript_sdk_is_the_state() {
    let (_host, object) = world();
    object
        .sql("CREATE TABLE IF NOT EXISTS cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)", ())
        .execute()
        .expect("SQL");
    object
        .sql("INSERT INTO cf_agents_state VALUES ('cf_state_row_id', '{\"count\": 12}'), ('cf_schema_version', '11')", ())
        .execute()
        .expect("SQL");
    let mut client = object.connect("");
    let frame: Value = serde_json::from_str(&client.greeting()[1]).expect("JSON");
    assert_eq!(frame["state"], json!({"count": 12}));
    client.send("count 1");
    assert_eq!(client.next_json()["state"]["count"], 13);
    let version: String =
        object.sql("SELECT state FROM cf_agents_state WHERE id = 'cf_schema_version'", ()).one().expect("kept");
    assert_eq!(version, "11");
}

#[test]
fn a_row_that_the_agent_wrote_itself_is_seen_after_a_reload() {
    let (_host, object) = world();
    let mut client = object.connect("");
    client.send("write {\"count\":99}");
    assert_eq!(client.texts(), [r#"{"count":0}"#, r#"{"count":99}"#]);
}

#[test]
fn a_wake_looks_for_the_table_once_and_fails_at_no_statement() {
    let host = MemoryHost::new();
    let object = host.agent::<Counter>("a");
    let statements_of = |connect: &str| {
        let before = object.storage_calls();
        object.connect(connect);
        object.storage_calls() - before
    };
    // It looks, makes the table, and stores the initial state; from then on the state is in memory.
    assert_eq!((statements_of("?_pk=a"), statements_of("?_pk=b")), (3, 0));
    object.evict();
    assert_eq!(statements_of("?_pk=c"), 2, "it looks, and reads");
}

#[test]
fn a_table_that_the_agent_makes_or_drops_by_its_own_sql_is_noticed() {
    agent!(Meddler: Value, (), ();
        fn initial_state(&self) -> Option<Value> {
            Some(json!("initial"))
        }

        async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
            cx.sql("CREATE TABLE cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)", ()).execute()?;
            cx.sql("INSERT INTO cf_agents_state (id, state) VALUES ('cf_state_row_id', '\"brought along\"')", ()).execute()?;
            Ok(())
        }

        async fn on_request(&self, cx: &Context<Self>, _: Request) -> Result<Response> {
            let before = cx.state()?;
            cx.sql("DROP TABLE cf_agents_state", ()).execute()?;
            cx.set_state(json!("written anew"))?;
            Ok(Response::json(&(before, cx.state()?))?)
        }
    );
    let host = MemoryHost::new();
    let object = host.agent::<Meddler>("a");
    assert_eq!(object.get("").json(), json!(["brought along", "written anew"]));
    let stored = "SELECT state FROM cf_agents_state WHERE id = 'cf_state_row_id'";
    assert_eq!(object.sql(stored, ()).one::<String>().expect("SQL"), "\"written anew\"");
}
