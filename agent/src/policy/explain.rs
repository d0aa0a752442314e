//! Explains a policy in sentences. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use flotilla_trust::PinnedKey;
use serde::Serialize;

use super::{
    DeleteBudget, GateJobRule, PlanRule, Policy, RollbackMode, RollbackRule, SignatureMode,
    SignatureRule,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Key in the policy file.
    pub key: &'static str,
    /// Whether this part of the policy leaves everything to the hub or to Git.
    pub open: bool,
    pub says: String,
}

impl Statement {
    /// Creates a statement about a part that leaves everything to the hub or to Git.
    fn open(key: &'static str, says: impl Into<String>) -> Self {
        Self {
            key,
            open: true,
            says: says.into(),
        }
    }

    /// Creates a statement about a part that restricts something.
    fn closed(key: &'static str, says: impl Into<String>) -> Self {
        Self {
            key,
            open: false,
            says: says.into(),
        }
    }
}

fn list<T: Display>(items: &BTreeSet<T>) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

impl Policy {
    /// Returns statements on what the policy allows.
    #[must_use]
    pub fn explain(&self) -> Vec<Statement> {
        let mut all = vec![
            repositories(self),
            only("branches", "branches of these repositories", &self.branches),
            only(
                "paths",
                "directories of these repositories, with everything below them",
                &self.paths,
            ),
            only(
                "namespaces",
                "namespaces (never the agent's own)",
                &self.namespaces,
            ),
            only("kinds", "kinds of objects", &self.kinds),
        ];
        all.extend(signatures(&self.signatures));
        all.push(rollback(&self.rollback));
        all.extend(plan(&self.plan));
        all.extend(gate_jobs(&self.gate_jobs));
        all.push(delete_budget(self.delete_budget));
        all.push(protected_kinds(&self.protected_kinds));
        all.extend(service_accounts(&self.service_accounts));
        all.extend(self.keys.iter().map(pinned_key));
        all.push(freeze_alarm(self.freeze_alarm_seconds));
        all
    }
}

/// Repositories that may be pulled, or the allowed schemes.
fn repositories(policy: &Policy) -> Statement {
    if policy.repositories.is_empty() {
        let schemes = match (policy.allow_http, policy.allow_file) {
            (false, false) => "over https or ssh",
            (true, false) => "over https, ssh or plain http",
            (false, true) => "over https, ssh or from this machine's files",
            (true, true) => "over https, ssh, plain http or from this machine's files",
        };
        Statement::open(
            "repositories",
            format!("The hub may name any repository {schemes}."),
        )
    } else {
        let text = format!(
            "Only these repositories are pulled: {}.",
            list(&policy.repositories)
        );
        Statement::closed("repositories", text)
    }
}

/// A list of allowed items; an empty list allows all.
fn only<T: Display>(key: &'static str, what: &str, items: &BTreeSet<T>) -> Statement {
    let items = list(items);
    if items.is_empty() {
        Statement::open(key, format!("Allowed: all {what}."))
    } else {
        Statement::closed(key, format!("Allowed: only these {what}: {items}."))
    }
}

/// One sentence for each rule, and one for commits that no rule covers.
fn signatures(rules: &[SignatureRule]) -> Vec<Statement> {
    if rules.is_empty() {
        let text = "Commits need no signature: whoever may push to a branch decides what runs.";
        return vec![Statement::open("signatures", text)];
    }
    let mut all: Vec<Statement> = rules
        .iter()
        .map(|rule| Statement {
            key: "signatures",
            open: rule.mode == SignatureMode::Off,
            says: signature(rule),
        })
        .collect();
    let text = "Commits of other branches are refused.";
    all.push(Statement::closed("signatures", text));
    all
}

/// Whether rollbacks are allowed.
fn rollback(rule: &RollbackRule) -> Statement {
    match rule.mode {
        RollbackMode::Allow => Statement::open(
            "rollback",
            "The hub may roll back to older commits of a branch, and so may a forced push; an \
             Event (WentBack) reports each rollback, and each case where it cannot be \
             determined.",
        ),
        RollbackMode::Approve => Statement::closed(
            "rollback",
            format!(
                "Rolling back to older commits requires an approval signed by {}.",
                rule.keys.join(" or ")
            ),
        ),
        RollbackMode::Refuse => {
            Statement::closed("rollback", "Rolling back to older commits is not allowed.")
        }
    }
}

/// What a plan of a commit reveals; none: no branch may be planned.
fn plan(rule: &PlanRule) -> Option<Statement> {
    if rule.branches.is_empty() {
        return None;
    }
    let names: Vec<String> = rule.branches.iter().map(ToString::to_string).collect();
    let text = format!(
        "Operators who may ask the hub for a plan learn which objects and fields a commit of \
         these branches would change, and admission webhooks see its dry run: {}.",
        names.join(", ")
    );
    Some(Statement::closed("plan", text))
}

/// Paths of gate Jobs; none: gate Jobs may not run.
fn gate_jobs(rule: &GateJobRule) -> Option<Statement> {
    if rule.paths.is_empty() {
        return None;
    }
    let text = format!(
        "A gate of the fleet file may run a Job here, with the rights of its application and \
         before its commit is assigned, if the Job lies below: {}.",
        list(&rule.paths)
    );
    Some(Statement::closed("gateJobs", text))
}

/// The delete budget.
fn delete_budget(budget: DeleteBudget) -> Statement {
    Statement::closed(
        "deleteBudget",
        format!(
            "At most {0} objects of an application are deleted at once, and above three at most \
             {1} percent of them; if it would be more, none is deleted. Removing an application \
             deletes all its objects, so only their number counts: up to {0} are deleted, more \
             wait until a person confirms it inside the cluster.",
            budget.count, budget.percent
        ),
    )
}

/// Kinds that are never deleted on the hub's request alone.
fn protected_kinds(kinds: &BTreeSet<String>) -> Statement {
    let protected = list(kinds);
    if protected.is_empty() {
        Statement::open("protectedKinds", "No kind is protected from deletion.")
    } else {
        let text =
            format!("Deleted only after a person confirms it inside the cluster: {protected}.");
        Statement::closed("protectedKinds", text)
    }
}

/// Service accounts that write objects, by application.
fn service_accounts(accounts: &BTreeMap<String, String>) -> Vec<Statement> {
    if accounts.is_empty() {
        let text = "Objects are written with the agent's own rights.";
        return vec![Statement::open("serviceAccounts", text)];
    }
    let written_as = |(application, account): (&String, &String)| {
        let whose = if application == "*" {
            "all other applications".to_owned()
        } else {
            format!("application {application}")
        };
        Statement::closed(
            "serviceAccounts",
            format!("Objects of {whose} are written as {account}."),
        )
    };
    accounts.iter().map(written_as).collect()
}

/// Validity of a key.
fn pinned_key(key: &PinnedKey) -> Statement {
    let mut text = format!("Key {}", key.name);
    if key.revoked {
        text += " is revoked: nothing that it signed is accepted.";
    } else {
        match (key.valid_from, key.valid_until) {
            (None, None) => text += " is valid without end.",
            (Some(from), None) => {
                text += &format!(" is valid for what is first seen from {from}.");
            }
            (None, Some(until)) => {
                text += &format!(" is valid for what is first seen before {until}.");
            }
            (Some(from), Some(until)) => {
                text +=
                    &format!(" is valid for what is first seen from {from} and before {until}.");
            }
        }
    }
    Statement::closed("keys", text)
}

/// Alarm for a branch that the hub does not follow.
fn freeze_alarm(seconds: u32) -> Statement {
    Statement::closed(
        "freezeAlarmSeconds",
        format!(
            "An Event reports a branch that has been ahead of the assigned commit for {seconds} \
             seconds."
        ),
    )
}

/// Commits that a rule allows.
fn signature(rule: &SignatureRule) -> String {
    let branches = match rule.branches.is_empty() {
        true => "any branch".to_owned(),
        false => format!("branch {}", list(&rule.branches)),
    };
    let repositories = match rule.repositories.is_empty() {
        true => String::new(),
        false => format!(" of {}", list(&rule.repositories)),
    };
    let keys = rule.keys.join(" or ");
    match rule.mode {
        SignatureMode::Off => format!("Commits of {branches}{repositories} need no signature."),
        SignatureMode::Tip => format!(
            "A commit of {branches}{repositories} runs only when {keys} signed it; its parents \
             are not checked."
        ),
        SignatureMode::Range => {
            let since = match &rule.since {
                Some(since) => format!(" (the first time: all after {since})"),
                None => " (the first time: only the commit itself)".to_owned(),
            };
            format!(
                "A commit of {branches}{repositories} runs only when {keys} signed it and every \
                 first parent since the last accepted commit{since}."
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_said_and_what_is_open_is_marked() {
        let statements = Policy::default().explain();
        let open: Vec<&str> = statements
            .iter()
            .filter(|statement| statement.open)
            .map(|statement| statement.key)
            .collect();
        assert_eq!(
            open,
            [
                "repositories",
                "branches",
                "paths",
                "namespaces",
                "kinds",
                "signatures",
                "rollback",
                "serviceAccounts"
            ]
        );
        assert!(
            !statements
                .iter()
                .any(|statement| statement.key == "gateJobs")
        );
        for expected in [
            "reports each rollback, and each case where it cannot be determined.",
            "Removing an application deletes all its objects, so only their number counts: up to 10 are \
             deleted, more wait until a person confirms it inside the cluster.",
        ] {
            let is_said = statements
                .iter()
                .any(|statement| statement.says.contains(expected));
            assert!(is_said, "{expected}: {statements:#?}");
        }
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4bzQXA0vX6KwFjm8tsNIjhFi1+FyJNU3zIVFBVbUqN a";
        let text = format!(
            "branches: [prod]\nkeys: [{{name: ada, ssh: '{key}'}}]\n\
             signatures: [{{branches: [prod], mode: range, keys: [ada]}}, {{branches: [dev]}}]\n\
             rollback: {{mode: approve, keys: [ada]}}\nserviceAccounts: {{'*': web/deployer}}\n\
             plan: {{branches: [main, 'feature/*']}}\ngateJobs: {{paths: [checks]}}\n"
        );
        let policy: Policy = flotilla_yaml::config::from_str("p", &text).unwrap();
        policy.check().unwrap();
        let says: Vec<String> = policy
            .explain()
            .into_iter()
            .map(|statement| statement.says)
            .collect();
        for expected in [
            "Allowed: only these branches of these repositories: prod.",
            "A commit of branch prod runs only when ada signed it and every first parent since the last \
             accepted commit (the first time: only the commit itself).",
            "Commits of other branches are refused.",
            "Rolling back to older commits requires an approval signed by ada.",
            "Objects of all other applications are written as web/deployer.",
            "A gate of the fleet file may run a Job here, with the rights of its application and before \
             its commit is assigned, if the Job lies below: checks.",
            "Operators who may ask the hub for a plan learn which objects and fields a commit of these \
             branches would change, and admission webhooks see its dry run: main, feature/*.",
        ] {
            assert!(
                says.iter().any(|statement| statement == expected),
                "{expected}: {says:#?}"
            );
        }
        let open: Vec<String> = policy
            .explain()
            .into_iter()
            .filter(|statement| statement.open)
            .map(|statement| statement.says)
            .collect();
        assert!(open.contains(&"Commits of branch dev need no signature.".to_owned()));
        assert!(
            !open.iter().any(|statement| statement.contains("prod")),
            "{open:#?}"
        );
    }
}
