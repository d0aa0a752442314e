//! Label selectors in the syntax of Kubernetes (`kubectl get -l`).

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// A label selector. All requirements must hold; an empty one matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Requirement {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    Missing(String),
}

/// Error of a selector that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{part:?} is not a label requirement: write key=value, key!=value, key in (a,b), key notin (a,b), \
     key or !key"
)]
pub struct SelectorError {
    /// The part that cannot be read.
    pub part: String,
}

impl Selector {
    /// Returns whether it is empty and matches all labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether labels match it.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            // As in Kubernetes, a missing label is not in the set either.
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Missing(key) => !labels.contains_key(key),
        })
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        if text.trim().is_empty() {
            return Ok(Self(requirements));
        }
        let mut depth = 0usize;
        let mut part = String::new();
        for c in text.chars().chain(std::iter::once(',')) {
            match c {
                ',' if depth == 0 => {
                    requirements.push(requirement(part.trim())?);
                    part.clear();
                    continue;
                }
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            part.push(c);
        }
        if !part.trim_end_matches(',').trim().is_empty() {
            return Err(SelectorError { part });
        }
        Ok(Self(requirements))
    }
}

fn requirement(part: &str) -> Result<Requirement, SelectorError> {
    let wrong = || SelectorError {
        part: part.chars().take(200).collect(),
    };
    let key = |text: &str| {
        let text = text.trim();
        let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if text.is_empty() || text.len() > 317 || !text.chars().all(good) {
            return Err(wrong());
        }
        Ok(text.to_owned())
    };
    let value = |text: &str| {
        let text = text.trim();
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if text.len() > 63 || !text.chars().all(good) {
            return Err(wrong());
        }
        Ok(text.to_owned())
    };
    if let Some((head, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let values = values.split(',').map(value).collect::<Result<_, _>>()?;
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Ok(Requirement::In(key(name)?, values)),
            (Some(name), Some("notin"), None) => Ok(Requirement::NotIn(key(name)?, values)),
            _ => Err(wrong()),
        };
    }
    if let Some((name, text)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(key(name)?, [value(text)?].into()));
    }
    if let Some((name, text)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(key(name)?, [value(text)?].into()));
    }
    match part.strip_prefix('!') {
        Some(name) => Ok(Requirement::Missing(key(name)?)),
        None => Ok(Requirement::Exists(key(part)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_syntax() {
        let labels: BTreeMap<String, String> = [("region", "eu"), ("tier", "gold")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into();
        for (text, expected) in [
            ("", true),
            ("region=eu", true),
            ("region==eu, tier=gold", true),
            ("region!=eu", false),
            ("zone!=a", true),
            ("region in (eu, us)", true),
            ("region notin (eu)", false),
            ("tier", true),
            ("!tier", false),
            ("region in (us),tier", false),
        ] {
            assert_eq!(
                text.parse::<Selector>().map(|s| s.matches(&labels)),
                Ok(expected),
                "{text}"
            );
        }
        for bad in [
            "a b",
            "region in eu",
            "region in (eu",
            "=x",
            "a=b c",
            "!",
            "a=b,,c",
            "a=b,",
            ",",
        ] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }
}
