//! What a pass would do now, by the API server's own dry run, and how that differs from the live
//! objects. Changes nothing. Values of Secrets never leave this module.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::assignment::Drift;
use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::plan::{MAX_CHANGES, MAX_FIELDS};
use flotilla_shared::preview::{ApplicationPlan, FieldChange, MAX_VALUE_BYTES, ObjectChange};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::plain_line;
use futures::StreamExt as _;
use http::Method;
use serde_json::Value;

use super::Cluster;
use super::apply::Conflicts;
use super::inventory_store::StoredInventory;
use super::pass::{DesiredState, Memory, Pass, PassInput};
use crate::api::Error;
use crate::plan::{Desired, Fit, Step};

/// Placeholder of a masked value.
const MASKED: &str = "(masked)";
/// Fields of metadata that every write changes.
const BOOKKEEPING: [&str; 5] = [
    "managedFields",
    "resourceVersion",
    "generation",
    "uid",
    "creationTimestamp",
];

impl Cluster {
    /// Returns what a pass would do.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn preview(
        &self,
        input: &PassInput,
        desired_state: &DesiredState,
        memory: &Memory,
    ) -> Result<ApplicationPlan, Error> {
        let stored: StoredInventory = match &memory.stored {
            Some(stored) => stored.clone(),
            None => self.read_inventory(input.application.as_str()).await?,
        };
        let mut scratch = Memory::default();
        let tenure = match &memory.tenure {
            Some(tenure) => Arc::clone(tenure),
            None => self.tenure(&mut scratch),
        };
        let pass = Pass::new(self, input, desired_state, &stored, tenure, &mut scratch);
        pass.preview(&stored).await
    }
}

impl Pass<'_> {
    async fn preview(mut self, stored: &StoredInventory) -> Result<ApplicationPlan, Error> {
        let made = self.observe(stored).await?.0;
        let mut result = ApplicationPlan::of(self.input.application.clone());
        if let Some(Problem { reason, message }) = made.refused {
            result.error = format!("{reason}: {message}");
            return Ok(result);
        }
        let mut asked: Vec<Arc<Desired>> = Vec::new();
        let mut seen: BTreeSet<ObjectRef> = BTreeSet::new();
        for step in made.apply.iter().flatten() {
            if let Step::Apply { index, .. } = step
                && let Some(desired) = self.desired.get(*index)
            {
                asked.push(Arc::clone(desired));
                seen.insert(desired.object.clone());
            }
        }
        let mut changes: Vec<ObjectChange> = Vec::new();
        // Objects that are only reported as drifted or contested are shown with their fields as well.
        let mut shown_only: BTreeMap<ObjectRef, Problem> = BTreeMap::new();
        for step in &made.rest {
            if let Step::Skip(object, reason @ (Reason::Drifted | Reason::Contested), message) =
                step
                && let Some(desired) = self.desired.iter().find(|d| d.object == *object)
            {
                asked.push(Arc::clone(desired));
                let problem = Problem::new(*reason, message.clone());
                shown_only.insert(object.clone(), problem);
            }
        }
        for step in made.rest.iter().chain(made.prune.iter().flatten()) {
            let (object, action, reason, message) = match step {
                Step::Unchanged(_) => {
                    result.unchanged += 1;
                    continue;
                }
                Step::Skip(object, ..) if shown_only.contains_key(object) => continue,
                Step::Skip(object, reason, message) => {
                    (object, Action::Skipped, Some(*reason), message.as_str())
                }
                Step::Hold(object, reason, message) => {
                    (object, Action::Held, Some(*reason), message.as_str())
                }
                Step::Prune(object, _) => (object, Action::Pruned, None, ""),
                Step::Forget(_) | Step::Disown(_) | Step::Apply { .. } => continue,
            };
            changes.push(ObjectChange {
                reason,
                message: plain_line(message, 300),
                ..ObjectChange::of(object.clone(), action)
            });
        }
        result.truncated = asked.len() + changes.len() > MAX_CHANGES;
        asked.truncate(MAX_CHANGES);
        let (pass, only) = (&self, &shown_only);
        let shown: Vec<ObjectChange> = futures::stream::iter(asked)
            .map(|desired| async move {
                let reported = only.get(&desired.object);
                let mut change = pass.change(desired).await;
                if let Some(problem) = reported {
                    change.action = Action::Skipped;
                    change.reason = Some(problem.reason);
                    change.message = plain_line(&problem.message, 300);
                }
                change
            })
            .buffered(8)
            .collect()
            .await;
        result.unchanged += u32::try_from(
            shown
                .iter()
                .filter(|change| change.action == Action::Unchanged)
                .count(),
        )
        .unwrap_or(0);
        result.changes = shown;
        result
            .changes
            .retain(|change| change.action != Action::Unchanged);
        changes.truncate(MAX_CHANGES - result.changes.len().min(MAX_CHANGES));
        result.changes.extend(changes);
        Ok(result)
    }

    /// Compares a live object with the result of an apply.
    async fn change(&self, desired: Arc<Desired>) -> ObjectChange {
        let mut change = ObjectChange::of(desired.object.clone(), Action::Updated);
        match self.dry_run(&desired).await {
            Ok((None, _)) => change.action = Action::Created,
            Ok((Some(live), mut next)) => {
                self.without_foreign(&desired, &mut next);
                change.fields = differences(&live, &next, Values::of(&desired.object));
                if change.fields.is_empty() {
                    change.action = Action::Unchanged;
                }
            }
            // A list item of another manager has the name of one in Git: an apply clears it first, a dry run
            // cannot.
            Err(error) if !error.duplicates.is_empty() && self.differs(&desired).is_some() => {
                match self.compared(&desired).await {
                    Ok(fields) => change.fields = fields,
                    Err(error) => change.message = plain_line(&error.message, 300),
                }
            }
            Err(error) => {
                change.action = Action::Failed;
                change.reason = Some(error.reason);
                change.message = plain_line(&error.message, 300);
            }
        }
        change
    }

    /// Removes what people added, as an apply would.
    pub(super) fn without_foreign(&self, desired: &Desired, next: &mut Value) {
        if self.input.sync_policy.drift != Drift::Correct && self.differs(desired).is_none() {
            return;
        }
        let Some(baseline) = self.tenure.baseline(&desired.object) else {
            return;
        };
        let found = baseline.foreign(next, &desired.value(), &self.cluster.reader(), MAX_FIELDS);
        for pointer in found.into_iter().flat_map(|found| found.pointers).rev() {
            remove(next, &pointer);
        }
    }

    /// The fields in which an object is known to differ.
    pub(super) fn differs(&self, desired: &Desired) -> Option<&[String]> {
        match &self.facts.get(&desired.object)?.fit {
            Fit::Differs { fields, .. } => Some(fields),
            Fit::Equal | Fit::Unknown => None,
        }
    }

    /// The fields that differ, with their values, compared without a dry run at the API server.
    async fn compared(&self, desired: &Desired) -> Result<Vec<FieldChange>, Error> {
        let resource = self
            .cluster
            .resource(&desired.object, &desired.version)
            .await?;
        let path = resource.object(&desired.object.namespace, &desired.object.name);
        let live = self.api.find(&path).await?.unwrap_or_default();
        let value = desired.value();
        let mut found = DifferenceList {
            values: Values::of(&desired.object),
            fields: Vec::new(),
        };
        for pointer in self.differs(desired).unwrap_or_default() {
            found.push(pointer, live.pointer(pointer), value.pointer(pointer));
        }
        Ok(found.fields)
    }

    async fn dry_run(&self, desired: &Desired) -> Result<(Option<Value>, Value), Error> {
        let path = self.path(desired).await?;
        let live = self.api.find(&path).await?;
        let next = self.would(&path, desired, Conflicts::Force).await?;
        Ok((live, next))
    }

    /// Returns the path of an object in the API.
    pub(super) async fn path(&self, desired: &Desired) -> Result<String, Error> {
        let resource = self
            .cluster
            .resource(&desired.object, &desired.version)
            .await?;
        Ok(resource.object(&desired.object.namespace, &desired.object.name))
    }

    /// Returns the result of an apply, by a dry run.
    pub(super) async fn would(
        &self,
        path: &str,
        desired: &Desired,
        conflicts: Conflicts,
    ) -> Result<Value, Error> {
        let force = conflicts == Conflicts::Force;
        let path = format!(
            "{path}?fieldManager={}&force={force}&fieldValidation=Strict&dryRun=All",
            self.cluster.options.field_manager,
        );
        let kind = "application/apply-patch+yaml";
        self.api
            .send_bytes(Method::PATCH, &path, kind, &desired.body)
            .await
    }
}

/// Takes the value at a pointer out of an object.
fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    match value.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&last.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            if let Some(index) = last.parse::<usize>().ok().filter(|i| *i < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// Whether an object's values may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    Shown,
    /// Values of a Secret: only which of them change.
    Masked,
}

impl Values {
    pub(super) fn of(object: &ObjectRef) -> Self {
        match object.kind == "Secret" && object.group.is_empty() {
            true => Self::Masked,
            false => Self::Shown,
        }
    }
}

/// Fields in which two objects differ.
pub(super) fn differences(live: &Value, next: &Value, values: Values) -> Vec<FieldChange> {
    let mut found = DifferenceList {
        values,
        fields: Vec::new(),
    };
    found.walk(live, next, &mut String::new());
    found.fields
}

struct DifferenceList {
    values: Values,
    fields: Vec<FieldChange>,
}

impl DifferenceList {
    fn push(&mut self, path: &str, live: Option<&Value>, next: Option<&Value>) {
        let is_masked = self.values == Values::Masked
            && (path.starts_with("/data") || path.starts_with("/stringData"));
        let text = |value: Option<&Value>| match value {
            None => String::new(),
            Some(_) if is_masked => MASKED.to_owned(),
            Some(value) => plain_line(&value.to_string(), MAX_VALUE_BYTES),
        };
        if self.fields.len() < MAX_FIELDS {
            self.fields.push(FieldChange {
                path: path.to_owned(),
                live: text(live),
                desired: text(next),
            });
        }
    }

    fn walk(&mut self, live: &Value, next: &Value, path: &mut String) {
        if live == next {
            return;
        }
        match (live, next) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
                for key in keys {
                    let is_ours = match path.as_str() {
                        "" => key != "status",
                        "/metadata" => !BOOKKEEPING.contains(&key.as_str()),
                        _ => true,
                    };
                    if is_ours {
                        let key_path = key.replace('~', "~0").replace('/', "~1");
                        self.below(&key_path, path, a.get(key), b.get(key));
                    }
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (index, (a, b)) in a.iter().zip(b).enumerate() {
                    self.below(&index.to_string(), path, Some(a), Some(b));
                }
            }
            (a, b) => self.push(path, Some(a), Some(b)),
        }
    }

    fn below(&mut self, key: &str, path: &mut String, a: Option<&Value>, b: Option<&Value>) {
        let length = path.len();
        path.push('/');
        path.push_str(key);
        match (a, b) {
            (Some(a), Some(b)) => self.walk(a, b, path),
            (a, b) => self.push(path, a, b),
        }
        path.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn i11_values_of_secrets_are_masked_and_bookkeeping_is_left_out() {
        let live = json!({"metadata": {"resourceVersion": "1", "labels": {"a/b": "x"}},
            "data": {"password": "b2xk", "gone": "eA=="}, "status": {"x": 1}});
        let next = json!({"metadata": {"resourceVersion": "2", "labels": {"a/b": "y"}},
            "data": {"password": "bmV3"}});
        let fields = differences(&live, &next, Values::Masked);
        let shown: Vec<(&str, &str, &str)> = fields
            .iter()
            .map(|f| (f.path.as_str(), f.live.as_str(), f.desired.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("/data/gone", MASKED, ""),
                ("/data/password", MASKED, MASKED),
                ("/metadata/labels/a~1b", "\"x\"", "\"y\""),
            ]
        );
        assert_eq!(differences(&live, &next, Values::Shown)[1].live, "\"b2xk\"");
    }
}
