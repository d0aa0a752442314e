//! Reads of objects on behalf of one tenure that the views cannot answer.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::object::ObjectRef;
use tokio::sync::watch;
use tokio::time::Instant;

use super::register::{Listing, ObjectSource, TenureId};
use super::{Key, State, Views};
use crate::api::Error;

/// More unseen objects of one view than this are listed, fewer are asked for one by one.
const ASK_ONE_BY_ONE: usize = 12;
/// Most repetitions while new lists start in between; each such list happens once in many minutes.
const MAX_LOOKS: usize = 3;

impl Views {
    /// Waits until every view of a tenure has listed, or could not.
    pub(super) async fn ready(&self, tenure: TenureId, deadline: Instant) -> Option<Error> {
        let states: Vec<watch::Receiver<State>> = {
            let inner = self.inner.lock();
            let keys = inner.register.keys_of(tenure)?;
            let needed = |key: &Key| {
                let mine = |own: &Key| {
                    own.group == key.group
                        && own.kind == key.kind
                        && (key.namespace.is_empty() || own.namespace == key.namespace)
                };
                keys.iter().any(mine)
            };
            let views = inner.views.iter().filter(|(key, _)| needed(key));
            views.map(|(_, view)| view.state.clone()).collect()
        };
        let mut problem = None;
        for mut state in states {
            let settled = state.wait_for(|state| !matches!(state, State::Starting));
            match tokio::time::timeout_at(deadline, settled).await {
                Ok(Ok(state)) => {
                    if let State::Failed(error) = &*state {
                        problem = Some(error.clone());
                    }
                }
                Ok(Err(_)) | Err(_) => {
                    problem = Some(Error::unavailable(
                        "a list of the API server took over 30 seconds",
                    ));
                }
            }
        }
        problem
    }

    /// Reads the objects that a tenure follows and has not seen: the running views did not cover them,
    /// or an earlier read was cancelled or failed. Returns the reason if some of them could not be read.
    pub(super) async fn look(&self, tenure: TenureId) -> Option<Error> {
        for _ in 0..MAX_LOOKS {
            let unseen = self.unseen(tenure);
            if unseen.is_empty() {
                return None;
            }
            let mut problem = None;
            for (key, objects) in unseen {
                if let Err(error) = self.look_at(&key, objects).await {
                    self.fail(&key, &error);
                    problem = Some(error);
                }
            }
            if problem.is_some() {
                return problem;
            }
        }
        None
    }

    /// Returns the objects that a tenure has not seen, by view.
    fn unseen(&self, tenure: TenureId) -> BTreeMap<Key, BTreeSet<ObjectRef>> {
        let inner = self.inner.lock();
        let known = inner.register.snapshot(tenure).unwrap_or_default();
        let mut by_key: BTreeMap<Key, BTreeSet<ObjectRef>> = BTreeMap::new();
        for object in known.unseen {
            if let Some(key) = inner.views.keys().find(|key| key.covers(&object)) {
                by_key.entry(key.clone()).or_default().insert(object);
            }
        }
        by_key
    }

    async fn look_at(&self, key: &Key, objects: BTreeSet<ObjectRef>) -> Result<(), Error> {
        if objects.len() > ASK_ONE_BY_ONE {
            // One list answers for all objects, and leaves the watch alone.
            return self.list(key, "", Listing::Once).await.map(|_| ());
        }
        for object in objects {
            let asked = self.inner.lock().register.moment();
            let path = key.resource().object(&object.namespace, &object.name);
            let live = self.api.find(&path).await?;
            let register = &mut self.inner.lock().register;
            match live {
                Some(live) => register.put(&object, &live, ObjectSource::Alone { asked }),
                None => register.absent(&object, asked),
            }
        }
        Ok(())
    }

    /// A look that failed: the view is asked to list again, and says until then that it does not know.
    fn fail(&self, key: &Key, error: &Error) {
        tracing::warn!(kind = key.kind, %error, "cannot read a managed kind");
        if let Some(view) = self.inner.lock().views.get(key) {
            view.again.notify_one();
        }
    }
}
