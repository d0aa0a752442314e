//! The audit log, and operators with their roles.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::words::words;

/// Who did what the hub does by itself: the actor of such an entry.
pub const HUB_ACTOR: &str = "hub";

words! {
    /// What was done, as the audit log has it.
    pub open AuditAction {
        /// Somebody stopped an environment's rollouts.
        Pause = "pause",
        /// They go on, or automatic promotions do, or a cluster writes again.
        Resume = "resume",
        /// Failed clusters, or gate Jobs, have another chance.
        Retry = "retry",
        /// Somebody ended a rollout.
        Abort = "abort",
        /// A cluster or an environment is kept on a commit.
        Pin = "pin",
        /// A pin was ended.
        Unpin = "unpin",
        /// A cluster is asked to write nothing.
        Suspend = "suspend",
        /// Somebody is about to take an application out of the fleet file.
        RemoveApplication = "remove application",
        /// Somebody let a commit past the gates.
        Override = "override",
        /// Somebody approves a commit, or a wave of it.
        Approve = "approve",
        /// A commit is about to be promoted.
        Promote = "promote",
        /// A commit that goes back was made.
        Rollback = "rollback",
        /// It holds what a good commit held.
        RollbackProven = "rollback proven",
        /// It does not.
        RollbackRefused = "rollback refused",
        /// Approvals of somebody who may not approve any more.
        ApprovalsWithdrawn = "approvals withdrawn",
        /// A promotion was announced and did not happen.
        PromotionRefused = "promotion refused",
        /// Commits were seen that a rollout is to bring.
        RolloutCreated = "rollout created",
        /// Its gates are open.
        RolloutStarted = "rollout started",
        /// It does again what it did before it stopped.
        RolloutGoesOn = "rollout goes on",
        /// Its next wave begins.
        RolloutWave = "rollout wave",
        /// It may not start yet.
        RolloutWaits = "rollout waits",
        /// Its wave has to stay healthy.
        RolloutSoaks = "rollout soaks",
        /// A person stopped it.
        RolloutPaused = "rollout paused",
        /// It stopped until somebody has looked.
        RolloutHalted = "rollout halted",
        /// What it touched goes back.
        RolloutRolledBack = "rollout rolled back",
        /// It is through.
        RolloutSucceeded = "rollout succeeded",
        /// A newer one took over, or its environment is gone.
        RolloutSuperseded = "rollout superseded",
        /// A Job that a gate has run.
        GateJobSucceeded = "gate job succeeded",
        /// Likewise.
        GateJobFailed = "gate job failed",
        /// What the fleet file says is in force where there are no rollouts.
        FleetFileTaken = "fleet file taken",
        /// The fleet file has clusters in another environment.
        ClusterMoved = "cluster moved",
        /// The fleet file takes applications away from clusters.
        ApplicationsTakenAway = "applications taken away",
        /// A cluster came in by a token.
        ClusterEnrol = "cluster enrol",
        /// Somebody with a token was not let in.
        ClusterRefuse = "cluster refuse",
        /// A person accepted a cluster.
        ClusterAccept = "cluster accept",
        /// A person named another key than the one that waits.
        ClusterAcceptRefused = "cluster accept refused",
        /// A person removed a cluster.
        ClusterRemove = "cluster remove",
        /// A cluster's identity was copied.
        ClusterLock = "cluster lock",
        /// A person unlocked it.
        ClusterUnlock = "cluster unlock",
        /// Somebody was given a role.
        OperatorSet = "operator set",
        /// Somebody lost it.
        OperatorRemove = "operator remove",
        /// An operator has a new certificate.
        OperatorRenew = "operator renew",
        /// A token for a cluster was made.
        TokenCreate = "token create",
        /// It lets nobody in any more.
        TokenRevoke = "token revoke",
        /// Agents were asked what a commit would change.
        Plan = "plan",
        /// Somebody was never told of something.
        NotificationGivenUp = "notification given up",
        /// The hub began anew from a backup.
        HubRestore = "hub restore",
        /// The store takes another authority for its own.
        AuthorityAdopt = "authority adopt",
        /// The hub's host raised the epoch.
        EpochRaise = "epoch raise",
    }
}

impl AuditAction {
    /// As a log has it: what is no word of this version stays as it is, whatever it holds, since hashes are over it.
    #[must_use]
    pub fn kept(word: String) -> Self {
        match Self::from(word.as_str()) {
            Self::Other(_) => Self::Other(word),
            known => known,
        }
    }
}

impl Default for AuditAction {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Entry {
    /// Its number in the chain of hashes, from 1 and without gaps.
    pub seq: u64,
    /// When it was written, by the hub's clock.
    pub at: Option<Timestamp>,
    /// Who acted: an operator, or `hub`.
    pub actor: String,
    /// The action, such as `pause` or `rollout started`.
    pub action: AuditAction,
    /// Name of the environment; empty: everywhere.
    pub environment: String,
    /// Names of the affected clusters.
    pub clusters: Vec<String>,
    /// The commit; empty: none.
    pub commit: String,
    /// The reason that the actor gave; empty: none.
    pub reason: String,
    /// Details for operators, such as the key and token of an enrolment.
    pub detail: String,
    /// Hash over the entry and the hash before it.
    pub hash: String,
}

/// An operator with a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operator {
    /// The operator's name.
    pub name: String,
    /// The operator's role.
    pub role: String,
    /// Environments that the role covers; empty: all.
    pub environments: Vec<String>,
    /// Who gave the role last.
    pub changed_by: String,
    /// When the role was last given, by the hub's clock.
    pub changed_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_keeps_words_of_other_versions_as_they_are() {
        for word in [
            "rollout halted",
            "pause",
            "",
            "of a newer hub",
            "pause\u{1b}[2J",
        ] {
            assert_eq!(AuditAction::kept(word.to_owned()).as_str(), word);
        }
        let halted = AuditAction::kept("rollout halted".to_owned());
        assert_eq!(halted, AuditAction::RolloutHalted);
        assert_eq!(AuditAction::default().as_str(), "");
    }
}
