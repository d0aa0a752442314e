//! Changes by answers and events. Pure.
//!
//! Events of a watch come without gaps, so a late one is corrected by those that follow. An answer
//! stands alone: it counts for every tenure that followed the object before the request started,
//! because nothing was missed since, and anything newer than the answer is known already.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::object::ObjectRef;
use serde_json::Value;

use super::super::Key;
use super::{Interest, Moment, Register, TenureId};
use crate::observe::facts::{self, ApplyProof, Fact, Reader};
use crate::plan::Fit;

/// Source of a live object, which decides what may replace it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ObjectSource {
    /// As an event of a watch.
    Event,
    /// Alone, in answer to a question of this moment.
    Alone { asked: Moment },
    /// In a list that was requested at this moment, and shows the collection at its version.
    Listed { version: u64, asked: Moment },
}

/// Purpose of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// A watch continues from it.
    Followed,
    /// Read once, without a watch.
    Once,
}

impl ObjectSource {
    /// Whether it counts for an interest.
    fn reaches(self, own: &Interest) -> bool {
        match self {
            Self::Event => true,
            Self::Alone { asked } | Self::Listed { asked, .. } => own.since <= asked,
        }
    }
}

impl Register {
    /// Takes in a live object for every tenure that follows it, and wakes those for which something
    /// relevant changed.
    pub(crate) fn put(&mut self, object: &ObjectRef, live: &Value, read: ObjectSource) {
        self.take(object, live, read, None);
    }

    /// Takes in an object as it was returned by a write of a tenure that started at a moment, so that its next pass
    /// need not wait for the watch. `applied`: the write was the whole apply of the desired state with this key, so
    /// that a remaining difference from that state cannot be removed; it proves nothing about a later desired state.
    pub(crate) fn learn(
        &mut self,
        tenure: TenureId,
        object: &ObjectRef,
        live: &Value,
        asked: Moment,
        applied: Option<Digest>,
    ) {
        if self.scopes.contains_key(&tenure) {
            let by = Some((tenure, applied));
            self.take(object, live, ObjectSource::Alone { asked }, by);
        }
    }

    fn take(
        &mut self,
        object: &ObjectRef,
        live: &Value,
        read: ObjectSource,
        by: Option<(TenureId, Option<Digest>)>,
    ) {
        let now = self.tick();
        let Some(tracked) = self.tracked.get_mut(object) else {
            return;
        };
        let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
        let uid = text("/metadata/uid").unwrap_or_default();
        let is_gone = !uid.is_empty() && tracked.gone == uid;
        let version = text("/metadata/resourceVersion");
        let version = version.and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        // A list is valid as of its own version; the version of one object only says how new that object is.
        let as_of = match read {
            ObjectSource::Event | ObjectSource::Alone { .. } => version,
            ObjectSource::Listed { version, .. } => version,
        };
        let reader = Reader {
            manager: &self.manager,
            managers: &self.managers,
            rules: &self.rules,
        };
        for own in &mut tracked.interests {
            if !read.reaches(own) {
                continue;
            }
            own.is_known |= !matches!(read, ObjectSource::Event);
            let is_late = as_of != 0 && as_of < own.newest;
            if is_late {
                continue;
            }
            own.newest = own.newest.max(version);
            if is_gone {
                // This object was deleted, and so was any earlier one of its name.
                if own.fact.take().is_some()
                    && let Some(scope) = self.scopes.get(&own.tenure)
                {
                    scope.wake();
                }
                continue;
            }
            let baseline = own.baseline.as_ref();
            let applied = by
                .filter(|(tenure, _)| *tenure == own.tenure)
                .map(|(_, applied)| applied);
            let is_current = |key| baseline.is_some_and(|baseline| baseline.key == key);
            let is_applied = applied.flatten().is_some_and(is_current);
            // The answer to a write of an earlier desired state is news to the tenure, like a write by others.
            let is_writer = is_applied || applied == Some(None);
            let proven = own.proven.as_ref().filter(|_| !is_applied);
            let mut fact = facts::read(live, baseline, proven, &reader);
            // Fields that people added and an apply left in place do not prove how the server stores it.
            if let (true, Some(baseline)) = (is_applied, baseline) {
                let is_proof = fact.fit != Fit::Equal && !fact.has_foreign;
                own.proven = is_proof.then(|| ApplyProof {
                    key: baseline.key,
                    content: facts::content(live),
                });
                if is_proof {
                    fact.fit = Fit::Equal;
                }
            }
            let is_same = own.fact.as_ref().is_some_and(|b| is_same(b, &fact));
            own.fact = Some(Arc::new(fact));
            own.taken = now;
            if !is_same
                && !is_writer
                && let Some(scope) = self.scopes.get(&own.tenure)
            {
                scope.wake();
            }
        }
    }

    /// There was no such object at some time after the request started.
    pub(crate) fn absent(&mut self, object: &ObjectRef, asked: Moment) {
        let Some(tracked) = self.tracked.get_mut(object) else {
            return;
        };
        for own in tracked.interests.iter_mut().filter(|i| i.since <= asked) {
            own.is_known = true;
            // An event that came while the answer was under way may be newer than the answer. If it is
            // not, the watch brings the deletion.
            if own.taken <= asked
                && own.fact.take().is_some()
                && let Some(scope) = self.scopes.get(&own.tenure)
            {
                scope.wake();
            }
        }
    }

    /// An object of this UID was deleted, and never comes back. `version`: that of its deletion; 0: not
    /// known.
    pub(crate) fn gone(
        &mut self,
        object: &ObjectRef,
        uid: &str,
        version: u64,
        by: Option<TenureId>,
    ) {
        let Some(tracked) = self.tracked.get_mut(object) else {
            return;
        };
        let mut is_last = version == 0;
        for own in &mut tracked.interests {
            let is_newest = version != 0 && version >= own.newest;
            is_last |= is_newest;
            own.newest = own.newest.max(version);
            // An earlier object of the same name is gone as well.
            let is_it = own.fact.as_ref().is_some_and(|fact| fact.uid == uid);
            if is_it || (is_newest && own.fact.is_some()) {
                own.fact = None;
                if by != Some(own.tenure)
                    && let Some(scope) = self.scopes.get(&own.tenure)
                {
                    scope.wake();
                }
            }
        }
        if is_last {
            uid.clone_into(&mut tracked.gone);
        }
    }

    /// A list of this version, requested at a moment, shows everything that a view covers; an object
    /// that is not in it does not exist. If the list is followed, a tenure that arrived while it was
    /// read has to look again: changes until its version do not come as events.
    pub(crate) fn listed(
        &mut self,
        key: &Key,
        seen: &BTreeSet<ObjectRef>,
        version: u64,
        asked: Moment,
        listing: Listing,
    ) {
        let now = self.tick();
        for (object, tracked) in &mut self.tracked {
            if !key.covers(object) {
                continue;
            }
            let is_seen = seen.contains(object);
            for own in &mut tracked.interests {
                let mut is_changed = false;
                if own.since <= asked {
                    own.is_known = true;
                    let is_newer = version != 0 && own.newest > version;
                    if !is_seen && !is_newer {
                        own.newest = own.newest.max(version);
                        is_changed = own.fact.take().is_some();
                    }
                } else if listing == Listing::Followed {
                    own.since = now;
                    is_changed = std::mem::take(&mut own.is_known);
                }
                if is_changed && let Some(scope) = self.scopes.get(&own.tenure) {
                    scope.wake();
                }
            }
        }
    }

    /// A view can be neither listed nor followed: its objects may have changed unseen.
    pub(crate) fn lost(&mut self, key: &Key) {
        let now = self.tick();
        for (object, tracked) in &mut self.tracked {
            for own in &mut tracked.interests {
                if key.covers(object) {
                    own.since = now;
                    own.is_known = false;
                }
            }
        }
    }

    /// The API server went back in time: remembered versions of a view are newer than the true ones,
    /// and a deleted object may exist again (A19).
    pub(crate) fn went_back(&mut self, key: &Key) {
        for (object, tracked) in &mut self.tracked {
            if key.covers(object) {
                tracked.gone.clear();
                for own in &mut tracked.interests {
                    own.newest = 0;
                }
            }
        }
    }
}

/// Whether nothing that matters differs.
fn is_same(a: &Fact, b: &Fact) -> bool {
    a.uid == b.uid
        && a.compared == b.compared
        && a.fit == b.fit
        && a.replicas_differ == b.replicas_differ
        && a.health == b.health
        && a.terminating == b.terminating
        && a.application == b.application
        && a.prune == b.prune
}
