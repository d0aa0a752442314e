//! Health of one object by the rules of kstatus (sigs.k8s.io/cli-utils, pkg/kstatus/status): a pure
//! function of the whole live object.

mod builtin;
mod rules;

pub use rules::{HealthRule, RuleError, Rules};

use flotilla_shared::health::Health;
use serde_json::Value;

/// An object's health and, where it is not Current, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHealth {
    /// In kstatus' words.
    pub health: Health,
    /// One line for a person.
    pub message: String,
}

impl ObjectHealth {
    pub(crate) fn new(health: Health, message: impl Into<String>) -> Self {
        Self {
            health,
            message: message.into(),
        }
    }

    pub(crate) fn current() -> Self {
        Self::new(Health::Current, "")
    }

    pub(crate) fn in_progress(message: impl Into<String>) -> Self {
        Self::new(Health::InProgress, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Health::Failed, message)
    }
}

/// Computes the health of a live object.
#[must_use]
pub fn compute(object: &Value) -> ObjectHealth {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        let finalizers: Vec<&str> = object
            .pointer("/metadata/finalizers")
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let message = if finalizers.is_empty() {
            "being deleted".to_owned()
        } else {
            format!(
                "being deleted; waiting for finalizer {}",
                finalizers.join(", ")
            )
        };
        return ObjectHealth::new(Health::Terminating, message);
    }
    // A status that speaks of an older specification says nothing of this one.
    let generation = integer(object, "/metadata/generation");
    let observed = integer(object, "/status/observedGeneration");
    if let (Some(generation), Some(observed)) = (generation, observed)
        && generation != observed
    {
        return ObjectHealth::in_progress(format!(
            "generation is {generation}, the controller has observed {observed}"
        ));
    }
    if let Some(health) = builtin::compute(object) {
        return health;
    }
    generic(object)
}

/// The conditions that kstatus asks of every other kind: Reconciling and Stalled (abnormal-true), and
/// Ready.
fn generic(object: &Value) -> ObjectHealth {
    if let Some(condition) = condition(object, "Stalled").filter(|c| is_true(c)) {
        return ObjectHealth::failed(text(condition));
    }
    if let Some(condition) = condition(object, "Reconciling").filter(|c| is_true(c)) {
        return ObjectHealth::in_progress(text(condition));
    }
    match condition(object, "Ready").map(|c| (status(c), c)) {
        Some(("False", condition)) => ObjectHealth::in_progress(text(condition)),
        Some(("Unknown", condition)) => ObjectHealth::in_progress(text(condition)),
        _ => ObjectHealth::current(),
    }
}

pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    object
        .pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}

pub(crate) fn status(condition: &Value) -> &str {
    condition
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

pub(crate) fn is_true(condition: &Value) -> bool {
    status(condition) == "True"
}

pub(crate) fn reason(condition: &Value) -> &str {
    condition
        .get("reason")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A condition in one line.
pub(crate) fn text(condition: &Value) -> String {
    let message = condition
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match (reason(condition), message) {
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

pub(crate) fn integer(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}
