//! What a rollout declares otherwise than what was good before it came, and to whom that means something.

use std::collections::BTreeMap;

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, RepositoryName};

use super::Fleet;
use super::rollout::Rollout;
use crate::spec::{Difference, Specification, Touch};

/// What a rollout declares otherwise.
pub(super) enum Redeclared<'s> {
    /// It brings commits only.
    Nothing,
    /// Another revision of the fleet file; one of the two is not known any more.
    Unknown,
    /// Another revision of the fleet file.
    Otherwise {
        difference: Difference<'s>,
        before: &'s Specification,
        after: &'s Specification,
    },
}

impl Redeclared<'_> {
    /// What it means for a cluster, by application; none: nobody knows.
    pub(super) fn touches(
        &self,
        fleet: &Fleet,
        place: (&ClusterName, &EnvironmentName),
    ) -> Option<BTreeMap<&ApplicationName, Touch>> {
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

    /// Whether it brings a cluster something, as far as anybody knows.
    pub(super) fn may_bring(&self, fleet: &Fleet, place: (&ClusterName, &EnvironmentName)) -> bool {
        self.touches(fleet, place).as_ref().is_none_or(gives)
    }
}

/// Whether something of this is brought. What is only taken away has gone already.
pub(super) fn gives(touches: &BTreeMap<&ApplicationName, Touch>) -> bool {
    touches.values().any(|touch| *touch != Touch::Loses)
}

impl Fleet {
    /// What a rollout declares otherwise than what was good before it came.
    pub(super) fn redeclared(&self, rollout: &Rollout) -> Redeclared<'_> {
        if rollout.specification().is_none() {
            return Redeclared::Nothing;
        }
        let source = RepositoryName::fleet_file();
        let of = |revision| self.declarations.specification(revision);
        let before = rollout.from.get(source).and_then(of);
        let after = rollout.target.get(source).and_then(of);
        match before.zip(after) {
            None => Redeclared::Unknown,
            Some((before, after)) => Redeclared::Otherwise {
                difference: Difference::between(before, after),
                before,
                after,
            },
        }
    }
}
