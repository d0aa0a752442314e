//! Prepares an apply, if the live object needs it: fields of earlier tools are taken over, a number of
//! replicas is handed over, and fields that are left to others keep their value.

use flotilla_shared::assignment::Drift;
use flotilla_shared::reason::Reason;
use http::Method;
use serde_json::{Value, json};

use crate::api::{Api, Error};
use crate::observe::facts::Reader;
use crate::observe::facts::{Baseline, Fact};
use crate::observe::share::FieldSplit;
use crate::observe::views::Tenure;
use crate::observe::{fields, foreign};
use crate::plan::Desired;

/// The manager that holds a value until another one takes it over (Kubernetes: "transferring ownership").
const HAND_OVER: &str = "flotilla-hand-over";

/// The number of replicas.
const REPLICAS: &str = "/spec/replicas";
/// Number of attempts for an object that other clients change at the same time.
const MAX_ATTEMPTS: usize = 3;

/// Everything needed to prepare an apply.
pub(super) struct Takeover<'a> {
    pub(super) api: &'a Api,
    pub(super) views: &'a Tenure,
    /// Settings for reading live objects.
    pub(super) reader: Reader<'a>,
    /// Path of the object.
    pub(super) path: &'a str,
}

impl Takeover<'_> {
    /// Prepares an apply. Returns the body to apply if it is not the desired object itself. Where
    /// drift is corrected, the additions of people are taken over, so that the apply removes them.
    ///
    /// # Errors
    /// When the API server refuses one of the steps; then nothing is applied.
    pub(super) async fn prepare(
        &self,
        desired: &Desired,
        baseline: Option<&Baseline>,
        fact: &Fact,
        drift: Drift,
    ) -> Result<Option<Value>, Error> {
        let rules = baseline.filter(|baseline| baseline.has_rules());
        let takes_people = drift == Drift::Correct && fact.has_foreign;
        let value = desired.value();
        let leaves_replicas = fact.is_autoscaled || value.pointer(REPLICAS).is_none();
        let takes_replicas = fact.was_autoscaled && !leaves_replicas;
        let hands_over = leaves_replicas && (fact.owns_replicas || fact.is_autoscaled);
        if !fact.has_legacy && !takes_people && !takes_replicas && !hands_over && rules.is_none() {
            return Ok(None);
        }
        let Some(mut live) = self.api.find(self.path).await? else {
            return Ok(None);
        };
        live = self
            .claim(live, &|live| {
                let people = baseline.filter(|_| takes_people);
                let people = people.and_then(|w| w.claim(live, &value, &self.reader));
                let with_people = replaced(live, people);
                let manager = self.reader.manager;
                // An entry of an earlier tool is taken over as a whole (A5), as in kubectl's
                // csaupgrade. So is a number of replicas set by an autoscaler that no longer exists.
                let rest = foreign::moved(&with_people, manager, &|entry| {
                    let is_legacy = fields::is_legacy(entry, manager);
                    let is_ours = is_legacy || (takes_replicas && fields::is_scaled(entry));
                    is_ours.then(|| taken_whole(entry)).flatten()
                });
                let fields = rest.or_else(|| {
                    let fields = with_people.pointer("/metadata/managedFields")?;
                    fields.as_array().cloned()
                })?;
                let before = live.pointer("/metadata/managedFields");
                (before.and_then(Value::as_array) != Some(&fields)).then_some(fields)
            })
            .await?;
        let mut body = value.clone();
        if leaves_replicas {
            if fields::owns_replicas(&live, self.reader.manager) {
                self.hand_over(desired, &live).await?;
            }
            if let Some(Value::Object(spec)) = body.get_mut("spec") {
                spec.remove("replicas");
            }
        }
        if let Some(rules) = rules {
            let mut path = String::new();
            leave(&mut body, &value, Some(&live), &live, rules, &mut path);
        }
        Ok(Some(body))
    }

    /// Takes over what is in the way of Git: list items with a name that an item in Git needs, whichever
    /// manager owns them. Returns whether there were any.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(super) async fn clear(
        &self,
        desired: &Desired,
        duplicates: &[String],
    ) -> Result<bool, Error> {
        let Some(live) = self.api.find(self.path).await? else {
            return Ok(false);
        };
        let value = desired.value();
        let clear = |live: &Value| foreign::clear(live, &value, self.reader.manager, duplicates);
        let is_any = clear(&live).is_some();
        self.claim(live, &clear).await?;
        Ok(is_any)
    }

    /// Writes who manages what, under a precondition on the resource version; if the object changed
    /// meanwhile, it is read again. Returns the object as it is then.
    async fn claim(
        &self,
        mut live: Value,
        fields: &(dyn Fn(&Value) -> Option<Vec<Value>> + Sync),
    ) -> Result<Value, Error> {
        for attempt in 0.. {
            let Some(fields) = fields(&live) else {
                break;
            };
            let patch = json!([
                {"op": "replace", "path": "/metadata/managedFields", "value": fields},
                {
                    "op": "replace",
                    "path": "/metadata/resourceVersion",
                    "value": live.pointer("/metadata/resourceVersion"),
                },
            ]);
            let kind = "application/json-patch+json";
            match self
                .api
                .send(Method::PATCH, self.path, kind, Some(&patch))
                .await
            {
                Ok(next) => return Ok(next),
                Err(error)
                    if error.reason == Reason::ChangedMeanwhile && attempt < MAX_ATTEMPTS =>
                {
                    live = self.api.get(self.path).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(live)
    }

    /// Keeps the number of replicas while ownership of it is given up (A4): without this the field
    /// would be removed and defaulted to 1.
    async fn hand_over(&self, desired: &Desired, live: &Value) -> Result<(), Error> {
        let Some(replicas) = live.pointer("/spec/replicas") else {
            return Ok(());
        };
        let body = json!({
            "apiVersion": live.get("apiVersion"),
            "kind": desired.object.kind,
            "metadata": {
                "name": desired.object.name,
                "namespace": desired.object.namespace,
            },
            "spec": {"replicas": replicas},
        });
        let path = format!("{}?fieldManager={HAND_OVER}&force=true", self.path);
        let asked = self.views.moment();
        let live = self
            .api
            .send(
                Method::PATCH,
                &path,
                "application/apply-patch+yaml",
                Some(&body),
            )
            .await?;
        self.views.learn(&desired.object, &live, asked, None);
        Ok(())
    }
}

/// A manager's entry, taken over as a whole.
fn taken_whole(entry: &Value) -> Option<FieldSplit> {
    let mut owned = entry.get("fieldsV1").cloned()?;
    // kubectl's last-applied annotation is not a field worth keeping.
    if let Some(Value::Object(annotations)) = owned.pointer_mut("/f:metadata/f:annotations") {
        annotations.remove("f:kubectl.kubernetes.io/last-applied-configuration");
    }
    Some(FieldSplit {
        taken: Some(owned),
        rest: None,
    })
}

/// The object with other managers. None: unchanged.
fn replaced(live: &Value, managers: Option<Vec<Value>>) -> Value {
    let mut live = live.clone();
    if let (Some(managers), Some(place)) = (managers, live.pointer_mut("/metadata/managedFields")) {
        *place = Value::Array(managers);
    }
    live
}

/// Gives fields that are left to others their live value, or removes them if they have none: they
/// stay as they are, whoever owns them.
fn leave(
    body: &mut Value,
    whole: &Value,
    here: Option<&Value>,
    live: &Value,
    baseline: &Baseline,
    path: &mut String,
) {
    match body {
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                let length = path.len();
                path.push('/');
                path.push_str(&key.replace('~', "~0").replace('/', "~1"));
                let below = here.and_then(|here| here.get(&key));
                if baseline.skips(live, whole, path) {
                    match below {
                        Some(value) => map.insert(key, value.clone()),
                        None => map.remove(&key),
                    };
                } else if let Some(inner) = map.get_mut(&key) {
                    leave(inner, whole, below, live, baseline, path);
                }
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                let length = path.len();
                path.push('/');
                path.push_str(&index.to_string());
                let below = here.and_then(|here| same_item(here, item, index));
                leave(item, whole, below, live, baseline, path);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// The live item that a desired one is: by name where it has one, else by place.
fn same_item<'v>(live: &'v Value, item: &Value, index: usize) -> Option<&'v Value> {
    let items = live.as_array()?;
    match item.get("name") {
        Some(name) => items.iter().find(|other| other.get("name") == Some(name)),
        None => items.get(index),
    }
}
