#[durable_agents::fetch]
fn not_found(_: worker::Request, _: worker::Env, _: worker::Context) -> worker::Result<worker::Response> {
    worker::Response::error("Not found", 404)
}

fn main() {}
