//! Health of one object: a pure function of the whole live object.
//!
//! ```text
//!   being deleted, or a status of an older generation          -> Terminating, InProgress
//!   else a rule of the policy for the kind          (rules)    -> CEL
//!   else a kind kstatus knows                       (builtin)  -> as sigs.k8s.io/cli-utils
//!   else a rule of the library for the kind         (library)  -> CEL, one file for each kind
//!   else conditions, states, counts                 (generic)
//! ```

mod builtin;
mod cel_rule;
mod conditions;
mod generic;
mod library;
mod parts;
mod rule;
mod rules;
mod words;

pub use rule::HealthRule;
pub use rules::{RuleError, Rules};

use flotilla_shared::health::Health;
use serde_json::Value;

/// An object's health and, where it is not Current, why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHealth {
    /// Health, as in kstatus.
    pub health: Health,
    /// Message for operators, one line.
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

    pub(crate) fn suspended(message: impl Into<String>) -> Self {
        Self::new(Health::Suspended, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Health::Failed, message)
    }
}

/// Computes the health of a live object without the owner's rules: by kstatus if it knows the kind,
/// otherwise by the common meaning of conditions and states.
#[must_use]
pub fn compute(object: &Value) -> ObjectHealth {
    if let Some(health) = before_all(object) {
        return health;
    }
    builtin::compute(object).unwrap_or_else(|| generic::compute(object))
}

/// Checks that apply to every kind: an object under deletion is terminating, and a status about an
/// older generation says nothing about this one.
fn before_all(object: &Value) -> Option<ObjectHealth> {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        let finalizers: Vec<&str> = object
            .pointer("/metadata/finalizers")
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        // A namespace also waits for the finalizers of the objects in it.
        let message = match condition(object, "NamespaceFinalizersRemaining") {
            _ if !finalizers.is_empty() => format!(
                "being deleted; waiting for finalizer {}",
                finalizers.join(", ")
            ),
            Some(within) if is_true(within) => format!("being deleted; {}", text(within)),
            _ => "being deleted".to_owned(),
        };
        return Some(ObjectHealth::new(Health::Terminating, message));
    }
    let generation = integer(object, "/metadata/generation");
    let observed = integer(object, "/status/observedGeneration");
    if let (Some(generation), Some(observed)) = (generation, observed)
        && generation != observed
    {
        return Some(ObjectHealth::in_progress(format!(
            "generation is {generation}, the controller has observed {observed}"
        )));
    }
    None
}

/// Whether a specification in Git asks the controller to suspend the object, so that being suspended is
/// the desired state.
#[must_use]
pub fn is_held(desired: &Value) -> bool {
    let is_on = |value: &Value| match value {
        Value::Bool(on) => *on,
        Value::String(word) => matches!(word.to_lowercase().as_str(), "true" | "on" | "yes" | "1"),
        _ => false,
    };
    let by_field = generic::PAUSES
        .iter()
        .any(|path| desired.pointer(path).is_some_and(is_on));
    let by_annotation = desired
        .pointer("/metadata/annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .any(|(name, value)| {
            let says = |word: &str| name.contains(word);
            (says("pause") || says("suspend") || says("hibernat"))
                && (is_on(value) || name.ends_with("paused-replicas"))
        });
    let by_word = [
        ("/spec/running", "false"),
        ("/spec/runStrategy", "Halted"),
        ("/spec/job/state", "suspended"),
        ("/spec/lifecycle/desiredPhase", "Paused"),
    ];
    let by_word = by_word.iter().any(|(path, word)| {
        let value = desired.pointer(path);
        value.is_some_and(|value| match value.as_str() {
            Some(text) => text == *word,
            None => *value.to_string() == **word,
        })
    });
    by_field || by_annotation || by_word
}

/// Whether a condition is about an older generation of the object.
pub(crate) fn stale(object: &Value, condition: &Value) -> bool {
    let observed = integer(condition, "/observedGeneration");
    let generation = integer(object, "/metadata/generation");
    matches!((observed, generation), (Some(observed), Some(generation)) if observed < generation)
}

pub(crate) fn condition<'o>(object: &'o Value, kind: &str) -> Option<&'o Value> {
    object
        .pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
}

pub(crate) fn status(condition: &Value) -> &str {
    match condition.get("status") {
        Some(Value::String(status)) => status,
        // Some controllers write a boolean where the API convention asks for a string.
        Some(Value::Bool(true)) => "True",
        Some(Value::Bool(false)) => "False",
        _ => "",
    }
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
