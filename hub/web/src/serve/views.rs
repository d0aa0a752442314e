//! Cache of views of the hub's answers, so that many followers of one page cost one call and one computation.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_status::Hub;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Age up to which a follower gets a cached view. A page that calls the hub is drawn seconds after a change, so that
/// the view is newer than the change.
const RECENT: Duration = Duration::from_secs(1);
/// Number of cached views.
const MOST: usize = 64;

/// Accepted age of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// A loaded page has to show the reader's own last action.
    New,
    /// A followed page is updated with each change anyway.
    Recent,
}

/// Answers are shared only among readers with the same rights.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    rights: Vec<(String, Vec<String>)>,
    path: String,
}

impl Key {
    /// Key of a path's view for readers to whom the hub answers like this.
    pub(super) fn new(hub: &Hub, path: &str) -> Self {
        let rights = hub.rights.iter();
        Self {
            rights: rights
                .map(|right| (right.role.clone(), right.environments.clone()))
                .collect(),
            path: path.to_owned(),
        }
    }
}

type Answer<T> = Result<Arc<T>, tonic::Status>;
type ViewSlot<T> = Arc<tokio::sync::Mutex<Option<(Instant, Answer<T>)>>>;

/// Cached views of one kind of page.
pub(super) struct Views<T>(Mutex<BTreeMap<Key, ViewSlot<T>>>);

impl<T> Default for Views<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Views<T> {
    fn place(&self, key: Key) -> ViewSlot<T> {
        let mut places = self.0.lock();
        if places.len() >= MOST && !places.contains_key(&key) {
            places.clear();
        }
        Arc::clone(places.entry(key).or_default())
    }

    /// Returns a recent view, or makes a new one. Concurrent callers wait for it.
    pub(super) async fn get(
        &self,
        key: Key,
        age: Age,
        now: Instant,
        make: impl Future<Output = Result<T, tonic::Status>>,
    ) -> Answer<T> {
        let place = self.place(key);
        if age == Age::New {
            let answer = make.await.map(Arc::new);
            if let Ok(mut kept) = place.try_lock() {
                *kept = Some((now, answer.clone()));
            }
            return answer;
        }
        let mut kept = place.lock().await;
        if let Some((at, answer)) = kept.as_ref()
            && now.saturating_duration_since(*at) < RECENT
            && is_shared(answer)
        {
            return answer.clone();
        }
        let answer = make.await.map(Arc::new);
        *kept = Some((now, answer.clone()));
        answer
    }
}

/// A refusal concerns only its caller, so it is not shared. That the hub is unreachable is shared: otherwise all
/// callers would wait for it one after the other.
fn is_shared<T>(answer: &Answer<T>) -> bool {
    match answer {
        Ok(_) => true,
        Err(status) => matches!(
            status.code(),
            tonic::Code::Unavailable | tonic::Code::DeadlineExceeded
        ),
    }
}

#[cfg(test)]
mod tests;
