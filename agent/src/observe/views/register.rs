//! Which tenure follows which object, and the result of each comparison. Pure, except that it wakes followers.
//!
//! Followers share nothing: the baseline of an object, the result of its comparison and the proof by an
//! apply belong to one tenure and end with it. So no worker can report the comparison of another one, and
//! a late answer to a cancelled worker changes nothing (case: an application is renamed during a pass).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flotilla_shared::object::ObjectRef;
use tokio::sync::watch;

use super::Key;
use crate::health::Rules;
use crate::observe::facts::{ApplyProof, Baseline, Fact};
use crate::observe::managers::Managers;
use crate::plan::Fit;

mod news;

pub(super) use news::{Listing, ObjectSource};

/// Id of a tenure: one worker's time as the owner of an application.
pub(super) type TenureId = u64;

/// A moment of the register: every change to it has a moment of its own. An answer is about the time
/// after the moment at which its request started.
pub(super) type Moment = u64;

/// Objects that one tenure follows.
struct Scope {
    objects: BTreeSet<ObjectRef>,
    keys: BTreeSet<Key>,
    changed: watch::Sender<u64>,
}

impl Scope {
    fn wake(&self) {
        self.changed.send_modify(|version| *version += 1);
    }
}

/// One tenure's view of an object.
struct Interest {
    tenure: TenureId,
    /// An answer to a request that started before this moment does not count: later changes may have been
    /// missed.
    since: Moment,
    /// Whether it was looked for since; if not, a missing fact does not mean that there is no object.
    is_known: bool,
    /// The baseline of the comparison. None: the object is only in an inventory.
    baseline: Option<Baseline>,
    /// None: the object does not exist, or is not known.
    fact: Option<Arc<Fact>>,
    /// The moment at which the fact arrived.
    taken: Moment,
    /// Resource version as of which this is known; 0: none. Nothing older is news.
    newest: u64,
    proven: Option<ApplyProof>,
}

#[derive(Default)]
struct TrackedObject {
    /// UID of the object that was seen to go: no late answer brings it back.
    gone: String,
    /// Nearly always one.
    interests: Vec<Interest>,
}

/// Objects that a tenure knows.
#[derive(Default)]
pub(super) struct TenureFacts {
    pub(super) facts: BTreeMap<ObjectRef, Arc<Fact>>,
    /// Followed objects that were not read: they may or may not exist.
    pub(super) unseen: BTreeSet<ObjectRef>,
}

/// The register of one API server.
pub(super) struct Register {
    manager: String,
    managers: Arc<Managers>,
    rules: Arc<Rules>,
    last: TenureId,
    now: Moment,
    scopes: BTreeMap<TenureId, Scope>,
    tracked: HashMap<ObjectRef, TrackedObject>,
}

impl Register {
    pub(super) fn new(manager: String, managers: Arc<Managers>, rules: Arc<Rules>) -> Self {
        Self {
            manager,
            managers,
            rules,
            last: 0,
            now: 0,
            scopes: BTreeMap::new(),
            tracked: HashMap::new(),
        }
    }

    /// Starts a tenure.
    pub(super) fn enter(&mut self) -> (TenureId, watch::Receiver<u64>) {
        self.last += 1;
        let (changed, receiver) = watch::channel(0);
        let scope = Scope {
            objects: BTreeSet::new(),
            keys: BTreeSet::new(),
            changed,
        };
        self.scopes.insert(self.last, scope);
        (self.last, receiver)
    }

    /// Ends a tenure with all it knew.
    pub(super) fn leave(&mut self, tenure: TenureId) {
        let Some(scope) = self.scopes.remove(&tenure) else {
            return;
        };
        for object in &scope.objects {
            self.drop_interest(tenure, object);
        }
    }

    fn drop_interest(&mut self, tenure: TenureId, object: &ObjectRef) {
        if let Some(tracked) = self.tracked.get_mut(object) {
            tracked.interests.retain(|own| own.tenure != tenure);
            if tracked.interests.is_empty() {
                self.tracked.remove(object);
            }
        }
    }

    /// Replaces what a tenure follows. A new object in it is unseen, and so is one that is compared by
    /// other rules. False: the tenure has ended, and nothing is followed for it.
    pub(super) fn follow(
        &mut self,
        tenure: TenureId,
        objects: BTreeMap<ObjectRef, Option<Baseline>>,
        keys: BTreeSet<Key>,
    ) -> bool {
        let since = self.tick();
        let Some(scope) = self.scopes.get_mut(&tenure) else {
            return false;
        };
        scope.keys = keys;
        let names: BTreeSet<ObjectRef> = objects.keys().cloned().collect();
        let before = std::mem::replace(&mut scope.objects, names);
        for object in before
            .iter()
            .filter(|object| !objects.contains_key(*object))
        {
            self.drop_interest(tenure, object);
        }
        for (object, baseline) in objects {
            let tracked = self.tracked.entry(object.clone()).or_default();
            match tracked.interests.iter_mut().find(|i| i.tenure == tenure) {
                Some(own) => {
                    // The same desired state under other rules: no apply has to follow that would show the
                    // object, so it has to be looked at again.
                    let same = |a: &Baseline, b: &Baseline| {
                        a.desired.digest == b.desired.digest && a.key != b.key
                    };
                    if let (Some(a), Some(b)) = (&own.baseline, &baseline)
                        && same(a, b)
                    {
                        own.is_known = false;
                    }
                    own.baseline = baseline;
                }
                None => {
                    tracked.interests.push(Interest {
                        tenure,
                        since,
                        is_known: false,
                        baseline,
                        fact: None,
                        taken: 0,
                        newest: 0,
                        proven: None,
                    });
                }
            }
        }
        true
    }

    /// The moment at which a question is asked now.
    pub(super) fn moment(&self) -> Moment {
        self.now
    }

    fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    pub(super) fn is_tracked(&self, object: &ObjectRef) -> bool {
        self.tracked.contains_key(object)
    }

    /// The views that all tenures together need, by tenure.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.scopes.values().flat_map(|scope| &scope.keys)
    }

    /// The views that one tenure needs.
    pub(super) fn keys_of(&self, tenure: TenureId) -> Option<&BTreeSet<Key>> {
        Some(&self.scopes.get(&tenure)?.keys)
    }

    /// The baseline of an object for a tenure.
    pub(super) fn baseline(&self, tenure: TenureId, object: &ObjectRef) -> Option<Baseline> {
        let interests = &self.tracked.get(object)?.interests;
        interests
            .iter()
            .find(|own| own.tenure == tenure)?
            .baseline
            .clone()
    }

    /// Everything a tenure knows. None: the tenure has ended.
    pub(super) fn snapshot(&self, tenure: TenureId) -> Option<TenureFacts> {
        let scope = self.scopes.get(&tenure)?;
        let mut known = TenureFacts::default();
        for object in &scope.objects {
            let interests = self.tracked.get(object).map(|tracked| &tracked.interests);
            let own = interests.and_then(|all| all.iter().find(|own| own.tenure == tenure));
            let Some(own) = own else { continue };
            if !own.is_known {
                known.unseen.insert(object.clone());
            }
            let Some(fact) = &own.fact else { continue };
            let mut fact = Arc::clone(fact);
            let is_compared = own
                .baseline
                .as_ref()
                .is_some_and(|baseline| baseline.key == fact.compared);
            if !is_compared {
                Arc::make_mut(&mut fact).fit = Fit::Unknown;
            }
            known.facts.insert(object.clone(), fact);
        }
        Some(known)
    }

    /// Wakes every tenure that needs a view.
    pub(super) fn wake(&self, is_needed: impl Fn(&Key) -> bool) {
        for scope in self.scopes.values() {
            if scope.keys.iter().any(&is_needed) {
                scope.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests;
