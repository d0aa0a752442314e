//! What is remembered of a live object: enough to decide, never the object. Pure.

use std::sync::Arc;

use flotilla_shared::assignment::IgnoreRule;
use flotilla_shared::digest::Digest;
use flotilla_shared::object::{ObjectNames, ObjectRef};
use jiff::Timestamp;
use serde_json::Value;

use super::fields;
use crate::health::{ObjectHealth, Rules};
use crate::plan::{APPLICATION_ANNOTATION, Desired, Fit, PRUNE_ANNOTATION, differences};

/// What is remembered of a live object.
#[derive(Debug, Clone)]
pub(super) struct Fact {
    pub(super) uid: String,
    pub(super) created: Option<Timestamp>,
    pub(super) application: String,
    /// Fields of it were applied under our name.
    pub(super) applied_by_us: bool,
    pub(super) prune: String,
    pub(super) terminating: bool,
    /// What `fit` was computed against.
    pub(super) compared: Digest,
    pub(super) fit: Fit,
    pub(super) health: ObjectHealth,
    /// Fields of earlier tools wait to become ours.
    pub(super) has_legacy: bool,
    /// We own the number of replicas.
    pub(super) owns_replicas: bool,
    /// An autoscaler sets the number of replicas.
    pub(super) is_autoscaled: bool,
}

/// What an object is compared with.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) desired: Arc<Desired>,
    pub(super) ignore: Arc<Vec<IgnoreRule>>,
    /// Over both.
    pub(super) key: Digest,
}

impl Wanted {
    pub(super) fn new(desired: Arc<Desired>, ignore: &Arc<Vec<IgnoreRule>>) -> Self {
        let rules = format!("{ignore:?}");
        let key = if ignore.is_empty() {
            desired.digest
        } else {
            Digest::of_parts([desired.digest.as_bytes().as_slice(), rules.as_bytes()])
        };
        Self {
            desired,
            ignore: Arc::clone(ignore),
            key,
        }
    }

    /// Whether the field at a pointer is not ours to compare or correct.
    pub(super) fn skips(&self, live: &Value, wanted: &Value, pointer: &str) -> bool {
        let object = &self.desired.object;
        if pointer == "/spec/replicas" && fields::is_autoscaled(live) {
            return true;
        }
        self.ignore
            .iter()
            .filter(|rule| rule.matches(object))
            .any(|rule| {
                rule.json_pointers.iter().any(|own| own == pointer)
                    || (!rule.field_managers.is_empty()
                        && fields::belongs_to(live, wanted, pointer, &rule.field_managers))
            })
    }

    /// Whether any rule could leave fields to others.
    pub(super) fn has_rules(&self) -> bool {
        self.ignore
            .iter()
            .any(|rule| rule.matches(&self.desired.object))
    }

    fn fit(&self, live: &Value, manager: &str) -> Fit {
        let wanted = self.desired.value();
        let owned = fields::applied(live, manager);
        let found = differences(&wanted, live, owned, &|pointer| {
            self.skips(live, &wanted, pointer)
        });
        if found.is_empty() {
            return Fit::Equal;
        }
        Fit::Differs {
            manager: fields::last_writer(live, &wanted, &found, manager),
            fields: found,
        }
    }
}

/// The object without what every write of anybody changes: an apply that left it like this although
/// it differs from what was wanted (a quantity written another way, a webhook's own mind) has proved
/// that it is as near as it gets (A12).
pub(super) fn content(live: &Value) -> Digest {
    let mut copy = live.clone();
    if let Value::Object(root) = &mut copy {
        root.remove("status");
        root.remove("apiVersion");
        root.remove("kind");
        if let Some(Value::Object(metadata)) = root.get_mut("metadata") {
            for field in ["managedFields", "resourceVersion", "generation"] {
                metadata.remove(field);
            }
        }
    }
    Digest::of(copy.to_string().as_bytes())
}

/// What an apply proved about an object that still looks different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) key: Digest,
    pub(super) content: Digest,
}

pub(super) fn annotation<'v>(value: &'v Value, key: &str) -> &'v str {
    value
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Which object a live value of a known kind is.
pub(super) fn object_of(group: &str, kind: &str, live: &Value) -> ObjectRef {
    let text = |pointer: &str| {
        live.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    ObjectRef::from(ObjectNames {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
    })
}

/// Reads a live object. `live` has its apiVersion and kind.
pub(super) fn read(
    live: &Value,
    wanted: Option<&Wanted>,
    proven: Option<&Proven>,
    manager: &str,
    rules: &Rules,
) -> Fact {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
    let fit = match wanted {
        None => Fit::Unknown,
        Some(wanted) => match (wanted.fit(live, manager), proven) {
            (Fit::Differs { .. }, Some(proven))
                if proven.key == wanted.key && proven.content == content(live) =>
            {
                Fit::Equal
            }
            (fit, _) => fit,
        },
    };
    Fact {
        uid: text("/metadata/uid").unwrap_or_default().to_owned(),
        created: text("/metadata/creationTimestamp").and_then(|time| time.parse().ok()),
        application: annotation(live, APPLICATION_ANNOTATION).to_owned(),
        applied_by_us: fields::applied(live, manager).is_some(),
        prune: annotation(live, PRUNE_ANNOTATION).to_owned(),
        terminating: live.pointer("/metadata/deletionTimestamp").is_some(),
        compared: wanted.map(|wanted| wanted.key).unwrap_or_default(),
        fit,
        health: rules.compute(live),
        has_legacy: fields::has_legacy(live, manager),
        owns_replicas: fields::owns_replicas(live, manager),
        is_autoscaled: fields::is_autoscaled(live),
    }
}
