//! Whether a step back in history may be taken (V5).

use flotilla_shared::approval::{NAMESPACE, RollbackApproval, SignedApproval};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use jiff::Timestamp;

use super::super::Wanted;
use super::super::record::{Accepted, Record};
use super::Trust;
use crate::policy::{Refusal, RollbackMode};

impl Trust {
    /// Whether it may be gone back from `from`. Returns the approval that is used up by it, and what to
    /// tell people.
    pub(super) fn step_back(
        &self,
        record: &Record,
        wanted: &Wanted,
        from: &Commit,
        floor: Option<&Accepted>,
        now: Timestamp,
    ) -> Result<(Option<RollbackApproval>, Option<String>), Refusal> {
        let commit = &wanted.application.revision.commit;
        let what =
            format!("commit {commit} does not descend from {from}, which was accepted before");
        match self.policy.rollback.mode {
            RollbackMode::Allow => {
                let note = format!("{what}; the agent's policy allows to go back");
                return Ok((None, Some(note)));
            }
            RollbackMode::Refuse => {
                let message = format!("{what}; the agent's policy never goes back: commit forward");
                return Err(Refusal::new(Reason::NotADescendant, message));
            }
            RollbackMode::Approve => {}
        }
        // The branch went back already, by an approval that another application used.
        let followed = floor
            .is_some_and(|floor| floor.commit == *commit && floor.back_from.as_ref() == Some(from));
        if followed {
            return Ok((
                None,
                Some(format!("{what}; it follows an approval used before")),
            ));
        }
        let mut why = String::new();
        for approval in &wanted.approvals {
            match self.approved(record, wanted, approval, from, now) {
                Ok((said, key)) => {
                    let note = format!("{what}; {key} approved it");
                    return Ok((Some(said), Some(note)));
                }
                Err(refused) => why = refused,
            }
        }
        if wanted.approvals.is_empty() {
            let message = format!(
                "{what}; the agent's policy wants an approval for that: flotilla rollback --sign KEY"
            );
            return Err(Refusal::new(Reason::NotADescendant, message));
        }
        let message = format!("{what}; the approval that came with it does not hold: {why}");
        Err(Refusal::new(Reason::ApprovalRefused, message))
    }

    fn approved(
        &self,
        record: &Record,
        wanted: &Wanted,
        approval: &SignedApproval,
        from: &Commit,
        now: Timestamp,
    ) -> Result<(RollbackApproval, String), String> {
        let key = self
            .keyring
            .detached(
                &approval.signature,
                NAMESPACE,
                &approval.content,
                &self.policy.rollback.keys,
                now,
            )
            .map_err(|fault| fault.to_string())?
            .to_owned();
        let said = RollbackApproval::parse(&approval.content).map_err(|error| error.to_string())?;
        let application = &wanted.application;
        if said.repository != application.url {
            return Err(format!("it is for {}", said.repository));
        }
        if said.to != application.revision.commit {
            return Err(format!("it approves {}", said.to));
        }
        match said.from.get(&wanted.cluster) {
            None => return Err(format!("it does not name cluster {}", wanted.cluster)),
            Some(named) if named != from => {
                return Err(format!("it is for clusters that leave {named}"));
            }
            Some(_) => {}
        }
        if said.expires_at <= now {
            return Err(format!("it expired at {}", said.expires_at));
        }
        if record.used.contains_key(&said.nonce) {
            return Err("it was used before".to_owned());
        }
        Ok((said, key))
    }
}
