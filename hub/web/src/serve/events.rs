//! Event stream of each page: its new content, at most once a second.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use flotilla_shared::digest::Digest;
use flotilla_shared::hex;
use flotilla_status::Hub;
use futures::Stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::Site;
use super::answer::Page;
use super::views::Age;
use crate::entrance::Reader;
use crate::follow::Snapshot;

/// Shortest time between two drawings of a page that calls the hub.
const ASKS: Duration = Duration::from_secs(3);
/// Interval at which a page is drawn although nothing changed: ages grow, and a session may have ended.
const AGES: Duration = Duration::from_secs(15);
/// Longest life of a stream; the browser opens it again.
const LIFE: Duration = Duration::from_secs(3600);
/// Number of cached pages.
const MOST: usize = 256;

/// Last drawing of pages, so that many readers of one page cost one drawing.
#[derive(Default)]
pub(super) struct Cache {
    /// By session and path.
    pages: BTreeMap<(String, String), CachedPage>,
}

struct CachedPage {
    revision: u64,
    hub: Arc<Hub>,
    at: Instant,
    picture: Arc<Picture>,
}

/// A drawn page with the hash of its content.
pub(super) struct Picture {
    html: String,
    hash: String,
}

/// Hashes a page without the keys of forms, which differ in each drawing.
fn without_keys(html: &str) -> Digest {
    let lines = html.lines();
    let lines = lines.filter(|line| !line.contains("name=\"key\""));
    Digest::of_parts(lines.map(str::as_bytes))
}

/// State of a stream.
struct StreamState {
    site: Arc<Site>,
    page: Page,
    path: String,
    headers: HeaderMap,
    /// Hash of the content that the reader has.
    last: String,
    seen: watch::Receiver<Arc<Snapshot>>,
    end: Instant,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Site {
    async fn picture(
        &self,
        reader: &Reader,
        page: &Page,
        path: &str,
        revision: u64,
    ) -> Arc<Picture> {
        let key = (reader.session.clone(), path.to_owned());
        if page.is_local()
            && let Some(kept) = self.cache.lock().pages.get(&key)
            && kept.revision == revision
            && kept.at.elapsed() < AGES
            && *kept.hub == *reader.hub
        {
            return Arc::clone(&kept.picture);
        }
        let drawn = self.draw(reader, page, path, None, Age::Recent);
        let html = drawn.await.html;
        let hash = hex::encode(&without_keys(&html).as_bytes()[..8]);
        let picture = Arc::new(Picture { html, hash });
        let mut cache = self.cache.lock();
        if cache.pages.len() >= MOST {
            cache.pages.clear();
        }
        let kept = CachedPage {
            revision,
            hub: Arc::clone(&reader.hub),
            at: Instant::now(),
            picture: Arc::clone(&picture),
        };
        cache.pages.insert(key, kept);
        picture
    }

    /// Follows a page. Equal content is not sent again; a reader who lost access is redirected.
    pub(super) fn events(
        self: Arc<Self>,
        page: Page,
        path: String,
        headers: HeaderMap,
        place: OwnedSemaphorePermit,
    ) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        let last = headers
            .get("last-event-id")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let following = StreamState {
            seen: self.seen.clone(),
            site: self,
            page,
            path,
            headers,
            last,
            end: Instant::now() + LIFE,
            over: false,
            _place: place,
        };
        let stream = futures::stream::unfold(following, |mut following| async move {
            let event = following.next().await?;
            Some((Ok(event), following))
        });
        Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
    }
}

impl StreamState {
    async fn next(&mut self) -> Option<Event> {
        while !self.over && Instant::now() < self.end {
            let revision = self.seen.borrow_and_update().mirror.revision;
            let nowhere = Uri::default();
            let entered = self.site.entrance.enter(&self.headers, &nowhere);
            let Ok(reader) = entered.await else {
                self.over = true;
                return Some(Event::default().event("gone").data("the session ended"));
            };
            let picture = self.site.picture(&reader, &self.page, &self.path, revision);
            let picture = picture.await;
            if picture.hash != self.last {
                self.last.clone_from(&picture.hash);
                let event = Event::default().event("page");
                return Some(event.id(&picture.hash).data(&picture.html));
            }
            self.wait().await?;
        }
        None
    }

    /// Waits until something may have changed; none: nothing will change any longer.
    async fn wait(&mut self) -> Option<()> {
        let longest = if self.page.grows() { ASKS } else { AGES };
        match tokio::time::timeout(longest, self.seen.changed()).await {
            Ok(Err(_)) => None,
            Ok(Ok(())) if !self.page.is_local() => {
                tokio::time::sleep(ASKS).await;
                Some(())
            }
            Ok(Ok(())) | Err(_) => Some(()),
        }
    }
}
