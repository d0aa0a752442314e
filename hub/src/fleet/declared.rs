//! Consequences of a changed fleet file.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_status::AuditAction;
use jiff::Timestamp;

use super::event::{AuditEntry, Effect};
use super::rollout::Commits;
use super::specify::{FLEET_FILE, NAMED};
use super::{Fleet, place};
use crate::spec::Spec;

impl Fleet {
    /// Returns an entry about a change of the fleet file that is in force at once, where no rollout reports it; none:
    /// nothing changed, or the former declarations are no longer known.
    pub(super) fn declared_at_once(
        &self,
        environment: &EnvironmentName,
        before: &Commits,
        after: &Commits,
        now: Timestamp,
    ) -> Option<AuditEntry> {
        let revision = after.get(RepositoryName::fleet_file())?;
        let (old, new) = (
            self.specification_among(before)?,
            self.specification(revision)?,
        );
        let (clusters, detail) = self.touched(&old, &new, environment);
        (!detail.is_empty()).then(|| AuditEntry {
            at: now,
            actor: FLEET_FILE.to_owned(),
            action: AuditAction::FleetFileTaken,
            environment: environment.to_string(),
            clusters,
            commit: revision.to_string(),
            reason: "the environment has no rollout strategy: it is in force at once".to_owned(),
            detail,
            rollout: None,
        })
    }

    /// Adds audit entries of clusters that the new fleet file lists in another environment.
    fn moved_by_file(&self, before: &Spec, now: Timestamp, effects: &mut Vec<Effect>) {
        let mut moves: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for (name, cluster) in self.clusters.iter() {
            let record = Some(&*cluster.record);
            let old = place(before, name, record);
            let new = place(self.spec(), name, record);
            if let (Some(old), Some(new)) = (old, new)
                && old != new
            {
                moves.entry((old, new)).or_default().push(name.to_string());
            }
        }
        for ((old, new), mut clusters) in moves {
            let count = clusters.len();
            clusters.truncate(NAMED);
            effects.push(Effect::Audit(AuditEntry {
                at: now,
                actor: FLEET_FILE.to_owned(),
                action: AuditAction::ClusterMoved,
                environment: new.to_string(),
                clusters,
                reason: "the fleet file lists it in another environment".to_owned(),
                detail: format!("{count} from {old} to {new}"),
                ..AuditEntry::default()
            }));
        }
    }

    pub(super) fn spec_changed(
        &mut self,
        spec: Arc<Spec>,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let before = self.declarations.replace(spec, &self.clusters);
        self.sources.forget(&before, self.declarations.spec());
        self.moved_by_file(&before, now, effects);
        self.adopt(now, effects);
        let all = self.declarations.spec().environments.iter();
        self.environments
            .mark_dirty(all.map(|environment| environment.name.clone()));
        // The rollouts of environments that left the file have to be ended.
        self.environments.mark_dirty(self.rollouts.keys().cloned());
        self.touch_environments();
        self.assign_later(|_| true);
    }

    /// Initialises an environment that gets a strategy: it begins from what its clusters run, as noted while it had
    /// none, or from the heads of a store older than strategies.
    fn adopt(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let spec = Arc::clone(self.spec());
        for environment in &spec.environments {
            if environment.strategy.is_none() || self.environments.contains_key(&environment.name) {
                continue;
            }
            let runs = self.clusters.values().any(|cluster| {
                let assigned = cluster.assigned.as_ref();
                assigned.is_some_and(|assigned| assigned.assignment.environment == environment.name)
            });
            let heads = self.head_commits(environment);
            if runs && !heads.is_empty() {
                let epoch = self.epoch.0;
                self.decide(&environment.name, effects, |state| {
                    state.approve(heads, String::new(), epoch, now);
                });
            }
        }
    }
}
