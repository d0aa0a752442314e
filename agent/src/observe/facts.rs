//! Facts of a live object: enough to decide, never the object itself. Pure.

use std::sync::Arc;

use flotilla_shared::assignment::IgnoreRule;
use flotilla_shared::digest::Digest;
use flotilla_shared::object::{ObjectNames, ObjectRef};
use jiff::Timestamp;
use serde_json::Value;

use super::managers::Managers;
use super::{fields, foreign};
use crate::health::{ObjectHealth, Rules};
use crate::plan::{APPLICATION_ANNOTATION, Desired, Fit, PRUNE_ANNOTATION, differences};

/// The number of replicas.
const REPLICAS: &str = "/spec/replicas";
/// Most additions that are remembered of one object.
const MAX_FOREIGN: usize = 8;

/// Settings for reading live objects.
pub(crate) struct Reader<'a> {
    /// The agent's field manager.
    pub(crate) manager: &'a str,
    /// Other known field managers.
    pub(crate) managers: &'a Managers,
    /// Health rules.
    pub(crate) rules: &'a Rules,
}

/// Facts of a live object.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) uid: String,
    pub(crate) created: Option<Timestamp>,
    pub(crate) application: String,
    /// Whether the agent's field manager applied fields of it.
    pub(crate) applied_by_us: bool,
    pub(crate) prune: String,
    pub(crate) terminating: bool,
    /// Digest of the desired state that `fit` was computed against.
    pub(crate) compared: Digest,
    pub(crate) fit: Fit,
    pub(crate) health: ObjectHealth,
    /// Whether fields of earlier tools are still to be taken over.
    pub(crate) has_legacy: bool,
    /// Whether the agent owns the number of replicas.
    pub(crate) owns_replicas: bool,
    /// An autoscaler set the number of replicas once.
    pub(crate) was_autoscaled: bool,
    /// The number of replicas is not Git's. Whether that is drift depends on whether an autoscaler
    /// targets the object now, which a pass asks.
    pub(crate) replicas_differ: bool,
    /// An autoscaler targets the object now.
    pub(crate) is_autoscaled: bool,
    /// Field manager that set the number of replicas last; empty: the agent, or not known.
    pub(crate) scaled_by: String,
    /// People added fields that Git does not have.
    pub(crate) has_foreign: bool,
}

/// Baseline that an object is compared with.
#[derive(Debug, Clone)]
pub(crate) struct Baseline {
    pub(crate) desired: Arc<Desired>,
    pub(crate) ignore: Arc<Vec<IgnoreRule>>,
    /// The digest over both.
    pub(crate) key: Digest,
}

impl Baseline {
    pub(crate) fn new(desired: Arc<Desired>, ignore: &Arc<Vec<IgnoreRule>>) -> Self {
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

    /// Whether the field at a pointer is not compared or corrected.
    pub(crate) fn skips(&self, live: &Value, desired: &Value, pointer: &str) -> bool {
        let object = &self.desired.object;
        self.ignore
            .iter()
            .filter(|rule| rule.matches(object))
            .any(|rule| {
                rule.json_pointers.iter().any(|own| own == pointer)
                    || (!rule.field_managers.is_empty()
                        && fields::belongs_to(live, desired, pointer, &rule.field_managers))
            })
    }

    /// Whether any rule could leave fields to others.
    pub(crate) fn has_rules(&self) -> bool {
        self.ignore
            .iter()
            .any(|rule| rule.matches(&self.desired.object))
    }

    /// Additions of people, and remains of earlier commits; pointers into `live`, at most `limit`.
    pub(crate) fn foreign(
        &self,
        live: &Value,
        desired: &Value,
        reader: &Reader<'_>,
        limit: usize,
    ) -> Option<foreign::ForeignFields> {
        self.judged(desired, reader, |judge| judge.find(live, desired, limit))
    }

    /// `metadata.managedFields` in which additions of people belong to the agent. None: nothing changes.
    pub(crate) fn claim(
        &self,
        live: &Value,
        desired: &Value,
        reader: &Reader<'_>,
    ) -> Option<Vec<Value>> {
        self.judged(desired, reader, |judge| judge.claim(live, desired))
    }

    fn judged<T>(
        &self,
        desired: &Value,
        reader: &Reader<'_>,
        run: impl FnOnce(&foreign::Judge<'_>) -> T,
    ) -> T {
        let object = &self.desired.object;
        let rules: Vec<&IgnoreRule> = self.ignore.iter().filter(|r| r.matches(object)).collect();
        let is_left = |path: &str| {
            let pointers = rules.iter().flat_map(|rule| &rule.json_pointers);
            pointers.into_iter().any(|pointer| pointer == path)
                || (path == "/rules" && is_aggregating(desired))
        };
        let managers = rules.iter().flat_map(|rule| &rule.field_managers);
        let left_managers: Vec<&str> = managers.map(String::as_str).collect();
        run(&foreign::Judge {
            ours: reader.manager,
            managers: reader.managers,
            is_left: &is_left,
            left_managers: &left_managers,
        })
    }

    fn fit(&self, live: &Value, reader: &Reader<'_>) -> (Fit, bool, bool) {
        let desired = self.desired.value();
        let owned = fields::applied(live, reader.manager);
        let mut found = differences(&desired, live, owned, &|pointer| {
            pointer == REPLICAS || self.skips(live, &desired, pointer)
        });
        let mut manager = match found.is_empty() {
            true => String::new(),
            false => fields::last_writer(live, &desired, &found, reader.manager),
        };
        let foreign = self.foreign(live, &desired, reader, MAX_FOREIGN);
        let has_foreign = foreign.is_some();
        if let Some(foreign) = foreign {
            if manager.is_empty() {
                manager = foreign.manager;
            }
            for pointer in foreign.pointers {
                if !found.contains(&pointer) {
                    found.push(pointer);
                }
            }
        }
        if owned.is_none() && !annotation(live, APPLICATION_ANNOTATION).is_empty() {
            // The record of this agent's fields was removed from the object.
            found.push("/metadata/managedFields".to_owned());
        }
        let replicas_differ = desired.pointer(REPLICAS).is_some_and(|replicas| {
            live.pointer(REPLICAS) != Some(replicas) && !self.skips(live, &desired, REPLICAS)
        });
        let fit = match found.is_empty() {
            true => Fit::Equal,
            false => Fit::Differs {
                fields: found,
                manager,
            },
        };
        (fit, has_foreign, replicas_differ)
    }
}

impl Fact {
    /// An autoscaler targets the object: the number of replicas is its own.
    pub(crate) fn leave_replicas(&mut self) {
        self.is_autoscaled = true;
    }

    /// No autoscaler targets the object: Git's number of replicas counts like any field.
    pub(crate) fn compare_replicas(&mut self) {
        self.is_autoscaled = false;
        if !self.replicas_differ {
            return;
        }
        match &mut self.fit {
            Fit::Differs { fields, .. } => fields.push(REPLICAS.to_owned()),
            Fit::Equal => {
                self.fit = Fit::Differs {
                    fields: vec![REPLICAS.to_owned()],
                    manager: self.scaled_by.clone(),
                }
            }
            Fit::Unknown => {}
        }
    }
}

/// The object without the fields that every write changes. An apply that left it like this, although
/// it differs from the desired state (a quantity in another notation, a change by a webhook), has
/// proven that it cannot get any closer (A12).
pub(crate) fn content(live: &Value) -> Digest {
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

/// Proof by an apply that an object which still differs is up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApplyProof {
    pub(crate) key: Digest,
    pub(crate) content: Digest,
}

pub(crate) fn annotation<'v>(value: &'v Value, key: &str) -> &'v str {
    value
        .pointer("/metadata/annotations")
        .and_then(|annotations| annotations.get(key))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Which object a live value of a known kind is.
pub(crate) fn object_of(group: &str, kind: &str, live: &Value) -> ObjectRef {
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
pub(crate) fn read(
    live: &Value,
    baseline: Option<&Baseline>,
    proven: Option<&ApplyProof>,
    reader: &Reader<'_>,
) -> Fact {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
    let manager = reader.manager;
    let (mut fit, mut has_foreign, replicas_differ) = match baseline {
        None => (Fit::Unknown, false, false),
        Some(baseline) => baseline.fit(live, reader),
    };
    let is_proven = || {
        proven.zip(baseline).is_some_and(|(proven, baseline)| {
            proven.key == baseline.key && proven.content == content(live)
        })
    };
    if matches!(fit, Fit::Differs { .. }) && is_proven() {
        (fit, has_foreign) = (Fit::Equal, false);
    }
    let pointers = [REPLICAS.to_owned()];
    let scaled_by = match replicas_differ {
        true => fields::last_writer(live, &Value::Null, &pointers, manager),
        false => String::new(),
    };
    Fact {
        uid: text("/metadata/uid").unwrap_or_default().to_owned(),
        created: text("/metadata/creationTimestamp").and_then(|time| time.parse().ok()),
        application: annotation(live, APPLICATION_ANNOTATION).to_owned(),
        applied_by_us: fields::applied(live, manager).is_some(),
        prune: annotation(live, PRUNE_ANNOTATION).to_owned(),
        terminating: live.pointer("/metadata/deletionTimestamp").is_some(),
        compared: baseline.map(|baseline| baseline.key).unwrap_or_default(),
        fit,
        health: reader.rules.compute(live),
        has_legacy: fields::has_legacy(live, manager),
        owns_replicas: fields::owns_replicas(live, manager),
        was_autoscaled: fields::is_autoscaled(live),
        replicas_differ,
        is_autoscaled: false,
        scaled_by,
        has_foreign,
    }
}
/// Whether an object is a ClusterRole whose rules are aggregated from others.
pub(crate) fn is_aggregating(value: &Value) -> bool {
    value
        .pointer("/aggregationRule/clusterRoleSelectors")
        .and_then(Value::as_array)
        .is_some_and(|selectors| !selectors.is_empty())
}
