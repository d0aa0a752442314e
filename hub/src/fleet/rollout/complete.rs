//! When a wave is complete, and what it waits for where it is not.

use flotilla_shared::id::ClusterName;

use flotilla_shared::words::counted;

use super::offline::waits_for_offline;
use super::words::listed;
use super::{Phase, Rollout, World};
use crate::spec::{Members, WhenEmpty};

/// How the present wave stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It holds nothing back.
    Complete,
    /// Clusters of it are on their way, or wait for their turn.
    Open,
    /// Nothing of it will move by itself; what does it is in words.
    Waits(String),
    /// Nobody in it can prove the commits any more.
    Dead(String),
}

/// The clusters of a wave that take part.
#[derive(Debug, Default)]
struct Tally {
    members: usize,
    /// Healthy for the whole soak on what differs from what was good.
    proven: usize,
    failed: Vec<ClusterName>,
    offline: Vec<ClusterName>,
    /// Offline, and not known to be left as they are.
    in_doubt: bool,
    open: bool,
    pinned: Vec<ClusterName>,
    suspended: Vec<ClusterName>,
}

impl Rollout {
    /// How the present wave stands: it is complete when each of its clusters is done, or counts against a
    /// budget that still has room, and somebody has proven the commits, if they change anything there.
    pub(super) fn standing(&self, world: &World<'_>, total: usize) -> Standing {
        let tally = self.tally(world);
        if tally.members == 0 {
            return self.empty(world, &tally);
        }
        if tally.open || self.is_unsettled(world) {
            return Standing::Open;
        }
        if self.is_beyond_budgets(world, total) {
            return Standing::Open;
        }
        if tally.proven > 0 {
            return Standing::Complete;
        }
        let name = world.strategy.waves.get(self.wave);
        let name = name.map_or("", |wave| wave.name.as_str());
        match (tally.failed.is_empty(), tally.offline.is_empty()) {
            // Nothing changes for any of them.
            (true, true) => Standing::Complete,
            (true, false) if !tally.in_doubt => Standing::Complete,
            (false, true) => Standing::Dead(format!(
                "no cluster of wave {name} has proven it, and none is left that could: {}",
                self.blame(&tally.failed)
            )),
            _ => Standing::Waits(format!(
                "no cluster of wave {name} has proven it; {}",
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

    /// Whether somebody of an earlier wave is on the way again when the last one would be complete.
    fn is_unsettled(&self, world: &World<'_>) -> bool {
        if self.wave + 1 < world.strategy.waves.len() {
            return false;
        }
        self.pairs(world).any(|(_, progress, seen)| {
            seen.online && matches!(progress.phase, Phase::Started | Phase::Soaking)
        })
    }

    /// A wave in which nobody takes part proves nothing to those that come after it.
    fn empty(&self, world: &World<'_>, tally: &Tally) -> Standing {
        let Some(wave) = world.strategy.waves.get(self.wave) else {
            return Standing::Complete;
        };
        let others = |phase: &dyn Fn(Phase) -> bool| {
            let mut all = self.clusters.values();
            all.any(|progress| phase(progress.phase))
        };
        // The last word is said over all clusters, not over the last wave's.
        if self.wave + 1 >= world.strategy.waves.len() {
            if self.is_unsettled(world) || self.is_beyond_budgets(world, self.taking_part()) {
                return Standing::Open;
            }
            if !others(&|phase| phase == Phase::Done) {
                return Standing::Waits(self.nobody(world.joining));
            }
        }
        if !others(&|phase| phase == Phase::Waiting) {
            return Standing::Complete;
        }
        let given = world.approvals.get(&wave.name).copied().unwrap_or_default();
        let skipped = wave.members == Members::Rest || wave.when_empty == WhenEmpty::Skip;
        let needed = match wave.approvals {
            0 if skipped => 0,
            asked => asked.max(1),
        };
        if given >= needed {
            return Standing::Complete;
        }
        let why = match (tally.pinned.as_slice(), tally.suspended.as_slice()) {
            ([], []) => "has no cluster".to_owned(),
            (pinned, []) => format!("is pinned away ({})", listed(pinned)),
            ([], suspended) => format!("is suspended ({})", listed(suspended)),
            (pinned, suspended) => format!(
                "is pinned away ({}) or suspended ({})",
                listed(pinned),
                listed(suspended)
            ),
        };
        Standing::Waits(format!(
            "wave {} {why}, so that nothing is proven there: {given} of {} to go on without it \
             (flotilla approve {} --wave {})",
            wave.name,
            counted(needed as usize, "approval"),
            self.environment,
            wave.name
        ))
    }

    /// Whether more are ill, or away, of this wave and those before it than the budgets allow.
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

    /// Why nobody is there to prove anything, and what helps.
    pub(super) fn nobody(&self, joining: usize) -> String {
        let of = |phase: Phase| -> Vec<ClusterName> {
            let all = self.clusters.iter();
            let all = all.filter(|(_, progress)| progress.phase == phase);
            all.map(|(name, _)| name.clone()).collect()
        };
        let (pinned, suspended) = (of(Phase::Pinned), of(Phase::Suspended));
        if self.clusters.is_empty() && joining > 0 {
            return format!(
                "{} has no cluster yet, and {} to be accepted; it begins with the first that is (flotilla cluster \
                 list --pending names them)",
                self.environment,
                match joining {
                    1 => "1 waits".to_owned(),
                    more => format!("{more} wait"),
                }
            );
        }
        if self.clusters.is_empty() {
            return format!(
                "{} has no cluster yet; it begins with the first that has joined and was accepted (flotilla token \
                 create --env {} lets one join)",
                self.environment, self.environment
            );
        }
        if pinned.len() == self.clusters.len() {
            return format!(
                "every cluster is pinned: {}; it begins when one is unpinned (flotilla unpin --cluster NAME, or \
                 flotilla abort {} --reason TEXT to end it)",
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
                "every cluster is kept out, suspended: {}{pinned}; it begins when one is resumed (flotilla \
                 resume NAME, or flotilla abort {} --reason TEXT to end it)",
                listed(&suspended),
                self.environment
            );
        }
        format!(
            "no cluster has come to it; it waits for one that is online (flotilla status --env {} shows them, \
             flotilla abort {} --reason TEXT ends it)",
            self.environment, self.environment
        )
    }
}
