//! After events, the decisions that follow: rollouts begin, advance and end, and clusters get what
//! that means for them.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::id::EnvironmentName;
use jiff::Timestamp;

use super::environment::{MAX_QUARANTINED, MAX_QUEUE, Quarantine, Scope, push};
use super::event::{AuditEntry, Effect};
use super::rollout::{Commits, Phase, Rollout, State, World, title};
use super::{Fleet, gates};
use crate::spec::{Environment, OnNewCommit, Strategy};

/// Rounds of one settling; what is left then waits for the next tick.
const ROUNDS: usize = 4;

/// What clusters follow while no rollout runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Followed {
    approved: Commits,
    approved_by: String,
    /// The last one, and how it ended.
    rollout: Option<(String, State)>,
}

/// Who did what the hub does by itself.
pub(super) const HUB: &str = "hub";

impl Fleet {
    /// Draws the consequences of everything absorbed since the last time. Deterministic.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        // The end of one rollout may be the beginning of the next.
        for _ in 0..ROUNDS {
            for name in std::mem::take(&mut self.dirty) {
                self.settle_one(&name, now, &mut effects);
            }
            if self.dirty.is_empty() {
                break;
            }
        }
        self.assign_due(now, &mut effects);
        effects
    }

    fn settle_one(&mut self, name: &EnvironmentName, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(environment) = self.spec.environment(name).cloned() else {
            return;
        };
        self.note_proof(&environment, now, effects);
        match &environment.strategy {
            None => self.follow_heads(&environment, now, effects),
            Some(strategy) => {
                self.begin(&environment, strategy, now, effects);
                self.advance(&environment, strategy, now, effects);
            }
        }
    }

    /// Whether time alone may change something, so that ticks are worth their while.
    #[must_use]
    pub fn needs_ticks(&self) -> bool {
        !self.dirty.is_empty() || !self.ticking().is_empty()
    }

    /// Environments in which time alone may change something.
    pub(super) fn ticking(&self) -> BTreeSet<EnvironmentName> {
        let mut names = BTreeSet::new();
        for environment in &self.spec.environments {
            let running = self
                .rollouts
                .get(&environment.name)
                .is_some_and(|rollout| !rollout.state.is_over());
            let unproven = environment.gates.proof.is_some()
                && environment.promotes_from.as_ref().is_some_and(|source| {
                    let good = self
                        .spec
                        .environment(source)
                        .map(|source| self.good(source));
                    let state = self.environments.get(&environment.name);
                    good.is_some_and(|good| {
                        !good.is_empty()
                            && !state.is_some_and(|state| {
                                state.proven.iter().any(|proven| proven.commits == good)
                            })
                    })
                });
            if running || unproven || self.pins_expire(&environment.name) {
                names.insert(environment.name.clone());
            }
        }
        names
    }

    fn pins_expire(&self, environment: &EnvironmentName) -> bool {
        let expires = |pin: &super::environment::Pin| pin.expires_at.is_some();
        let own = self
            .environments
            .get(environment)
            .and_then(|state| state.pin.as_ref());
        own.is_some_and(expires) || self.expiring_pins > 0
    }

    /// The commits at the heads of an environment's branches.
    #[must_use]
    pub fn head_commits(&self, environment: &Environment) -> Commits {
        self.spec
            .repositories
            .keys()
            .filter_map(|repository| {
                let head = self.head(repository, &environment.branch)?;
                Some((repository.clone(), head.commit.clone()?))
            })
            .collect()
    }

    /// The last commits that were good for an environment; its heads, where it has no strategy.
    #[must_use]
    pub fn good(&self, environment: &Environment) -> Commits {
        if environment.strategy.is_none() {
            return self.head_commits(environment);
        }
        self.environments
            .get(&environment.name)
            .map(|state| state.approved.clone())
            .unwrap_or_default()
    }

    /// Without a strategy the heads are good as they come. They are noted, so that a strategy that is
    /// given later begins from what runs.
    fn follow_heads(
        &mut self,
        environment: &Environment,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let heads = self.head_commits(environment);
        if let Some(mut rollout) = self.rollouts.remove(&environment.name)
            && !rollout.state.is_over()
        {
            rollout.end(
                State::Superseded,
                "the strategy was removed".to_owned(),
                now,
            );
            effects.push(Effect::StoreRollout(Box::new(rollout)));
        }
        let state = self
            .environments
            .entry(environment.name.clone())
            .or_default();
        if heads.is_empty() || state.approved == heads {
            return;
        }
        state.approve(heads, String::new(), now);
        let state = Box::new(state.clone());
        effects.push(Effect::StoreEnvironment(environment.name.clone(), state));
    }

    /// Begins a rollout where the heads ask for one.
    fn begin(
        &mut self,
        environment: &Environment,
        strategy: &Strategy,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let heads = self.head_commits(environment);
        let name = &environment.name;
        let mut state = self.environments.remove(name).unwrap_or_default();
        let before = state.clone();
        let running = self
            .rollouts
            .get(name)
            .filter(|rollout| !rollout.state.is_over());
        let newest = state
            .queue
            .back()
            .or(running.map(|rollout| &rollout.target));
        let mut next = None;
        if !heads.is_empty() && newest.unwrap_or(&state.approved) != &heads {
            match (running, strategy.on_new_commit) {
                // What was halted must not stand in the way of its own repair.
                (Some(rollout), OnNewCommit::Queue) if rollout.state != State::Halted => {
                    if state.queue.len() >= MAX_QUEUE {
                        state.queue.pop_back();
                    }
                    state.queue.push_back(heads);
                }
                (Some(rollout), OnNewCommit::Finish) if rollout.state != State::Halted => {
                    state.queue = [heads].into();
                }
                _ => {
                    state.queue.clear();
                    next = Some(heads);
                }
            }
        }
        if next.is_none() && running.is_none() {
            next = state.queue.pop_front();
        }
        let next = next.filter(|next| {
            let same = running.is_some_and(|rollout| rollout.target == *next);
            // Going back to what is good while something else runs is a rollout like any other.
            let idle = running.is_none() && state.approved == *next;
            !same && !idle && state.quarantine(next).is_none()
        });
        if let Some(target) = next {
            state.last_number += 1;
            let mut carried = Vec::new();
            if let Some(mut old) = self.rollouts.remove(name)
                && !old.state.is_over()
            {
                let id = format!("{name}-{}", state.last_number);
                carried.append(&mut old.carried);
                carried.push(old.id.clone());
                old.end(State::Superseded, format!("{id} took over"), now);
                effects.push(Effect::Audit(audit(&old, "rollout superseded", now)));
                effects.push(Effect::StoreRollout(Box::new(old)));
            }
            let rollout = Rollout {
                id: format!("{name}-{}", state.last_number),
                environment: name.clone(),
                target,
                from: state.approved.clone(),
                from_id: state.approved_by.clone(),
                state: State::Pending,
                carried,
                waves: strategy
                    .waves
                    .iter()
                    .map(|wave| wave.name.clone())
                    .collect(),
                wave: 0,
                created_at: now,
                started_at: None,
                ended_at: None,
                note: String::new(),
                clusters: BTreeMap::new(),
            };
            effects.push(Effect::Audit(audit(&rollout, "rollout created", now)));
            effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
            self.rollouts.insert(name.clone(), rollout);
            self.touch_environments();
        }
        if state != before {
            effects.push(Effect::StoreEnvironment(
                name.clone(),
                Box::new(state.clone()),
            ));
        }
        self.environments.insert(name.clone(), state);
    }

    /// Advances an environment's rollout, and gives clusters what follows from it.
    fn advance(
        &mut self,
        environment: &Environment,
        strategy: &Strategy,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let name = &environment.name;
        if self
            .rollouts
            .get(name)
            .is_none_or(|rollout| rollout.state.is_over())
        {
            self.follow_approved(environment);
            return;
        }
        let members = self.members(environment, strategy);
        let Some(mut rollout) = self.rollouts.remove(name) else {
            return;
        };
        let before = (rollout.state, rollout.wave);
        let mut answers = self.trees.take_answers(name, &rollout.target);
        let clusters = self.observe(&rollout, &members, answers.as_mut(), now);
        self.trees.put_answers(name, answers);
        let state = self.environments.get(name).cloned().unwrap_or_default();
        let paused = state
            .paused
            .as_ref()
            .map(|mark| format!("{}: {}", mark.by, mark.reason));
        let pinned = state.pin.as_ref().filter(|pin| pin.holds(now));
        let pinned = pinned.map(|pin| format!("the environment is pinned: {}", pin.mark.reason));
        let closed = match rollout.started_at {
            None => gates::closed(&self.enforced_gates(environment, &rollout.target, now)),
            Some(_) => None,
        };
        let held = match state.overruled(&rollout.target) {
            Some(_) => None,
            None => gates::closed(&self.standing_gates(environment, now)),
        };
        let approvals = strategy
            .waves
            .iter()
            .map(|wave| {
                let scope = Scope::Wave(wave.name.clone());
                let people = state.approvers(&rollout.target, &scope).len();
                (wave.name.clone(), u32::try_from(people).unwrap_or(u32::MAX))
            })
            .collect();
        let world = World {
            strategy,
            clusters: &clusters,
            closed,
            held,
            paused: paused.or(pinned),
            approvals: &approvals,
        };
        rollout.waves = strategy
            .waves
            .iter()
            .map(|wave| wave.name.clone())
            .collect();
        let changes = rollout.advance(&world, now);
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
            self.touch(cluster);
        }
        if changes.rollout {
            effects.push(Effect::StoreRollout(Box::new(rollout.clone())));
        }
        if before != (rollout.state, rollout.wave) {
            let action = match rollout.state {
                State::Running if before.0 != State::Pending => "rollout wave",
                State::Running => "rollout started",
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
            self.conclude(&rollout, now, effects);
        }
        self.rollouts.insert(name.clone(), rollout);
        if over {
            self.follow_approved(environment);
            // What waits in the queue, or came meanwhile, has its turn at the next step.
            self.dirty.insert(name.clone());
        } else {
            self.assign_again(given);
        }
    }

    /// Gives all clusters of an environment in which no rollout runs what is good there, unless that is
    /// what they were given last.
    fn follow_approved(&mut self, environment: &Environment) {
        let state = self.environments.get(&environment.name);
        let rollout = self.rollouts.get(&environment.name);
        let follow = Followed {
            approved: state
                .map(|state| state.approved.clone())
                .unwrap_or_default(),
            approved_by: state
                .map(|state| state.approved_by.clone())
                .unwrap_or_default(),
            rollout: rollout.map(|rollout| (rollout.id.clone(), rollout.state)),
        };
        let name = &environment.name;
        if self.followed.get(name) != Some(&follow) {
            self.assign_later(|environment| environment.name == *name);
            self.followed.insert(name.clone(), follow);
        }
    }

    /// What the end of a rollout means for its environment.
    pub(super) fn conclude(
        &mut self,
        rollout: &Rollout,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let state = self
            .environments
            .entry(rollout.environment.clone())
            .or_default();
        match rollout.state {
            State::Succeeded => {
                state.approve(rollout.target.clone(), rollout.id.clone(), now);
                state.hold = None;
            }
            State::RolledBack => {
                let quarantine = Quarantine {
                    commits: rollout.target.clone(),
                    rollout: rollout.id.clone(),
                    reason: rollout.note.clone(),
                    at: now,
                };
                push(&mut state.quarantined, MAX_QUARANTINED, quarantine);
                let mark = super::environment::Mark {
                    by: HUB.to_owned(),
                    reason: format!("{} was rolled back: {}", rollout.id, rollout.note),
                    at: now,
                };
                state.hold = Some(super::environment::Hold {
                    mark,
                    rolled_back: rollout.id.clone(),
                });
            }
            _ => return,
        }
        let state = Box::new(state.clone());
        effects.push(Effect::StoreEnvironment(rollout.environment.clone(), state));
    }
}

/// An entry about a rollout.
pub(super) fn audit(rollout: &Rollout, action: &'static str, now: Timestamp) -> AuditEntry {
    AuditEntry {
        at: now,
        actor: HUB.to_owned(),
        action: action.to_owned(),
        environment: rollout.environment.to_string(),
        clusters: rollout
            .clusters
            .iter()
            .filter(|(_, progress)| progress.phase.is_touched())
            .map(|(name, _)| name.to_string())
            .collect(),
        commit: rollout
            .target
            .values()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        reason: rollout.note.clone(),
        detail: format!(
            "{} to {}, wave {} of {}",
            rollout.id,
            title(&rollout.target),
            (rollout.wave + 1).min(rollout.waves.len()),
            rollout.waves.len()
        ),
    }
}
