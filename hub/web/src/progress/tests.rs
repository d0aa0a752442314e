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
    let words: Vec<(&str, u32)> = bar
        .parts
        .iter()
        .map(|part| (part.word, part.count))
        .collect();
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
        .map(|budget| (budget.text.as_str(), budget.spent))
        .collect();
    assert_eq!(
        budgets,
        [("failed 1 of 1", true), ("offline 0 of 0", false)]
    );
}
