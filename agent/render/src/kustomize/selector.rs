//! Which resources a step means: regular expressions on identity, and selectors on labels and
//! annotations in the syntax of `k8s.io/apimachinery/pkg/labels`.

use flotilla_shared::reason::Reason;
use regex::{Regex, RegexBuilder};

use super::failure::{Failure, Outcome};
use super::file::Selector;
use super::identity::{Gvk, ResId};
use super::resource::Resource;

/// One part of an identity: anything, exactly this, or an anchored expression.
#[derive(Debug)]
enum PartPattern {
    Any,
    Exactly(String),
    Expression(Regex),
}

impl PartPattern {
    fn new(pattern: &str) -> Outcome<Self> {
        if pattern.is_empty() {
            return Ok(Self::Any);
        }
        if pattern
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        {
            return Ok(Self::Exactly(pattern.to_owned()));
        }
        expression(&format!("^(?:{pattern})$")).map(Self::Expression)
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(exactly) => exactly == text,
            Self::Expression(expression) => expression.is_match(text),
        }
    }
}

/// Compiles an expression within a size that no honest one needs.
///
/// # Errors
/// When it is malformed, or uses what only Go's engine knows.
pub(crate) fn expression(pattern: &str) -> Outcome<Regex> {
    RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .build()
        .map_err(|error| {
            let short: String = pattern.chars().take(200).collect();
            Failure::render(format!("{short:?} is not a regular expression: {error}"))
        })
}

/// A compiled [`Selector`].
#[derive(Debug)]
pub(crate) struct Pattern {
    group: PartPattern,
    version: PartPattern,
    kind: PartPattern,
    name: PartPattern,
    namespace: PartPattern,
    labels: Requirements,
    annotations: Requirements,
    selects_identity: bool,
    selects_metadata: bool,
}

impl Pattern {
    /// Compiles a selector.
    ///
    /// # Errors
    /// When an expression or selector in it is malformed.
    pub(crate) fn new(selector: &Selector) -> Outcome<Self> {
        let selects_identity = [
            &selector.group,
            &selector.version,
            &selector.kind,
            &selector.name,
            &selector.namespace,
        ]
        .iter()
        .any(|part| !part.is_empty());
        Ok(Self {
            group: PartPattern::new(&selector.group)?,
            version: PartPattern::new(&selector.version)?,
            kind: PartPattern::new(&selector.kind)?,
            name: PartPattern::new(&selector.name)?,
            namespace: PartPattern::new(&selector.namespace)?,
            labels: Requirements::parse(&selector.label_selector)?,
            annotations: Requirements::parse(&selector.annotation_selector)?,
            selects_identity,
            selects_metadata: !selector.label_selector.is_empty()
                || !selector.annotation_selector.is_empty(),
        })
    }

    /// Whether group, version and kind match.
    pub(crate) fn gvk(&self, gvk: &Gvk) -> bool {
        self.kind.matches(&gvk.kind)
            && self.group.matches(&gvk.group)
            && self.version.matches(&gvk.version)
    }

    /// Whether the name matches.
    pub(crate) fn name(&self, name: &str) -> bool {
        self.name.matches(name)
    }

    /// Whether the namespace matches.
    pub(crate) fn namespace(&self, namespace: &str) -> bool {
        self.namespace.matches(namespace)
    }

    /// Whether an identity matches, by the namespace as it is written.
    pub(crate) fn id(&self, id: &ResId) -> bool {
        self.gvk(&id.gvk) && self.name(&id.name) && self.namespace(&id.namespace)
    }

    /// Whether it says anything about identity.
    pub(crate) fn selects_identity(&self) -> bool {
        self.selects_identity
    }

    /// Whether it says anything about labels or annotations.
    pub(crate) fn selects_metadata(&self) -> bool {
        self.selects_metadata
    }

    /// Whether labels and annotations match.
    pub(crate) fn labels_and_annotations(&self, resource: &Resource) -> bool {
        (self.labels.0.is_empty() || self.labels.match_all(&resource.text_map("labels")))
            && (self.annotations.0.is_empty()
                || self
                    .annotations
                    .match_all(&resource.text_map("annotations")))
    }
}

/// The conditions of a label selector; all must hold.
#[derive(Debug, Default)]
struct Requirements(Vec<Requirement>);

#[derive(Debug)]
struct Requirement {
    key: String,
    condition: Condition,
}

#[derive(Debug, PartialEq)]
enum Condition {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

impl Requirements {
    fn parse(text: &str) -> Outcome<Self> {
        let mut all = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (requirement, after) = requirement(rest).ok_or_else(|| {
                let short: String = text.chars().take(200).collect();
                Failure::new(
                    Reason::RenderFailed,
                    format!("{short:?} is not a label selector"),
                )
            })?;
            all.push(requirement);
            rest = after.trim_start();
            if let Some(after) = rest.strip_prefix(',') {
                rest = after.trim_start();
            } else if !rest.is_empty() {
                return Err(Failure::render("label selectors are separated by commas"));
            }
        }
        Ok(Self(all))
    }

    fn match_all(&self, pairs: &[(&str, &str)]) -> bool {
        self.0.iter().all(|requirement| {
            let value = pairs
                .iter()
                .find(|(key, _)| *key == requirement.key)
                .map(|(_, value)| *value);
            match (&requirement.condition, value) {
                (Condition::Exists, value) => value.is_some(),
                (Condition::Absent, value) => value.is_none(),
                (Condition::In(values), value) => {
                    value.is_some_and(|value| values.iter().any(|listed| listed == value))
                }
                (Condition::NotIn(values), value) => {
                    value.is_none_or(|value| values.iter().all(|listed| listed != value))
                }
                (Condition::Greater(than), value) => value
                    .and_then(|value| value.parse::<i64>().ok())
                    .is_some_and(|value| value > *than),
                (Condition::Less(than), value) => value
                    .and_then(|value| value.parse::<i64>().ok())
                    .is_some_and(|value| value < *than),
            }
        })
    }
}

/// The first word of a key or value, and the rest.
fn word(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| c.is_whitespace() || "=!<>,()".contains(c))
        .unwrap_or(text.len());
    text.split_at(end)
}

fn requirement(text: &str) -> Option<(Requirement, &str)> {
    if let Some(after) = text.strip_prefix('!') {
        let (key, after) = word(after.trim_start());
        return (!key.is_empty()).then(|| (make(key, Condition::Absent), after));
    }
    let (key, after) = word(text);
    if key.is_empty() {
        return None;
    }
    let after = after.trim_start();
    let first_word = |after: &'_ str| -> String { word(after.trim_start()).0.to_owned() };
    for (operator, equal) in [("==", true), ("!=", false), ("=", true)] {
        if let Some(after) = after.strip_prefix(operator) {
            let values = vec![first_word(after)];
            let condition = if equal {
                Condition::In(values)
            } else {
                Condition::NotIn(values)
            };
            return Some((make(key, condition), word(after.trim_start()).1));
        }
    }
    for (operator, greater) in [(">", true), ("<", false)] {
        if let Some(after) = after.strip_prefix(operator) {
            let (number, after) = word(after.trim_start());
            let number = number.parse().ok()?;
            let condition = if greater {
                Condition::Greater(number)
            } else {
                Condition::Less(number)
            };
            return Some((make(key, condition), after));
        }
    }
    for (operator, within) in [("in", true), ("notin", false)] {
        let Some(after) = after.strip_prefix(operator) else {
            continue;
        };
        let Some(after) = after.trim_start().strip_prefix('(') else {
            continue;
        };
        let (inside, after) = after.split_once(')')?;
        let values = inside
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect();
        let condition = if within {
            Condition::In(values)
        } else {
            Condition::NotIn(values)
        };
        return Some((make(key, condition), after));
    }
    Some((make(key, Condition::Exists), after))
}

fn make(key: &str, condition: Condition) -> Requirement {
    Requirement {
        key: key.to_owned(),
        condition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_are_those_of_kubernetes() {
        let pairs = [("app", "web"), ("tier", "3")];
        for (selector, expected) in [
            ("", true),
            ("app=web", true),
            ("app == web, tier!=4", true),
            ("app!=web", false),
            ("app in (web, api)", true),
            ("app notin (web)", false),
            ("other notin (web)", true),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("tier>2,tier<4", true),
            ("tier>3", false),
            ("app=", false),
        ] {
            let parsed = Requirements::parse(selector).expect(selector);
            assert_eq!(parsed.match_all(&pairs), expected, "{selector}");
        }
        for selector in ["=web", "app=web tier=3", "app in web)", ",", "tier>x"] {
            assert!(Requirements::parse(selector).is_err(), "{selector}");
        }
    }
}
