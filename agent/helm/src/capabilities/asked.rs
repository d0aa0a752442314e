//! Charts' queries about the cluster. They are the only facts about the cluster that a render depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

/// Records a chart's queries while it is rendered. Copies share the record; comparison ignores it.
#[derive(Clone, Debug, Default)]
pub struct Queries(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    version: bool,
    all: bool,
    has: BTreeSet<String>,
}

impl PartialEq for Queries {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Queries {}

/// Highest number of recorded queries; beyond it, everything counts as queried.
const MAX_QUESTIONS: usize = 1000;

impl Queries {
    fn note(&self, note: impl FnOnce(&mut Notes)) {
        note(&mut self.0.lock());
    }

    pub(super) fn version(&self) {
        self.note(|notes| notes.version = true);
    }

    pub(super) fn all(&self) {
        self.note(|notes| notes.all = true);
    }

    pub(super) fn asked_for(&self, version: &str) {
        self.note(|notes| {
            if notes.has.len() >= MAX_QUESTIONS {
                notes.all = true;
            } else if !notes.has.contains(version) {
                notes.has.insert(version.to_owned());
            }
        });
    }

    pub(super) fn answered(
        &self,
        version: &str,
        all: &[String],
        has: impl Fn(&str) -> bool,
    ) -> Answers {
        let notes = self.0.lock();
        Answers {
            version: notes.version.then(|| version.to_owned()),
            all: notes.all.then(|| all.to_vec()),
            has: notes
                .has
                .iter()
                .map(|name| (name.clone(), has(name)))
                .collect(),
        }
    }
}

/// The queries of a render, with their answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    version: Option<String>,
    all: Option<Vec<String>>,
    has: BTreeMap<String, bool>,
}

impl Answers {
    /// Returns all of it as texts, for a digest.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        let has = self
            .has
            .iter()
            .flat_map(|(name, has)| [name.as_str(), if *has { "yes" } else { "no" }]);
        let version = self.version.as_deref();
        let all = self.all.iter().flatten().map(String::as_str);
        version.into_iter().chain(all).chain(has)
    }

    pub(super) fn hold(&self, version: &str, all: &[String], has: impl Fn(&str) -> bool) -> bool {
        self.version.as_deref().is_none_or(|known| known == version)
            && self.all.as_deref().is_none_or(|known| known == all)
            && self.has.iter().all(|(name, known)| has(name) == *known)
    }
}

#[cfg(test)]
mod tests {
    use crate::capabilities::{Capabilities, KubeVersion};
    use crate::value::{Host as _, Value};

    fn cluster(version: &str, apis: &[&str]) -> Capabilities {
        let version = KubeVersion::parse(version).unwrap();
        Capabilities::of_cluster(version, apis.iter().map(|api| (*api).to_owned()))
    }

    #[test]
    fn only_what_was_asked_is_an_input() {
        let (noting, asked) = cluster("1.31.0", &["v1"]).noting();
        let unasked = noting.answers(&asked);
        assert!(cluster("1.30.0", &["v2"]).agrees(&unasked));
        assert_eq!(unasked.parts().count(), 0);
        let Some(Value::Host(apis)) = noting.field("APIVersions") else {
            panic!("no API versions");
        };
        apis.call("Has", &["batch/v1".into()]).unwrap();
        let answers = noting.answers(&asked);
        assert!(cluster("1.30.0", &["v1", "apps/v1"]).agrees(&answers));
        assert!(!cluster("1.31.0", &["v1", "batch/v1"]).agrees(&answers));
        noting.field("KubeVersion");
        let answers = noting.answers(&asked);
        assert!(!cluster("1.30.0", &["v1"]).agrees(&answers));
        assert!(cluster("1.31.0", &["v1", "apps/v1"]).agrees(&answers));
        apis.entries();
        let answers = noting.answers(&asked);
        assert!(cluster("1.31.0", &["v1"]).agrees(&answers));
        assert!(!cluster("1.31.0", &["v1", "apps/v1"]).agrees(&answers));
    }
}
