//! Views that were made of the hub's answers a moment ago, so that many who follow one page ask for it, and work
//! it out, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_status::Hub;
use parking_lot::Mutex;
use tokio::time::Instant;

/// Whoever follows a page is content with what another one was told so long ago: a page that asks is drawn
/// seconds after a change, so that what it then shows is younger than the change.
const RECENT: Duration = Duration::from_secs(1);
/// Views that are kept.
const MOST: usize = 64;

/// How old a view may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// Somebody who loads a page wants to see what they did a moment ago.
    New,
    /// Somebody who follows it is told of each change anyhow.
    Recent,
}

/// Answers are shared among those only who may do the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    rights: Vec<(String, Vec<String>)>,
    path: String,
}

impl Key {
    /// The view of a path for whom the hub answers like this.
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
type Place<T> = Arc<tokio::sync::Mutex<Option<(Instant, Answer<T>)>>>;

/// The views of one kind of page.
pub(super) struct Views<T>(Mutex<BTreeMap<Key, Place<T>>>);

impl<T> Default for Views<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Views<T> {
    fn place(&self, key: Key) -> Place<T> {
        let mut places = self.0.lock();
        if places.len() >= MOST && !places.contains_key(&key) {
            places.clear();
        }
        Arc::clone(places.entry(key).or_default())
    }

    /// A view that is young enough, or a new one. Who wants the same while it is made waits for it.
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

/// A refusal is about whoever asked; that the hub does not answer is true for all, who would wait for it one
/// after the other.
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
