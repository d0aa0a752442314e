//! Whether a step back in history may be taken (V5).

use flotilla_git::{Lineage, Remote};
use flotilla_shared::approval::{ApprovalError, NAMESPACE, RollbackApproval, SignedApproval};
use flotilla_shared::id::ClusterName;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{Commit, RepositoryUrl};
use flotilla_trust::TrustError;
use jiff::Timestamp;

use super::super::DesiredApplication;
use super::super::record::{AcceptedCommit, Record};
use super::{Admission, AdmittedCommit, is_at, places};
use crate::policy::{Refusal, RollbackMode};

/// Why an approval does not allow a step back.
#[derive(Debug, thiserror::Error)]
enum RollbackRefusal {
    #[error(transparent)]
    Signature(#[from] TrustError),
    #[error(transparent)]
    Content(#[from] ApprovalError),
    #[error("it is for {0}")]
    OfRepository(RepositoryUrl),
    #[error("it approves {0}")]
    ToCommit(Commit),
    #[error("it does not name cluster {0}")]
    Unnamed(ClusterName),
    #[error("it is for clusters that leave {0}")]
    FromCommit(Commit),
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// Each counts once.
    #[error("it was used before")]
    Used,
}

impl Admission {
    /// Where the policy allows rollbacks: whether this commit is one, to tell the owners of the cluster.
    /// Checked once for each change of commit, when it is about to run; if it cannot be found out, that is
    /// reported, and nothing is held up.
    pub(in crate::source) fn look_back(
        &self,
        remote: &Remote,
        desired: &DesiredApplication,
        admitted: &mut AdmittedCommit,
    ) {
        if self.policy.rollback.mode != RollbackMode::Allow {
            return;
        }
        let revision = &desired.application.revision;
        let commit = &revision.commit;
        for from in self.left(desired) {
            let before = format!("{from}, which was accepted before");
            let unknown =
                format!("cannot determine whether commit {commit} descends from {before}");
            let words = match remote.lineage(&revision.branch, commit, &from) {
                Ok(Some(Lineage::After)) => continue,
                Ok(Some(Lineage::Behind)) => {
                    format!("went back in history: commit {commit} is behind {before}")
                }
                Ok(Some(Lineage::Apart)) => {
                    format!("commit {commit} does not descend from {before}")
                }
                Ok(None) => format!("{unknown}: the available history is too short"),
                Err(error) => format!("{unknown}: {error}"),
            };
            admitted.note = Some(format!("{words}; the agent's policy allows rollbacks"));
            admitted.accepted.back_from = Some(from);
            return;
        }
    }

    /// The commits of the same repository that are left by this one: the application's own, and its branch's.
    fn left(&self, desired: &DesiredApplication) -> Vec<Commit> {
        let record = self.record.lock();
        let (own, floor) = places(&record, desired);
        if own.is_some_and(|own| is_at(own, desired)) {
            return Vec::new();
        }
        let application = &desired.application;
        let before = own.into_iter().chain(floor);
        let mut left: Vec<Commit> = before
            .filter(|accepted| accepted.url == application.url && !is_at(accepted, desired))
            .map(|accepted| accepted.commit.clone())
            .collect();
        left.dedup();
        left
    }

    /// Whether the step back from `from` is approved, where rollbacks are not allowed in general. Returns the
    /// approval that it uses up, and a message for people.
    pub(super) fn step_back(
        &self,
        record: &Record,
        desired: &DesiredApplication,
        from: &Commit,
        floor: Option<&AcceptedCommit>,
        now: Timestamp,
    ) -> Result<(Option<RollbackApproval>, Option<String>), Refusal> {
        let commit = &desired.application.revision.commit;
        let (own, _) = places(record, desired);
        let left = own.filter(|own| own.url != desired.application.url && own.commit == *from);
        let what = match left {
            None => {
                format!("commit {commit} does not descend from {from}, which was accepted before")
            }
            Some(own) => format!(
                "the application came from repository {}, and nothing shows whether commit {commit} is newer \
                 than {from}, which was accepted there",
                own.url
            ),
        };
        if self.policy.rollback.mode == RollbackMode::Refuse {
            let way = match left {
                None => "commit forward",
                Some(_) => "declare it under a new name, to which its objects are handed over",
            };
            let message = format!("{what}; the agent's policy does not allow rollbacks: {way}");
            return Err(Refusal::new(Reason::NotADescendant, message));
        }
        // The branch went back already, by an approval that another application used.
        let followed = floor
            .is_some_and(|floor| floor.commit == *commit && floor.back_from.as_ref() == Some(from));
        if followed {
            return Ok((
                None,
                Some(format!("{what}; covered by an approval used before")),
            ));
        }
        let mut why = String::new();
        for approval in &desired.approvals {
            match self.approved(record, desired, approval, from, now) {
                Ok((content, key)) => {
                    let note = format!("{what}; {key} approved it");
                    return Ok((Some(content), Some(note)));
                }
                Err(refused) => why = refused.to_string(),
            }
        }
        if desired.approvals.is_empty() {
            let message = format!(
                "{what}; the agent's policy requires an approval for that: flotilla rollback \
                 --sign KEY"
            );
            return Err(Refusal::new(Reason::NotADescendant, message));
        }
        let message = format!("{what}; the approval that came with it is not valid: {why}");
        Err(Refusal::new(Reason::ApprovalRefused, message))
    }

    fn approved(
        &self,
        record: &Record,
        desired: &DesiredApplication,
        approval: &SignedApproval,
        from: &Commit,
        now: Timestamp,
    ) -> Result<(RollbackApproval, String), RollbackRefusal> {
        let key = self
            .keyring
            .detached(
                &approval.signature,
                NAMESPACE,
                &approval.content,
                &self.policy.rollback.keys,
                now,
            )?
            .to_owned();
        let content = RollbackApproval::parse(&approval.content)?;
        let application = &desired.application;
        if content.repository != application.url {
            return Err(RollbackRefusal::OfRepository(content.repository));
        }
        if content.to != application.revision.commit {
            return Err(RollbackRefusal::ToCommit(content.to));
        }
        match content.from.get(&desired.cluster) {
            None => return Err(RollbackRefusal::Unnamed(desired.cluster.clone())),
            Some(named) if named != from => return Err(RollbackRefusal::FromCommit(named.clone())),
            Some(_) => {}
        }
        if content.expires_at <= now {
            return Err(RollbackRefusal::Expired(content.expires_at));
        }
        if record.used.contains_key(&content.nonce) {
            return Err(RollbackRefusal::Used);
        }
        Ok((content, key))
    }
}
