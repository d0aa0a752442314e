//! Which clusters are started next, and why none are.

use jiff::Timestamp;

use super::offline::waits_for_offline;
use super::words::listed;
use super::{Change, Changes, Observation, Phase, Progress, Rollout, State, World};

impl Rollout {
    /// Starts every cluster for which nothing changes, whatever its wave. Only the name of the commit is new there, so
    /// that no proof, no approval and no limit of concurrency is needed.
    pub(super) fn pass(&mut self, world: &World<'_>, now: Timestamp, changes: &mut Changes) {
        for ((name, progress), (_, seen)) in self.clusters.iter_mut().zip(world.clusters) {
            if passes(progress, seen) {
                progress.start(now);
                progress.begin_from(seen.rendered_from);
                progress.message = "changes nothing here, so it need not wait".to_owned();
                changes.clusters.insert(name.clone());
                changes.started.insert(name.clone());
            }
        }
    }

    /// Starts as many clusters of the present wave as may be in progress at once.
    pub(super) fn start(
        &mut self,
        world: &World<'_>,
        total: usize,
        now: Timestamp,
        changes: &mut Changes,
    ) {
        let mut waiting = Vec::new();
        let (mut members, mut running) = (0usize, 0usize);
        for (name, progress, seen) in self.pairs(world) {
            if progress.wave != self.wave || !progress.phase.takes_part() {
                continue;
            }
            members += 1;
            match progress.phase {
                Phase::Waiting if seen.online => waiting.push((name, seen)),
                // A cluster for which nothing changes does not count against the limit of concurrency.
                Phase::Started if seen.online && !progress.unchanged => running += 1,
                Phase::Soaking | Phase::Unavailable if seen.online => running += 1,
                _ => {}
            }
        }
        let mut note = self.waits_for(world, total).unwrap_or_default();
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
            // Clusters are ordered by name already, and the sort is stable.
            waiting.sort_by(|(_, left), (_, other)| {
                (!left.carried, &left.sort_key).cmp(&(!other.carried, &other.sort_key))
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
            progress.start(now);
            progress.begin_from(rendered_from);
            changes.started.insert(name.clone());
            changes.clusters.insert(name);
        }
    }

    /// Returns why no further cluster may be started, if so.
    pub(super) fn waits_for(&self, world: &World<'_>, total: usize) -> Option<String> {
        if let Some(why) = &world.held {
            return Some(why.clone());
        }
        let budgets = &world.strategy.budgets;
        let unavailable = self.unavailable(world);
        if unavailable.len() > budgets.unavailable.at_most(total) {
            return Some(format!(
                "{} became unhealthy on it (budget {}): {}",
                unavailable.len(),
                budgets.unavailable,
                listed(&unavailable)
            ));
        }
        // A wave that was passed while all its clusters and those of later waves were excluded still needs its
        // approval.
        let begun = world.strategy.waves.get(..=self.wave)?;
        let given = |name: &str| world.approvals.get(name).copied().unwrap_or_default();
        let was_taken = |index: usize| {
            let mut all = self.clusters.values();
            all.any(|progress| progress.wave == index && progress.phase == Phase::Done)
        };
        let mut lacking = begun.iter().enumerate().filter(|(index, wave)| {
            given(&wave.name) < wave.approvals && (*index == self.wave || !was_taken(*index))
        });
        lacking.next().map(|(_, wave)| {
            format!(
                "wave {} waits for approval: {} of {}; to approve: flotilla approve {} --wave {}",
                wave.name,
                given(&wave.name),
                wave.approvals,
                self.environment,
                wave.name
            )
        })
    }

    pub(super) fn offline_note(&self, world: &World<'_>, total: usize) -> String {
        let offline = self.names(
            |progress, seen| {
                progress.wave <= self.wave && !seen.online && progress.phase.takes_part()
            },
            world,
        );
        if offline.is_empty() {
            return String::new();
        }
        let budget = world.strategy.budgets.offline.at_most(total);
        waits_for_offline(&self.environment, &offline, Some(budget), world)
    }
}

/// Returns whether a cluster need not wait for its wave.
pub(super) fn passes(progress: &Progress, seen: &Observation) -> bool {
    progress.phase == Phase::Waiting
        && seen.online
        && seen.change == Change::Nothing
        && progress.carried.is_none()
}
