//! Clusters that an operator suspended: their agents write nothing. Their assignment stays as it is, so that on return
//! only the then correct assignment waits for them; a rollout excludes them, by name.

use std::collections::BTreeSet;

use flotilla_shared::id::ClusterName;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::SUSPENDED_BY_HUB;
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;

use super::Fleet;
use super::action::ActionError;
use super::environment::Mark;
use super::event::{AuditEntry, Effect};

impl Fleet {
    pub(super) fn suspend(
        &mut self,
        name: &ClusterName,
        mark: Option<Mark>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        let Some(cluster) = self.clusters.get(name) else {
            return Err(self.no_cluster(name));
        };
        let is_set = mark.is_some();
        match (&cluster.record.suspended, is_set) {
            (Some(before), true) => {
                return Err(ActionError::Nothing(format!(
                    "{name} is already suspended by {}: {}",
                    before.by, before.reason
                )));
            }
            (None, false) => {
                return Err(ActionError::Nothing(format!("{name} is not suspended")));
            }
            _ => {}
        }
        self.set_suspended(name, mark, now, effects);
        Ok(match is_set {
            true => self.suspended(name),
            false => self.resumed(name),
        })
    }

    /// Returns the answer to the operator who suspended it. It says where the suspension cannot be sent yet, since the
    /// agent writes until it gets it.
    fn suspended(&self, name: &ClusterName) -> String {
        const NOTED: &str =
            "it is noted, and its agent does not know of it yet and may go on writing";
        let Some(cluster) = self.clusters.get(name) else {
            return String::new();
        };
        // Nothing is sent to a locked cluster, since it is not certain who has its identity.
        if let Some(lock) = &cluster.record.credential.locked {
            return format!(
                "{NOTED}: {}; it is sent as soon as the cluster is unlocked",
                lock.refusal(name)
            );
        }
        if cluster.record.pending.is_some() {
            return "it is noted; its agent gets nothing before the cluster is accepted".to_owned();
        }
        let assigned = cluster.assigned.as_ref();
        if assigned.is_none_or(|assigned| !assigned.assignment.suspended) {
            return match &cluster.refusal {
                Some(problem) if problem.reason == Reason::HeldAfterRestore => format!(
                    "{NOTED}; it is sent with what the cluster is given next, and it is held: {}",
                    problem.message
                ),
                _ => format!(
                    "{NOTED}: what it runs is not known to this hub; it is sent with what it is given next"
                ),
            };
        }
        if cluster.session.is_none() {
            return format!("{NOTED}: it is not connected; it is sent when it is");
        }
        "its agent writes nothing until it is resumed".to_owned()
    }

    /// Returns the answer to the operator who resumed it.
    fn resumed(&self, name: &ClusterName) -> String {
        let cluster = self.clusters.get(name);
        match cluster.and_then(|cluster| cluster.record.credential.locked.as_ref()) {
            Some(lock) => format!(
                "it follows its environment again as soon as it is unlocked: {}",
                lock.refusal(name)
            ),
            None => "it follows its environment again".to_owned(),
        }
    }

    fn set_suspended(
        &mut self,
        name: &ClusterName,
        mark: Option<Mark>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let is_set = mark.is_some();
        self.change_record(name, effects, |record| record.suspended = mark);
        if is_set {
            self.assign(name, now, effects);
        } else {
            // Its assignment is computed after its rollout has been advanced.
            self.clusters.mark_due(BTreeSet::from([name.clone()]));
        }
    }

    /// Adopts a suspension that this hub does not know of, since its store is older: the agent has kept it, and a
    /// restore is not a reason to write.
    pub(super) fn adopt_suspension(
        &mut self,
        name: &ClusterName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let Some(cluster) = self.clusters.get(name) else {
            return;
        };
        let report = cluster.report.as_ref();
        let says_so = report.is_some_and(|report| {
            report.suspended == SUSPENDED_BY_HUB && report.assignment == cluster.accepted
        });
        if !says_so || cluster.record.suspended.is_some() || !self.is_unsettled(cluster) {
            return;
        }
        let mark = Mark {
            by: HUB_ACTOR.to_owned(),
            reason: "its agent reports a suspension that this hub's store does not have".to_owned(),
            at: now,
        };
        let environment = self.environment_of(name);
        effects.push(Effect::Audit(AuditEntry {
            at: now,
            actor: HUB_ACTOR.to_owned(),
            action: AuditAction::Suspend,
            environment: environment.map(|name| name.to_string()).unwrap_or_default(),
            clusters: vec![name.to_string()],
            reason: mark.reason.clone(),
            ..AuditEntry::default()
        }));
        self.set_suspended(name, Some(mark), now, effects);
    }
}
