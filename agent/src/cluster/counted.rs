//! Numbers of custom resources per definition, as they were when they were counted (P11). Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_shared::object::ObjectRef;

/// For how long a count is used before it is read again.
const TOLD: Duration = Duration::from_secs(600);

/// Counts per definition, with the time of each. None: there was no answer. Times are of a monotonic clock.
#[derive(Debug, Default)]
pub(super) struct CustomResourceCounts(BTreeMap<ObjectRef, (Duration, Option<usize>)>);

impl CustomResourceCounts {
    /// The definitions that have to be counted now. Others are forgotten, and so are old counts.
    pub(super) fn due(&mut self, of: &BTreeSet<ObjectRef>, now: Duration) -> Vec<ObjectRef> {
        self.0.retain(|definition, (at, _)| {
            of.contains(definition) && now.saturating_sub(*at) < TOLD
        });
        let due = of.iter();
        due.filter(|definition| !self.0.contains_key(*definition))
            .cloned()
            .collect()
    }

    pub(super) fn note(&mut self, definition: ObjectRef, count: Option<usize>, now: Duration) {
        self.0.insert(definition, (now, count));
    }

    /// The counts that are known.
    pub(super) fn numbers(&self) -> BTreeMap<ObjectRef, usize> {
        let known = self.0.iter();
        known
            .filter_map(|(definition, (_, count))| Some((definition.clone(), (*count)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::object::ObjectNames;

    use super::*;

    #[test]
    fn p11_each_definition_is_asked_about_once_in_a_while() {
        let [a, b] = ["a", "b"].map(|name| {
            ObjectRef::from(ObjectNames {
                group: "apiextensions.k8s.io".to_owned(),
                kind: "CustomResourceDefinition".to_owned(),
                namespace: String::new(),
                name: name.to_owned(),
            })
        });
        let both = BTreeSet::from([a.clone(), b.clone()]);
        let begun = Duration::from_secs(5);
        let mut counted = CustomResourceCounts::default();
        assert_eq!(counted.due(&both, begun), [a.clone(), b.clone()]);
        counted.note(a.clone(), Some(3), begun);
        // A failed count is remembered as well: a server that does not answer must not delay every pass.
        counted.note(b.clone(), None, begun);
        let soon = begun + Duration::from_secs(599);
        assert!(counted.due(&both, soon).is_empty());
        assert_eq!(counted.numbers(), BTreeMap::from([(a.clone(), 3)]));
        assert_eq!(counted.due(&both, begun + TOLD), [a.clone(), b.clone()]);
        assert!(counted.numbers().is_empty());
        // An object that is desired again, or deleted, and leaves later is counted again.
        counted.note(a.clone(), Some(3), begun);
        let other = BTreeSet::from([b.clone()]);
        assert_eq!(counted.due(&other, begun), [b]);
        assert!(counted.numbers().is_empty());
    }
}
