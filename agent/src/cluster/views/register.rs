//! Who follows which object, and what each follower's comparison says. Pure.
//!
//! Nothing is shared between followers: what an object is compared with, what that said and what an apply
//! proved are one tenure's own and end with it. So no worker can report what another one compared, and a
//! cancelled one that comes late writes nothing (case: an application is renamed while it takes a turn).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::object::ObjectRef;
use serde_json::Value;
use tokio::sync::watch;

use super::Key;
use crate::cluster::facts::{self, Fact, Proven, Reader, Wanted};
use crate::cluster::managers::Managers;
use crate::health::Rules;
use crate::plan::Fit;

/// One worker's time as the one that looks after an application.
pub(super) type TenureId = u64;

/// What one tenure follows.
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
    /// Which change of the register began it: a list that began before proves nothing about it.
    since: u64,
    /// What it is compared with; none: it is only in an inventory.
    wanted: Option<Wanted>,
    /// None: it was looked for and is not there, or not yet looked for.
    fact: Option<Arc<Fact>>,
    proven: Option<Proven>,
}

#[derive(Default)]
struct Tracked {
    /// Resource version of the newest state that was taken in; 0: none.
    newest: u64,
    /// UID of the object that was seen to go: no late answer brings it back.
    gone: String,
    /// Nearly always one.
    interests: Vec<Interest>,
}

/// Where a live object was read, for what may replace what.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    /// Alone, or as an event: as of its own version.
    Alone,
    /// In a list of this version, which says how everything was at that moment, begun at a moment of the
    /// register: it is no news to whoever came later and looked by themselves.
    Listed { version: u64, moment: u64 },
}

/// The register of one API server.
pub(super) struct Register {
    manager: String,
    managers: Arc<Managers>,
    rules: Arc<Rules>,
    last: TenureId,
    /// Counts changes of what is followed.
    change: u64,
    scopes: BTreeMap<TenureId, Scope>,
    tracked: HashMap<ObjectRef, Tracked>,
}

impl Register {
    pub(super) fn new(manager: String, managers: Arc<Managers>, rules: Arc<Rules>) -> Self {
        Self {
            manager,
            managers,
            rules,
            last: 0,
            change: 0,
            scopes: BTreeMap::new(),
            tracked: HashMap::new(),
        }
    }

    /// Begins a tenure.
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

    /// Replaces what a tenure follows. Returns the objects that have to be looked at for it; none: the
    /// tenure is over, and nothing is followed for it.
    pub(super) fn follow(
        &mut self,
        tenure: TenureId,
        objects: BTreeMap<ObjectRef, Option<Wanted>>,
        keys: BTreeSet<Key>,
    ) -> Option<Vec<ObjectRef>> {
        self.change += 1;
        let since = self.change;
        let scope = self.scopes.get_mut(&tenure)?;
        scope.keys = keys;
        let names: BTreeSet<ObjectRef> = objects.keys().cloned().collect();
        let before = std::mem::replace(&mut scope.objects, names);
        for object in before
            .iter()
            .filter(|object| !objects.contains_key(*object))
        {
            self.drop_interest(tenure, object);
        }
        let mut fresh = Vec::new();
        for (object, wanted) in objects {
            let tracked = self.tracked.entry(object.clone()).or_default();
            match tracked.interests.iter_mut().find(|i| i.tenure == tenure) {
                Some(own) => {
                    // The same wish under other rules is no change of ours that an apply would prove.
                    let same = |a: &Wanted, b: &Wanted| {
                        a.desired.digest == b.desired.digest && a.key != b.key
                    };
                    if let (Some(a), Some(b)) = (&own.wanted, &wanted)
                        && same(a, b)
                    {
                        fresh.push(object.clone());
                    }
                    own.wanted = wanted;
                }
                None => {
                    tracked.interests.push(Interest {
                        tenure,
                        since,
                        wanted,
                        fact: None,
                        proven: None,
                    });
                    fresh.push(object);
                }
            }
        }
        Some(fresh)
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

    /// What an object is compared with for a tenure.
    pub(super) fn wanted(&self, tenure: TenureId, object: &ObjectRef) -> Option<Wanted> {
        let interests = &self.tracked.get(object)?.interests;
        interests
            .iter()
            .find(|own| own.tenure == tenure)?
            .wanted
            .clone()
    }

    /// What a tenure knows; none: it is over.
    pub(super) fn snapshot(&self, tenure: TenureId) -> Option<BTreeMap<ObjectRef, Arc<Fact>>> {
        let scope = self.scopes.get(&tenure)?;
        let mut facts = BTreeMap::new();
        for object in &scope.objects {
            let interests = self.tracked.get(object).map(|tracked| &tracked.interests);
            let own = interests.and_then(|all| all.iter().find(|own| own.tenure == tenure));
            let Some((own, fact)) = own.and_then(|own| Some((own, own.fact.as_ref()?))) else {
                continue;
            };
            let mut fact = Arc::clone(fact);
            let is_compared = own
                .wanted
                .as_ref()
                .is_some_and(|wanted| wanted.key == fact.compared);
            if !is_compared {
                Arc::make_mut(&mut fact).fit = Fit::Unknown;
            }
            facts.insert(object.clone(), fact);
        }
        Some(facts)
    }

    /// Takes a live object in for everybody who follows it, and wakes those for whom something that
    /// matters changed.
    pub(super) fn put(&mut self, object: &ObjectRef, live: &Value, read: Read) {
        self.take(object, live, read, None);
    }

    /// Takes an object that was looked for on behalf of a tenure, if it is not over: while nobody followed
    /// the object, it may have gone unseen.
    pub(super) fn found(&mut self, tenure: TenureId, object: &ObjectRef, live: &Value) {
        if self.scopes.contains_key(&tenure) {
            self.take(object, live, Read::Alone, None);
        }
    }

    /// Takes an object as a write of a tenure's own returned it, so that its next turn need not wait for
    /// the watch. `applied`: it was the whole apply of the wish with this key, and what still looks different
    /// from that wish will not get nearer; of a later wish it proves nothing.
    pub(super) fn learn(
        &mut self,
        tenure: TenureId,
        object: &ObjectRef,
        live: &Value,
        applied: Option<Digest>,
    ) {
        if self.scopes.contains_key(&tenure) {
            self.take(object, live, Read::Alone, Some((tenure, applied)));
        }
    }

    fn take(
        &mut self,
        object: &ObjectRef,
        live: &Value,
        read: Read,
        by: Option<(TenureId, Option<Digest>)>,
    ) {
        let Some(tracked) = self.tracked.get_mut(object) else {
            return;
        };
        let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
        let uid = text("/metadata/uid").unwrap_or_default();
        let version = text("/metadata/resourceVersion");
        let version = version.and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        // A list says how all was at its moment; one object's own version says only how new it is.
        let (as_of, moment) = match read {
            Read::Alone => (version, u64::MAX),
            Read::Listed { version, moment } => (version, moment),
        };
        let is_late = as_of != 0 && as_of < tracked.newest;
        if is_late || (!uid.is_empty() && tracked.gone == uid) {
            return;
        }
        tracked.newest = version;
        let reader = Reader {
            manager: &self.manager,
            managers: &self.managers,
            rules: &self.rules,
        };
        for own in tracked
            .interests
            .iter_mut()
            .filter(|own| own.since <= moment)
        {
            let wanted = own.wanted.as_ref();
            let applied = by
                .filter(|(tenure, _)| *tenure == own.tenure)
                .map(|(_, applied)| applied);
            let is_current = |key| wanted.is_some_and(|wanted| wanted.key == key);
            let is_applied = applied.flatten().is_some_and(is_current);
            // The answer to a write of an earlier wish is news to the tenure, like anybody else's write.
            let is_writer = is_applied || applied == Some(None);
            let proven = own.proven.as_ref().filter(|_| !is_applied);
            let mut fact = facts::read(live, wanted, proven, &reader);
            // What people added and an apply left is no proof of anything.
            if let (true, Some(wanted)) = (is_applied, wanted) {
                let is_proof = fact.fit != Fit::Equal && !fact.has_foreign;
                own.proven = is_proof.then(|| Proven {
                    key: wanted.key,
                    content: facts::content(live),
                });
                if is_proof {
                    fact.fit = Fit::Equal;
                }
            }
            let is_same = own.fact.as_ref().is_some_and(|b| is_same(b, &fact));
            own.fact = Some(Arc::new(fact));
            if !is_same
                && !is_writer
                && let Some(scope) = self.scopes.get(&own.tenure)
            {
                scope.wake();
            }
        }
    }

    /// An object of this UID is not there any more, and never comes back.
    pub(super) fn gone(&mut self, object: &ObjectRef, uid: &str, by: Option<TenureId>) {
        let Some(tracked) = self.tracked.get_mut(object) else {
            return;
        };
        uid.clone_into(&mut tracked.gone);
        for own in &mut tracked.interests {
            if own.fact.as_ref().is_some_and(|fact| fact.uid == uid) {
                own.fact = None;
                if by != Some(own.tenure)
                    && let Some(scope) = self.scopes.get(&own.tenure)
                {
                    scope.wake();
                }
            }
        }
    }

    /// The moment of the register at which a list begins.
    pub(super) fn moment(&self) -> u64 {
        self.change
    }

    /// A list of this version, begun at a moment, shows everything that a view covers; what is not in it
    /// is not there.
    pub(super) fn listed(
        &mut self,
        key: &Key,
        seen: &BTreeSet<ObjectRef>,
        version: u64,
        moment: u64,
    ) {
        for (object, tracked) in &mut self.tracked {
            let is_newer = version != 0 && tracked.newest > version;
            if is_newer || seen.contains(object) || !key.covers(object) {
                continue;
            }
            for own in &mut tracked.interests {
                if own.since <= moment
                    && own.fact.take().is_some()
                    && let Some(scope) = self.scopes.get(&own.tenure)
                {
                    scope.wake();
                }
            }
        }
    }

    /// The API server went back in time: what is remembered of a view has newer versions than what is
    /// true, and what was gone may be there again (A19).
    pub(super) fn went_back(&mut self, key: &Key) {
        for (object, tracked) in &mut self.tracked {
            if key.covers(object) {
                tracked.newest = 0;
                tracked.gone.clear();
            }
        }
    }

    /// Wakes everybody who needs a view.
    pub(super) fn wake(&self, is_needed: impl Fn(&Key) -> bool) {
        for scope in self.scopes.values() {
            if scope.keys.iter().any(&is_needed) {
                scope.wake();
            }
        }
    }
}

/// Whether nothing that matters differs.
fn is_same(a: &Fact, b: &Fact) -> bool {
    a.uid == b.uid
        && a.fit == b.fit
        && a.replicas_differ == b.replicas_differ
        && a.health == b.health
        && a.terminating == b.terminating
        && a.application == b.application
        && a.prune == b.prune
}

#[cfg(test)]
mod tests;
