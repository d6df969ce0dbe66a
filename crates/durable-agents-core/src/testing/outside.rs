//! What agents find outside of their worker: servers that a test puts there.

use std::cell::RefCell;
use std::rc::Rc;

use futures::future::LocalBoxFuture;

use super::http::seal;
use crate::host::HostError;
use crate::http::{Request, Response};

pub(super) type Answer = LocalBoxFuture<'static, Result<Response, HostError>>;
type Serve = Rc<dyn Fn(Request) -> Answer>;

/// Everything that answers outside, by the beginning of its URLs.
#[derive(Default)]
pub(super) struct Outside {
    servers: RefCell<Vec<(String, Serve)>>,
}

impl Outside {
    /// Takes the place of what answered under that very prefix.
    pub(super) fn serve(&self, prefix: &str, serve: Serve) {
        let mut servers = self.servers.borrow_mut();
        servers.retain(|(served, _)| served != prefix);
        servers.push((prefix.to_owned(), serve));
    }

    /// Begins to answer. What answers is polled by whoever asked, and dropped with it.
    pub(super) fn answer(&self, request: Request) -> Result<Answer, HostError> {
        let url = request.url().as_str();
        let servers = self.servers.borrow();
        let longest = servers.iter().filter(|(prefix, _)| url.starts_with(prefix)).max_by_key(|(prefix, _)| prefix.len());
        let Some((_, serve)) = longest else {
            return Err(HostError::new(format!("nothing answers at {:?}: call MemoryHost::serve_url first", request.url())));
        };
        let serve = Rc::clone(serve);
        drop(servers);
        Ok(serve(seal(request)))
    }
}
