//! Results of a check: groups of findings, each with a hint of what to do. Pure.
//!
//! `flotilla check` and `flotilla-agent check` share the shape, the marks and the exit codes.

use serde::Serialize;

use crate::words::counted;

/// Outcome of one check, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Ok.
    Well,
    /// Warning: nothing is broken yet, or it may be intended; an operator should look at it.
    Look,
    /// Unknown: it could not be checked.
    Unknown,
    /// Failed.
    Wrong,
}

impl Outcome {
    /// The mark in front of a finding's text.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Well => "✓",
            Self::Look => "!",
            Self::Unknown => "?",
            Self::Wrong => "✗",
        }
    }
}

/// Result of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether the check passed.
    pub outcome: Outcome,
    /// Message for operators.
    pub text: String,
    /// What to do about it; empty: nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// Findings that belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Subject of the findings, such as `clock`.
    pub name: &'static str,
    /// Findings in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Group {
    /// A group without findings.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            findings: Vec::new(),
        }
    }

    /// Adds a finding that is ok.
    pub fn well(&mut self, text: impl Into<String>) {
        self.add(Outcome::Well, text, "");
    }

    /// Adds a warning.
    pub fn look(&mut self, text: impl Into<String>, hint: impl Into<String>) {
        self.add(Outcome::Look, text, hint);
    }

    /// Adds something that could not be checked.
    pub fn unknown(&mut self, text: impl Into<String>, hint: impl Into<String>) {
        self.add(Outcome::Unknown, text, hint);
    }

    /// Adds a failure.
    pub fn wrong(&mut self, text: impl Into<String>, hint: impl Into<String>) {
        self.add(Outcome::Wrong, text, hint);
    }

    fn add(&mut self, outcome: Outcome, text: impl Into<String>, hint: impl Into<String>) {
        self.findings.push(Finding {
            outcome,
            text: text.into(),
            hint: hint.into(),
        });
    }
}

/// Results of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The worst outcome of all findings.
    pub outcome: Outcome,
    /// Groups that have findings.
    pub groups: Vec<Group>,
}

impl From<Vec<Group>> for Findings {
    fn from(mut groups: Vec<Group>) -> Self {
        groups.retain(|group| !group.findings.is_empty());
        let outcomes = groups.iter().flat_map(|group| &group.findings);
        Self {
            outcome: outcomes
                .map(|finding| finding.outcome)
                .max()
                .unwrap_or(Outcome::Well),
            groups,
        }
    }
}

impl Findings {
    /// 0: all checks are ok or warnings, 1: a check failed, 2: none failed, but some are unknown.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            Outcome::Well | Outcome::Look => 0,
            Outcome::Wrong => 1,
            Outcome::Unknown => 2,
        }
    }

    /// Text for a terminal; `paint` colours a mark.
    #[must_use]
    pub fn to_text(&self, paint: &dyn Fn(Outcome, &str) -> String) -> String {
        let mut out = String::new();
        for group in &self.groups {
            out += &format!("{}\n", group.name);
            for finding in &group.findings {
                let mark = paint(finding.outcome, finding.outcome.mark());
                out += &format!("  {mark} {}\n", finding.text);
                if !finding.hint.is_empty() {
                    out += &format!("      {}\n", finding.hint);
                }
            }
        }
        let count = |outcome| {
            let all = self.groups.iter().flat_map(|group| &group.findings);
            all.filter(|finding| finding.outcome == outcome).count()
        };
        let parts = [
            (Outcome::Wrong, "failed"),
            (Outcome::Unknown, "unknown"),
            (Outcome::Look, "warning"),
            (Outcome::Well, "ok"),
        ]
        .map(|(outcome, word)| (count(outcome), word));
        let words: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| {
                if *word == "warning" {
                    counted(*count, word)
                } else {
                    format!("{count} {word}")
                }
            })
            .collect();
        out + &format!("\n{}\n", words.join(", "))
    }
}

/// Result of comparing two versions by major and minor number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// The same minor version.
    Same,
    /// The first is older.
    Older,
    /// The first is newer.
    Newer,
    /// One of the two is not a version.
    Unreadable,
}

/// Compares `version` with `other` by major and minor number.
#[must_use]
pub fn skew(version: &str, other: &str) -> Skew {
    let read = |text: &str| -> Option<(u64, u64)> {
        let mut parts = text.trim_start_matches('v').split('.');
        let major = parts.next()?.parse().ok()?;
        Some((major, parts.next()?.parse().ok()?))
    };
    match (read(version), read(other)) {
        (Some(version), Some(other)) if version == other => Skew::Same,
        (Some(version), Some(other)) if version < other => Skew::Older,
        (Some(_), Some(_)) => Skew::Newer,
        _ => Skew::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(outcomes: &[Outcome]) -> Findings {
        let mut group = Group::new("things");
        for outcome in outcomes {
            group.add(*outcome, "text", "");
        }
        Findings::from(vec![Group::new("empty"), group])
    }

    #[test]
    fn what_is_wrong_counts_before_what_is_unknown_and_a_look_counts_as_well() {
        use Outcome::{Look, Unknown, Well, Wrong};
        for (outcomes, code) in [
            (&[][..], 0),
            (&[Well, Look], 0),
            (&[Well, Unknown, Look], 2),
            (&[Unknown, Wrong, Well], 1),
        ] {
            assert_eq!(findings(outcomes).exit_code(), code, "{outcomes:?}");
        }
    }

    #[test]
    fn people_see_marks_hints_and_a_sum() {
        let mut group = Group::new("clock");
        group.well("the same as the hub's");
        group.wrong("the store fails", "look into the hub's log");
        let all = Findings::from(vec![Group::new("empty"), group]);
        let text = all.to_text(&|_, mark| mark.to_owned());
        assert_eq!(
            text,
            "clock\n  ✓ the same as the hub's\n  ✗ the store fails\n      look into the hub's log\n\n\
             1 failed, 1 ok\n"
        );
    }

    #[test]
    fn skew_is_told_by_minor_versions() {
        assert_eq!(skew("0.1.3", "0.1.0"), Skew::Same);
        assert_eq!(skew("v0.1.3", "0.2.0"), Skew::Older);
        assert_eq!(skew("1.0.0", "0.9.9"), Skew::Newer);
        assert_eq!(skew("0.10.0", "0.9.0"), Skew::Newer);
        assert_eq!(skew("", "0.9.9"), Skew::Unreadable);
        assert_eq!(skew("dev", "0.9.9"), Skew::Unreadable);
    }
}
