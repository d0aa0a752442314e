//! What running a commit that is not assigned would do, by the API server's own dry run. Changes nothing,
//! and reports names only: no value leaves this module.

use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::plan::{ApplicationChanges, Change, MAX_CHANGES};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::plain_line;
use futures::StreamExt as _;
use serde_json::Value;

use super::Cluster;
use super::apply::Conflicts;
use super::inventory_store::StoredInventory;
use super::pass::{DesiredState, Memory, Pass, PassInput};
use super::preview::{Values, differences};
use crate::api::Error;
use crate::observe::fields;
use crate::plan::{Desired, FORCE_ANNOTATION, IMMUTABLE_ANNOTATION, Step, forbids};

/// Objects that are tried at once.
const AT_ONCE: usize = 8;
/// Most objects of one application that are tried; there are more then.
const MAX_ASKED: usize = 2 * MAX_CHANGES;
/// Longest message of the API server that is passed on.
const MAX_WORDS: usize = 300;

/// Kinds and namespaces that come with the same commit, which a dry run cannot know.
#[derive(Debug, Default)]
pub struct UpcomingObjects {
    pub namespaces: BTreeSet<String>,
    /// Group and kind of new definitions.
    pub kinds: BTreeSet<(String, String)>,
}

impl UpcomingObjects {
    /// Adds the desired state of one application.
    pub fn add(&mut self, desired: &[Arc<Desired>]) {
        for entry in desired {
            let object = &entry.object;
            match (object.group.as_str(), object.kind.as_str()) {
                ("", "Namespace") => {
                    self.namespaces.insert(object.name.clone());
                }
                ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                    let value = entry.value();
                    let text = |pointer: &str| {
                        let found = value.pointer(pointer).and_then(Value::as_str);
                        found.unwrap_or_default().to_owned()
                    };
                    self.kinds
                        .insert((text("/spec/group"), text("/spec/names/kind")));
                }
                _ => {}
            }
        }
    }

    fn brings_kind_of(&self, object: &ObjectRef) -> bool {
        let kind = (object.group.clone(), object.kind.clone());
        self.kinds.contains(&kind)
    }
}

impl Cluster {
    /// What a pass for this would do if it were assigned. It has a memory of its own, so that the
    /// objects that a worker follows do not change.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn foresee(
        &self,
        input: &PassInput,
        desired_state: &DesiredState,
        coming: &UpcomingObjects,
    ) -> Result<ApplicationChanges, Error> {
        let stored = self.read_inventory(input.application.as_str()).await?;
        let mut scratch = Memory::default();
        let tenure = self.tenure(&mut scratch);
        let pass = Pass::new(self, input, desired_state, &stored, tenure, &mut scratch);
        pass.foresee(&stored, coming).await
    }
}

impl Pass<'_> {
    async fn foresee(
        mut self,
        stored: &StoredInventory,
        coming: &UpcomingObjects,
    ) -> Result<ApplicationChanges, Error> {
        let made = self.observe(stored).await?.0;
        if let Some(refused) = made.refused {
            return Ok(ApplicationChanges::refused(
                refused.reason,
                plain_line(&refused.message, MAX_WORDS),
            ));
        }
        let mut result = ApplicationChanges::default();
        let mut ask: Vec<(Arc<Desired>, Conflicts)> = Vec::new();
        for step in made.apply.iter().flatten() {
            if let Step::Apply { index, drift, .. } = step
                && let Some(desired) = self.desired.get(*index)
            {
                let conflicts = match *drift {
                    true => Conflicts::Force,
                    false => Conflicts::Refuse,
                };
                ask.push((Arc::clone(desired), conflicts));
            }
        }
        for step in made.rest.iter().chain(made.prune.iter().flatten()) {
            match step {
                Step::Unchanged(_) => result.unchanged += 1,
                // It waits for a wave, a hook or another application, and is applied after it.
                Step::Skip(object, Reason::DependencyNotReady, _) => {
                    let desired = self
                        .desired
                        .iter()
                        .find(|desired| desired.object == *object);
                    ask.extend(desired.map(|desired| (Arc::clone(desired), Conflicts::Refuse)));
                }
                Step::Skip(object, Reason::UnknownKind, _) if coming.brings_kind_of(object) => {
                    let words = "its CRD comes with the same commit";
                    let change = change(object, Action::Created, None, words);
                    result.changes.push(change);
                }
                Step::Skip(object, reason, message) => {
                    let change = change(object, Action::Skipped, Some(*reason), message);
                    result.changes.push(change);
                }
                Step::Hold(object, reason, message) => {
                    let change = change(object, Action::Held, Some(*reason), message);
                    result.changes.push(change);
                }
                Step::Prune(object, _) => {
                    result
                        .changes
                        .push(change(object, Action::Pruned, None, ""));
                }
                Step::Forget(_) | Step::Disown(_) | Step::Apply { .. } => {}
            }
        }
        result.truncated = ask.len() > MAX_ASKED;
        ask.truncate(MAX_ASKED);
        let pass = &self;
        let tried: Vec<Change> = futures::stream::iter(ask)
            .map(
                |(desired, conflicts)| async move { pass.tried(&desired, conflicts, coming).await },
            )
            .buffered(AT_ONCE)
            .collect()
            .await;
        for change in tried {
            match change.action {
                Action::Unchanged => result.unchanged += 1,
                _ => result.changes.push(change),
            }
        }
        result.normalize();
        Ok(result)
    }

    /// What an apply of one object would do.
    async fn tried(
        &self,
        desired: &Desired,
        conflicts: Conflicts,
        coming: &UpcomingObjects,
    ) -> Change {
        let object = &desired.object;
        match self.try_apply(desired, conflicts).await {
            Ok(None) => change(object, Action::Created, None, ""),
            Ok(Some(fields)) if fields.is_empty() => change(object, Action::Unchanged, None, ""),
            Ok(Some(fields)) => Change {
                fields,
                ..change(object, Action::Updated, None, "")
            },
            // Its namespace is created first, by the same commit.
            Err(error)
                if error.reason == Reason::NamespaceNotFound
                    && coming.namespaces.contains(&object.namespace) =>
            {
                let words = "its namespace comes with the same commit";
                change(object, Action::Created, None, words)
            }
            // A list item of another manager has the name of one in Git: an apply clears it first, a dry run
            // cannot.
            Err(error) if !error.duplicates.is_empty() && self.differs(desired).is_some() => {
                let fields = self.differs(desired).unwrap_or_default().to_vec();
                Change {
                    fields,
                    ..change(object, Action::Updated, None, "")
                }
            }
            Err(error) if error.reason == Reason::ImmutableField && self.makes_anew(desired) => {
                let words = "it would be deleted and recreated, as its annotation asks";
                change(object, Action::Updated, Some(error.reason), words)
            }
            Err(error) => Change {
                managers: error.managers,
                ..change(object, Action::Failed, Some(error.reason), &error.message)
            },
        }
    }

    /// The fields that an apply would change. None: the object does not exist yet.
    async fn try_apply(
        &self,
        desired: &Desired,
        conflicts: Conflicts,
    ) -> Result<Option<Vec<String>>, Error> {
        let path = self.path(desired).await?;
        let live = self.api.find(&path).await?;
        let is_forced = conflicts == Conflicts::Force
            || self.input.sync_policy.force_conflicts
            || desired.directive(FORCE_ANNOTATION) == "true";
        let conflicts = match is_forced {
            true => Conflicts::Force,
            false => Conflicts::Refuse,
        };
        let mut next = self.would(&path, desired, conflicts).await;
        if let (Err(error), Some(live)) = (&mut next, &live)
            && error.reason == Reason::Conflict
        {
            error.managers = self.others(desired, live, &error.managers);
            // An apply takes these fields over first.
            if error.managers.is_empty() {
                next = self.would(&path, desired, Conflicts::Force).await;
            }
        }
        let mut next = next?;
        let Some(live) = live else {
            return Ok(None);
        };
        self.without_foreign(desired, &mut next);
        let fields = differences(&live, &next, Values::of(&desired.object));
        let mut paths: Vec<String> = fields.into_iter().map(|field| field.path).collect();
        let baseline = self.tenure.baseline(&desired.object);
        let value = desired.value();
        let fact = self.facts.get(&desired.object);
        let is_scaled = fact.is_some_and(|fact| fact.is_autoscaled);
        paths.retain(|path| {
            let is_left = baseline
                .as_ref()
                .is_some_and(|baseline| baseline.skips(&live, &value, path));
            !(is_left || is_scaled && path == "/spec/replicas")
        });
        Ok(Some(paths))
    }

    /// The managers of a conflict from which an apply would not take the fields over by itself.
    fn others(&self, desired: &Desired, live: &Value, managers: &[String]) -> Vec<String> {
        let options = &self.cluster.options;
        let fact = self.facts.get(&desired.object);
        let is_ours = fact.is_some_and(|fact| {
            fact.applied_by_us || fact.application == self.input.application.as_str()
        });
        let entries = live
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array);
        let is_earlier = |name: &String| {
            entries.into_iter().flatten().any(|entry| {
                entry.get("manager").and_then(Value::as_str) == Some(name)
                    && fields::is_legacy(entry, &options.field_manager)
            })
        };
        let left: Vec<String> = managers
            .iter()
            .filter(|name| !is_earlier(name))
            .cloned()
            .collect();
        // A person's edit of an object that is managed here is drift, and Git takes precedence.
        match is_ours && left.iter().all(|name| options.managers.is_person(name)) {
            true => Vec::new(),
            false => left,
        }
    }

    /// Whether an object with an immutable field would be deleted and recreated.
    fn makes_anew(&self, desired: &Desired) -> bool {
        let Some(fact) = self.facts.get(&desired.object) else {
            return false;
        };
        desired.directive(IMMUTABLE_ANNOTATION) == "recreate"
            && fact.applied_by_us
            && forbids(&fact.prune, &self.input.policy, &desired.object).is_none()
    }
}

/// A change without fields. For a Secret the API server's message is not passed on, since it may quote the
/// content.
fn change(object: &ObjectRef, action: Action, reason: Option<Reason>, message: &str) -> Change {
    let message = match (Values::of(object), action) {
        (Values::Masked, Action::Failed) => "",
        _ => message,
    };
    Change {
        object: object.clone(),
        action,
        reason,
        managers: Vec::new(),
        fields: Vec::new(),
        message: plain_line(message, MAX_WORDS),
    }
}
