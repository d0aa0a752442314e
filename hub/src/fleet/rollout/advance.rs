//! One step of a rollout: judge every cluster, then start what may be started.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ClusterName;
use flotilla_shared::reason::Reason;
use jiff::Timestamp;

use super::{Phase, Progress, Rollout, State};
use crate::spec::{OnFailure, Strategy};

/// Clusters that a note names at most; the rest is counted.
const NAMED: usize = 5;

/// What a cluster says of the rollout's commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    NotYet,
    /// It works on them.
    Progressing(Reason, String),
    /// Exactly these, synced and healthy; rendered from files of this digest.
    Healthy(Digest),
    /// It will not get there by itself.
    Failed(Reason, String),
}

/// What a rollout's commits change of what a cluster renders, before it was given them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nobody knows.
    Unknown,
    /// Files that it may read are others.
    Something,
    /// Whatever it reads is the same.
    Nothing,
}

/// A cluster as a rollout is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Its wave, by the strategy and its labels as they are now.
    pub wave: usize,
    /// Its place within the wave.
    pub sort_key: Arc<str>,
    /// A pin keeps it out.
    pub pinned: bool,
    /// Whether it is heard from.
    pub online: bool,
    /// What it says.
    pub verdict: Verdict,
    /// What its applications render from now.
    pub rendered_from: Digest,
    /// What would change there.
    pub change: Change,
    /// It stands on commits of a rollout that this one took over from: first in its wave, since what
    /// it has is in doubt.
    pub carried: bool,
}

/// Everything a step needs to know.
#[derive(Debug, Clone)]
pub struct World<'w> {
    /// How to go about it.
    pub strategy: &'w Strategy,
    /// The environment's clusters, by name, each once.
    pub clusters: &'w [(ClusterName, Observation)],
    /// Why the gates at the rollout's start are closed; none: they are open.
    pub closed: Option<String>,
    /// Why nothing may be started just now; none: it may.
    pub held: Option<String>,
    /// Why a person stopped it; none: nobody did.
    pub paused: Option<String>,
    /// Approvals given, by wave.
    pub approvals: &'w BTreeMap<String, u32>,
}

/// What a step did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Clusters whose progress changed.
    pub clusters: BTreeSet<ClusterName>,
    /// Clusters that left.
    pub left: BTreeSet<ClusterName>,
    /// Whether anything else of the rollout changed.
    pub rollout: bool,
}

impl Rollout {
    /// Takes one step. Deterministic.
    pub fn advance(&mut self, world: &World<'_>, now: Timestamp) -> Changes {
        let mut changes = Changes::default();
        if self.state.is_over() {
            return changes;
        }
        let before = (self.state, self.wave, self.note.clone(), self.started_at);
        let passing = self.meet(world, now, &mut changes);
        self.judge(world, now, &mut changes);
        let total = self.clusters.len() - self.count(Phase::Pinned);
        if self.goes_on(world, total, now) {
            if passing && world.held.is_none() {
                self.pass(world, now, &mut changes);
            }
            self.advance_waves(world, total, now, &mut changes);
        }
        changes.rollout = before != (self.state, self.wave, self.note.clone(), self.started_at);
        changes
    }

    /// Takes in clusters that joined, lets go of those that left, and moves those that have not
    /// started to the wave that fits them now; never to one that is over, which nobody would wait for.
    /// Says whether there is anybody to let through.
    fn meet(&mut self, world: &World<'_>, now: Timestamp, changes: &mut Changes) -> bool {
        let seen = world.clusters.iter().map(|(name, _)| name);
        if !self.clusters.keys().eq(seen) {
            self.enroll(world, now, changes);
        }
        let mut passing = false;
        for ((name, progress), (_, seen)) in self.clusters.iter_mut().zip(world.clusters) {
            let wave = seen.wave.max(self.wave);
            let before = (progress.wave, progress.phase);
            if seen.pinned {
                if progress.phase != Phase::Pinned {
                    progress.enter(Phase::Pinned, now);
                }
            } else if progress.phase == Phase::Pinned {
                progress.enter(Phase::Waiting, now);
            }
            if !progress.phase.is_touched() {
                progress.wave = wave;
            }
            let mut changed = before != (progress.wave, progress.phase);
            // What is not known now may have been known before a restart, and is still so.
            if seen.change != Change::Unknown && !progress.phase.is_touched() {
                let unchanged = seen.change == Change::Nothing;
                changed |= std::mem::replace(&mut progress.unchanged, unchanged) != unchanged;
                passing |= passes(progress, seen);
            }
            if changed {
                changes.clusters.insert(name.clone());
            }
        }
        passing
    }

    /// Makes the rollout's clusters those of the world. From here on both have the same ones in the same
    /// order, which is what lets the rest of a step walk them side by side: it looks at all of ten
    /// thousand several times.
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

    /// Every cluster with what is seen of it; only after [`Rollout::meet`].
    fn pairs<'a>(
        &'a self,
        world: &'a World<'_>,
    ) -> impl Iterator<Item = (&'a ClusterName, &'a Progress, &'a Observation)> {
        let pairs = self.clusters.iter().zip(world.clusters);
        pairs.map(|((name, progress), (_, seen))| (name, progress, seen))
    }

    fn judge(&mut self, world: &World<'_>, now: Timestamp, changes: &mut Changes) {
        for ((name, progress), (_, seen)) in self.clusters.iter_mut().zip(world.clusters) {
            // An offline cluster says nothing, neither good nor bad.
            if !progress.phase.is_touched() || !seen.online {
                continue;
            }
            let before = progress.clone();
            step(progress, seen, world.strategy, now);
            if *progress != before {
                changes.clusters.insert(name.clone());
            }
        }
    }

    /// Whether nothing stops it: no failures over the budget, no person, no gate at its start.
    fn goes_on(&mut self, world: &World<'_>, total: usize, now: Timestamp) -> bool {
        let budgets = &world.strategy.budgets;
        let failed = self.names(|progress, _| progress.phase == Phase::Failed, world);
        if failed.len() > budgets.failed.at_most(total) {
            if self.state == State::Halted {
                return false;
            }
            let note = format!(
                "{} failed, and the budget is {}: {}",
                failed.len(),
                budgets.failed,
                self.blame(&failed)
            );
            match world.strategy.on_failure {
                OnFailure::Halt => self.halt(note),
                OnFailure::Rollback => self.end(State::RolledBack, note, now),
            }
            return false;
        }
        if self.state == State::Halted {
            return false;
        }
        if let Some(why) = &world.paused {
            self.state = State::Paused;
            self.note.clone_from(why);
            return false;
        }
        if self.started_at.is_none() {
            if let Some(why) = world.closed.as_ref().or(world.held.as_ref()) {
                self.state = State::Pending;
                self.note.clone_from(why);
                return false;
            }
            self.started_at = Some(now);
        }
        true
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
            if !self.wave_is_complete(world, total) {
                self.state = self.wave_state(world);
                self.start(world, total, now, changes);
                return;
            }
            self.wave += 1;
        }
        let done = self.count(Phase::Done);
        let behind = total - done;
        let mut note = format!("{done} clusters");
        let unchanged = self
            .clusters
            .values()
            .filter(|one| one.unchanged && one.phase == Phase::Done);
        match unchanged.count() {
            0 => {}
            unchanged => note.push_str(&format!(", nothing changed in {unchanged} of them")),
        }
        if behind > 0 {
            note.push_str(&format!("; {behind} left behind follow when they can"));
        }
        self.end(State::Succeeded, note, now);
    }

    /// Starts every cluster for which nothing changes, whatever its wave. Of what it runs only the name
    /// of the commit is new, so that there is nothing to prove first, nothing to approve, and nothing
    /// that could be under way in too many places.
    fn pass(&mut self, world: &World<'_>, now: Timestamp, changes: &mut Changes) {
        for ((name, progress), (_, seen)) in self.clusters.iter_mut().zip(world.clusters) {
            if passes(progress, seen) {
                progress.enter(Phase::Started, now);
                progress.started_at = Some(now);
                progress.rendered_from = seen.rendered_from;
                progress.message = "changes nothing here, so it waits for no wave".to_owned();
                changes.clusters.insert(name.clone());
            }
        }
    }

    /// Whether the present wave holds nothing back: each of its clusters is done, or counts against a
    /// budget that still has room, and somebody has proven the commits.
    fn wave_is_complete(&self, world: &World<'_>, total: usize) -> bool {
        let mut members = 0usize;
        let mut done = 0usize;
        for (_, progress, seen) in self.pairs(world) {
            if progress.wave != self.wave || progress.phase == Phase::Pinned {
                continue;
            }
            members += 1;
            match progress.phase {
                Phase::Done => done += 1,
                Phase::Failed => {}
                _ if !seen.online => {}
                _ => return false,
            }
        }
        let offline = self.names(
            |progress, seen| {
                progress.wave <= self.wave
                    && !seen.online
                    && !matches!(progress.phase, Phase::Done | Phase::Failed | Phase::Pinned)
            },
            world,
        );
        members == 0 || (done > 0 && offline.len() <= world.strategy.budgets.offline.at_most(total))
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

    /// Starts as many clusters of the present wave as may be under way at once.
    fn start(&mut self, world: &World<'_>, total: usize, now: Timestamp, changes: &mut Changes) {
        let mut waiting = Vec::new();
        let (mut members, mut running, mut touched) = (0usize, 0usize, false);
        for (name, progress, seen) in self.pairs(world) {
            if progress.wave != self.wave || progress.phase == Phase::Pinned {
                continue;
            }
            members += 1;
            // That clusters were let through is no word on the wave, and they take nobody's place.
            touched |= progress.phase.is_touched() && !progress.unchanged;
            match progress.phase {
                Phase::Waiting if seen.online => waiting.push((name, seen)),
                Phase::Started if seen.online && !progress.unchanged => running += 1,
                Phase::Unavailable if seen.online => running += 1,
                _ => {}
            }
        }
        let mut note = self.waits_for(world, total, touched).unwrap_or_default();
        if !note.is_empty() || waiting.is_empty() {
            if note.is_empty() && running == 0 && self.state == State::Running {
                note = self.offline_note(world, total);
            }
            self.note = note;
            return;
        }
        let concurrency = world.strategy.concurrency(self.wave, members);
        let room = concurrency.saturating_sub(running).min(waiting.len());
        if room > 0 {
            // They come by name, so that only the rest of the order is left to make.
            waiting.sort_by(|(_, one), (_, other)| {
                (!one.carried, &one.sort_key).cmp(&(!other.carried, &other.sort_key))
            });
        }
        waiting.truncate(room);
        let chosen: Vec<_> = waiting
            .into_iter()
            .map(|(name, seen)| (name.clone(), seen.rendered_from))
            .collect();
        self.note = note;
        for (name, rendered_from) in chosen {
            let Some(progress) = self.clusters.get_mut(&name) else {
                continue;
            };
            progress.enter(Phase::Started, now);
            progress.started_at = Some(now);
            progress.rendered_from = rendered_from;
            changes.clusters.insert(name);
        }
    }

    /// Why no further cluster may be started, if so.
    fn waits_for(&self, world: &World<'_>, total: usize, touched: bool) -> Option<String> {
        if let Some(why) = &world.held {
            return Some(why.clone());
        }
        let budgets = &world.strategy.budgets;
        let unavailable = self.names(
            |progress, seen| progress.phase == Phase::Unavailable && seen.online,
            world,
        );
        if unavailable.len() > budgets.unavailable.at_most(total) {
            return Some(format!(
                "{} of at most {} were healthy on it and are not now: {}",
                unavailable.len(),
                budgets.unavailable,
                listed(&unavailable)
            ));
        }
        let wave = world.strategy.waves.get(self.wave)?;
        let given = world.approvals.get(&wave.name).copied().unwrap_or_default();
        if !touched && given < wave.approvals {
            return Some(format!(
                "wave {} waits for approval: {given} of {}",
                wave.name, wave.approvals
            ));
        }
        None
    }

    fn offline_note(&self, world: &World<'_>, total: usize) -> String {
        let offline = self.names(
            |progress, seen| {
                progress.wave <= self.wave && !seen.online && progress.phase != Phase::Pinned
            },
            world,
        );
        if offline.is_empty() {
            return String::new();
        }
        format!(
            "waits for offline clusters, at most {} may be left behind: {}",
            world.strategy.budgets.offline.at_most(total),
            listed(&offline)
        )
    }

    fn names(
        &self,
        which: impl Fn(&Progress, &Observation) -> bool,
        world: &World<'_>,
    ) -> Vec<ClusterName> {
        self.pairs(world)
            .filter(|(_, progress, seen)| which(progress, seen))
            .map(|(name, _, _)| name.clone())
            .collect()
    }

    /// Who failed and why, for the note.
    fn blame(&self, failed: &[ClusterName]) -> String {
        let mut lines = Vec::new();
        for name in failed.iter().take(NAMED) {
            let progress = self.clusters.get(name);
            let why = progress.map_or("", |progress| progress.message.as_str());
            lines.push(format!("{name} ({why})"));
        }
        if failed.len() > NAMED {
            lines.push(format!("and {} more", failed.len() - NAMED));
        }
        lines.join(", ")
    }

    fn halt(&mut self, note: String) {
        self.state = State::Halted;
        self.note = note;
    }

    /// Ends it.
    pub(in crate::fleet) fn end(&mut self, state: State, note: String, now: Timestamp) {
        self.state = state;
        self.note = note;
        self.ended_at = Some(now);
    }

    /// Gives failed clusters another chance; says whether there was anything to try again.
    pub(in crate::fleet) fn retry(&mut self, now: Timestamp) -> BTreeSet<ClusterName> {
        let mut again = BTreeSet::new();
        for (name, progress) in &mut self.clusters {
            if progress.phase == Phase::Failed {
                progress.enter(Phase::Started, now);
                progress.started_at = Some(now);
                again.insert(name.clone());
            }
        }
        if self.state == State::Halted {
            self.state = State::Running;
            self.note.clear();
        }
        again
    }
}

/// Whether a cluster need not wait for its wave.
fn passes(progress: &Progress, seen: &Observation) -> bool {
    progress.phase == Phase::Waiting && seen.online && seen.change == Change::Nothing
}

fn listed(names: &[ClusterName]) -> String {
    let mut text: Vec<String> = names.iter().take(NAMED).map(ToString::to_string).collect();
    if names.len() > NAMED {
        text.push(format!("and {} more", names.len() - NAMED));
    }
    text.join(", ")
}

/// One touched, online cluster.
fn step(progress: &mut Progress, seen: &Observation, strategy: &Strategy, now: Timestamp) {
    let waited = |since: Timestamp| now.duration_since(since).unsigned_abs();
    let late = |since: Timestamp| now > since && waited(since) > strategy.progress_deadline;
    let fail = |progress: &mut Progress, reason: Reason, message: String| {
        if progress.phase != Phase::Failed {
            progress.enter(Phase::Failed, now);
        }
        progress.reason = Some(reason);
        progress.message = message;
    };
    match (&seen.verdict, progress.phase) {
        (Verdict::Healthy(from), Phase::Started)
            if *from == progress.rendered_from && !from.is_none() =>
        {
            // The commit changes nothing that this cluster renders: there is nothing to watch.
            progress.enter(Phase::Done, now);
            progress.unchanged = true;
            progress.message = "renders from the same files as before".to_owned();
        }
        (Verdict::Healthy(_), Phase::Started | Phase::Unavailable | Phase::Failed) => {
            // Something changed after all, or it fell ill meanwhile: it is watched like any other.
            progress.unchanged = false;
            progress.enter(Phase::Soaking, now);
        }
        (Verdict::Healthy(_), _) => {}
        (Verdict::Failed(reason, message), _) => {
            if progress.message != *message || progress.phase != Phase::Failed {
                fail(progress, *reason, message.clone());
            }
        }
        (Verdict::NotYet | Verdict::Progressing(..), Phase::Soaking | Phase::Done) => {
            progress.enter(Phase::Unavailable, now);
            if let Verdict::Progressing(reason, message) = &seen.verdict {
                progress.reason = Some(*reason);
                progress.message.clone_from(message);
            }
        }
        (verdict, Phase::Started | Phase::Unavailable) => {
            let text = match verdict {
                Verdict::Progressing(_, text) if !text.is_empty() => text.clone(),
                _ => "no report of these commits".to_owned(),
            };
            if late(progress.since) {
                let seconds = strategy.progress_deadline.as_secs();
                let message = format!("not healthy within {seconds} s: {text}");
                fail(progress, Reason::ProgressDeadline, message);
            }
        }
        (Verdict::NotYet | Verdict::Progressing(..), _) => {}
    }
    if progress.phase == Phase::Soaking
        && now >= progress.since
        && waited(progress.since) >= strategy.soak(progress.wave)
    {
        progress.enter(Phase::Done, now);
    }
}
