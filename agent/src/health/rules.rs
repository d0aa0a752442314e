//! Health rules of the agent's owner, in CEL. They replace the rules of the library for their kinds. The
//! names are those of Flux' `healthCheckExprs` and some more, evaluated in this order: `suspended`,
//! `notFound`, `failed`, `unknown`, `inProgress`, `current`. The first that holds decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::Env;
use serde_json::Value;

use super::cel_rule::CompiledRule;
use super::rule::HealthRule;
use super::{ObjectHealth, before_all, builtin, generic, library};

/// All rules, ready to be asked.
#[derive(Default)]
pub struct Rules {
    env: Option<Arc<Env>>,
    by_kind: BTreeMap<(String, String), CompiledRule>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.by_kind.keys()).finish()
    }
}

/// A rule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("healthRules: {kind}: {expression:?}: {cause}")]
pub struct RuleError {
    kind: String,
    expression: String,
    cause: String,
}

impl Rules {
    /// Compiles the rules of a policy.
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
            let error = |expression: String, cause: String| RuleError {
                kind: rule.kind.clone(),
                expression,
                cause,
            };
            if rule.kind.is_empty() {
                return Err(error(String::new(), "the rule has no kind".to_owned()));
            }
            let compiled = CompiledRule::new(&env, rule).map_err(|(at, cause)| error(at, cause))?;
            by_kind.insert((rule.group.clone(), rule.kind.clone()), compiled);
        }
        Ok(Self {
            env: Some(env),
            by_kind,
        })
    }

    /// The health of a live object: by a rule of the policy for its kind, by kstatus, by a rule of the
    /// library, or by the common meaning of conditions and states.
    #[must_use]
    pub fn compute(&self, object: &Value) -> ObjectHealth {
        if let Some(health) = before_all(object) {
            return health;
        }
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let (version, kind) = (text("apiVersion"), text("kind"));
        let group = version.split_once('/').map_or("", |(group, _)| group);
        if let Some(env) = &self.env
            && let Some(rule) = self.by_kind.get(&(group.to_owned(), kind.to_owned()))
        {
            return rule.compute(env, object);
        }
        builtin::compute(object)
            .or_else(|| library::compute(group, kind, object))
            .unwrap_or_else(|| generic::compute(object))
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::health::Health;
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        Rules::new(&[HealthRule {
            group: "example.com".to_owned(),
            kind: "Widget".to_owned(),
            failed: "has(self.status) && status.phase == 'Broken'".to_owned(),
            current: "status.conditions.exists(c, c.type == 'Up' && c.status == 'True')".to_owned(),
            ..HealthRule::default()
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
            kind: "Widget".to_owned(),
            current: "status.phase ==".to_owned(),
            ..HealthRule::default()
        }])
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("Widget") && error.contains("status.phase =="),
            "{error}"
        );
    }
}
