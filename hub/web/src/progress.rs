//! Progress of a rollout: a bar for each wave, the use of its budgets, and its gates.

use flotilla_status::{Rollout, RolloutState, Step, Wave};
use jiff::Timestamp;

use crate::text;

/// Progress of a rollout, as in a lane.
#[derive(Debug, Clone)]
pub struct Progress {
    /// `<environment>-<number>`.
    pub id: String,
    /// State of the rollout.
    pub state: RolloutState,
    /// Reason of the state, for the operator; empty: none.
    pub note: String,
    /// For how long it has been running, or how long ago it ended.
    pub age: String,
    /// A bar for each wave.
    pub bars: Vec<Bar>,
    /// Use of each budget; empty: the rollout is over.
    pub budgets: Vec<BudgetLine>,
    /// Gates that hold it back.
    pub gates: Vec<Step>,
    /// Number of further gates that do.
    pub more_gates: u32,
}

/// Use of a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetLine {
    /// Text, such as `failed 1 of 1`.
    pub text: String,
    /// Whether it is used up.
    pub spent: bool,
}

/// Progress of a wave's clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// Name of the wave in the fleet file.
    pub name: String,
    /// Whether it is the current wave.
    pub present: bool,
    /// Number of its clusters.
    pub total: u32,
    /// Description in words, for readers without the picture.
    pub summary: String,
    /// Parts with at least one cluster.
    pub parts: Vec<BarPart>,
}

impl Bar {
    /// Number of clusters before a part.
    #[must_use]
    pub fn offset(&self, part: &usize) -> u32 {
        self.parts.iter().take(*part).map(|part| part.count).sum()
    }
}

/// Part of a bar, which never differs by colour alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarPart {
    /// Its word, which is also its class.
    pub word: &'static str,
    /// Number of its clusters, at least 1: empty parts are left out.
    pub count: u32,
}

/// Returns the bars of a rollout.
#[must_use]
pub fn progress(rollout: &Rollout, now: Timestamp) -> Progress {
    let over = rollout.is_over();
    Progress {
        id: rollout.id.clone(),
        state: rollout.state.clone(),
        note: rollout.note.clone(),
        age: match rollout.ended_at {
            Some(end) => format!("{} ago", text::age(Some(end), now)),
            None => match rollout.started_at.or(rollout.created_at) {
                Some(since) => format!("for {}", text::age(Some(since), now)),
                None => String::new(),
            },
        },
        bars: rollout
            .waves
            .iter()
            .enumerate()
            .map(|(index, wave)| Bar {
                present: !over && index == rollout.wave,
                ..bar(wave, now)
            })
            .collect(),
        budgets: rollout
            .budgets
            .iter()
            .map(|budget| BudgetLine {
                text: format!("{} {} of {}", budget.budget, budget.used, budget.at_most),
                spent: budget.used > 0 && budget.used >= budget.at_most,
            })
            .collect(),
        gates: rollout.gates.clone(),
        more_gates: rollout.more_gates,
    }
}

/// Returns the bar of a wave, as one that is not current.
fn bar(wave: &Wave, now: Timestamp) -> Bar {
    let parts: Vec<BarPart> = [
        ("done", wave.done.saturating_sub(wave.done_unchanged)),
        ("unchanged", wave.done_unchanged),
        ("soaking", wave.soaking),
        ("started", wave.started),
        ("unavailable", wave.unavailable),
        ("failed", wave.failed),
        ("waiting", wave.waiting.saturating_sub(wave.offline)),
        ("offline", wave.offline),
        ("pinned", wave.pinned),
        ("suspended", wave.suspended),
    ]
    .into_iter()
    .filter(|(_, count)| *count > 0)
    .map(|(word, count)| BarPart { word, count })
    .collect();
    let mut summary: Vec<String> = parts
        .iter()
        .map(|part| format!("{} {}", part.count, part.word))
        .collect();
    let to_come = wave.unchanged.saturating_sub(wave.done_unchanged);
    if to_come > 0 {
        summary.push(format!("{to_come} of them without a change"));
    }
    if let Some(end) = wave.soak_ends_at {
        let left = text::span(end.as_second().saturating_sub(now.as_second()).max(0));
        summary.push(format!("soaks until {}, {left} left", text::clock(end)));
    }
    if wave.approvals > 0 {
        summary.push(format!(
            "{} of {}",
            wave.approved_by.len(),
            flotilla_shared::words::counted(wave.approvals as usize, "approval")
        ));
    }
    Bar {
        name: wave.name.clone(),
        present: false,
        total: wave.total() + wave.pinned + wave.suspended,
        summary: if summary.is_empty() {
            "no clusters".to_owned()
        } else {
            summary.join(", ")
        },
        parts,
    }
}

#[cfg(test)]
mod tests;
