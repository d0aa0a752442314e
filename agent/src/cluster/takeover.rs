//! Before an apply, where the live object needs it: fields of earlier tools become ours, a number of
//! replicas is handed over, fields that are left to others keep their value.

use http::Method;
use serde_json::{Value, json};

use super::api::{Api, Error};
use super::facts::{Fact, Wanted};
use super::fields;
use super::views::Tenure;
use crate::plan::Desired;

/// The manager that holds a value for whoever takes it over (Kubernetes: "transferring ownership").
const HAND_OVER: &str = "flotilla-hand-over";

/// What is needed to prepare an apply.
pub(super) struct Takeover<'a> {
    pub(super) api: &'a Api,
    pub(super) views: &'a Tenure,
    pub(super) manager: &'a str,
    /// Path of the object.
    pub(super) path: &'a str,
}

impl Takeover<'_> {
    /// Prepares an apply. Returns the body to apply where it is not the desired object as it stands.
    ///
    /// # Errors
    /// When the API server refuses one of the steps; then nothing is applied.
    pub(super) async fn prepare(
        &self,
        desired: &Desired,
        wanted: Option<&Wanted>,
        fact: &Fact,
    ) -> Result<Option<Value>, Error> {
        let rules = wanted.filter(|wanted| wanted.has_rules());
        let about_replicas = fact.owns_replicas || fact.is_autoscaled;
        if !fact.has_legacy && !about_replicas && rules.is_none() {
            return Ok(None);
        }
        let value = desired.value();
        let names_replicas = value.pointer("/spec/replicas").is_some();
        let leaves_replicas = about_replicas && (fact.is_autoscaled || !names_replicas);
        if !fact.has_legacy && !leaves_replicas && rules.is_none() {
            return Ok(None);
        }
        let Some(mut live) = self.api.find(self.path).await? else {
            return Ok(None);
        };
        if fields::has_legacy(&live, self.manager) {
            live = self.migrate(&live).await?;
        }
        let mut body = value.clone();
        if fields::is_autoscaled(&live) || !names_replicas {
            if fields::owns_replicas(&live, self.manager) {
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

    /// Makes the fields of earlier tools ours (A5), as kubectl's csaupgrade does: their entries of
    /// managedFields are merged into one of server-side apply, under a test of the resource version.
    async fn migrate(&self, live: &Value) -> Result<Value, Error> {
        let entries = live
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let (legacy, mut rest): (Vec<Value>, Vec<Value>) = entries
            .into_iter()
            .partition(|entry| fields::is_legacy(entry, self.manager));
        let mut owned = Value::Null;
        for entry in &legacy {
            fields::union(&mut owned, entry.get("fieldsV1").unwrap_or(&Value::Null));
        }
        // kubectl's own note is not a field that anybody wants to keep.
        if let Some(Value::Object(annotations)) = owned.pointer_mut("/f:metadata/f:annotations") {
            annotations.remove("f:kubectl.kubernetes.io/last-applied-configuration");
        }
        let ours = rest.iter_mut().find(|entry| {
            entry.get("manager").and_then(Value::as_str) == Some(self.manager)
                && entry.get("operation").and_then(Value::as_str) == Some("Apply")
        });
        match ours {
            Some(entry) => {
                if let Some(known) = entry.get_mut("fieldsV1") {
                    fields::union(known, &owned);
                }
            }
            None => rest.push(json!({
                "manager": self.manager,
                "operation": "Apply",
                "apiVersion": live.get("apiVersion"),
                "time": legacy.last().and_then(|entry| entry.get("time")),
                "fieldsType": "FieldsV1",
                "fieldsV1": owned,
            })),
        }
        let patch = json!([
            {"op": "replace", "path": "/metadata/managedFields", "value": rest},
            {
                "op": "replace",
                "path": "/metadata/resourceVersion",
                "value": live.pointer("/metadata/resourceVersion"),
            },
        ]);
        self.api
            .send(
                Method::PATCH,
                self.path,
                "application/json-patch+json",
                Some(&patch),
            )
            .await
    }

    /// Keeps the number of replicas as it is while it stops being ours (A4): without this the field
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
        let live = self
            .api
            .send(
                Method::PATCH,
                &path,
                "application/apply-patch+yaml",
                Some(&body),
            )
            .await?;
        self.views.learn(&desired.object, &live, false);
        Ok(())
    }
}

/// Gives fields that are left to others the value they have, or takes them out where they have none:
/// they stay as they are, whoever owns them.
fn leave(
    body: &mut Value,
    whole: &Value,
    here: Option<&Value>,
    live: &Value,
    wanted: &Wanted,
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
                if wanted.skips(live, whole, path) {
                    match below {
                        Some(value) => map.insert(key, value.clone()),
                        None => map.remove(&key),
                    };
                } else if let Some(inner) = map.get_mut(&key) {
                    leave(inner, whole, below, live, wanted, path);
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
                leave(item, whole, below, live, wanted, path);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

/// The live item that a wanted one is: by name where it has one, else by place.
fn same_item<'v>(live: &'v Value, item: &Value, index: usize) -> Option<&'v Value> {
    let items = live.as_array()?;
    match item.get("name") {
        Some(name) => items.iter().find(|other| other.get("name") == Some(name)),
        None => items.get(index),
    }
}
