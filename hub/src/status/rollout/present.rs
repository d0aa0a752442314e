//! What only a rollout in progress has: use of budgets, ends of soaks, closed gates.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_status::{Apart, Budget, BudgetKind, RepositoryCommit};
use jiff::{SignedDuration, Timestamp};

use super::next;
use crate::fleet::rollout::{Phase, Progress, Rollout};
use crate::fleet::{Connectivity, Fleet, OFFLINE_AFTER, acts};
use crate::spec::Strategy;
use crate::status::gate_step;

/// Highest number of gates that are listed; the rest is counted.
const GATES: usize = 10;

/// Number of clusters that count against each budget.
#[derive(Default)]
struct BudgetUse {
    failed: usize,
    unavailable: usize,
    offline: usize,
}

/// Adds commits that its environment is asked for and it does not include, to its note as well.
fn add_apart(
    fleet: &Fleet,
    rollout: &Rollout,
    now: Timestamp,
    status: &mut flotilla_status::Rollout,
) {
    let environment = fleet.spec().environment(&rollout.environment);
    let apart = environment.map(|environment| fleet.apart(environment, now));
    for waiting in apart.unwrap_or_default() {
        let text = acts::closed(&waiting.gates, &rollout.environment, &waiting.waiting());
        let text = text.unwrap_or_default();
        if !status.note.is_empty() {
            status.note.push_str("; ");
        }
        status.note.push_str(&waiting.text(&text));
        status.apart.push(Apart {
            commit: RepositoryCommit {
                repository: waiting.repository.to_string(),
                commit: waiting.commit.to_string(),
            },
            gates: waiting
                .gates
                .into_iter()
                .take(GATES)
                .map(gate_step)
                .collect(),
            text,
        });
    }
}

pub(super) fn add(
    fleet: &Fleet,
    rollout: &Rollout,
    strategy: Option<&Strategy>,
    now: Timestamp,
    status: &mut flotilla_status::Rollout,
) {
    add_apart(fleet, rollout, now, status);
    let mut used = BudgetUse::default();
    let mut ends = BTreeMap::new();
    for (name, progress) in &rollout.clusters {
        let cluster = fleet.clusters().get(name);
        let online = cluster.is_some_and(|cluster| {
            let connection = cluster.connection(now, OFFLINE_AFTER);
            matches!(connection, Connectivity::Online { .. })
        });
        match progress.phase {
            Phase::Failed => used.failed += 1,
            Phase::Unavailable if online => used.unavailable += 1,
            _ => {}
        }
        if !online && progress.phase != Phase::Pinned && progress.wave <= rollout.wave {
            used.offline += 1;
        }
        let Some(wave) = status.waves.get_mut(progress.wave) else {
            continue;
        };
        wave.offline += u32::from(!online && progress.phase == Phase::Waiting);
        if let Some(strategy) = strategy
            && let Some(end) = soaked(rollout, progress, strategy.soak(progress.wave))
        {
            ends.entry(progress.wave)
                .and_modify(|last: &mut Timestamp| *last = end.max(*last))
                .or_insert(end);
        }
    }
    for (index, end) in ends {
        if let Some(wave) = status.waves.get_mut(index) {
            wave.soak_ends_at = Some(end);
        }
    }
    if let Some(strategy) = strategy {
        let total = rollout.clusters.len() - rollout.count(Phase::Pinned);
        let budgets = &strategy.budgets;
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        status.budgets = [
            (BudgetKind::Failed, used.failed, budgets.failed),
            (
                BudgetKind::Unavailable,
                used.unavailable,
                budgets.unavailable,
            ),
            (BudgetKind::Offline, used.offline, budgets.offline),
        ]
        .into_iter()
        .map(|(budget, used, amount)| Budget {
            budget,
            used: number(used),
            at_most: number(amount.at_most(total)),
        })
        .collect();
    }
    let closed = fleet.closed_gates(rollout, now);
    next::add(fleet, rollout, &closed, now, status);
    let more = closed.len().saturating_sub(GATES);
    status.more_gates = u32::try_from(more).unwrap_or(u32::MAX);
    status.gates = closed.into_iter().take(GATES).map(gate_step).collect();
}

/// Returns when a cluster has soaked, in whole seconds, so that repeated queries give the same.
fn soaked(rollout: &Rollout, progress: &Progress, soak: Duration) -> Option<Timestamp> {
    if progress.phase != Phase::Soaking {
        return None;
    }
    let left = SignedDuration::try_from(soak.saturating_sub(progress.counted)).ok()?;
    let end = rollout.stepped_at?.checked_add(left).ok()?;
    Timestamp::from_second(end.as_second() + i64::from(end.subsec_nanosecond() > 0)).ok()
}
