//! Which commits an environment gets next, and the rollout that brings them.

use std::collections::BTreeMap;

use flotilla_shared::id::{EnvironmentName, RepositoryName};
use flotilla_status::AuditAction;
use jiff::Timestamp;

use super::super::environment::{EnvironmentState, MAX_QUEUE, Pin};
use super::super::event::Effect;
use super::super::rollout::{Commits, Rollout, State, changed};
use super::super::specify::has_commits;
use super::super::{Fleet, gate::Gate};
use super::audit;
use crate::spec::{Environment, OnNewCommit, Strategy};

impl EnvironmentState {
    /// Returns commits with failed ones replaced by the last good ones.
    pub(crate) fn without_failed(&self, commits: &Commits) -> Commits {
        let mut all = commits.clone();
        for (repository, commit) in commits {
            if self.quarantine_of(repository, commit).is_some() {
                self.hold_back(&mut all, repository);
            }
        }
        all
    }

    /// Keeps a repository at its last good commit.
    pub(super) fn hold_back(&self, commits: &mut Commits, repository: &RepositoryName) {
        match self.approved.get(repository) {
            Some(good) => commits.insert(repository.clone(), good.clone()),
            None => commits.remove(repository),
        };
    }

    /// Returns the pin, if its commits have not passed the gates.
    fn pinned_ahead(&self, now: Timestamp) -> Option<&Pin> {
        let pin = self.pin.as_ref();
        pin.filter(|pin| pin.unproven && pin.holds(now))
    }

    /// Returns which of these commits may be tried next: none that failed, and of those that failed together one at a
    /// time, once all others are rolled out.
    pub(in crate::fleet) fn triable(&self, commits: &Commits) -> Commits {
        let mut next = self.without_failed(commits);
        let is_suspect = |repository, commit| self.suspects.get(repository) == Some(commit);
        let news = changed(&self.approved, &next);
        let sure = news.iter().any(|(name, commit)| !is_suspect(name, commit));
        let suspects = news
            .iter()
            .filter(|(name, commit)| is_suspect(name, commit));
        for (repository, _) in suspects.skip(usize::from(!sure)) {
            self.hold_back(&mut next, repository);
        }
        next
    }
}

impl Fleet {
    /// Returns the commits that an environment should get, by its heads, its pin and its failures.
    fn asked(
        &self,
        environment: &Environment,
        state: &EnvironmentState,
        newest: &Commits,
        now: Timestamp,
    ) -> Commits {
        let mut heads = self.head_commits(environment);
        if let Some(pin) = state.pinned_ahead(now) {
            // The pin lets in only the commits that it names.
            let mut desired = state.approved.clone();
            desired.extend(pin.commits.clone());
            return state.without_failed(&desired);
        }
        // Before all branches are read, only part of what should run is known.
        let unread = self.spec().repositories.keys().any(|repository| {
            let head = self.head(repository, &environment.branch);
            self.uses(environment, repository)
                && head.is_none_or(|head| head.commit.is_none() && head.problem.is_none())
        });
        if !has_commits(&state.approved) && unread {
            return Commits::new();
        }
        // The same applies to a fleet file that uses a repository that was never read.
        let source = RepositoryName::fleet_file();
        let declared = match state.approved.get(source) {
            Some(present) if unread => Some((source.clone(), present.clone())),
            _ => self.asked_revision(&environment.name, state, newest),
        };
        heads.extend(declared);
        state.without_failed(&heads)
    }

    /// Returns the requested commits, and which of them come next.
    fn asked_and_desired(
        &self,
        environment: &Environment,
        state: &EnvironmentState,
        newest: &Commits,
        now: Timestamp,
    ) -> (Commits, Commits) {
        let asked = self.asked(environment, state, newest, now);
        let desired = match state.pinned_ahead(now) {
            Some(_) => asked.clone(),
            None => self.desired(environment, state, (&asked, state.queue.back()), now),
        };
        (asked, desired)
    }

    /// Returns which of the requested commits the environment gets now, or after `before`.
    fn desired(
        &self,
        environment: &Environment,
        state: &EnvironmentState,
        (asked, before): (&Commits, Option<&Commits>),
        now: Timestamp,
    ) -> Commits {
        let admitted = self.admitted(environment, state, (asked, before), now);
        let mut desired = state.triable(&admitted);
        // A commit that failed together with the fleet file that first uses its repository is retried with it.
        desired.extend(self.lacking(&desired, &admitted));
        let desired = self.completed(state, desired);
        if admitted != *asked && desired == self.completed(state, state.approved.clone()) {
            // The open commits cannot be rolled out without the closed ones.
            return self.completed(state, state.triable(asked));
        }
        desired
    }

    /// Creates a rollout where the heads require one.
    pub(super) fn begin(
        &mut self,
        environment: &Environment,
        strategy: &Strategy,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let name = &environment.name;
        self.environments.enter(name);
        let before = self.environments.get(name).cloned().unwrap_or_default();
        let mut state = before.clone();
        let running = self.rollouts.running(name);
        let newest = state
            .queue
            .back()
            .or(running.map(|rollout| &rollout.target))
            .unwrap_or(&state.approved)
            .clone();
        let (asked, desired) = self.asked_and_desired(environment, &state, &newest, now);
        let mut next = None;
        let news = self.brings_anything(&state.approved, &desired) && newest != desired;
        // A rollout that cannot proceed must block neither its own repair nor commits with open gates.
        let waits = news || !state.queue.is_empty();
        let yields = waits
            && running.is_none_or(|rollout| {
                let waiting = news.then_some(&desired).into_iter().chain(&state.queue);
                self.yields(environment, rollout, now)
                    || self.waits_before(environment, &state, rollout, waiting, now)
            });
        if news {
            match (running, strategy.on_new_commit) {
                (Some(_), OnNewCommit::Queue) if !yields => {
                    if state.queue.len() >= MAX_QUEUE {
                        state.queue.pop_back();
                    }
                    state.queue.push_back(desired.clone());
                }
                (Some(_), OnNewCommit::Finish) if !yields => {
                    state.queue = [desired.clone()].into();
                }
                (Some(rollout), OnNewCommit::Queue | OnNewCommit::Finish)
                    if !state.queue.is_empty() =>
                {
                    debug_assert!(!rollout.state.is_over());
                    state.queue.push_back(desired.clone());
                    next = self.first(environment, &mut state, now);
                }
                _ => {
                    state.queue.clear();
                    next = Some(desired.clone());
                }
            }
        }
        if next.is_none() && yields {
            next = self.first(environment, &mut state, now);
        }
        if let (Some(halted), Some(next)) = (running, &mut next)
            && halted.state == State::Halted
        {
            // The next rollout is for another repository: the failed commits must not be retried again and again.
            blame(&mut state, halted, &asked, now);
            let (_, desired) = self.asked_and_desired(environment, &state, &newest, now);
            leave_out(next, &halted.changed(), &desired);
        }
        let next = next.map(|next| self.desired(environment, &state, (&next, None), now));
        let next = next.filter(|next| {
            let same = running.is_some_and(|rollout| rollout.target == *next);
            // Going back to the good commits while another rollout runs is a rollout of its own.
            let idle = running.is_none() && state.approved == *next;
            !same && !idle && self.brings_anything(&state.approved, next)
        });
        if next.is_none() && yields && !state.queue.is_empty() {
            // The queued commits are running already; the next entry of the queue can proceed.
            self.environments.mark_dirty([name.clone()]);
        }
        if let Some(target) = next {
            state.last_number += 1;
            let rollout = self.take_over(name, &state, target, strategy, now, effects);
            self.declarations
                .keep([&rollout.target, &rollout.from], effects);
            let entry = audit(&rollout, AuditAction::RolloutCreated, now);
            effects.push(Effect::Audit(entry));
            self.rollouts.begin(rollout, &mut self.versions, effects);
        }
        if state != before {
            self.declarations.keep(&state.queue, effects);
            let versions = &mut self.versions;
            self.environments
                .change(name, versions, effects, |present| *present = state);
        }
    }

    /// Returns whether a newer commit supersedes a rollout in every mode: it has failed, or will not begin.
    fn yields(&self, environment: &Environment, rollout: &Rollout, now: Timestamp) -> bool {
        let hopeless = |gate: &Gate| gate.holds_back() && gate.lasting;
        rollout.state == State::Halted
            || self.waits_for_absent(rollout, now)
            || self.kept_out(rollout, now).is_some()
            || (rollout.started_at.is_none()
                && self
                    .enforced_gates(environment, &rollout.target, now)
                    .iter()
                    .any(hopeless))
    }

    /// Returns whether a rollout waits at gates of its own commits while another commit, of this rollout or waiting for
    /// it, does not.
    fn waits_before<'c>(
        &self,
        environment: &Environment,
        state: &EnvironmentState,
        rollout: &Rollout,
        mut waiting: impl Iterator<Item = &'c Commits>,
        now: Timestamp,
    ) -> bool {
        let target = &rollout.target;
        if rollout.started_at.is_some() || state.pinned_ahead(now).is_some() {
            return false;
        }
        let lets_in = |commits: &Commits| self.lets_in_any(environment, state, commits, now);
        self.desired(environment, state, (target, None), now) != *target
            || (!lets_in(target) && waiting.any(lets_in))
    }

    /// Takes the next entry of the queue: the first with an open commit; entries before it are dropped, since rolling
    /// them out later would go back. Where none is open, the first.
    fn first(
        &self,
        environment: &Environment,
        state: &mut EnvironmentState,
        now: Timestamp,
    ) -> Option<Commits> {
        let mut waiting = state.queue.iter();
        let open = waiting.position(|commits| self.lets_in_any(environment, state, commits, now));
        state.queue.drain(..open.unwrap_or(0));
        state.queue.pop_front()
    }

    /// Makes a rollout that continues from where the previous one stands.
    fn take_over(
        &mut self,
        name: &EnvironmentName,
        state: &EnvironmentState,
        target: Commits,
        strategy: &Strategy,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Rollout {
        let id = format!("{name}-{}", state.last_number);
        let mut carried = Vec::new();
        let mut clusters = BTreeMap::new();
        if let Some(mut old) = self.rollouts.take(name)
            && old.state != State::Succeeded
        {
            clusters = old.carry(now);
            if old.state != State::RolledBack {
                carried.append(&mut old.carried);
                carried.push(old.id.clone());
            }
            if !old.state.is_over() {
                old.end(State::Superseded, format!("{id} took over"), now);
                let entry = audit(&old, AuditAction::RolloutSuperseded, now);
                effects.push(Effect::Audit(entry));
                effects.push(Effect::StoreRollout(Box::new(old)));
            }
        }
        Rollout {
            id,
            environment: name.clone(),
            changes: self.declared_changes(&state.approved, &target),
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
            epoch: self.epoch.0,
            started_at: None,
            ended_at: None,
            note: String::new(),
            blameless: false,
            strategy: Some(Box::new(strategy.clone())),
            clusters,
            stepped_at: None,
        }
    }
}

/// Takes what is desired in the place of commits that failed.
fn leave_out(next: &mut Commits, failed: &Commits, desired: &Commits) {
    for (repository, commit) in failed {
        if next.get(repository) == Some(commit)
            && let Some(instead) = desired.get(repository)
        {
            next.insert(repository.clone(), instead.clone());
        }
    }
}

/// Quarantines the commits of a halted rollout that the heads still ask for, when a commit of another repository takes
/// over.
fn blame(state: &mut EnvironmentState, rollout: &Rollout, asked: &Commits, now: Timestamp) {
    let failed = rollout.changed();
    let mut still = failed.clone();
    still.retain(|repository, commit| asked.get(repository) == Some(commit));
    if !still.is_empty() && rollout.is_to_blame() {
        state.condemn(&failed, still, rollout, now);
    }
}
