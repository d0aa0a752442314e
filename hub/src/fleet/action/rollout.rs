//! Retrying and aborting rollouts.

use flotilla_shared::id::EnvironmentName;
use flotilla_status::AuditAction;
use jiff::Timestamp;

use super::super::environment::Mark;
use super::super::event::Effect;
use super::super::rollout::{Commits, Phase, State};
use super::super::{Fleet, advance};
use super::ActionError;

impl Fleet {
    pub(super) fn retry(
        &mut self,
        name: &EnvironmentName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        self.steers(name)?;
        let nothing = || {
            ActionError::Nothing(format!(
                "{name} has no failed cluster and no failed gate Job to retry"
            ))
        };
        let rollout = self.rollouts.get(name).ok_or_else(nothing)?;
        if rollout.state.is_over() {
            let state = self.environments.get(name);
            let environment = self.spec().environment(name);
            let newest = environment
                .map(|environment| self.newest(environment))
                .unwrap_or_default();
            let held = state.and_then(|state| state.held_among(&newest));
            let again = held.map_or_else(String::new, |(_, commit)| {
                format!(
                    "; to retry this one: flotilla promote {name} --force --commit {} --reason \
                     TEXT",
                    commit.short()
                )
            });
            return Err(ActionError::Nothing(format!(
                "{} has ended ({}); a new commit or another change of the fleet file starts a \
                 new rollout{again}",
                rollout.id, rollout.state
            )));
        }
        let mut clusters = rollout.clusters.values();
        let any_failed = clusters.any(|progress| progress.phase == Phase::Failed);
        let state = self.environments.get(name);
        // A retry also runs failed Jobs of commits that wait beside the rollout.
        let environment = self.spec().environment(name);
        let apart = environment.map(|environment| self.apart(environment, now));
        let apart = apart.unwrap_or_default().into_iter();
        let mut waiting: Commits = apart
            .map(|apart| (apart.repository, apart.commit))
            .collect();
        if rollout.started_at.is_none() {
            waiting.extend(rollout.target.clone());
        }
        let jobs_failed = state.is_some_and(|state| state.has_failed_job(&waiting));
        if !any_failed && !jobs_failed && rollout.state != State::Halted {
            return Err(nothing());
        }
        let id = rollout.id.clone();
        if jobs_failed {
            self.decide(name, effects, |state| state.retry_jobs(&waiting));
        }
        // Failed external checks are run again.
        self.rollouts.ask_again(name);
        let versions = &mut self.versions;
        let again = self.rollouts.change(name, versions, effects, |rollout| {
            let again = rollout.retry(now).into_iter();
            let again = again.filter_map(|cluster| {
                let progress = rollout.clusters.get(&cluster)?.clone();
                Some((cluster, progress))
            });
            again.collect::<Vec<_>>()
        });
        let again = again.unwrap_or_default();
        for (cluster, progress) in &again {
            effects.push(Effect::StoreProgress(
                id.clone(),
                cluster.clone(),
                Box::new(progress.clone()),
            ));
        }
        for (cluster, _) in &again {
            // A refused assignment is offered to the agent again.
            if let Some(cluster) = self.clusters.change(cluster, &mut self.versions) {
                cluster.refusal = None;
            }
            self.offer(cluster, effects);
        }
        self.environments.mark_dirty([name.clone()]);
        Ok(id)
    }

    pub(super) fn abort(
        &mut self,
        name: &EnvironmentName,
        mark: &Mark,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        self.steers(name)?;
        let nothing = || ActionError::Nothing(format!("{name} has no rollout to abort"));
        self.rollouts.running(name).ok_or_else(nothing)?;
        let note = format!("aborted by {}: {}", mark.by, mark.reason);
        let versions = &mut self.versions;
        let ended = self.rollouts.change(name, versions, effects, |rollout| {
            rollout.end(State::RolledBack, note, now);
            rollout.clone()
        });
        let rollout = ended.ok_or_else(nothing)?;
        let entry = advance::audit(&rollout, AuditAction::RolloutRolledBack, now);
        effects.push(Effect::Audit(entry));
        self.conclude(&rollout, advance::EndCause::Person, now, effects);
        self.environments.mark_dirty([name.clone()]);
        Ok(rollout.id)
    }
}
