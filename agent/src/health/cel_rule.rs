//! One health rule in CEL, compiled, and the functions that it may call.
//!
//! An object's top-level fields are variables, and so is `self`, the whole object; `status`, `spec` and
//! `metadata` exist even if the object lacks them. An expression that cannot be evaluated, because a
//! field is missing, does not hold. The functions never fail: a missing value is empty.

use std::sync::Arc;

use cel::{Context, Env, Program, Value as Cel};
use flotilla_shared::health::Health;
use serde_json::Value;

use super::rule::HealthRule;
use super::{ObjectHealth, condition, generic, reason, stale, status, text};

/// Compiled rule of one kind.
pub(super) struct CompiledRule {
    /// In the order of evaluation.
    words: Vec<(Health, Program)>,
    current: Option<Program>,
    /// Variables that the expressions read.
    reads: Vec<String>,
}

const VARIABLES: &[&str] = &["status", "spec", "metadata", "self"];

impl CompiledRule {
    /// # Errors
    /// The expression that is not CEL, and what is wrong with it.
    pub(super) fn new(env: &Env, rule: &HealthRule) -> Result<Self, (String, String)> {
        let compile = |expression: &str| {
            env.compile(expression).map_err(|error| {
                let cause = flotilla_shared::report::plain_line(&error.to_string(), 300);
                (expression.to_owned(), cause)
            })
        };
        let words = [
            // Suspended comes first: an object that is held on purpose is not judged by its earlier state.
            (Health::Suspended, &rule.suspended),
            (Health::NotFound, &rule.not_found),
            (Health::Failed, &rule.failed),
            (Health::Unknown, &rule.unknown),
            (Health::InProgress, &rule.in_progress),
        ];
        let mut compiled = Self {
            words: Vec::new(),
            current: None,
            reads: Vec::new(),
        };
        for (health, expression) in words {
            if !expression.is_empty() {
                compiled.words.push((health, compile(expression)?));
            }
        }
        if !rule.current.is_empty() {
            compiled.current = Some(compile(&rule.current)?);
        }
        let programs = compiled.words.iter().map(|(_, program)| program);
        let mut reads: Vec<String> = programs
            .chain(&compiled.current)
            .flat_map(|program| {
                let references = program.references();
                let names: Vec<String> = references
                    .variables()
                    .into_iter()
                    .map(str::to_owned)
                    .collect();
                names
            })
            .collect();
        reads.sort_unstable();
        reads.dedup();
        compiled.reads = reads;
        Ok(compiled)
    }

    pub(super) fn compute(&self, env: &Arc<Env>, object: &Value) -> ObjectHealth {
        let context = self.context(env, object);
        let holds = |program: &Program| match program.execute(&context) {
            Ok(value) => Ok(value == Cel::Bool(true)),
            Err(error) => Err(error.to_string()),
        };
        for (health, program) in &self.words {
            if holds(program) == Ok(true) {
                return ObjectHealth::new(*health, why(object));
            }
        }
        let Some(current) = &self.current else {
            // A controller exists that writes a status; while there is none, nothing has succeeded.
            let silent = object
                .get("status")
                .is_none_or(|status| status.as_object().is_none_or(serde_json::Map::is_empty));
            if silent {
                return ObjectHealth::in_progress("not observed by its controller yet");
            }
            return generic::compute(object);
        };
        match holds(current) {
            Ok(true) => ObjectHealth::current(),
            Ok(false) => ObjectHealth::in_progress(why(object)),
            // With a status, the cause is reported; without one, the controller has not written its fields yet.
            Err(cause) if object.get("status").is_some() => {
                ObjectHealth::in_progress(format!("its health rule cannot be evaluated: {cause}"))
            }
            Err(_) => ObjectHealth::in_progress("not observed by its controller yet"),
        }
    }

    fn context<'c>(&self, env: &Arc<Env>, object: &Value) -> Context<'c, 'c> {
        let mut context = Context::with_env(Arc::clone(env));
        for name in &self.reads {
            let value = match name.as_str() {
                "self" => Some(object),
                name => object.get(name),
            };
            let value = match value {
                Some(value) => cel::to_value(value).ok(),
                None if VARIABLES.contains(&name.as_str()) => {
                    cel::to_value(serde_json::Map::new()).ok()
                }
                None => None,
            };
            if let Some(value) = value {
                context.add_variable_from_value(name.as_str(), value);
            }
        }
        functions(&mut context, &Arc::new(object.clone()));
        context
    }
}

/// Returns a one-line reason from the status, for operators.
fn why(object: &Value) -> String {
    let generic = generic::compute(object);
    if !generic.message.is_empty() {
        return generic.message;
    }
    for path in [
        "/status/message",
        "/status/reason",
        "/status/conditions/0/message",
    ] {
        if let Some(text) = object.pointer(path).and_then(Value::as_str)
            && !text.is_empty()
        {
            return text.to_owned();
        }
    }
    match object.get("status") {
        Some(Value::Object(status)) if !status.is_empty() => {
            "its status does not report completion yet".to_owned()
        }
        _ => "not observed by its controller yet".to_owned(),
    }
}

/// `a.b.0.c` in an object.
fn at<'o>(object: &'o Value, path: &str) -> Option<&'o Value> {
    path.split('.').try_fold(object, |value, key| match value {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        value => value.get(key),
    })
}

fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

fn number(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

fn is_filled(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
        Some(_) => true,
    }
}

fn functions(context: &mut Context<'_, '_>, object: &Arc<Value>) {
    type Text = Arc<String>;
    macro_rules! function {
        ($name:literal, |$object:ident, $($argument:ident: $type:ty),+| $body:expr) => {{
            let $object = Arc::clone(object);
            // Fails for a name that is taken; these names are unique, and a test calls each of them.
            let _ = context.add_function($name, move |$($argument: $type),+| $body);
        }};
    }
    // The status of a condition; "Unknown" where it is about an older generation, "" without the condition.
    function!(
        "cond",
        |object, kind: Text| match condition(&object, &kind) {
            Some(condition) if stale(&object, condition) => "Unknown".to_owned(),
            Some(condition) => status(condition).to_owned(),
            None => String::new(),
        }
    );
    // The reason of a condition.
    function!("why", |object, kind: Text| {
        condition(&object, &kind).map_or(String::new(), |c| reason(c).to_owned())
    });
    // Reason and message of a condition.
    function!("says", |object, kind: Text| {
        condition(&object, &kind).map_or(String::new(), text)
    });
    // A string, number or boolean at a path, as text.
    function!("str", |object, path: Text| plain(at(&object, &path)));
    // An integer at a path; 0 where there is none.
    function!("num", |object, path: Text| {
        number(at(&object, &path)).unwrap_or(0)
    });
    // An integer at a path; the given value where there is none.
    function!("numOr", |object, path: Text, other: i64| {
        number(at(&object, &path)).unwrap_or(other)
    });
    // Whether the value at a path exists and is not empty.
    function!("filled", |object, path: Text| is_filled(at(&object, &path)));
    // Whether the value at a path is true.
    function!("flag", |object, path: Text| {
        plain(at(&object, &path)) == "true"
    });
    // The list at a path; empty where there is none. A map gives its values.
    function!("items", |object, path: Text| {
        let list: Vec<Cel> = match at(&object, &path) {
            Some(Value::Array(list)) => list.iter().filter_map(|v| cel::to_value(v).ok()).collect(),
            Some(Value::Object(map)) => {
                map.values().filter_map(|v| cel::to_value(v).ok()).collect()
            }
            _ => Vec::new(),
        };
        Cel::List(Arc::new(list))
    });
    // The sum of a numeric field over the list at a path.
    function!("sum", |object, path: Text, field: Text| {
        let list = at(&object, &path).and_then(Value::as_array);
        let all = list.into_iter().flatten();
        all.filter_map(|item| number(item.get(field.as_str())))
            .fold(0_i64, i64::saturating_add)
    });
    // Whether all are ready in a text such as `ready/wanted`; true for any other text.
    function!("full", |object, path: Text| {
        let text = plain(at(&object, &path));
        let counts = text
            .split_once('/')
            .map(|(a, b)| (a.parse::<u32>(), b.parse::<u32>()));
        !matches!(counts, Some((Ok(ready), Ok(wanted))) if ready < wanted)
    });
    // An annotation, by a name that may contain dots.
    function!("annotation", |object, name: Text| {
        let annotations = object.pointer("/metadata/annotations");
        plain(annotations.and_then(|map| map.get(name.as_str())))
    });
    // A label, by a name that may contain dots.
    function!("label", |object, name: Text| {
        let labels = object.pointer("/metadata/labels");
        plain(labels.and_then(|map| map.get(name.as_str())))
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(expression: &str) -> bool {
        let env = Arc::new(Env::stdlib());
        let rule = HealthRule {
            current: expression.to_owned(),
            ..HealthRule::default()
        };
        let object = json!({
            "metadata": {
                "generation": 3,
                "annotations": {"example.com/paused": "true"},
                "labels": {"example.com/tier": "db"},
            },
            "spec": {"pools": [{"count": 2}, {"count": 3}, {}], "on": true, "words": {"a": "x"}},
            "status": {
                "text": "abc", "count": 4, "ratio": "2/3", "whole": "3/3", "empty": [],
                "conditions": [
                    {"type": "Ready", "status": "False", "reason": "Because", "message": "of it"},
                    {"type": "Old", "status": "True", "observedGeneration": 2},
                    {"type": "Odd", "status": true},
                ],
            },
        });
        let compiled = CompiledRule::new(&env, &rule).unwrap();
        compiled.compute(&env, &object).health == Health::Current
    }

    #[test]
    fn every_function_reads_what_is_there_and_takes_nothing_for_empty() {
        for expression in [
            "cond('Ready') == 'False' && cond('None') == '' && cond('Old') == 'Unknown'",
            "cond('Odd') == 'True'",
            "why('Ready') == 'Because' && why('None') == ''",
            "says('Ready') == 'Because: of it' && says('None') == ''",
            "str('status.text') == 'abc' && str('status.count') == '4' && str('spec.on') == 'true'",
            "str('status.none.deeper') == '' && str('status.conditions.0.type') == 'Ready'",
            "num('status.count') == 4 && num('status.none') == 0 && numOr('status.none', 7) == 7",
            "filled('status.text') && !filled('status.empty') && !filled('status.none')",
            "flag('spec.on') && !flag('status.count') && !flag('spec.none')",
            "items('spec.pools').size() == 3 && items('spec.words') == ['x']",
            "items('spec.none').size() == 0",
            "sum('spec.pools', 'count') == 5 && sum('spec.none', 'count') == 0",
            "!full('status.ratio') && full('status.whole') && full('status.none')",
            "annotation('example.com/paused') == 'true' && annotation('none') == ''",
            "label('example.com/tier') == 'db' && label('none') == ''",
        ] {
            assert!(holds(expression), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_asked_does_not_hold() {
        assert!(!holds("status.none.deeper == 1"));
        assert!(!holds("nobody('knows')"));
        assert!(!holds("'a text'"));
    }
}
