//! One stream for each page: its content, at most once a second, when it changed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use sha2::{Digest as _, Sha256};

use super::Site;
use super::answer::Page;

/// A page that asks the hub for what it shows is drawn again so often at most.
const ASKS: Duration = Duration::from_secs(3);
/// A stream ends after so long; the browser begins it again, which also asks anew who reads.
const LIFE: Duration = Duration::from_secs(3600);
/// Pages that are kept drawn.
const MOST: usize = 64;

/// Pages as they were drawn last, so that many readers of one page cost one drawing.
#[derive(Default)]
pub(super) struct Cache {
    pages: BTreeMap<String, (u64, Arc<Picture>)>,
}

/// A page and what it hashes to.
pub(super) struct Picture {
    html: String,
    hash: String,
}

/// What changes with each drawing and is no change of the fleet.
fn without_keys(html: &str) -> Vec<u8> {
    let mut hasher = Sha256::new();
    for line in html.lines().filter(|line| !line.contains("name=\"key\"")) {
        hasher.update(line.as_bytes());
    }
    hasher.finalize().to_vec()
}

impl Site {
    async fn picture(&self, page: &Page, path: &str, revision: u64) -> Arc<Picture> {
        if page.is_local()
            && let Some((of, picture)) = self.cache.lock().pages.get(path)
            && *of == revision
        {
            return Arc::clone(picture);
        }
        let html = self.draw(page, path, None).await.html;
        let hash = without_keys(&html)
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let picture = Arc::new(Picture { html, hash });
        let mut cache = self.cache.lock();
        if cache.pages.len() >= MOST {
            cache.pages.clear();
        }
        cache
            .pages
            .insert(path.to_owned(), (revision, Arc::clone(&picture)));
        picture
    }

    /// Follows a page. `last` is what the reader has; equal content is not sent again.
    pub(super) fn events(
        self: Arc<Self>,
        page: Page,
        path: String,
        last: String,
        place: tokio::sync::OwnedSemaphorePermit,
    ) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
        let seen = self.seen.clone();
        let state = (
            self,
            page,
            path,
            last,
            seen,
            place,
            tokio::time::Instant::now() + LIFE,
        );
        let stream = futures::stream::unfold(
            state,
            |(site, page, path, mut last, mut seen, place, end)| async move {
                loop {
                    let revision = seen.borrow_and_update().mirror.revision;
                    let picture = site.picture(&page, &path, revision).await;
                    if picture.hash != last {
                        last.clone_from(&picture.hash);
                        let event = Event::default()
                            .event("page")
                            .id(&picture.hash)
                            .data(&picture.html);
                        return Some((Ok(event), (site, page, path, last, seen, place, end)));
                    }
                    let waited = tokio::time::timeout_at(end, wait(&page, &mut seen)).await;
                    if !matches!(waited, Ok(true)) {
                        return None;
                    }
                }
            },
        );
        Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
    }
}

/// Until something may have changed; false: nothing will any more.
async fn wait(
    page: &Page,
    seen: &mut tokio::sync::watch::Receiver<Arc<crate::follow::Seen>>,
) -> bool {
    if seen.changed().await.is_err() {
        return false;
    }
    if !page.is_local() {
        tokio::time::sleep(ASKS).await;
    }
    true
}
