//! Access to `flotilla web`: a caller with the link is the operator of the context.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::routes::{field, plain};
use super::secret;
use crate::entrance::{Entrance, Reader};
use crate::follow::Snapshot;
use crate::security::Scheme;
use crate::{Api, security};

/// Cookie of the session on loopback; the prefix `__Host-` would require TLS.
const COOKIE: &str = "flotilla";

/// One reader, whose first link works once.
pub(super) struct Loopback {
    api: Api,
    seen: watch::Receiver<Arc<Snapshot>>,
    port: u16,
    /// In the first URL once, then in the cookie.
    ticket: Mutex<Option<String>>,
    session: String,
    form_token: String,
}

impl Loopback {
    /// Makes the access control, and the ticket.
    pub(super) fn new(api: Api, seen: watch::Receiver<Arc<Snapshot>>, port: u16) -> (Self, String) {
        let ticket = secret();
        let entrance = Self {
            api,
            seen,
            port,
            ticket: Mutex::new(Some(ticket.clone())),
            session: secret(),
            form_token: secret(),
        };
        (entrance, ticket)
    }

    /// Checks the ticket of the first URL; it works once.
    fn redeem(&self, ticket: &str) -> bool {
        let mut own = self.ticket.lock();
        let good = own.as_ref().is_some_and(|own| security::equal(own, ticket));
        if good {
            *own = None;
        }
        good
    }

    fn admit(&self, headers: &HeaderMap, uri: &Uri) -> Result<Reader, Box<Response>> {
        if security::cookies(headers, COOKIE).any(|value| security::equal(value, &self.session)) {
            return Ok(Reader {
                api: self.api.clone(),
                hub: Arc::clone(&self.seen.borrow().hub),
                session: String::new(),
                form_token: self.form_token.clone(),
                signs_out: false,
            });
        }
        if field(uri, "ticket").is_some_and(|ticket| self.redeem(&ticket)) {
            let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax", self.session);
            let to_the_fleet = [
                (header::SET_COOKIE, cookie),
                (header::LOCATION, "/".to_owned()),
            ];
            return Err(Box::new(
                (StatusCode::SEE_OTHER, to_the_fleet).into_response(),
            ));
        }
        Err(Box::new(plain(
            StatusCode::FORBIDDEN,
            "Open the link that `flotilla web` printed; it works once. To open the page in another browser, start `flotilla web` again.\n",
        )))
    }
}

impl Entrance for Loopback {
    fn is_ours(&self, host: &str) -> bool {
        security::is_loopback_host(host, self.port)
    }

    fn scheme(&self) -> Scheme {
        Scheme::Http
    }

    fn enter<'a>(
        &'a self,
        headers: &'a HeaderMap,
        uri: &'a Uri,
    ) -> BoxFuture<'a, Result<Reader, Box<Response>>> {
        std::future::ready(self.admit(headers, uri)).boxed()
    }
}
