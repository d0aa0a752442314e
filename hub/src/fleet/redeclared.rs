//! What a rollout declares differently from the good declarations before it, and which clusters that affects.

use std::collections::BTreeMap;

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};

use super::Fleet;
use super::rollout::Rollout;
use crate::spec::{ClusterImpact, Difference, Specification};

/// What a rollout declares differently.
pub(super) enum DeclarationChange<'s> {
    /// Only commits differ.
    Nothing,
    /// Another revision of the fleet file; one of the two is no longer known.
    Unknown,
    /// Another revision of the fleet file.
    Otherwise {
        difference: Difference<'s>,
        before: &'s Specification,
        after: &'s Specification,
    },
}

impl DeclarationChange<'_> {
    /// Returns the effect on a cluster by application; none: not known.
    pub(super) fn touches(
        &self,
        fleet: &Fleet,
        place: (&ClusterName, &EnvironmentName),
    ) -> Option<BTreeMap<&ApplicationName, ClusterImpact>> {
        match self {
            Self::Nothing => Some(BTreeMap::new()),
            Self::Unknown => None,
            Self::Otherwise {
                difference,
                before,
                after,
            } => Some(fleet.touches(difference, (before, after), place)),
        }
    }

    /// Returns whether it brings a cluster something, as far as known.
    pub(super) fn may_bring(&self, fleet: &Fleet, place: (&ClusterName, &EnvironmentName)) -> bool {
        self.touches(fleet, place).as_ref().is_none_or(gives)
    }
}

/// Returns whether something is added or changed. A removal from the placement has taken effect already.
pub(super) fn gives(touches: &BTreeMap<&ApplicationName, ClusterImpact>) -> bool {
    touches.values().any(|touch| *touch != ClusterImpact::Loses)
}

impl Fleet {
    /// Returns what a rollout declares differently from the good declarations before it.
    pub(super) fn redeclared(&self, rollout: &Rollout) -> DeclarationChange<'_> {
        if rollout.specification().is_none() {
            return DeclarationChange::Nothing;
        }
        let source = RepositoryName::fleet_file();
        let of = |revision| self.declarations.specification(revision);
        let before = rollout.from.get(source).and_then(of);
        let after = rollout.target.get(source).and_then(of);
        match before.zip(after) {
            None => DeclarationChange::Unknown,
            Some((before, after)) => DeclarationChange::Otherwise {
                difference: Difference::between(before, after),
                before,
                after,
            },
        }
    }
}
