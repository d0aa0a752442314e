//! Trying a rollout again, and ending it.

use flotilla_shared::id::EnvironmentName;
use jiff::Timestamp;

use super::super::environment::Mark;
use super::super::event::Effect;
use super::super::rollout::State;
use super::super::{Fleet, settle};
use super::ActionError;

impl Fleet {
    pub(super) fn retry(
        &mut self,
        name: &EnvironmentName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        self.strategy(name)?;
        let nothing = || ActionError::Nothing(format!("{name} has no failed cluster to try again"));
        let rollout = self.rollouts.get_mut(name).ok_or_else(nothing)?;
        if rollout.state.is_over() {
            return Err(ActionError::Nothing(format!(
                "{} is over ({}); a new commit begins a new one",
                rollout.id, rollout.state
            )));
        }
        let halted = rollout.state == State::Halted;
        let again = rollout.retry(now);
        if again.is_empty() && !halted {
            return Err(nothing());
        }
        // What spoke against it is asked once more.
        self.checks
            .retain(|(environment, _), _| environment != name);
        effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
        for cluster in &again {
            if let Some(progress) = rollout.clusters.get(cluster) {
                effects.push(Effect::StoreProgress(
                    rollout.id.clone(),
                    cluster.clone(),
                    Box::new(progress.clone()),
                ));
            }
        }
        let text = rollout.id.clone();
        for cluster in &again {
            // What the agent refused is offered to it once more.
            if let Some(cluster) = self.clusters.get_mut(cluster) {
                cluster.refusal = None;
            }
            self.offer(cluster, effects);
        }
        self.dirty.insert(name.clone());
        self.touch_environments();
        Ok(text)
    }

    pub(super) fn abort(
        &mut self,
        name: &EnvironmentName,
        mark: &Mark,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Result<String, ActionError> {
        self.strategy(name)?;
        let rollout = self
            .rollouts
            .get_mut(name)
            .filter(|rollout| !rollout.state.is_over())
            .ok_or_else(|| ActionError::Nothing(format!("{name} has no rollout to abort")))?;
        let note = format!("aborted by {}: {}", mark.by, mark.reason);
        rollout.end(State::RolledBack, note, now);
        let rollout = rollout.clone();
        effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
        effects.push(Effect::Audit(settle::audit(
            &rollout,
            "rollout rolled back",
            now,
        )));
        self.conclude(&rollout, true, now, effects);
        self.dirty.insert(name.clone());
        self.touch_environments();
        Ok(rollout.id)
    }
}
