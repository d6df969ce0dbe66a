//! What leads to a part of an adapter that is left out of most workers notes the demand: the world of the tests fails where it is missing.

#![allow(clippy::expect_used, clippy::panic, reason = "agents and helpers of tests are part of the tests")]

mod common;

use common::agent;
use durable_agents_core::demand;
use durable_agents_core::http::{Body, BodyError, Method, Request, Response};
use durable_agents_core::liveness::Liveness;
use durable_agents_core::signature::VerifyingKey;
use durable_agents_core::testing::MemoryHost;
use durable_agents_core::{Context, Result, bail};
use futures::Stream;
use futures::stream::iter;

const URL: &str = "https://example.com/";

fn pieces() -> impl Stream<Item = Result<bytes::Bytes, BodyError>> {
    iter([Ok("streamed".into())])
}

fn streamed() -> Response {
    // As an adapter makes it of what the platform has: no demand of the test's.
    Response { body: Body::arriving(pieces()), ..Response::default() }
}

agent!(Asking: (), (), ();
    async fn on_request(&self, cx: &Context<Self>, mut request: Request) -> Result<Response> {
        let path = request.path().rsplit('/').next().unwrap_or_default().to_owned();
        let said = match &*path {
            "var" => cx.var("NAME").unwrap_or_default(),
            "form" => format!("{:?}", request.form_data().await?.fields),
            "ping" => cx.set_auto_response(Some(("ping", "pong"))).map(|()| "set".to_owned())?,
            "life" => cx.check_life(&Liveness::default()).alive.len().to_string(),
            "verify" => {
                let key = VerifyingKey::HmacSha256 { secret: b"Jefe".to_vec() };
                cx.host().verify(&key, b"", &[]).await?.to_string()
            }
            "list" => {
                request.headers();
                // The tests' world reads the list itself, so it cannot ask who else does.
                demand::HEADERS.is_noted().to_string()
            }
            "handle" => cx.host_handle().var("NAME").unwrap_or_default(),
            "stream" => return Ok(Response { body: Body::stream(pieces()), ..Response::default() }),
            "echo" => return Ok(Response { body: request.take_body(), ..Response::default() }),
            "streamed" => return Ok(streamed()),
            "outside" => return Ok(cx.fetch(Request::new(Method::GET, URL, Body::Empty)).await?),
            "other" => return Ok(cx.agent::<Self>("b").fetch(Request::new(Method::GET, "/streamed", Body::Empty)).await?),
            path => bail!("no {path}"),
        };
        Ok(Response::text(said))
    }
);

// One test: what has been noted is the same for all of a process.
#[test]
fn who_leads_to_a_part_that_is_left_out_notes_the_demand() {
    let host = MemoryHost::new();
    host.set_var("NAME", "a variable");
    host.serve_url(URL, |_| async { Ok(streamed()) });
    let asking = host.agent::<Asking>("a");
    let _client = asking.connect("");
    let form = "application/x-www-form-urlencoded";
    for (path, kind, body, expected) in [
        ("var", "", "", "a variable"),
        ("form", form, "field=filled", r#"[("field", Text("filled"))]"#),
        ("ping", "", "", "set"),
        ("life", "", "", "1"),
        ("verify", "", "", "false"),
        ("list", "", "", "true"),
        ("handle", "", "", "a variable"),
        ("stream", "", "", "streamed"),
        ("outside", "", "", "streamed"),
        ("other", "", "", "streamed"),
    ] {
        demand::forget_all();
        assert_eq!(asking.post(path, kind, body).text(), expected, "{path}");
    }
    demand::forget_all();
    assert_eq!(asking.request(Request::new(Method::POST, "/echo", Body::arriving(pieces()))).text(), "streamed");
}
