//! A rollout as it is drawn: a bar for each wave, what is used of its budgets, what holds it back.

use flotilla_status::{Rollout, Step, Wave};
use jiff::Timestamp;

use crate::text;

/// A rollout in the lane.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Its name.
    pub id: String,
    /// How it stands.
    pub state: String,
    /// Why.
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
    /// Of the wave.
    pub name: String,
    /// Whether it is the present one.
    pub present: bool,
    /// All of them.
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
        self.parts.iter().take(*part).map(|one| one.count).sum()
    }
}

/// A part of a bar: never a colour alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its word, which is its class, too.
    pub word: &'static str,
    /// How many.
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
            .map(|(index, wave)| bar(wave, !over && index == rollout.wave, now))
            .collect(),
        budgets: rollout
            .budgets
            .iter()
            .map(|one| BudgetLine {
                text: format!("{} {} of {}", one.budget, one.used, one.at_most),
                spent: one.used > 0 && one.used >= one.at_most,
            })
            .collect(),
        gates: rollout.gates.clone(),
        more_gates: rollout.more_gates,
    }
}

fn bar(wave: &Wave, present: bool, now: Timestamp) -> Bar {
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
        summary.push(format!("{to_come} of them with nothing to change"));
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
        present,
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
mod tests {
    use flotilla_proto::v1;
    use flotilla_status::Rollout;

    use super::progress;
    use crate::samples::moment;

    #[test]
    fn a_wave_says_in_words_what_its_bar_draws() {
        let rollout = Rollout::from(&v1::RolloutStatus {
            id: "prod-1".to_owned(),
            state: "running".to_owned(),
            waves: vec![v1::WaveStatus {
                name: "canary".to_owned(),
                done: 1,
                failed: 2,
                approvals: 1,
                ..v1::WaveStatus::default()
            }],
            ..v1::RolloutStatus::default()
        });
        let drawn = progress(&rollout, moment(0));
        assert_eq!(drawn.bars[0].summary, "1 done, 2 failed, 0 of 1 approval");
        assert!(drawn.bars[0].present);
        assert_eq!(drawn.bars[0].parts.len(), 2);
    }

    #[test]
    fn a_bar_has_every_state_and_no_cluster_twice() {
        let wave = v1::WaveStatus {
            name: "rest".to_owned(),
            done: 4,
            done_unchanged: 1,
            unchanged: 2,
            soaking: 2,
            started: 1,
            unavailable: 1,
            failed: 1,
            waiting: 5,
            offline: 2,
            pinned: 1,
            soak_ends_at: Some(prost_types::Timestamp {
                seconds: 1_800_000_012,
                nanos: 0,
            }),
            ..v1::WaveStatus::default()
        };
        let rollout = Rollout::from(&v1::RolloutStatus {
            id: "prod-1".to_owned(),
            state: "running".to_owned(),
            waves: vec![wave],
            budgets: vec![
                v1::BudgetStatus {
                    budget: "failed".to_owned(),
                    used: 1,
                    at_most: 1,
                },
                v1::BudgetStatus {
                    budget: "offline".to_owned(),
                    used: 0,
                    at_most: 0,
                },
            ],
            ..v1::RolloutStatus::default()
        });
        let drawn = progress(&rollout, moment(0));
        let bar = &drawn.bars[0];
        let words: Vec<(&str, u32)> = bar.parts.iter().map(|one| (one.word, one.count)).collect();
        assert_eq!(
            words,
            [
                ("done", 3),
                ("unchanged", 1),
                ("soaking", 2),
                ("started", 1),
                ("unavailable", 1),
                ("failed", 1),
                ("waiting", 3),
                ("offline", 2),
                ("pinned", 1),
            ]
        );
        assert_eq!(words.iter().map(|(_, count)| count).sum::<u32>(), bar.total);
        assert!(bar.summary.contains("12 s left"), "{}", bar.summary);
        let budgets: Vec<(&str, bool)> = drawn
            .budgets
            .iter()
            .map(|one| (one.text.as_str(), one.spent))
            .collect();
        assert_eq!(
            budgets,
            [("failed 1 of 1", true), ("offline 0 of 0", false)]
        );
    }
}
