//! A rollout as it is drawn: a bar for each wave, what is used of its budgets, what holds it back.

use flotilla_status::{Rollout, RolloutState, Step, Wave};
use jiff::Timestamp;

use crate::text;

/// A rollout in the lane.
#[derive(Debug, Clone)]
pub struct Progress {
    /// `<environment>-<number>`.
    pub id: String,
    /// How it stands.
    pub state: RolloutState,
    /// Why it stands as it does, for a person; empty: there is nothing to say.
    pub note: String,
    /// For how long it goes on, or how long ago it ended.
    pub age: String,
    /// A bar for each wave.
    pub bars: Vec<Bar>,
    /// How much of each budget is used, in words; empty: it is over.
    pub budgets: Vec<BudgetLine>,
    /// Gates that hold it back.
    pub gates: Vec<Step>,
    /// How many more do.
    pub more_gates: u32,
}

/// A budget in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetLine {
    /// `failed 1 of 1`.
    pub text: String,
    /// Whether one more is too many.
    pub spent: bool,
}

/// How many clusters of a wave are how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// What the fleet file calls the wave.
    pub name: String,
    /// Whether it is the present one.
    pub present: bool,
    /// How many clusters the wave has.
    pub total: u32,
    /// In words, for everybody.
    pub summary: String,
    /// Parts with at least one cluster.
    pub parts: Vec<Part>,
}

impl Bar {
    /// How many clusters stand before a part.
    #[must_use]
    pub fn offset(&self, part: &usize) -> u32 {
        self.parts.iter().take(*part).map(|part| part.count).sum()
    }
}

/// A part of a bar: never a colour alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its word, which is its class, too.
    pub word: &'static str,
    /// How many clusters, at least 1: empty parts are left out.
    pub count: u32,
}

/// A rollout as its bars.
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

/// A wave's bar, as that of one which is not the present one.
fn bar(wave: &Wave, now: Timestamp) -> Bar {
    let parts: Vec<Part> = [
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
    .map(|(word, count)| Part { word, count })
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
