//! What `#[callable]` and `#[callback]` make of a block of methods.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "agents of tests are part of the tests")]

use std::cell::RefCell;

use durable_agents::prelude::*;
use durable_agents::rpc::{self, Callable};
use durable_agents::testing::{Client, MemoryHost};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Default)]
struct Desk {
    seen: RefCell<Vec<String>>,
}

#[agent]
impl Agent for Desk {
    type State = u32;

    fn initial_state(&self) -> Option<u32> {
        Some(7)
    }

    async fn has_scope(&self, _: &Context<Self>, connection: &Connection<Self>, scope: &str) -> Result<bool> {
        Ok(connection.uri().ends_with(scope))
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Order {
    item: String,
    count: u32,
}

/// For clients alone: nobody can read it.
#[derive(Serialize)]
struct Receipt {
    total: u32,
}

/// For clients alone: nobody can write it.
#[derive(Deserialize)]
struct Key {
    value: u32,
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("the drawer is stuck"))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("sold out of {0}")]
struct SoldOut(String);

#[agent]
impl Desk {
    const PRICE: u32 = 3;

    /// Adds two numbers.
    ///
    /// And no more.
    #[callable]
    async fn add(&self, a: i64, mut b: i64) -> Result<i64> {
        b += a;
        Ok(b)
    }

    #[callable(name = "getState", scope = "admin", description = "The count.")]
    fn get_state(&self, cx: &Context<Self>) -> Result<u32> {
        Ok(*cx.state()?)
    }

    /// Counts.
    #[callable(streaming)]
    async fn numbers(&self, _cx: &Context<Self>, stream: Stream<u32, String>, count: u32) -> Result<()> {
        for number in 0..count {
            stream.send(number)?;
        }
        stream.end("done".to_owned())?;
        Ok(())
    }

    #[callable(streaming)]
    fn forgetful(&self, stream: Stream<Order>) -> Result<()> {
        let order = Order { item: "pen".to_owned(), count: 1 };
        stream.send(&order)?;
        Ok(())
    }

    #[callable]
    fn order(&self, order: Order, note: Option<String>, urgent: Option<bool>) -> Result<Value> {
        Ok(json!([order.item, order.count * Self::PRICE, note, urgent]))
    }

    // An option that others follow may be null and not missing.
    #[callable]
    fn discount(&self, code: Option<String>, percent: u8) -> Result<(Option<String>, u8)> {
        Ok((code, percent))
    }

    #[callable]
    fn receipt(&self, key: Key) -> Result<Receipt> {
        Ok(Receipt { total: key.value })
    }

    #[callable]
    fn nothing(&self) -> Result<()> {
        Ok(())
    }

    // The name that the expansion gives to what it reads the arguments from.
    #[callable]
    fn maybe(&self, call: bool) -> Result<Option<u32>> {
        Ok(call.then_some(1))
    }

    #[callable]
    fn raw(&self, some: bool) -> Result<rpc::Answer> {
        if some { durable_agents::rpc::answer(&[1, 2]) } else { Ok(None) }
    }

    #[callable]
    fn stuck(&self) -> Result<Unwritable> {
        Ok(Unwritable)
    }

    #[callable]
    fn own_error(&self, item: String) -> std::result::Result<u32, SoldOut> {
        Err(SoldOut(item))
    }

    #[callable]
    fn r#match(&self, r#type: u8) -> Result<u8> {
        Ok(r#type)
    }

    #[callable]
    fn seen(&self) -> Result<Vec<String>> {
        Ok(self.seen.borrow().clone())
    }

    #[callback]
    async fn remind(&self, cx: &Context<Self>, order: Order, run: &Run) -> Result<()> {
        self.helper(&format!("{} {} {}", cx.name(), order.item, run.id));
        Ok(())
    }

    #[callback(name = "sweepUp")]
    fn sweep_up(&self) -> Result<()> {
        self.helper("swept");
        Ok(())
    }

    fn helper(&self, what: &str) {
        self.seen.borrow_mut().push(what.to_owned());
    }
}

fn client(query: &str) -> Client {
    MemoryHost::new().agent::<Desk>("a").connect(query)
}

#[test]
fn arguments_and_results_go_by_serde() {
    let mut client = client("");
    for (method, args, result) in [
        ("add", json!([2, 3]), Ok(json!(5))),
        ("order", json!([{"item": "pen", "count": 2}]), Ok(json!(["pen", 6, null, null]))),
        ("order", json!([{"item": "pen", "count": 2}, null, true]), Ok(json!(["pen", 6, null, true]))),
        ("discount", json!([null, 5]), Ok(json!([null, 5]))),
        ("receipt", json!([{"value": 3}]), Ok(json!({"total": 3}))),
        ("raw", json!([true]), Ok(json!([1, 2]))),
        ("match", json!([4]), Ok(json!(4))),
        ("own_error", json!(["pens"]), Err("sold out of pens".to_owned())),
        ("stuck", json!([]), Err("the drawer is stuck".to_owned())),
    ] {
        assert_eq!(client.call(method, &args), result, "{method} {args}");
    }
}

#[test]
fn wrong_arguments_are_named_with_what_was_expected() {
    let mut client = client("");
    for (method, args, error) in [
        ("add", json!([2]), "argument b is missing, expected i64"),
        ("add", json!([]), "argument a is missing, expected i64"),
        ("add", json!([2, "3"]), "argument b: invalid type: string \"3\", expected i64"),
        ("add", json!([2, 3, 4]), "too many arguments: add(a: i64, b: i64) takes 2, got 3"),
        ("nothing", json!([null]), "too many arguments: nothing() takes 0, got 1"),
        ("order", json!([]), "argument order is missing, expected Order"),
        ("order", json!([{"item": "pen"}]), "argument order: missing field `count`"),
        ("order", json!([{"item": "pen", "count": 1}, 5]), "argument note: invalid type: integer `5`, expected a string"),
        (
            "order",
            json!([1, 2, 3, 4]),
            "too many arguments: order(order: Order, note: Option<String>, urgent: Option<bool>) takes 3, got 4",
        ),
        ("discount", json!([]), "argument code is missing, expected Option<String>"),
        ("discount", json!([null]), "argument percent is missing, expected u8"),
        ("match", json!([]), "argument type is missing, expected u8"),
        ("numbers", json!([]), "argument count is missing, expected u32"),
    ] {
        assert_eq!(client.call(method, &args), Err(error.to_owned()), "{method} {args}");
    }
}

#[test]
fn nothing_is_no_key_and_none_is_null() {
    let mut client = client("");
    for (method, args, rest) in [
        ("nothing", "", r#""id":"1","success":true"#),
        ("raw", "false", r#""id":"1","success":true"#),
        ("maybe", "false", r#""id":"1","result":null,"success":true"#),
        ("maybe", "true", r#""id":"1","result":1,"success":true"#),
    ] {
        client.send(format!(r#"{{"type":"rpc","id":"1","method":"{method}","args":[{args}]}}"#));
        assert_eq!(client.texts(), [format!(r#"{{"done":true,{rest},"type":"rpc"}}"#)]);
    }
}

#[test]
fn streaming_methods_get_a_typed_stream() {
    let mut client = client("");
    client.send(r#"{"type":"rpc","id":"1","method":"numbers","args":[2]}"#);
    let results: Vec<Value> = (0..3).map(|_| client.next_json()).map(|frame| json!([frame["done"], frame["result"]])).collect();
    assert_eq!(results, [json!([false, 0]), json!([false, 1]), json!([true, "done"])]);
    client.send(r#"{"type":"rpc","id":"1","method":"forgetful","args":[]}"#);
    assert_eq!(client.next_json()["result"], json!({"item": "pen", "count": 1}));
    assert_eq!(client.next_text(), r#"{"done":true,"id":"1","success":true,"type":"rpc"}"#);
    client.expect_no_frame();
}

#[test]
fn c119_methods_without_a_mark_are_not_callable() {
    let mut client = client("");
    for method in ["helper", "remind", "sweepUp", "setState", "alarm"] {
        assert_eq!(client.call(method, &json!([])), Err(format!("Method {method} is not callable")));
    }
    for method in ["sweep_up", "get_state", "PRICE", "callables", "__an_agent_has_one_block_of_marked_methods"] {
        assert_eq!(client.call(method, &json!([])), Err(format!("Method {method} does not exist")));
    }
    assert_eq!(client.call("seen", &json!([])), Ok(json!([])));
}

#[test]
fn a_scope_is_needed_where_one_is_named() {
    assert_eq!(client("").call("getState", &json!([])), Err("Method getState requires scope admin".to_owned()));
    assert_eq!(client("?admin").call("getState", &json!([])), Ok(json!(7)));
}

#[test]
fn server_code_can_list_the_methods() {
    let told = |callable: &Callable<Desk>| (callable.name, callable.description, callable.scope, callable.streaming);
    let list: Vec<_> = Desk::callables().iter().map(told).collect();
    assert_eq!(
        list[..4],
        [
            ("add", "Adds two numbers.", None, false),
            ("getState", "The count.", Some("admin"), false),
            ("numbers", "Counts.", None, true),
            ("forgetful", "", None, true),
        ]
    );
    assert_eq!(list.len(), 14);
    assert_eq!(Desk::callbacks().iter().map(|row| row.name).collect::<Vec<_>>(), ["remind", "sweepUp"]);
    assert_eq!(Desk::uncallable(), ["helper"]);
}

#[test]
fn callbacks_have_typed_names() {
    let remind: &Callback<Desk, Order> = &Desk::REMIND;
    let sweep: &Callback<Desk, ()> = &Desk::SWEEP_UP;
    assert_eq!((remind.name(), sweep.name()), ("remind", "sweepUp"));
}

#[derive(Default)]
struct Renamed;

#[agent]
impl Agent for Renamed {}

#[callable(rename_all = "camelCase")]
impl Renamed {
    fn get_all(&self) -> Result<u8> {
        Ok(1)
    }

    #[callable(name = "as_is")]
    fn renamed(&self) -> Result<u8> {
        Ok(2)
    }

    #[callable(skip)]
    fn not_this(&self) {}

    #[callback]
    fn run_later(&self) -> Result<()> {
        self.not_this();
        Ok(())
    }
}

#[test]
fn a_block_of_callable_methods_renames_them_all() {
    let mut client = MemoryHost::new().agent::<Renamed>("a").connect("");
    assert_eq!(client.call("getAll", &json!([])), Ok(json!(1)));
    assert_eq!(client.call("as_is", &json!([])), Ok(json!(2)));
    assert_eq!(client.call("get_all", &json!([])), Err("Method get_all does not exist".to_owned()));
    assert_eq!(client.call("notThis", &json!([])), Err("Method notThis is not callable".to_owned()));
    assert_eq!(client.call("runLater", &json!([])), Err("Method runLater is not callable".to_owned()));
    assert_eq!(Renamed::RUN_LATER.name(), "runLater");
}

/// Its methods are in a module below it.
#[derive(Default)]
struct Split;

#[agent]
impl Agent for Split {}

mod below {
    use durable_agents::prelude::*;

    use super::Split;

    #[agent]
    impl Split {
        #[callable]
        fn answer(&self) -> Result<u8> {
            Ok(42)
        }
    }
}

#[test]
fn a_block_in_another_module_is_found() {
    let mut client = MemoryHost::new().agent::<Split>("a").connect("");
    assert_eq!(client.call("answer", &json!([])), Ok(json!(42)));
}

/// Calls the others.
#[derive(Default)]
struct Boss;

#[agent]
impl Agent for Boss {}

#[agent(rename_all = "kebab-case")]
impl Boss {
    #[callable]
    async fn ask_all(&self, cx: &Context<Self>) -> Result<Value> {
        let desk = cx.agent::<Desk>("a");
        let order = Order { item: "pen".to_owned(), count: 2 };
        Ok(json!({
            "add": desk.add(1, 2).await?,
            "order": desk.order(order, None, Some(true)).await?,
            // No connection, so no scope.
            "state": desk.get_state().await?,
            "maybe": desk.maybe(false).await?,
            "nothing": desk.nothing().await?,
            "raw": desk.raw(true).await?,
            "error": format!("{:?}", desk.own_error("pens".to_owned()).await),
            "renamed": cx.agent::<Renamed>("r").get_all().await?,
        }))
    }
}

#[test]
fn other_agents_call_by_a_stub_with_the_same_methods() {
    let host = MemoryHost::new();
    host.bind::<Desk>();
    host.bind::<Renamed>();
    let mut client = host.agent::<Boss>("b").connect("");
    let expected = json!({
        "add": 3,
        "order": ["pen", 6, null, true],
        "state": 7,
        "maybe": null,
        "nothing": null,
        "raw": [1, 2],
        "error": r#"Err(Method("sold out of pens"))"#,
        "renamed": 1,
    });
    assert_eq!(client.call("ask-all", &json!([])), Ok(expected));
}
