//! Workers AI, through the worker's `AI` binding.

use std::rc::Rc;
use std::time::Duration;

use durable_agents::body_of;
use durable_agents::host::Host;
use durable_agents::http::Body;
use durable_agents::prelude::*;
use serde::Serialize;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{JSON, Object, Promise, Reflect};
use worker::wasm_bindgen::prelude::*;
use worker::web_sys::{AbortController, ReadableStream};

use super::answer::read;
use super::{Model, ModelError, ModelMessage, Names, Pieces, Prompt, messages, timeout};

/// Name of the binding in `wrangler.toml`.
const BINDING: &str = "AI";

#[wasm_bindgen(wasm_bindgen = worker::wasm_bindgen)]
extern "C" {
    #[derive(Clone)]
    type Ai;

    #[wasm_bindgen(method, catch)]
    fn run(this: &Ai, model: &str, inputs: &JsValue, options: &JsValue) -> Result<Promise, JsValue>;
}

/// See the [module](self).
pub(super) struct WorkersAi {
    ai: Ai,
    host: Rc<dyn Host>,
    names: Names,
    timeout: Duration,
}

#[derive(Serialize)]
struct Inputs<'a> {
    messages: Vec<ModelMessage<'a>>,
    stream: bool,
}

impl WorkersAi {
    pub(super) fn new<A: Agent>(cx: &Context<A>) -> Result<Self, ModelError> {
        let env = cx.env().map_err(|error| ModelError::Configuration(error.message.clone()))?;
        let ai = Reflect::get(&env, &BINDING.into()).ok().filter(JsValue::is_object);
        let ai = ai.ok_or_else(|| ModelError::Configuration(format!("the worker has no binding {BINDING} of Workers AI")))?;
        let host = cx.host_handle();
        let (names, timeout) = (Names::new(&*host)?, timeout(&*host)?);
        Ok(Self { ai: ai.unchecked_into(), host, names, timeout })
    }

    fn ask(&self, prompt: &Prompt) -> Result<(String, String), ModelError> {
        let model = self.names.resolve(prompt.model.as_deref())?;
        let inputs = Inputs { messages: messages(prompt), stream: true };
        let inputs = serde_json::to_string(&inputs).map_err(|error| ModelError::Unreachable(error.to_string()))?;
        Ok((model.to_owned(), inputs))
    }
}

impl Ai {
    fn begin(&self, model: &str, inputs: &str) -> Result<Running, JsValue> {
        let abort = AbortController::new()?;
        let options = Object::new();
        Reflect::set(&options, &"signal".into(), &abort.signal())?;
        Ok(Running { answer: self.run(model, &JSON::parse(inputs)?, &options)?, abort })
    }
}

impl Model for WorkersAi {
    fn answer(&self, prompt: Prompt) -> Pieces {
        let ask = self.ask(&prompt);
        let ai = self.ai.clone();
        let opening = Box::pin(async move {
            let (model, inputs) = ask?;
            ai.begin(&model, &inputs).map_err(unreachable)?.open().await
        });
        read(Rc::clone(&self.host), self.timeout, None, opening)
    }

    fn offers(&self, name: &str) -> bool {
        self.names.offers(name)
    }
}

/// A run of the model, ended when it is dropped.
struct Running {
    answer: Promise,
    abort: AbortController,
}

impl Running {
    async fn open(self) -> Result<Body, ModelError> {
        let answer = JsFuture::from(self.answer.clone()).await.map_err(unreachable)?;
        let stream = answer.dyn_into::<ReadableStream>();
        let stream = stream.map_err(|_| ModelError::Malformed("the binding returned no stream".to_owned()))?;
        Ok(body_of(stream).holding(self))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

fn unreachable(exception: JsValue) -> ModelError {
    ModelError::Unreachable(worker::Error::from(exception).to_string())
}
