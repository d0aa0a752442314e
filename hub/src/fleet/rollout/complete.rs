//! Completion of waves, and what they wait for.

use flotilla_shared::id::ClusterName;

use flotilla_shared::words::counted;

use super::offline::waits_for_offline;
use super::words::listed;
use super::{Phase, Rollout, World};
use crate::spec::{Members, WhenEmpty};

/// State of the present wave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WaveState {
    /// It is complete.
    Complete,
    /// Clusters are in progress, or not started yet.
    Open,
    /// It will not proceed by itself; the text says what is needed.
    Waits(String),
    /// No cluster of it can prove the commits any longer.
    Dead(String),
}

/// The clusters of a wave that take part.
#[derive(Debug, Default)]
struct Tally {
    members: usize,
    /// Number of clusters that were healthy for the soak on a change.
    proven: usize,
    failed: Vec<ClusterName>,
    offline: Vec<ClusterName>,
    /// Whether offline clusters may be changed.
    in_doubt: bool,
    open: bool,
    pinned: Vec<ClusterName>,
    suspended: Vec<ClusterName>,
}

impl Rollout {
    /// Returns the state of the present wave: it is complete when each of its clusters is done, or counts against a
    /// budget that is not used up, and a cluster has proven the commits, if they change anything there.
    pub(super) fn standing(&self, world: &World<'_>, total: usize) -> WaveState {
        let tally = self.tally(world);
        if tally.members == 0 {
            return self.empty(world, &tally);
        }
        if tally.open || self.is_unsettled(world) {
            return WaveState::Open;
        }
        if self.is_beyond_budgets(world, total) {
            return WaveState::Open;
        }
        if tally.proven > 0 {
            return WaveState::Complete;
        }
        let name = world.strategy.waves.get(self.wave);
        let name = name.map_or("", |wave| wave.name.as_str());
        match (tally.failed.is_empty(), tally.offline.is_empty()) {
            // The change affects none of its clusters.
            (true, true) => WaveState::Complete,
            (true, false) if !tally.in_doubt => WaveState::Complete,
            (false, true) => WaveState::Dead(format!(
                "no cluster of wave {name} has proven the rollout, and none is left that could: \
                 {}",
                self.blame(&tally.failed)
            )),
            _ => WaveState::Waits(format!(
                "no cluster of wave {name} has proven the rollout yet; {}",
                waits_for_offline(&self.environment, &tally.offline, None, world)
            )),
        }
    }

    fn tally(&self, world: &World<'_>) -> Tally {
        let mut tally = Tally::default();
        for (name, progress, seen) in self.pairs(world) {
            if progress.wave != self.wave {
                continue;
            }
            tally.members += usize::from(progress.phase.takes_part());
            match progress.phase {
                Phase::Pinned => tally.pinned.push(name.clone()),
                Phase::Suspended => tally.suspended.push(name.clone()),
                Phase::Done if progress.unchanged || !seen.concerned => {}
                Phase::Done => tally.proven += 1,
                Phase::Failed => tally.failed.push(name.clone()),
                _ if !seen.online => {
                    tally.in_doubt |= !progress.unchanged;
                    tally.offline.push(name.clone());
                }
                _ => tally.open = true,
            }
        }
        tally
    }

    /// Returns whether a cluster of an earlier wave is in progress again when the last one would be complete.
    fn is_unsettled(&self, world: &World<'_>) -> bool {
        if self.wave + 1 < world.strategy.waves.len() {
            return false;
        }
        self.pairs(world).any(|(_, progress, seen)| {
            seen.online && matches!(progress.phase, Phase::Started | Phase::Soaking)
        })
    }

    /// Handles a wave in which no cluster takes part, which proves nothing.
    fn empty(&self, world: &World<'_>, tally: &Tally) -> WaveState {
        let Some(wave) = world.strategy.waves.get(self.wave) else {
            return WaveState::Complete;
        };
        let others = |phase: &dyn Fn(Phase) -> bool| {
            let mut all = self.clusters.values();
            all.any(|progress| phase(progress.phase))
        };
        // At the last wave the clusters of all waves decide, and not only its own.
        if self.wave + 1 >= world.strategy.waves.len() {
            if self.is_unsettled(world) || self.is_beyond_budgets(world, self.taking_part()) {
                return WaveState::Open;
            }
            if !others(&|phase| phase == Phase::Done) {
                return WaveState::Waits(self.nobody(world.joining));
            }
        }
        if !others(&|phase| phase == Phase::Waiting) {
            return WaveState::Complete;
        }
        let given = world.approvals.get(&wave.name).copied().unwrap_or_default();
        let skipped = wave.members == Members::Rest || wave.when_empty == WhenEmpty::Skip;
        let needed = match wave.approvals {
            0 if skipped => 0,
            asked => asked.max(1),
        };
        if given >= needed {
            return WaveState::Complete;
        }
        let why = match (tally.pinned.as_slice(), tally.suspended.as_slice()) {
            ([], []) => "has no clusters".to_owned(),
            (pinned, []) => format!("is excluded by pins ({})", listed(pinned)),
            ([], suspended) => format!("is suspended ({})", listed(suspended)),
            (pinned, suspended) => format!(
                "is excluded by pins ({}) or suspended ({})",
                listed(pinned),
                listed(suspended)
            ),
        };
        WaveState::Waits(format!(
            "wave {} {why} and cannot prove the rollout: {given} of {} to continue without it \
             (flotilla approve {} --wave {})",
            wave.name,
            counted(needed as usize, "approval"),
            self.environment,
            wave.name
        ))
    }

    /// Returns whether more clusters of this wave and those before it are unhealthy or offline than the budgets allow.
    fn is_beyond_budgets(&self, world: &World<'_>, total: usize) -> bool {
        let budgets = &world.strategy.budgets;
        let offline = self.names(
            |progress, seen| {
                progress.wave <= self.wave
                    && !seen.online
                    && !matches!(progress.phase, Phase::Done | Phase::Failed)
                    && progress.phase.takes_part()
            },
            world,
        );
        let unavailable = self.unavailable(world);
        offline.len() > budgets.offline.at_most(total)
            || unavailable.len() > budgets.unavailable.at_most(total)
    }

    /// Returns why no cluster takes part, and what to do.
    pub(super) fn nobody(&self, joining: usize) -> String {
        let of = |phase: Phase| -> Vec<ClusterName> {
            let all = self.clusters.iter();
            let all = all.filter(|(_, progress)| progress.phase == phase);
            all.map(|(name, _)| name.clone()).collect()
        };
        let (pinned, suspended) = (of(Phase::Pinned), of(Phase::Suspended));
        if self.clusters.is_empty() && joining > 0 {
            return format!(
                "{} has no clusters yet, and {} to be accepted; the rollout starts with the \
                 first accepted cluster (to list them: flotilla cluster list --pending)",
                self.environment,
                match joining {
                    1 => "1 waits".to_owned(),
                    more => format!("{more} wait"),
                }
            );
        }
        if self.clusters.is_empty() {
            return format!(
                "{} has no clusters yet; the rollout starts with the first cluster that joins \
                 and is accepted (to let one join: flotilla token create --env {})",
                self.environment, self.environment
            );
        }
        if pinned.len() == self.clusters.len() {
            return format!(
                "every cluster is pinned: {}; the rollout starts when one is unpinned (flotilla \
                 unpin --cluster NAME; to end it: flotilla abort {} --reason TEXT)",
                listed(&pinned),
                self.environment
            );
        }
        if pinned.len() + suspended.len() == self.clusters.len() {
            let pinned = match pinned.as_slice() {
                [] => String::new(),
                pinned => format!("; pinned: {}", listed(pinned)),
            };
            return format!(
                "every cluster is excluded, suspended: {}{pinned}; the rollout starts when one \
                 is resumed (flotilla resume NAME; to end it: flotilla abort {} --reason TEXT)",
                listed(&suspended),
                self.environment
            );
        }
        format!(
            "no cluster takes part yet; the rollout waits for one that is online (to see them: \
             flotilla status --env {}; to end it: flotilla abort {} --reason TEXT)",
            self.environment, self.environment
        )
    }
}
