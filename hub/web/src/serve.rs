//! Serves the pages: routes, and forms that act only once; it makes no decisions.

mod answer;
mod doing;
mod events;
mod loopback;
mod routes;
mod views;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

pub use routes::{form, page_response, plain};

use crate::Api;
use crate::entrance::Entrance;
use crate::follow::Snapshot;
use crate::mirror::Mirror;
use crate::overview::Overview;
use crate::pages::{EnvironmentView, RolloutView};

const MAX_FORM: usize = 64 << 10;
/// Time after which an overview is made again although the fleet did not change: ages grow.
const AGES: Duration = Duration::from_secs(5);
/// Number of remembered forms, so that a double click acts once.
const MAX_KEYS: usize = 4096;
/// Number of outcomes that are kept until their page is loaded.
const MAX_FLASHES: usize = 256;

/// Random text of 128 bits, for the key of a form.
#[must_use]
pub fn fresh_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Random text of 256 bits.
#[must_use]
pub fn secret() -> String {
    format!(
        "{:032x}{:032x}",
        rand::random::<u128>(),
        rand::random::<u128>()
    )
}

/// The pages of one listener.
pub struct Site {
    entrance: Arc<dyn Entrance>,
    seen: watch::Receiver<Arc<Snapshot>>,
    flashes: Mutex<VecDeque<(String, String)>>,
    keys: Mutex<VecDeque<(String, String)>>,
    streams: Arc<tokio::sync::Semaphore>,
    cache: Mutex<events::Cache>,
    overview: Mutex<Option<CachedOverview>>,
    environments: views::Views<EnvironmentView>,
    rollouts: views::Views<RolloutView>,
}

/// The overview of one revision of the mirror.
struct CachedOverview {
    revision: u64,
    at: Instant,
    overview: Arc<Overview>,
}

impl Site {
    /// Makes a site of the pages for readers with access; at most `streams` pages are followed at once.
    #[must_use]
    pub fn new(
        entrance: Arc<dyn Entrance>,
        seen: watch::Receiver<Arc<Snapshot>>,
        streams: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            entrance,
            seen,
            flashes: Mutex::new(VecDeque::new()),
            keys: Mutex::new(VecDeque::new()),
            streams: Arc::new(tokio::sync::Semaphore::new(streams)),
            cache: Mutex::new(events::Cache::default()),
            overview: Mutex::new(None),
            environments: views::Views::default(),
            rollouts: views::Views::default(),
        })
    }

    /// Returns the overview of the current revision. Concurrent readers wait for it, so that it is made once.
    fn overview(&self, mirror: &Mirror) -> Arc<Overview> {
        let mut known = self.overview.lock();
        if let Some(known) = known.as_ref()
            && known.revision == mirror.revision
            && known.at.elapsed() < AGES
        {
            return Arc::clone(&known.overview);
        }
        let overview = Arc::new(Overview::new(mirror, Timestamp::now()));
        *known = Some(CachedOverview {
            revision: mirror.revision,
            at: Instant::now(),
            overview: Arc::clone(&overview),
        });
        overview
    }

    /// Router of every page and of `more` (such as login pages), with the same checks of `Host` and the same headers.
    pub fn router(self: &Arc<Self>, more: Router) -> Router {
        routes::router(Arc::clone(self), more)
    }

    /// Whether a form with this key is submitted for the first time in the session.
    fn is_first(&self, session: &str, key: &str) -> bool {
        let mut keys = self.keys.lock();
        if key.is_empty() || keys.iter().any(|(of, sent)| sent == key && of == session) {
            return false;
        }
        push(&mut keys, MAX_KEYS, (session.to_owned(), key.to_owned()));
        true
    }

    /// Keeps the outcome of an action for the session's next page.
    fn leave(&self, session: &str, told: String) {
        let mut flashes = self.flashes.lock();
        push(&mut flashes, MAX_FLASHES, (session.to_owned(), told));
    }

    /// Returns the outcome of the session's last action, once.
    fn flash(&self, session: &str) -> Option<String> {
        let mut flashes = self.flashes.lock();
        let at = flashes.iter().rposition(|(of, _)| of == session)?;
        flashes.remove(at).map(|(_, told)| told)
    }
}

fn push<T>(queue: &mut VecDeque<T>, most: usize, item: T) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// A site on loopback, with the link that grants its reader access.
pub struct Listening {
    /// URL with the ticket, which works once.
    pub link: String,
    /// Address of the listener.
    pub address: SocketAddr,
    listener: TcpListener,
    site: Arc<Site>,
    api: Api,
    follow: watch::Sender<Arc<Snapshot>>,
}

/// Highest number of pages that the one reader follows at once.
const STREAMS: usize = 64;

impl Listening {
    /// Prepares a site. The listener must be on loopback, since the site has no TLS and only one reader.
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
        let first = Snapshot {
            mirror: Mirror::default(),
            hub: Arc::new(crate::ask::hub(&api).await?),
        };
        let (sender, seen) = watch::channel(Arc::new(first));
        let (entrance, ticket) = loopback::Loopback::new(api.clone(), seen.clone(), address.port());
        Ok(Self {
            link: format!("http://{address}/?ticket={ticket}"),
            address,
            listener,
            site: Site::new(Arc::new(entrance), seen, STREAMS),
            api,
            follow: sender,
        })
    }

    /// Serves until `stop` is done.
    ///
    /// # Errors
    /// When the listener fails permanently.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let follow = tokio::spawn(crate::follow::follow(self.api, self.follow));
        let router = self.site.router(Router::new());
        let served = tokio::select! {
            served = async { axum::serve(self.listener, router).await } => served,
            () = stop => Ok(()),
        };
        follow.abort();
        served
    }
}
