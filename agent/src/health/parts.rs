//! What a status says under names of the controller's own choice: states, flags and errors at its top, and
//! states and conditions of parts. A part counts only if nothing is said about the whole; a part that is
//! stopped or paused, or a past state, does not count.

use serde_json::{Map, Value};

use super::conditions::{self, ObjectSummary};
use super::words::{Sense, of_state, of_type, split};

/// Last words of keys whose value is a state.
const STATES: &[&str] = &["state", "status", "phase", "health", "stage", "compliant"];

/// Values under these names are about the past.
const PAST: &[&str] = &[
    "history", "previous", "last", "old", "past", "former", "prior", "first",
];

/// But not this: the last operation is the present one.
const PRESENT: &[&str] = &[
    "operation",
    "sync",
    "reconcile",
    "reconciliation",
    "apply",
    "update",
];

/// States in which the whole is as desired, whatever its parts say.
const SETTLED: &[&str] = &[
    "accepted",
    "active",
    "applied",
    "available",
    "bound",
    "complete",
    "completed",
    "deployed",
    "finished",
    "green",
    "healthy",
    "ok",
    "online",
    "ready",
    "running",
    "succeeded",
    "success",
    "successful",
    "synced",
];

/// The key of an error contains one of the former words, and ends with one of the latter.
const FAILING: &[&str] = &["error", "errors", "failed", "failure", "failures"];
const TELLING: &[&str] = &[
    "description",
    "details",
    "error",
    "errors",
    "failure",
    "failures",
    "message",
    "messages",
    "reason",
];

/// More and deeper parts than any controller writes.
const MAX_PLACES: usize = 2000;
const MAX_DEPTH: usize = 6;
const MAX_ITEMS: usize = 50;

fn has(words: &[String], list: &[&str]) -> bool {
    words.iter().any(|word| list.contains(&word.as_str()))
}

fn ends(words: &[String], list: &[&str]) -> bool {
    words
        .last()
        .is_some_and(|word| list.contains(&word.as_str()))
}

fn is_past(key: &str) -> bool {
    has(&split(key), PAST)
}

/// Notes everything that is not plainly good.
pub(super) fn judge(object: &Value, findings: &mut Vec<(Sense, String)>) {
    let Some(status) = object.get("status").and_then(Value::as_object) else {
        return;
    };
    let list = status.get("conditions").and_then(Value::as_array);
    let whole = list.map_or(ObjectSummary::NotKnown, |list| ObjectSummary::of(list));
    for (key, value) in status {
        top(object, (key, value), whole, findings);
    }
    if whole == ObjectSummary::Good || is_settled(status) {
        return;
    }
    let mut left = MAX_PLACES;
    let parts = status.iter();
    for (key, value) in parts.filter(|(key, _)| *key != "conditions" && !is_past(key)) {
        within(object, (key, value), 1, &mut left, findings);
    }
}

/// Judges one top-level entry of the status.
fn top(
    object: &Value,
    (key, value): (&str, &Value),
    whole: ObjectSummary,
    findings: &mut Vec<(Sense, String)>,
) {
    let words = split(key);
    let is_past = has(&words, PAST);
    let of_now = words.first().is_some_and(|word| word == "last")
        && words
            .get(1)
            .is_some_and(|word| PRESENT.contains(&word.as_str()));
    match value {
        Value::Bool(holds) => {
            let sense = match (of_type(key), holds) {
                (Some(Sense::Bad), true) => Sense::Bad,
                (_, false) if matches!(key, "pass" | "passed") => Sense::Bad,
                // A standby is not active, and healthy all the same.
                (Some(Sense::Good), false) if whole != ObjectSummary::Good && key != "active" => {
                    Sense::Going
                }
                _ => Sense::Good,
            };
            if sense != Sense::Good {
                findings.push((sense, format!("{key} is {holds}")));
            }
        }
        Value::String(word) if ends(&words, STATES) && (!is_past || of_now) => {
            let sense = of_state(word);
            if sense != Sense::Good {
                findings.push((sense, one_line(object, key, word)));
            }
        }
        Value::Array(list) if key != "conditions" && ends(&words, &["conditions"]) => {
            conditions::judge(object, list, &format!("{key}: "), findings);
        }
        _ => {}
    }
    // A past failure may be over by now. `lastError` is different: a healthy controller clears it.
    let is_past = is_past && key != "lastError";
    let is_error = has(&words, FAILING) && ends(&words, TELLING) && !is_past;
    if let Some(text) = Some(value).filter(|_| is_error).and_then(error) {
        findings.push((Sense::Bad, format!("{key}: {text}")));
    }
}

/// The text of an error.
fn error(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(list) => list.first().map(|first| match first.as_str() {
            Some(text) => text.to_owned(),
            None => format!("{} of them", list.len()),
        }),
        Value::Object(error) => {
            let message = error.get("message").and_then(Value::as_str);
            message.filter(|text| !text.is_empty()).map(str::to_owned)
        }
        _ => None,
    }
}

/// Whether a state at the top says that the whole is as desired.
fn is_settled(status: &Map<String, Value>) -> bool {
    status.iter().any(|(key, value)| {
        let word = value.as_str().filter(|_| ends(&split(key), STATES));
        word.is_some_and(|word| of_state(word) == Sense::Good && has(&split(word), SETTLED))
    })
}

/// Findings about a part and its parts.
fn within(
    object: &Value,
    (place, value): (&str, &Value),
    depth: usize,
    left: &mut usize,
    findings: &mut Vec<(Sense, String)>,
) {
    if depth > MAX_DEPTH {
        return;
    }
    match value {
        Value::Array(list) => {
            for (index, item) in list.iter().take(MAX_ITEMS).enumerate() {
                let place = format!("{place}[{index}]");
                within(object, (&place, item), depth + 1, left, findings);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                let Some(rest) = left.checked_sub(1) else {
                    return;
                };
                *left = rest;
                let words = split(key);
                if has(&words, PAST) {
                    continue;
                }
                let here = format!("{place}.{key}");
                match value {
                    Value::Array(list) if ends(&words, &["conditions"]) => {
                        conditions::judge(object, list, &format!("{place}: "), findings);
                    }
                    Value::String(word) if ends(&words, STATES) => {
                        let sense = of_state(word);
                        if matches!(sense, Sense::Bad | Sense::Going) {
                            findings.push((sense, format!("{here} is {word}")));
                        }
                    }
                    _ => within(object, (&here, value), depth + 1, left, findings),
                }
            }
        }
        _ => {}
    }
}

/// A state in one line, with the message that the status gives for it.
pub(super) fn one_line(object: &Value, name: &str, word: &str) -> String {
    let message = object.pointer("/status/message").and_then(Value::as_str);
    match message {
        Some(message) if !message.is_empty() => format!("{name} is {word}: {message}"),
        _ => format!("{name} is {word}"),
    }
}
