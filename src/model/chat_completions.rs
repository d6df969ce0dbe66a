//! Any endpoint that speaks the chat-completions API: OpenAI's, most others', and the servers one runs oneself.

use std::rc::Rc;
use std::time::Duration;

use durable_agents::host::Host;
use durable_agents::http::{Body, HeaderValue, Request, header};
use serde::Serialize;

use super::answer::{detail, read};
use super::{Model, ModelError, ModelMessage, Names, Pieces, Prompt, messages, timeout};

const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

/// Most bytes of an error's body that are looked at.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// See the [module](self).
pub(super) struct ChatCompletions {
    host: Rc<dyn Host>,
    url: String,
    names: Names,
    // Never printed, and taken out of what the other side says.
    key: Option<String>,
    timeout: Duration,
}

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    messages: Vec<ModelMessage<'a>>,
    stream: bool,
}

impl ChatCompletions {
    pub(super) fn new(host: Rc<dyn Host>) -> Result<Self, ModelError> {
        let given = |name| host.var(name).filter(|text| !text.is_empty());
        let base = given("MODEL_BASE_URL").unwrap_or_else(|| DEFAULT_BASE_URL.to_owned());
        let authority = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://"));
        let authority = authority.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        // Who puts a password into the URL would find it in logs.
        if authority.is_empty() || authority.contains('@') || base.contains(['?', '#']) {
            let wrong = "MODEL_BASE_URL is no http or https URL without user, query and fragment";
            return Err(ModelError::Configuration(wrong.to_owned()));
        }
        let key = given("MODEL_API_KEY").map(|key| key.trim().to_owned());
        let (url, names) = (format!("{}/chat/completions", base.trim_end_matches('/')), Names::new(&*host)?);
        let timeout = timeout(&*host)?;
        Ok(Self { url, names, key, timeout, host })
    }

    fn request(&self, prompt: &Prompt) -> Result<Request, ModelError> {
        let ask = Ask { model: self.names.resolve(prompt.model.as_deref())?, messages: messages(prompt), stream: true };
        let not_sent = |error: serde_json::Error| ModelError::Unreachable(error.to_string());
        let request = Request::post_json(&self.url, &ask).map_err(not_sent)?;
        let request = request.with_header(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        let Some(key) = &self.key else { return Ok(request) };
        let mut token = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| ModelError::Configuration("MODEL_API_KEY has characters that no header may have".to_owned()))?;
        token.set_sensitive(true);
        Ok(request.with_header(header::AUTHORIZATION, token))
    }
}

impl Model for ChatCompletions {
    fn answer(&self, prompt: Prompt) -> Pieces {
        let (request, host) = (self.request(&prompt), Rc::clone(&self.host));
        let opening = Box::pin(async move { open(&*host, request?).await });
        read(Rc::clone(&self.host), self.timeout, self.key.clone(), opening)
    }

    fn offers(&self, name: &str) -> bool {
        self.names.offers(name)
    }
}

async fn open(host: &dyn Host, request: Request) -> Result<Body, ModelError> {
    let unreachable = |error: durable_agents::host::HostError| ModelError::Unreachable(error.message.clone());
    let response = host.fetch_url(request).await.map_err(unreachable)?;
    if !response.status.is_success() {
        // Without a body that can be read, the status says enough.
        let body = response.body.bytes_up_to(MAX_ERROR_BYTES).await.unwrap_or_default();
        return Err(ModelError::Refused { status: response.status.as_u16(), detail: detail(&body) });
    }
    let kind = response.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("none");
    if !kind.to_ascii_lowercase().contains("event-stream") {
        return Err(ModelError::Malformed(format!("its content type is {kind:?} instead of an event stream")));
    }
    Ok(response.body)
}
