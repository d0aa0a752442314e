//! What a policy allows, in sentences. Pure.

use std::collections::BTreeSet;
use std::fmt::Display;

use serde::Serialize;

use super::{Policy, RollbackMode, SignatureMode, SignatureRule};

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// The key of the policy file that says so.
    pub key: &'static str,
    /// Whether this part of the policy leaves everything to the hub or to Git.
    pub open: bool,
    /// The sentence.
    pub says: String,
}

fn list<T: Display>(items: &BTreeSet<T>) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}

impl Policy {
    /// What it allows.
    #[must_use]
    pub fn explain(&self) -> Vec<Statement> {
        let mut all = Vec::new();
        let mut say = |key, open, says: String| {
            all.push(Statement { key, open, says });
        };
        if self.repositories.is_empty() {
            let schemes = match (self.allow_http, self.allow_file) {
                (false, false) => "over https or ssh",
                (true, false) => "over https, ssh or plain http",
                (false, true) => "over https, ssh or from this machine's files",
                (true, true) => "over https, ssh, plain http or from this machine's files",
            };
            say(
                "repositories",
                true,
                format!("The hub may name any repository {schemes}."),
            );
        } else {
            let text = format!(
                "Only these repositories are pulled: {}.",
                list(&self.repositories)
            );
            say("repositories", false, text);
        }
        let mut only = |key, what: &str, items: String| {
            if items.is_empty() {
                say(key, true, format!("Any {what}."));
            } else {
                say(key, false, format!("Only this {what}: {items}."));
            }
        };
        only("branches", "branch of them", list(&self.branches));
        only(
            "paths",
            "directory of them and what is below",
            list(&self.paths),
        );
        only(
            "namespaces",
            "namespace (never the agent's own)",
            list(&self.namespaces),
        );
        only("kinds", "kind of object", list(&self.kinds));
        if self.signatures.is_empty() {
            let text = "Commits need no signature: whoever may push to a branch decides what runs.";
            say("signatures", true, text.to_owned());
        }
        for rule in &self.signatures {
            say(
                "signatures",
                rule.mode == SignatureMode::Off,
                signature(rule),
            );
        }
        if !self.signatures.is_empty() {
            let text = "Commits of other branches are refused.";
            say("signatures", false, text.to_owned());
        }
        let (open, text) = match self.rollback.mode {
            RollbackMode::Allow => (
                true,
                "The hub may go back to older commits of a branch, and so may a forced push; each time, and \
                 where it cannot be found out, is told by an Event (WentBack)."
                    .to_owned(),
            ),
            RollbackMode::Approve => (
                false,
                format!(
                    "Going back to older commits needs an approval signed by {}.",
                    self.rollback.keys.join(" or ")
                ),
            ),
            RollbackMode::Refuse => (false, "Nothing ever goes back to older commits.".to_owned()),
        };
        say("rollback", open, text);
        if !self.plan.branches.is_empty() {
            let names: Vec<String> = self.plan.branches.iter().map(ToString::to_string).collect();
            let text = format!(
                "Who may ask the hub for a plan learns which objects and fields a commit of these branches \
                 would change, and admission webhooks hear of its dry run: {}.",
                names.join(", ")
            );
            say("plan", false, text);
        }
        if !self.gate_jobs.paths.is_empty() {
            let text = format!(
                "A gate of the fleet file may have a Job run here, with the rights of its application and \
                 before its commit is assigned, where the Job lies below: {}.",
                list(&self.gate_jobs.paths)
            );
            say("gateJobs", false, text);
        }
        let budget = self.delete_budget;
        say(
            "deleteBudget",
            false,
            format!(
                "At most {0} objects of an application are deleted at once, and above three at most {1} percent \
                 of them; more are held whole. An application that is removed loses all its objects, so that \
                 only their number counts: up to {0} are deleted, more wait for a word inside the cluster.",
                budget.count, budget.percent
            ),
        );
        let protected = list(&self.protected_kinds);
        if protected.is_empty() {
            say(
                "protectedKinds",
                true,
                "No kind is kept from being deleted.".to_owned(),
            );
        } else {
            let text = format!("Deleted only after a word inside the cluster: {protected}.");
            say("protectedKinds", false, text);
        }
        if self.service_accounts.is_empty() {
            let text = "Objects are written with the agent's own rights.";
            say("serviceAccounts", true, text.to_owned());
        }
        for (application, account) in &self.service_accounts {
            let whose = if application == "*" {
                "all other applications".to_owned()
            } else {
                format!("application {application}")
            };
            say(
                "serviceAccounts",
                false,
                format!("Objects of {whose} are written as {account}."),
            );
        }
        for key in &self.keys {
            let mut text = format!("Key {}", key.name);
            if key.revoked {
                text += " is revoked: nothing that it signed is accepted.";
            } else {
                match (key.valid_from, key.valid_until) {
                    (None, None) => text += " is good without end.",
                    (Some(from), None) => {
                        text += &format!(" is good for what is first seen from {from}.");
                    }
                    (None, Some(until)) => {
                        text += &format!(" is good for what is first seen before {until}.");
                    }
                    (Some(from), Some(until)) => {
                        text += &format!(
                            " is good for what is first seen from {from} and before {until}."
                        );
                    }
                }
            }
            say("keys", false, text);
        }
        say(
            "freezeAlarmSeconds",
            false,
            format!(
                "A branch that is ahead of what the hub assigns for {} seconds is told by an Event.",
                self.freeze_alarm_seconds
            ),
        );
        all
    }
}

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
            "A commit of {branches}{repositories} runs only when {keys} signed it; what it builds on is not \
             asked."
        ),
        SignatureMode::Range => {
            let since = match &rule.since {
                Some(since) => format!(", the first time all after {since}"),
                None => ", the first time only itself".to_owned(),
            };
            format!(
                "A commit of {branches}{repositories} runs only when {keys} signed it and every first parent \
                 since the last accepted one{since}."
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
            .filter(|one| one.open)
            .map(|one| one.key)
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
        assert!(!statements.iter().any(|one| one.key == "gateJobs"));
        for wanted in [
            "each time, and where it cannot be found out, is told by an Event (WentBack).",
            "An application that is removed loses all its objects, so that only their number counts: up to 10 \
             are deleted, more wait for a word inside the cluster.",
        ] {
            let is_said = statements.iter().any(|one| one.says.contains(wanted));
            assert!(is_said, "{wanted}: {statements:#?}");
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
        let says: Vec<String> = policy.explain().into_iter().map(|one| one.says).collect();
        for wanted in [
            "Only this branch of them: prod.",
            "A commit of branch prod runs only when ada signed it and every first parent since the last \
             accepted one, the first time only itself.",
            "Commits of other branches are refused.",
            "Going back to older commits needs an approval signed by ada.",
            "Objects of all other applications are written as web/deployer.",
            "A gate of the fleet file may have a Job run here, with the rights of its application and before \
             its commit is assigned, where the Job lies below: checks.",
            "Who may ask the hub for a plan learns which objects and fields a commit of these branches would \
             change, and admission webhooks hear of its dry run: main, feature/*.",
        ] {
            assert!(says.iter().any(|one| one == wanted), "{wanted}: {says:#?}");
        }
        let open: Vec<String> = policy
            .explain()
            .into_iter()
            .filter(|one| one.open)
            .map(|one| one.says)
            .collect();
        assert!(open.contains(&"Commits of branch dev need no signature.".to_owned()));
        assert!(!open.iter().any(|one| one.contains("prod")), "{open:#?}");
    }
}
