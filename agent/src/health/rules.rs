//! Health rules of the agent's owner, in CEL, for kinds that neither kstatus nor we know. The words are
//! those of Flux' `healthCheckExprs`: `failed`, then `inProgress`, then `current`; an object's top-level
//! fields are variables, and so is `self`, the whole object.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::{Context, Env, Program};
use flotilla_shared::health::Health;
use serde::Deserialize;
use serde_json::Value;

use super::{ObjectHealth, compute};

/// One rule of the policy file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HealthRule {
    /// API group; empty: the core group.
    #[serde(default)]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// True: it failed.
    #[serde(default)]
    pub failed: String,
    /// True: it is on its way.
    #[serde(default)]
    pub in_progress: String,
    /// True: it is as its specification says; anything else is still on its way.
    pub current: String,
}

struct Compiled {
    failed: Option<Program>,
    in_progress: Option<Program>,
    current: Program,
}

/// All rules, ready to be asked.
#[derive(Default)]
pub struct Rules {
    env: Option<Arc<Env>>,
    by_kind: BTreeMap<(String, String), Compiled>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.by_kind.keys()).finish()
    }
}

/// A rule cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("healthRules: {kind}: {expression:?}: {cause}")]
pub struct RuleError {
    kind: String,
    expression: String,
    cause: String,
}

impl Rules {
    /// Compiles rules.
    ///
    /// # Errors
    /// When an expression is not CEL.
    pub fn new(rules: &[HealthRule]) -> Result<Self, RuleError> {
        if rules.is_empty() {
            return Ok(Self::default());
        }
        let env = Arc::new(Env::stdlib());
        let mut by_kind = BTreeMap::new();
        for rule in rules {
            let compile = |expression: &str| {
                env.compile(expression).map_err(|error| RuleError {
                    kind: rule.kind.clone(),
                    expression: expression.to_owned(),
                    cause: flotilla_shared::report::plain_line(&error.to_string(), 300),
                })
            };
            let optional = |expression: &str| match expression {
                "" => Ok(None),
                expression => compile(expression).map(Some),
            };
            let compiled = Compiled {
                failed: optional(&rule.failed)?,
                in_progress: optional(&rule.in_progress)?,
                current: compile(&rule.current)?,
            };
            by_kind.insert((rule.group.clone(), rule.kind.clone()), compiled);
        }
        Ok(Self {
            env: Some(env),
            by_kind,
        })
    }

    /// The health of a live object: by a rule for its kind where there is one, else by kstatus.
    #[must_use]
    pub fn compute(&self, object: &Value) -> ObjectHealth {
        let by_kstatus = compute(object);
        let (Some(env), false) = (&self.env, self.by_kind.is_empty()) else {
            return by_kstatus;
        };
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let group = text("apiVersion")
            .split_once('/')
            .map_or("", |(group, _)| group);
        let Some(rule) = self
            .by_kind
            .get(&(group.to_owned(), text("kind").to_owned()))
        else {
            return by_kstatus;
        };
        // What is going away is going away, whatever a rule says of its state.
        if by_kstatus.health == Health::Terminating {
            return by_kstatus;
        }
        rule.compute(env, object)
    }
}

impl Compiled {
    fn compute(&self, env: &Arc<Env>, object: &Value) -> ObjectHealth {
        let mut context = Context::with_env(Arc::clone(env));
        let fields = object.as_object().into_iter().flatten();
        for (name, value) in fields.chain([(&"self".to_owned(), object)]) {
            if let Ok(value) = cel::to_value(value) {
                context.add_variable_from_value(name.as_str(), value);
            }
        }
        let holds = |program: &Program| match program.execute(&context) {
            Ok(value) => Ok(value == cel::Value::Bool(true)),
            Err(error) => Err(error.to_string()),
        };
        if self.failed.as_ref().is_some_and(|p| holds(p) == Ok(true)) {
            return ObjectHealth::failed("by a health rule of the agent's policy");
        }
        if self
            .in_progress
            .as_ref()
            .is_some_and(|p| holds(p) == Ok(true))
        {
            return ObjectHealth::in_progress("by a health rule of the agent's policy");
        }
        match holds(&self.current) {
            Ok(true) => ObjectHealth::current(),
            Ok(false) => ObjectHealth::in_progress("its health rule does not hold yet"),
            // A status that is not there yet is no failure.
            Err(why) => {
                ObjectHealth::in_progress(format!("its health rule cannot be asked: {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        Rules::new(&[HealthRule {
            group: "example.com".to_owned(),
            kind: "Widget".to_owned(),
            failed: "has(self.status) && status.phase == 'Broken'".to_owned(),
            in_progress: String::new(),
            current: "status.conditions.exists(c, c.type == 'Up' && c.status == 'True')".to_owned(),
        }])
        .unwrap()
    }

    fn widget(status: Value) -> Value {
        let mut value = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {}});
        if !status.is_null() {
            value["status"] = status;
        }
        value
    }

    #[test]
    fn a_rule_decides_for_its_kind_only() {
        let rules = rules();
        let health = |status| rules.compute(&widget(status)).health;
        assert_eq!(health(Value::Null), Health::InProgress);
        assert_eq!(health(json!({"phase": "Broken"})), Health::Failed);
        let up =
            |status: &str| json!({"phase": "x", "conditions": [{"type": "Up", "status": status}]});
        assert_eq!(health(up("False")), Health::InProgress);
        assert_eq!(health(up("True")), Health::Current);
        let other = json!({"apiVersion": "v1", "kind": "Widget", "metadata": {}});
        assert_eq!(rules.compute(&other).health, Health::Current);
        let mut going = widget(up("True"));
        going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(rules.compute(&going).health, Health::Terminating);
    }

    #[test]
    fn what_is_not_cel_is_refused_with_the_rule_named() {
        let error = Rules::new(&[HealthRule {
            group: String::new(),
            kind: "Widget".to_owned(),
            failed: String::new(),
            in_progress: String::new(),
            current: "status.phase ==".to_owned(),
        }])
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("Widget") && error.contains("status.phase =="),
            "{error}"
        );
    }
}
