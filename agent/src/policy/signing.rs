//! The policy's rules on who has to sign what (V3, V5).

use std::collections::BTreeSet;

use flotilla_shared::digest::Digest;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};
use flotilla_trust::{Keyring, PinnedKey};
use serde::{Deserialize, Serialize};

use super::{Policy, PolicyError};

/// Which commits of which branches have to be signed, and by whom. The first rule that matches counts.
/// Rules go by repository and branch, which the agent reads itself, and not by environment, which only
/// the hub states.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct SignatureRule {
    /// Exact URLs; empty: any.
    pub repositories: BTreeSet<RepositoryUrl>,
    /// Branches; empty: any.
    pub branches: BTreeSet<BranchName>,
    pub mode: SignatureMode,
    /// In mode `range`, where the signed history starts: the first time that a branch is seen, all
    /// commits after this one have to be signed. None: the first time, only the target commit.
    pub since: Option<Commit>,
    /// Names of keys; a signature by any one of them is enough.
    pub keys: Vec<String>,
}

/// Which commits must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignatureMode {
    #[default]
    Off,
    /// The commit that is to run.
    Tip,
    /// That one, and all first parents between it and the last accepted one.
    Range,
}

/// Rule for commits that do not descend from the running one.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct RollbackRule {
    pub mode: RollbackMode,
    /// In mode `approve`, names of the keys whose approvals count.
    pub keys: Vec<String>,
}

/// How rollbacks are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RollbackMode {
    /// Allowed, with an Event.
    #[default]
    Allow,
    /// Allowed with a signed approval.
    Approve,
    /// Refused.
    Refuse,
}

impl SignatureRule {
    fn fits(&self, url: &RepositoryUrl, branch: &BranchName) -> bool {
        (self.repositories.is_empty() || self.repositories.contains(url))
            && (self.branches.is_empty() || self.branches.contains(branch))
    }
}

impl Policy {
    /// The rule for a branch. None: the policy has rules, and none of them matches: nothing of the branch is
    /// accepted.
    #[must_use]
    pub fn signature_rule(
        &self,
        url: &RepositoryUrl,
        branch: &BranchName,
    ) -> Option<SignatureRule> {
        if self.signatures.is_empty() {
            return Some(SignatureRule::default());
        }
        let mut rules = self.signatures.iter();
        rules.find(|rule| rule.fits(url, branch)).cloned()
    }

    /// A digest of a rule and its keys: a commit that was accepted under another digest is judged again. A
    /// revoked key is part of every rule, since it may be one of the rule's keys under another name.
    #[must_use]
    pub fn rule_digest(&self, rule: &SignatureRule) -> Digest {
        let keys: Vec<&PinnedKey> = self
            .keys
            .iter()
            .filter(|key| key.revoked || rule.keys.contains(&key.name))
            .collect();
        // Plain data always serializes to JSON.
        let text = serde_json::to_vec(&(rule, keys)).unwrap_or_default();
        Digest::of(&text)
    }

    /// The pinned keys.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn keyring(&self) -> Result<Keyring, PolicyError> {
        Keyring::new(&self.keys).map_err(PolicyError::Key)
    }

    pub(super) fn check_signing(&self) -> Result<(), PolicyError> {
        let keyring = self.keyring()?;
        let known = |place: &str, names: &[String]| match names.iter().find(|n| !keyring.has(n)) {
            Some(name) => Err(PolicyError::UnknownKey {
                place: place.to_owned(),
                name: name.clone(),
            }),
            None => Ok(()),
        };
        for (number, rule) in self.signatures.iter().enumerate() {
            let place = format!("signatures[{number}]");
            known(&place, &rule.keys)?;
            if rule.mode != SignatureMode::Off && rule.keys.is_empty() {
                return Err(PolicyError::Nobody(place));
            }
            if rule.since.is_some() && rule.mode != SignatureMode::Range {
                return Err(PolicyError::Since(place));
            }
        }
        known("rollback", &self.rollback.keys)?;
        if self.rollback.mode == RollbackMode::Approve {
            let ssh = |name: &String| {
                let key = self.keys.iter().find(|key| key.name == *name);
                key.is_some_and(|key| key.ssh.is_some())
            };
            if !self.rollback.keys.iter().any(ssh) {
                return Err(PolicyError::NoApprover);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4bzQXA0vX6KwFjm8tsNIjhFi1+FyJNU3zIVFBVbUqN a";

    fn policy(text: &str) -> Result<Policy, String> {
        let policy: Policy =
            flotilla_yaml::config::from_str("p", text).map_err(|error| error.to_string())?;
        let checked = policy.check().map_err(|error| error.to_string());
        checked.map(|()| policy)
    }

    #[test]
    fn g14_the_first_rule_that_fits_counts_and_no_rule_refuses() {
        let text = format!(
            "keys: [{{name: a, ssh: '{KEY}'}}]\nsignatures:\n\
             - {{branches: [prod], mode: range, keys: [a]}}\n\
             - {{branches: [dev], repositories: ['https://h/r']}}\n"
        );
        let policy = policy(&text).unwrap();
        let rule = |url: &str, branch: &str| {
            let rule = policy.signature_rule(&url.parse().unwrap(), &branch.parse().unwrap());
            rule.map(|rule| rule.mode)
        };
        assert_eq!(rule("https://h/r", "prod"), Some(SignatureMode::Range));
        assert_eq!(rule("https://h/r", "dev"), Some(SignatureMode::Off));
        assert_eq!(rule("https://h/other", "dev"), None);
        assert_eq!(rule("https://h/r", "feature"), None);
        let open = Policy::default();
        let any = open.signature_rule(&"https://h/r".parse().unwrap(), &"x".parse().unwrap());
        assert_eq!(any.unwrap().mode, SignatureMode::Off);
    }

    #[test]
    fn g14_what_was_accepted_is_judged_anew_when_its_rule_or_its_keys_change() {
        let with = |keys: &str, rule: &str| {
            let text = format!("keys: [{keys}]\nsignatures: [{rule}]\n");
            let policy = policy(&text).unwrap();
            policy.rule_digest(&policy.signatures[0])
        };
        let (a, b) = (
            format!("{{name: a, ssh: '{KEY}'}}"),
            format!("{{name: b, ssh: '{KEY}'}}"),
        );
        let rule = "{mode: tip, keys: [a]}";
        let accepted = with(&a, rule);
        assert_eq!(with(&format!("{b}, {a}"), rule), accepted, "not its key");
        assert_ne!(with(&a, "{mode: range, keys: [a]}"), accepted);
        let revoked = format!("{{name: a, ssh: '{KEY}', revoked: true}}");
        assert_ne!(with(&revoked, rule), accepted);
        let stolen = format!("{{name: stolen, ssh: '{KEY}', revoked: true}}");
        assert_ne!(with(&format!("{a}, {stolen}"), rule), accepted);
    }

    #[test]
    fn rules_that_could_never_be_met_are_refused_at_the_start() {
        for bad in [
            "signatures: [{mode: tip}]".to_owned(),
            "signatures: [{mode: tip, keys: [nobody]}]".to_owned(),
            "rollback: {mode: approve}".to_owned(),
            format!("keys: [{{name: a, ssh: '{KEY}', openpgp: x}}]"),
            format!("keys: [{{name: a, ssh: '{KEY}'}}, {{name: a, ssh: '{KEY}'}}]"),
            "keys: [{name: a, ssh: nonsense}]".to_owned(),
            format!(
                "keys: [{{name: a, ssh: '{KEY}'}}]\nsignatures: [{{mode: tip, keys: [a], since: {}}}]",
                "a".repeat(40)
            ),
        ] {
            assert!(policy(&bad).is_err(), "{bad}");
        }
    }
}
