//! Access to the pages: `flotilla web` has one reader, the hub has sessions.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use flotilla_status::Hub;
use futures::future::BoxFuture;

use crate::Api;
use crate::security::Scheme;

/// A reader with access.
#[derive(Clone)]
pub struct Reader {
    /// The Fleet API, with this reader's identity.
    pub api: Api,
    /// The hub's answer about itself and this reader's rights.
    pub hub: Arc<Hub>,
    /// Name of the session; not a secret.
    pub session: String,
    /// Token that every form of the session carries.
    pub form_token: String,
    /// Whether there is a session to end.
    pub signs_out: bool,
}

/// Access control of a site. The response in place of a reader is what others get: never a page of the fleet.
pub trait Entrance: Send + Sync + 'static {
    /// Whether a `Host` header is one of this site.
    fn is_ours(&self, host: &str) -> bool;

    /// Scheme by which browsers reach the site.
    fn scheme(&self) -> Scheme;

    /// Returns the reader of a request. Called for each page, and again for each update of a followed page.
    fn enter<'a>(
        &'a self,
        headers: &'a HeaderMap,
        uri: &'a Uri,
    ) -> BoxFuture<'a, Result<Reader, Box<Response>>>;
}
