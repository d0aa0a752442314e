//! The branches for which the agent reports what a commit would change, before it is assigned. A dry run
//! writes nothing, but does reach the cluster's admission webhooks.

use std::fmt;
use std::str::FromStr;

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::BranchName;
use serde::Deserialize;

use super::{Policy, Refusal};

/// Rule for plans of commits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PlanRule {
    /// Branches besides the assigned one; `*` at the end is a wildcard.
    pub branches: Vec<BranchPattern>,
}

/// A branch, or all branches with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct BranchPattern {
    start: String,
    is_whole: bool,
}

impl FromStr for BranchPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start = text.strip_suffix('*');
        // Checked by an example of what it matches: a prefix alone, such as `feature/`, may not be a valid name.
        let example = start.map_or_else(|| text.to_owned(), |start| format!("{start}x"));
        let named = example.parse::<BranchName>();
        named.map_err(|error| format!("{text:?} is not a branch: {error}"))?;
        Ok(Self {
            start: start.unwrap_or(text).to_owned(),
            is_whole: start.is_none(),
        })
    }
}

impl TryFrom<String> for BranchPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for BranchPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = if self.is_whole { "" } else { "*" };
        write!(f, "{}{rest}", self.start)
    }
}

impl BranchPattern {
    fn fits(&self, branch: &BranchName) -> bool {
        match self.is_whole {
            true => branch.as_str() == self.start,
            false => branch.as_str().starts_with(&self.start),
        }
    }
}

impl Policy {
    /// Whether a commit of this branch may be planned: repository and paths have to be allowed for
    /// assignments, and the branch has to be the assigned one or be listed for plans.
    #[must_use]
    pub fn plans(
        &self,
        application: &ApplicationAssignment,
        branch: &BranchName,
    ) -> Option<Refusal> {
        if let Some(refusal) = self.source(application) {
            return Some(refusal);
        }
        let assigned = &application.revision.branch;
        let is_named = self
            .plan
            .branches
            .iter()
            .any(|pattern| pattern.fits(branch));
        if branch == assigned || is_named {
            return None;
        }
        let message = format!(
            "the agent's policy does not allow plans for branch {branch}: it allows {assigned}, \
             which is assigned, and the branches in `plan.branches`"
        );
        Some(Refusal::new(Reason::BranchNotAllowed, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::samples::application;

    fn policy(text: &str) -> Result<Policy, String> {
        flotilla_yaml::config::from_str("p", text).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_word_only_the_assigned_branch_is_planned_for() {
        let asked = |text: &str, branch: &str| {
            let refusal = policy(text).unwrap().plans(
                &application("https://h/r", "prod", ""),
                &branch.parse().unwrap(),
            );
            refusal.map(|refusal| refusal.reason)
        };
        let refused = Some(Reason::BranchNotAllowed);
        assert_eq!(asked("{}", "prod"), None);
        assert_eq!(asked("{}", "main"), refused);
        let some = "plan: {branches: [main, 'feature/*']}";
        assert_eq!(asked(some, "main"), None);
        assert_eq!(asked(some, "feature/x"), None);
        assert_eq!(asked(some, "feature/x/y"), None);
        assert_eq!(asked(some, "feature"), refused);
        assert_eq!(asked(some, "mainline"), refused);
        assert_eq!(asked("plan: {branches: ['*']}", "whatever"), None);
        // The branches that may be assigned are a separate list: neither list extends the other.
        assert_eq!(asked("branches: [prod, main]", "main"), refused);
        assert_eq!(
            asked("branches: [stage]\nplan: {branches: [main]}", "main"),
            refused
        );
    }

    #[test]
    fn c01_a_plan_opens_no_repository_and_no_path() {
        let strict =
            policy("repositories: ['https://h/r']\npaths: [apps]\nplan: {branches: ['*']}")
                .unwrap();
        let asked = |url: &str, path: &str| {
            let refusal = strict.plans(&application(url, "prod", path), &"main".parse().unwrap());
            refusal.map(|refusal| refusal.reason)
        };
        assert_eq!(asked("https://h/r", "apps/web"), None);
        assert_eq!(
            asked("https://h/other", "apps/web"),
            Some(Reason::RepositoryNotAllowed)
        );
        assert_eq!(asked("https://h/r", "secret"), Some(Reason::PathNotAllowed));
    }

    #[test]
    fn patterns_are_branches_with_anything_at_the_end_only() {
        for bad in ["", "*x", "a*b", "-x*", "a..b", "a b", "refs/heads/../x"] {
            let text = format!("plan: {{branches: ['{bad}']}}");
            assert!(policy(&text).is_err(), "{bad:?}");
        }
        assert!(policy("plan: {branch: [main]}").is_err());
    }
}
