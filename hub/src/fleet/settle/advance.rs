//! One step of an environment's rollout, and what its clusters get by it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::super::environment::Scope;
use super::super::event::Effect;
use super::super::rollout::{Phase, State, World};
use super::super::{Fleet, acts, blame, gates};
use super::audit;
use crate::spec::{Environment, Strategy};

impl Fleet {
    /// Advances an environment's rollout, and gives clusters what follows from it.
    pub(super) fn advance(
        &mut self,
        environment: &Environment,
        spare: Strategy,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let name = &environment.name;
        let Some(rollout) = self.rollouts.running(name) else {
            self.follow_approved(environment);
            return;
        };
        let state = self.environments.get(name).cloned().unwrap_or_default();
        let (rollout_changed, checks) = (rollout.changed(), self.standing_gates(environment, now));
        let overridden = state.overridden(&rollout_changed);
        let waiting = state.not_overridden(&rollout_changed);
        let said = |gates: &[gates::Gate]| acts::closed(gates, name, &waiting);
        let closed = match rollout.started_at {
            None => said(&self.enforced_gates(environment, &rollout.target, now)),
            Some(_) => None,
        };
        let closed = self.kept_out(rollout, now).or(closed);
        let held = (!overridden).then(|| said(&checks)).flatten();
        let asked = |open| {
            let asked = checks.iter();
            let asked = asked.filter(|gate| gate.gate == "check" && gate.open == open);
            gates::closed(&asked.cloned().collect::<Vec<_>>()).filter(|_| !overridden)
        };
        let (failing, unanswered) = (asked(gates::Open::No), asked(gates::Open::NotYet));
        let Some(mut rollout) = self.rollouts.take(name) else {
            return;
        };
        // It keeps what it began with; one of an older hub takes what the fleet file says.
        let strategy = rollout.strategy.take().unwrap_or_else(|| Box::new(spare));
        let members = self
            .clusters
            .members(self.declarations.spec(), environment, &strategy);
        let before = (rollout.state, rollout.wave);
        let mut answers = self.sources.trees.take_answers(name, &rollout.target);
        let clusters = self.observe(&rollout, &members, answers.as_mut(), now);
        self.sources.trees.put_answers(name, answers);
        let paused = state.paused.as_ref().map(|mark| {
            format!(
                "{}: {}; flotilla resume {name} goes on",
                mark.by, mark.reason
            )
        });
        let pinned = state.pin.as_ref();
        let pinned = pinned.filter(|pin| pin.holds(now) && !pin.unproven);
        let pinned = pinned.map(|pin| {
            format!(
                "the environment is pinned: {}; flotilla unpin --env {name} lets it go on",
                pin.mark.reason
            )
        });
        let approvals = strategy
            .waves
            .iter()
            .map(|wave| {
                let scope = Scope::Wave(wave.name.clone());
                let people = state.approvers_of_all(&rollout_changed, &scope);
                let people = people.map_or(usize::MAX, |people| people.len());
                (wave.name.clone(), u32::try_from(people).unwrap_or(u32::MAX))
            })
            .collect();
        // Asked only where it is told.
        let joining = match clusters.is_empty() {
            true => self.joining(name),
            false => 0,
        };
        let world = World {
            strategy: &strategy,
            clusters: &clusters,
            joining,
            closed,
            held,
            paused: paused.or(pinned),
            failing,
            unanswered,
            approvals: &approvals,
        };
        rollout.waves = strategy
            .waves
            .iter()
            .map(|wave| wave.name.clone())
            .collect();
        let changes = rollout.advance(&world, now);
        rollout.strategy = Some(strategy);
        for repository in self.unproven(&rollout) {
            rollout.note.push_str(&match repository.is_fleet_file() {
                true => "; what the fleet file declares stays as it was good: no cluster that gets something by it \
                         has proven it"
                    .to_owned(),
                false => format!(
                    "; {repository} stays where it was good: no cluster that runs something of it has proven the \
                     commit"
                ),
            });
        }
        for cluster in &changes.started {
            if let Some(one) = self.clusters.get(cluster) {
                let found = blame::before(one, &rollout);
                rollout.comes_to(cluster, found, one.has_been_well());
            }
        }
        for cluster in &changes.asked {
            let session = self.clusters.get(cluster).and_then(|one| one.session);
            if let Some((session, _)) = session {
                effects.push(Effect::RequestReport(cluster.clone(), session));
            }
        }
        for cluster in &changes.left {
            effects.push(Effect::DeleteProgress(rollout.id.clone(), cluster.clone()));
        }
        let mut given = BTreeSet::new();
        for cluster in &changes.clusters {
            if let Some(progress) = rollout.clusters.get(cluster) {
                effects.push(Effect::StoreProgress(
                    rollout.id.clone(),
                    cluster.clone(),
                    Box::new(progress.clone()),
                ));
                if progress.phase == Phase::Started {
                    given.insert(cluster.clone());
                }
            }
            self.clusters.change(cluster, &mut self.versions);
        }
        if changes.rollout {
            effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
        }
        if before != (rollout.state, rollout.wave) {
            let action = match rollout.state {
                State::Running if before.0 == State::Pending => "rollout started",
                State::Running if before.1 == rollout.wave => "rollout goes on",
                State::Running => "rollout wave",
                State::Pending => "rollout waits",
                State::Soaking => "rollout soaks",
                State::Paused => "rollout paused",
                State::Halted => "rollout halted",
                State::RolledBack => "rollout rolled back",
                State::Succeeded => "rollout succeeded",
                State::Superseded => "rollout superseded",
            };
            effects.push(Effect::Audit(audit(&rollout, action, now)));
        }
        let over = rollout.state.is_over();
        if changes.rollout || !changes.clusters.is_empty() || !changes.left.is_empty() {
            self.touch_environments();
        }
        if over {
            self.conclude(&rollout, false, now, effects);
        }
        self.rollouts.put(rollout);
        if over {
            self.follow_approved(environment);
            // What waits in the queue, or came meanwhile, has its turn at the next step.
            self.environments.mark_dirty([name.clone()]);
        } else {
            self.clusters.mark_due(given);
        }
    }
}
