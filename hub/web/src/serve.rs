//! Serves the pages: routes, sessions of one reader, and nothing that decides.

mod answer;
mod events;
mod routes;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_status::Hub;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::Api;
use crate::follow::Seen;
use crate::mirror::Mirror;

/// Longest time the hub may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest form.
const MAX_FORM: usize = 64 << 10;
/// Pages that are followed at once.
const MAX_STREAMS: usize = 64;
/// Forms that are remembered, so that a double click is one act.
const MAX_KEYS: usize = 256;

/// A random word of 128 bits, for the key of a form.
#[must_use]
pub fn fresh_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// A random word of 256 bits.
fn secret() -> String {
    format!(
        "{:032x}{:032x}",
        rand::random::<u128>(),
        rand::random::<u128>()
    )
}

/// One reader's site on loopback: whoever has the link is the operator of the context.
pub struct Site {
    api: Api,
    seen: watch::Receiver<Arc<Seen>>,
    port: u16,
    /// In the first URL, once; then in the cookie.
    ticket: Mutex<Option<String>>,
    session: String,
    form_token: String,
    flash: Mutex<Option<String>>,
    keys: Mutex<VecDeque<String>>,
    streams: Arc<tokio::sync::Semaphore>,
    cache: Mutex<events::Cache>,
}

/// A site that listens, and the link that lets its reader in.
pub struct Listening {
    /// With the ticket, which works once.
    pub link: String,
    /// Where it listens.
    pub address: SocketAddr,
    listener: TcpListener,
    site: Arc<Site>,
    follow: watch::Sender<Arc<Seen>>,
}

impl Listening {
    /// Prepares a site. The listener must be on loopback: there is no TLS and one reader.
    ///
    /// # Errors
    /// When the listener is not on loopback, or the hub does not answer.
    pub async fn new(api: Api, listener: TcpListener) -> Result<Self, tonic::Status> {
        let address = listener.local_addr().map_err(|error| {
            tonic::Status::internal(format!("the listener has no address: {error}"))
        })?;
        if !address.ip().is_loopback() {
            return Err(tonic::Status::invalid_argument(format!(
                "{address} is not a loopback address: pages without TLS are served on 127.0.0.1 or [::1] only"
            )));
        }
        let answer = ask(&api, v1::GetHubRequest {}, |mut api, request| async move {
            api.get_hub(request).await
        })
        .await?;
        let first = Seen {
            mirror: Mirror::default(),
            hub: Hub::from(&answer),
        };
        let (sender, seen) = watch::channel(Arc::new(first));
        let ticket = secret();
        Ok(Self {
            link: format!("http://{address}/?ticket={ticket}"),
            address,
            listener,
            site: Arc::new(Site {
                api,
                seen,
                port: address.port(),
                ticket: Mutex::new(Some(ticket)),
                session: secret(),
                form_token: secret(),
                flash: Mutex::new(None),
                keys: Mutex::new(VecDeque::new()),
                streams: Arc::new(tokio::sync::Semaphore::new(MAX_STREAMS)),
                cache: Mutex::new(events::Cache::default()),
            }),
            follow: sender,
        })
    }

    /// Serves until `stop` is done.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let follow = tokio::spawn(crate::follow::follow(self.site.api.clone(), self.follow));
        let router = routes::router(Arc::clone(&self.site));
        let served = tokio::select! {
            served = async { axum::serve(self.listener, router).await } => served,
            () = stop => Ok(()),
        };
        follow.abort();
        served
    }
}

impl Site {
    /// Whether a form with this key is sent for the first time.
    fn is_first(&self, key: &str) -> bool {
        let mut keys = self.keys.lock();
        if key.is_empty() || keys.iter().any(|one| one == key) {
            return false;
        }
        if keys.len() >= MAX_KEYS {
            keys.pop_front();
        }
        keys.push_back(key.to_owned());
        true
    }

    /// Takes the ticket of the first URL; it works once.
    fn redeem(&self, ticket: &str) -> bool {
        let mut own = self.ticket.lock();
        let good = own
            .as_ref()
            .is_some_and(|one| crate::security::equal(one, ticket));
        if good {
            *own = None;
        }
        good
    }
}

/// Asks the hub something, within [`PATIENCE`].
pub(crate) async fn ask<Q, A, F>(
    api: &Api,
    question: Q,
    call: impl FnOnce(Api, tonic::Request<Q>) -> F,
) -> Result<A, tonic::Status>
where
    F: Future<Output = Result<tonic::Response<A>, tonic::Status>>,
{
    let mut request = tonic::Request::new(question);
    request.set_timeout(PATIENCE);
    match tokio::time::timeout(PATIENCE, call(api.clone(), request)).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(tonic::Status::deadline_exceeded(
            "the hub did not answer within 10 seconds",
        )),
    }
}
