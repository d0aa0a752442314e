//! An agent's answer on what a commit that is not assigned would change in its cluster: names, never values.
//! Equal answers have equal digests, so that thousands of clusters form a handful of groups.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::id::ApplicationName;
use crate::object::{Action, ObjectRef};
use crate::problem::Problem;
use crate::reason::Reason;
use crate::report::plain_line;

/// Maximum number of listed changes of one application.
pub const MAX_CHANGES: usize = 200;
/// Maximum number of listed changes of one cluster.
pub const MAX_CHANGES_IN_ALL: usize = 1000;
/// Maximum number of listed fields of one object.
pub const MAX_FIELDS: usize = 40;
/// Longest path of a field, bytes.
pub const MAX_PATH_BYTES: usize = 256;
/// Maximum number of listed managers of a conflict.
pub const MAX_MANAGERS: usize = 8;
/// Longest name of a manager, bytes.
const MAX_MANAGER_BYTES: usize = 128;

/// One object's change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The object, by which changes are sorted.
    pub object: ObjectRef,
    /// The planned action; never [`Action::Unchanged`].
    pub action: Action,
    /// Reason why it would not be done, or is special.
    pub reason: Option<Reason>,
    /// Field managers of a conflict, sorted.
    pub managers: Vec<String>,
    /// Paths of differing fields (RFC 6901), sorted.
    pub fields: Vec<String>,
    /// Message for operators; not compared between changes.
    pub message: String,
}

/// Changes that a commit would make to one application in one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApplicationChanges {
    /// Reason for a missing list of changes; none: the list is complete.
    pub refused: Option<Problem>,
    /// Sorted by object.
    pub changes: Vec<Change>,
    /// Whether more changes exist than are listed.
    pub truncated: bool,
    /// Number of objects that would not change.
    pub unchanged: u32,
}

/// An agent's full answer on what a commit would change in its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterPlan {
    /// Applications of the commit's repository.
    pub applications: BTreeMap<ApplicationName, ApplicationChanges>,
}

/// Overall outcome of an answer: the worst of all applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing would change.
    Nothing,
    /// Something would change, without conflicts.
    Changes,
    /// Some change would be rejected, or needs an operator.
    Conflict,
    /// The agent refuses the commit, or cannot read it.
    Refused(Reason),
}

impl Change {
    fn outcome(&self) -> Outcome {
        match (self.action, self.reason) {
            (Action::Unchanged, _) => Outcome::Nothing,
            (Action::Created | Action::Updated | Action::Pruned, _) => Outcome::Changes,
            // Left alone on purpose, with the commit or without it.
            (
                Action::Skipped | Action::Held,
                Some(
                    Reason::Drifted
                    | Reason::Contested
                    | Reason::PruneDisabled
                    | Reason::WaitingForFinalizer,
                ),
            ) => Outcome::Nothing,
            (Action::Skipped | Action::Held | Action::Failed, _) => Outcome::Conflict,
        }
    }
}

impl ApplicationChanges {
    /// Returns the answer for an application whose commit is refused.
    #[must_use]
    pub fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            refused: Some(Problem::new(reason, message)),
            ..Self::default()
        }
    }

    fn outcome(&self) -> Outcome {
        if let Some(refused) = &self.refused {
            return Outcome::Refused(refused.reason);
        }
        let all = self.changes.iter().map(Change::outcome);
        // Changes that are not listed count as changes without conflicts.
        let untold = self.truncated.then_some(Outcome::Changes);
        all.chain(untold).max().unwrap_or(Outcome::Nothing)
    }

    /// Sorts the changes and cuts them to the maximum number.
    pub fn normalize(&mut self) {
        let cut = |texts: &mut Vec<String>, limit| {
            for text in texts {
                *text = plain_line(text, limit);
            }
        };
        for change in &mut self.changes {
            cut(&mut change.fields, MAX_PATH_BYTES);
            cut(&mut change.managers, MAX_MANAGER_BYTES);
            change.fields.sort();
            change.fields.dedup();
            change.fields.truncate(MAX_FIELDS);
            change.managers.sort();
            change.managers.dedup();
            change.managers.truncate(MAX_MANAGERS);
        }
        self.changes.sort();
        self.truncated |= self.changes.len() > MAX_CHANGES;
        self.changes.truncate(MAX_CHANGES);
    }
}

impl ClusterPlan {
    /// Returns the overall outcome.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let all = self.applications.values().map(ApplicationChanges::outcome);
        all.max().unwrap_or(Outcome::Nothing)
    }

    /// Cuts the answer to the maximum number of changes, last applications first.
    pub fn normalize(&mut self) {
        let mut room = MAX_CHANGES_IN_ALL;
        for application in self.applications.values_mut() {
            application.normalize();
            application.truncated |= application.changes.len() > room;
            application.changes.truncate(room);
            room -= application.changes.len();
        }
    }

    /// Returns the digest of what would change. Messages and counts of unchanged objects are left out, since
    /// they may differ between clusters.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut parts: Vec<&[u8]> = Vec::new();
        for (name, application) in &self.applications {
            if application.refused.is_none()
                && application.changes.is_empty()
                && !application.truncated
            {
                continue;
            }
            let refused = application.refused.as_ref();
            let reason = refused.map_or("", |refused| refused.reason.as_str());
            let truncated = if application.truncated { "more" } else { "" };
            parts.extend(["application", name.as_str(), reason, truncated].map(str::as_bytes));
            for change in &application.changes {
                let object = &change.object;
                let words = [
                    "change",
                    change.action.as_str(),
                    change.reason.map_or("", Reason::as_str),
                    &object.group,
                    &object.kind,
                    &object.namespace,
                    &object.name,
                    "managers",
                ];
                parts.extend(words.map(str::as_bytes));
                parts.extend(change.managers.iter().map(String::as_bytes));
                parts.push(b"fields");
                parts.extend(change.fields.iter().map(String::as_bytes));
            }
        }
        Digest::of_parts(parts)
    }

    /// Approximate memory use in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let of_change = |change: &Change| {
            let object = &change.object;
            let names =
                object.group.len() + object.kind.len() + object.namespace.len() + object.name.len();
            let texts = change.fields.iter().chain(&change.managers);
            200 + 2 * names
                + change.message.len()
                + texts.map(|text| text.len() + 24).sum::<usize>()
        };
        let of_application = |application: &ApplicationChanges| {
            200 + application.changes.iter().map(of_change).sum::<usize>()
        };
        self.applications.values().map(of_application).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ObjectNames;

    fn change(kind: &str, name: &str, action: Action) -> Change {
        Change {
            object: ObjectRef::from(ObjectNames {
                group: String::new(),
                kind: kind.to_owned(),
                namespace: "web".to_owned(),
                name: name.to_owned(),
            }),
            action,
            reason: None,
            managers: Vec::new(),
            fields: Vec::new(),
            message: String::new(),
        }
    }

    fn plan(changes: Vec<Change>) -> ClusterPlan {
        let changes = ApplicationChanges {
            changes,
            ..ApplicationChanges::default()
        };
        let mut plan = ClusterPlan {
            applications: [("web".parse().unwrap(), changes)].into(),
        };
        plan.normalize();
        plan
    }

    #[test]
    fn equal_changes_have_equal_digests_whatever_the_words_and_the_order() {
        let mut config = change("ConfigMap", "a", Action::Updated);
        config.fields = vec!["/data/b".to_owned(), "/data/a".to_owned()];
        let two = change("Service", "b", Action::Created);
        let told = |message: &str| Change {
            message: message.to_owned(),
            ..two.clone()
        };
        let first = plan(vec![config.clone(), told("on node-1")]);
        let mut second = plan(vec![told("on node-2"), config.clone()]);
        assert_eq!(first.digest(), second.digest());
        for application in second.applications.values_mut() {
            application.unchanged = 7;
        }
        // An application without changes is not part of the digest.
        second
            .applications
            .insert("api".parse().unwrap(), ApplicationChanges::default());
        assert_eq!(first.digest(), second.digest());
    }

    #[test]
    fn whatever_differs_besides_makes_another_digest() {
        let base = change("ConfigMap", "a", Action::Updated);
        let with = |edit: fn(&mut Change)| {
            let mut changed = base.clone();
            edit(&mut changed);
            plan(vec![changed]).digest()
        };
        let all = [
            with(|_| {}),
            with(|altered| altered.action = Action::Pruned),
            with(|altered| altered.reason = Some(Reason::Conflict)),
            with(|altered| altered.managers = vec!["x".to_owned()]),
            with(|altered| altered.fields = vec!["x".to_owned()]),
            with(|altered| altered.fields = vec!["managers".to_owned(), "x".to_owned()]),
            with(|altered| altered.object = change("ConfigMap", "b", Action::Updated).object),
            plan(vec![]).digest(),
            plan(vec![
                base.clone(),
                change("ConfigMap", "b", Action::Updated),
            ])
            .digest(),
        ];
        let unlike: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(unlike.len(), all.len());
        let refused = |reason| ClusterPlan {
            applications: [(
                "web".parse().unwrap(),
                ApplicationChanges::refused(reason, ""),
            )]
            .into(),
        };
        let missing = refused(Reason::SignatureMissing);
        assert_ne!(missing.digest(), refused(Reason::BranchNotAllowed).digest());
        assert_ne!(missing.digest(), plan(vec![]).digest());
    }

    #[test]
    fn the_worst_of_an_answer_is_what_it_comes_to() {
        let with = |action, reason| {
            let mut secret = change("Secret", "a", action);
            secret.reason = reason;
            plan(vec![change("ConfigMap", "b", Action::Created), secret]).outcome()
        };
        assert_eq!(plan(vec![]).outcome(), Outcome::Nothing);
        assert_eq!(with(Action::Pruned, None), Outcome::Changes);
        assert_eq!(
            with(Action::Held, Some(Reason::PruneDisabled)),
            Outcome::Changes
        );
        assert_eq!(
            with(Action::Held, Some(Reason::DeleteBudget)),
            Outcome::Conflict
        );
        assert_eq!(
            with(Action::Failed, Some(Reason::Conflict)),
            Outcome::Conflict
        );
        let mut drifted = change("Secret", "a", Action::Skipped);
        drifted.reason = Some(Reason::Drifted);
        assert_eq!(plan(vec![drifted]).outcome(), Outcome::Nothing);
        let mut partly = plan(vec![change("Secret", "a", Action::Failed)]);
        let refused = ApplicationChanges::refused(Reason::SignatureMissing, "no");
        partly.applications.insert("api".parse().unwrap(), refused);
        assert_eq!(partly.outcome(), Outcome::Refused(Reason::SignatureMissing));
    }

    #[test]
    fn an_answer_is_bounded_and_says_that_it_was_cut() {
        let many = |count: usize| ApplicationChanges {
            changes: (0..count)
                .map(|number| change("ConfigMap", &format!("c{number:05}"), Action::Created))
                .collect(),
            ..ApplicationChanges::default()
        };
        let mut plan = ClusterPlan {
            applications: (0..9)
                .map(|number| (format!("a{number}").parse().unwrap(), many(150)))
                .collect(),
        };
        plan.normalize();
        let told: usize = plan
            .applications
            .values()
            .map(|application| application.changes.len())
            .sum();
        assert_eq!(told, MAX_CHANGES_IN_ALL);
        let cut: Vec<bool> = plan
            .applications
            .values()
            .map(|application| application.truncated)
            .collect();
        assert_eq!(
            cut,
            [false, false, false, false, false, false, true, true, true]
        );
        let mut large = many(MAX_CHANGES + 1);
        large.normalize();
        assert!(large.truncated && large.changes.len() == MAX_CHANGES);
    }
}
