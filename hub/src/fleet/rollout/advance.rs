//! One step of a rollout: judge every cluster, then start what may be started.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_shared::id::ClusterName;
use flotilla_shared::words::counted;
use jiff::Timestamp;

use super::complete::WaveState;
use super::start::passes;
use super::words::listed;
use super::{Change, Changes, Observation, Phase, Progress, Rollout, State, World};
use crate::spec::OnFailure;

/// Longest time that counts between two steps: a running rollout takes a step each second.
const STRIDE: Duration = Duration::from_secs(5);

impl Rollout {
    /// Takes one step. Deterministic.
    pub fn advance(&mut self, world: &World<'_>, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        if self.state.is_over() {
            return changes;
        }
        let before = (self.state, self.wave, self.note.clone(), self.started_at);
        let passed = self.passed(now);
        let passing = self.enroll_and_place(world, now, &mut changes);
        self.judge(world, passed, now, &mut changes);
        let total = self.taking_part();
        if self.goes_on(world, total, now) {
            if passing && world.held.is_none() {
                self.pass(world, now, &mut changes);
            }
            self.advance_waves(world, total, now, &mut changes);
        }
        changes.rollout = before != (self.state, self.wave, self.note.clone(), self.started_at);
        changes
    }

    /// Returns the time since the last step, limited so that neither clock jumps nor the hub's absence count: a hub
    /// that was away received no reports, and that time counts neither for nor against a cluster.
    fn passed(&mut self, now: Timestamp) -> Duration {
        let last = self.stepped_at.replace(now).unwrap_or(now);
        let passed = now.duration_since(last);
        Duration::try_from(passed).unwrap_or_default().min(STRIDE)
    }

    /// Adds clusters that joined, removes those that left, and moves those that have not started to the wave that fits
    /// them now, but never to one that is over, which would not wait for them. Returns whether any cluster may be
    /// started early.
    fn enroll_and_place(
        &mut self,
        world: &World<'_>,
        now: Timestamp,
        changes: &mut Changes,
    ) -> bool {
        let seen = world.clusters.iter().map(|(name, _)| name);
        if !self.clusters.keys().eq(seen) {
            self.enroll(world, now, changes);
        }
        let mut passing = false;
        for ((name, progress), (_, seen)) in self.clusters.iter_mut().zip(world.clusters) {
            let wave = seen.wave.max(self.wave);
            let before = (progress.wave, progress.phase);
            let out = match (seen.suspended, seen.pinned) {
                (true, _) => Some(Phase::Suspended),
                (false, true) => Some(Phase::Pinned),
                (false, false) => None,
            };
            match (out, progress.phase) {
                (Some(out), phase) if out != phase => {
                    if phase.is_touched() {
                        progress.before = progress.before.doubted();
                    }
                    progress.enter(out, now);
                }
                // A cluster that was suspended after its start continues with the commits that it was given.
                (None, Phase::Suspended) if progress.started_at.is_some() => progress.start(now),
                (None, phase) if !phase.takes_part() => progress.enter(Phase::Waiting, now),
                _ => {}
            }
            if !progress.phase.is_touched() {
                progress.wave = wave;
            }
            let mut changed = before != (progress.wave, progress.phase);
            // An unknown change may have been known before a restart, and still holds.
            if seen.change != Change::Unknown && !progress.phase.is_touched() {
                // The cluster runs commits of a rollout that never became good, so the comparison with the good ones
                // does not hold.
                let unchanged = seen.change == Change::Nothing && progress.carried.is_none();
                changed |= std::mem::replace(&mut progress.unchanged, unchanged) != unchanged;
                passing |= passes(progress, seen);
            }
            if changed {
                changes.clusters.insert(name.clone());
            }
        }
        passing
    }

    /// Makes the rollout's clusters those of the world. From here on both have the same ones in the same order, so that
    /// the rest of a step can walk them side by side: it visits all of ten thousand several times.
    fn enroll(&mut self, world: &World<'_>, now: Timestamp, changes: &mut Changes) {
        let mut old = std::mem::take(&mut self.clusters);
        for (name, seen) in world.clusters {
            let progress = old.remove(name).unwrap_or_else(|| {
                changes.clusters.insert(name.clone());
                Progress::waiting(seen.wave.max(self.wave), now)
            });
            self.clusters.insert(name.clone(), progress);
        }
        changes.left.extend(old.into_keys());
    }

    /// Returns every cluster with its observation; only after [`Rollout::enroll_and_place`].
    pub(super) fn pairs<'a>(
        &'a self,
        world: &'a World<'_>,
    ) -> impl Iterator<Item = (&'a ClusterName, &'a Progress, &'a Observation)> {
        let pairs = self.clusters.iter().zip(world.clusters);
        pairs.map(|((name, progress), (_, seen))| (name, progress, seen))
    }

    /// Returns whether nothing stops it: no failures beyond the budget, no failing check, no pause, no closed gate at
    /// its start, and at least one cluster.
    fn goes_on(&mut self, world: &World<'_>, total: usize, now: Timestamp) -> bool {
        let budgets = &world.strategy.budgets;
        let failed = self.names(|progress, _| progress.phase == Phase::Failed, world);
        let over = failed.len() > budgets.failed.at_most(total);
        if self.state == State::Halted {
            if !self.blameless || !failed.is_empty() {
                return false;
            }
            self.resume();
        }
        if over {
            let blameless = self.blameless(&failed);
            let note = format!(
                "{} failed (budget {}): {}",
                failed.len(),
                budgets.failed,
                self.blame(&failed)
            );
            if failed.len() - blameless > budgets.failed.at_most(total) {
                self.fail(note, world, now);
            } else {
                // A rollback would repair nothing, and would quarantine commits that are not at fault.
                self.halt_blameless(note);
            }
            return false;
        }
        if let Some(why) = &world.failing
            && self.is_in_doubt()
        {
            self.fail(why.clone(), world, now);
            return false;
        }
        if let Some(why) = &world.paused {
            self.state = State::Paused;
            self.note.clone_from(why);
            return false;
        }
        if self.started_at.is_none() {
            let nobody = (total == 0).then(|| self.nobody(world.joining));
            let closed = world.closed.as_ref().or(world.held.as_ref());
            if let Some(why) = nobody.as_ref().or(closed) {
                self.state = State::Pending;
                self.note.clone_from(why);
                return false;
            }
            self.started_at = Some(now);
        }
        true
    }

    /// Returns whether it has changed anything that could be at fault.
    fn is_in_doubt(&self) -> bool {
        let mut all = self.clusters.values();
        all.any(|progress| progress.phase.is_touched() && !progress.unchanged)
    }

    /// Halts or rolls back, as the strategy says.
    fn fail(&mut self, note: String, world: &World<'_>, now: Timestamp) {
        match world.strategy.on_failure {
            OnFailure::Halt => self.halt(note),
            OnFailure::Rollback => self.end(State::RolledBack, note, now),
        }
    }

    /// Completes waves, and starts clusters of the first that is not complete.
    fn advance_waves(
        &mut self,
        world: &World<'_>,
        total: usize,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        while self.wave < world.strategy.waves.len() {
            match self.standing(world, total) {
                WaveState::Complete => {
                    let last = self.wave + 1 == world.strategy.waves.len();
                    if let Some(why) = world.unanswered.as_ref().filter(|_| last) {
                        self.note.clone_from(why);
                        return;
                    }
                    self.wave += 1;
                }
                WaveState::Dead(note) if self.is_to_blame() => return self.fail(note, world, now),
                WaveState::Dead(note) => return self.halt_blameless(note),
                WaveState::Waits(note) => {
                    self.state = State::Running;
                    self.note = note;
                    return;
                }
                WaveState::Open => {
                    self.state = self.wave_state(world);
                    self.start(world, total, now, changes);
                    return;
                }
            }
        }
        let done = self.count(Phase::Done);
        let behind = total - done;
        let mut note = counted(done, "cluster");
        let unchanged = self
            .clusters
            .values()
            .filter(|progress| progress.unchanged && progress.phase == Phase::Done);
        match unchanged.count() {
            0 => {}
            unchanged => note.push_str(&format!(", {unchanged} of them unchanged")),
        }
        if behind > 0 {
            let names = self.names(
                |progress, _| progress.phase != Phase::Done && progress.phase.takes_part(),
                world,
            );
            note.push_str(&format!(
                "; {behind} left behind, still to follow: {}",
                listed(&names)
            ));
        }
        let pinned = self.names(|progress, _| progress.phase == Phase::Pinned, world);
        if !pinned.is_empty() {
            note.push_str(&format!("; excluded by pins: {}", listed(&pinned)));
        }
        let suspended = self.names(|progress, _| progress.phase == Phase::Suspended, world);
        if !suspended.is_empty() {
            note.push_str(&format!("; excluded as suspended: {}", listed(&suspended)));
        }
        note.push_str(&self.left_aside(world));
        self.end(State::Succeeded, note, now);
    }

    fn wave_state(&self, world: &World<'_>) -> State {
        let mut members = self
            .pairs(world)
            .filter(|(_, progress, seen)| progress.wave == self.wave && seen.online);
        let mut soaking = false;
        let all = members.all(|(_, progress, _)| {
            soaking |= progress.phase == Phase::Soaking;
            !matches!(
                progress.phase,
                Phase::Waiting | Phase::Started | Phase::Unavailable
            )
        });
        if all && soaking {
            State::Soaking
        } else {
            State::Running
        }
    }

    pub(super) fn names(
        &self,
        which: impl Fn(&Progress, &Observation) -> bool,
        world: &World<'_>,
    ) -> Vec<ClusterName> {
        self.pairs(world)
            .filter(|(_, progress, seen)| which(progress, seen))
            .map(|(name, _, _)| name.clone())
            .collect()
    }

    /// Returns online clusters that were healthy on it, and are not now.
    pub(super) fn unavailable(&self, world: &World<'_>) -> Vec<ClusterName> {
        self.names(
            |progress, seen| progress.phase == Phase::Unavailable && seen.online,
            world,
        )
    }

    /// Returns the failed clusters with reasons, for the note.
    pub(super) fn blame(&self, failed: &[ClusterName]) -> String {
        listed(failed.iter().map(|name| {
            let progress = self.clusters.get(name);
            let why = progress.map_or("", |progress| progress.message.as_str());
            let before = progress.is_some_and(|progress| progress.blameless && !progress.outside);
            let before = if before {
                ", as before the rollout"
            } else {
                ""
            };
            format!("{name} ({why}{before})")
        }))
    }

    /// Halts it until an operator decides.
    fn halt(&mut self, note: String) {
        self.state = State::Halted;
        self.blameless = false;
        self.note = note;
    }

    /// Halts it for a cause outside its commits.
    fn halt_blameless(&mut self, note: String) {
        self.halt(note);
        self.blameless = true;
    }

    fn resume(&mut self) {
        self.state = State::Running;
        self.blameless = false;
        self.note.clear();
    }

    pub(in crate::fleet) fn end(&mut self, state: State, note: String, now: Timestamp) {
        self.state = state;
        self.note = note;
        self.ended_at = Some(now);
    }

    /// Retries failed clusters. Returns which ones.
    pub(in crate::fleet) fn retry(&mut self, now: Timestamp) -> BTreeSet<ClusterName> {
        let mut again = BTreeSet::new();
        for (name, progress) in &mut self.clusters {
            if progress.phase == Phase::Failed {
                progress.start(now);
                again.insert(name.clone());
            }
        }
        if self.state == State::Halted {
            self.resume();
        }
        again
    }
}
