//! Pages that stay open, without browsers: each client logs in, and reads its stream of changes.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use tokio::task::JoinSet;

use crate::eventually;
use crate::issuer::Issuer;
use crate::tab::Tab;

/// Longest until a page is open.
const LIMIT: Duration = Duration::from_secs(60);
/// Longer than any run.
const OPEN: Duration = Duration::from_secs(3600);

/// Clients with open pages; they disconnect when dropped.
pub struct OpenPages {
    heard: Arc<ReceivedTotals>,
    _readers: JoinSet<()>,
}

/// What all clients have received.
#[derive(Debug, Default)]
struct ReceivedTotals {
    pages: AtomicU64,
    bytes: AtomicU64,
}

/// Grants for a hub: these users are administrators.
pub const GRANTS: &str = "grants: [{group: sre, role: admin}]";

/// Logs these users in at an issuer from now on.
pub fn let_in(issuer: &Issuer) {
    issuer.with(|state| {
        state.user = "ada@example.org".to_owned();
        state.groups = vec!["sre".to_owned()];
    });
}

impl OpenPages {
    /// Opens `count` pages, on each of the paths in turn, as clients with their own sessions and source addresses.
    ///
    /// # Errors
    /// When a client is not admitted.
    pub async fn open(address: &str, count: u8, paths: &[&'static str]) -> anyhow::Result<Self> {
        let heard = Arc::new(ReceivedTotals::default());
        let mut readers = JoinSet::new();
        for (number, path) in (0..count).zip(paths.iter().cycle()) {
            let from = IpAddr::V4(Ipv4Addr::new(127, 0, 1, number));
            let mut tab = Tab::of(&format!("http://{address}"), address, Some(from))?;
            // The hub fetches the keys of the issuer in the background, so the first logins may fail.
            let limit = tokio::time::Instant::now() + LIMIT;
            while tab.open(path).await?.status != StatusCode::OK {
                anyhow::ensure!(
                    tokio::time::Instant::now() < limit,
                    "{path} did not open within {LIMIT:?}"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let request = tab.request(Method::GET, &format!("/events?page={path}"));
            let mut stream = request.timeout(OPEN).send().await?.error_for_status()?;
            let heard = Arc::clone(&heard);
            readers.spawn(async move {
                while let Ok(Some(chunk)) = stream.chunk().await {
                    let bytes = chunk.len() as u64;
                    heard.bytes.fetch_add(bytes, Ordering::Relaxed);
                    let pages = chunk
                        .windows(b"event: page".len())
                        .filter(|window| window == b"event: page");
                    heard
                        .pages
                        .fetch_add(pages.count() as u64, Ordering::Relaxed);
                }
            });
        }
        eventually("every reader has its page", LIMIT, || async {
            (heard.pages.load(Ordering::Relaxed) >= u64::from(count)).then_some(())
        })
        .await
        .context("pages that stay open")?;
        Ok(Self {
            heard,
            _readers: readers,
        })
    }

    /// Page updates and bytes that all clients have received since they were opened.
    #[must_use]
    pub fn heard(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.heard.pages), read(&self.heard.bytes))
    }
}
