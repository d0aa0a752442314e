//! Who is let in to pages, and as whom: `flotilla web` has one reader, the hub has sessions.

use std::sync::Arc;

use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use flotilla_status::Hub;
use futures::future::BoxFuture;

use crate::Api;
use crate::security::Scheme;

/// Somebody who was let in.
#[derive(Clone)]
pub struct Reader {
    /// Asks and acts as this person.
    pub api: Api,
    /// The hub as it answers this person: who they are, and what they may do.
    pub hub: Arc<Hub>,
    /// Names the session; no secret.
    pub session: String,
    /// What each form of the session carries.
    pub form_token: String,
    /// Whether there is a session to end.
    pub signs_out: bool,
}

/// The entrance of a site. A response in place of a reader is what a stranger gets: never a page of the fleet.
pub trait Entrance: Send + Sync + 'static {
    /// Whether a `Host` is a name of ours.
    fn is_ours(&self, host: &str) -> bool;

    /// How browsers come here.
    fn scheme(&self) -> Scheme;

    /// Lets somebody in. Asked for each page, and again for each change that an open page is told.
    fn enter<'a>(
        &'a self,
        headers: &'a HeaderMap,
        uri: &'a Uri,
    ) -> BoxFuture<'a, Result<Reader, Box<Response>>>;
}
