//! How many custom resources definitions have, as it was when it was asked for (P11). Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flotilla_shared::object::ObjectRef;

/// For how long an answer is told, before it is asked for again.
const TOLD: Duration = Duration::from_secs(600);

/// Numbers that an application was told, with when; none: there was no answer. Times are of a steady clock.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<ObjectRef, (Duration, Option<usize>)>);

impl Counted {
    /// Which of these are to be asked for now. Others are forgotten, and so is what is old.
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

    /// What is known.
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
        let mut counted = Counted::default();
        assert_eq!(counted.due(&both, begun), [a.clone(), b.clone()]);
        counted.note(a.clone(), Some(3), begun);
        // No answer is one, too: who does not answer is not waited for in each pass.
        counted.note(b.clone(), None, begun);
        let soon = begun + Duration::from_secs(599);
        assert!(counted.due(&both, soon).is_empty());
        assert_eq!(counted.numbers(), BTreeMap::from([(a.clone(), 3)]));
        assert_eq!(counted.due(&both, begun + TOLD), [a.clone(), b.clone()]);
        assert!(counted.numbers().is_empty());
        // One that is wanted again, or gone, and then leaves, is asked about anew.
        counted.note(a.clone(), Some(3), begun);
        let other = BTreeSet::from([b.clone()]);
        assert_eq!(counted.due(&other, begun), [b]);
        assert!(counted.numbers().is_empty());
    }
}
