use std::collections::BTreeSet;
use std::sync::Arc;

use flotilla_shared::id::Epoch;

use super::*;
use crate::fleet::rollout::Commits;
use crate::fleet::{Event, Hold, Mark, Quarantine};
use crate::spec;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments:
- {name: prod, branch: prod, strategy: {waves: [{name: canary, clusters: [a]}, {name: rest}]}}
applications: [{name: web, repository: fleet, path: web}]
";

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

fn commits(digit: &str) -> Commits {
    [("fleet".parse().unwrap(), digit.repeat(40).parse().unwrap())].into()
}

fn rollout(stands: Stands, wave: usize, note: &str) -> Rollout {
    Rollout {
        id: "prod-2".to_owned(),
        environment: "prod".parse().unwrap(),
        target: commits("b"),
        from: commits("a"),
        from_id: "prod-1".to_owned(),
        state: stands,
        carried: Vec::new(),
        waves: vec!["canary".to_owned(), "rest".to_owned()],
        wave,
        created_at: at(0),
        started_at: None,
        ended_at: None,
        note: note.to_owned(),
        blameless: false,
        strategy: None,
        clusters: BTreeMap::new(),
        stepped_at: None,
        epoch: 1,
        changes: Default::default(),
    }
}

fn with(rollout: Rollout, state: EnvironmentState) -> BTreeMap<Key, DesiredStatus> {
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", FILE).unwrap();
    fleet.absorb(Event::SpecChanged(Arc::new(spec)), at(0));
    let restored = Event::Restored {
        heads: Vec::new(),
        clusters: Vec::new(),
        environments: vec![("prod".parse().unwrap(), state)],
        rollouts: vec![rollout],
        retired: Vec::new(),
        specifications: Vec::new(),
    };
    fleet.absorb(restored, at(0));
    desired(&fleet, "https://flotilla.example.org/")
}

fn shown(all: &BTreeMap<Key, DesiredStatus>) -> Vec<String> {
    all.iter()
        .map(|(key, desired)| {
            let state = format!("{:?}", desired.status.state);
            let commit = key.commit.as_str().get(..1).unwrap();
            format!("{commit} {state} {}", desired.status.description)
        })
        .collect()
}

#[test]
fn each_state_has_its_word_on_the_commit_that_it_goes_to() {
    let show =
        |stands, note: &str| shown(&with(rollout(stands, 1, note), EnvironmentState::default()));
    assert_eq!(
        show(Stands::Pending, "approval: 0 of 1 approval"),
        ["b Pending waits: approval: 0 of 1 approval"]
    );
    assert_eq!(show(Stands::Running, ""), ["b Pending wave 2 of 2, 0 of 0"]);
    assert_eq!(
        show(Stands::Soaking, ""),
        ["b Pending wave 2 of 2, 0 of 0, soaking"]
    );
    assert_eq!(
        show(Stands::Halted, "2 of 1 failed"),
        ["b Failure halted: 2 of 1 failed"]
    );
    assert_eq!(show(Stands::RolledBack, "x"), ["b Failure rolled back: x"]);
    assert_eq!(show(Stands::Succeeded, ""), ["b Success 0 of 0 healthy"]);
    assert_eq!(
        show(Stands::Superseded, "prod-3 took over"),
        ["b Pending a newer commit took over: prod-3 took over"]
    );
    let all = with(rollout(Stands::Running, 0, ""), EnvironmentState::default());
    let status = &all.values().next().unwrap().status;
    assert_eq!(status.context, "flotilla/prod");
    assert_eq!(status.link, "https://flotilla.example.org/env/prod");
}

#[test]
fn a_commit_that_was_rolled_back_turns_red_though_it_was_green() {
    let mark = Mark {
        by: "ann".to_owned(),
        reason: "it leaks".to_owned(),
        at: at(1),
    };
    // A person rolls back from `a`, which was good, with commit `b`.
    let state = EnvironmentState {
        approved: commits("a"),
        hold: Some(Hold {
            mark,
            rolled_back: String::new(),
            repositories: BTreeSet::new(),
            latest: BTreeSet::new(),
        }),
        ..EnvironmentState::default()
    };
    let going = with(rollout(Stands::Running, 0, ""), state.clone());
    assert_eq!(
        shown(&going),
        [
            "a Failure rolled back by ann: it leaks",
            "b Pending wave 1 of 2, 0 of 0"
        ]
    );
    // A quarantined commit stays red, unless it is good or a rollout tries it again.
    let quarantined = |digit: &str, approved: &str| {
        let mut state = EnvironmentState {
            approved: commits(approved),
            ..EnvironmentState::default()
        };
        state.quarantined.push_back(Quarantine {
            commits: commits(digit),
            rollout: "prod-1".to_owned(),
            reason: "web failed".to_owned(),
            at: at(1),
        });
        state
    };
    let show = |stands, state| shown(&with(rollout(stands, 0, ""), state));
    assert_eq!(
        show(Stands::Succeeded, quarantined("c", "b")),
        [
            "b Success 0 of 0 healthy",
            "c Failure rolled back: web failed"
        ]
    );
    assert_eq!(
        show(Stands::Succeeded, quarantined("b", "b")),
        ["b Success 0 of 0 healthy"]
    );
    assert_eq!(
        show(Stands::Running, quarantined("b", "a")),
        ["b Pending wave 1 of 2, 0 of 0"]
    );
    assert_eq!(
        show(Stands::RolledBack, quarantined("b", "a")),
        ["b Failure rolled back: web failed"]
    );
}

#[test]
fn a_status_is_sent_on_a_change_only_and_never_too_soon() {
    let mut sent: BTreeMap<Key, SentStatus> = BTreeMap::new();
    let mut look = |stands, wave, note: &str, second| {
        let desired = with(rollout(stands, wave, note), EnvironmentState::default());
        assert!(desired.values().all(|status| takes(Kind::Gitlab, status)));
        let due = due(&sent, &desired, |_, _| true, at(second));
        for (key, desired) in &due {
            let row = SentStatus {
                change: desired.change.clone(),
                at: at(second),
            };
            sent.insert(key.clone(), row);
        }
        due.len()
    };
    assert_eq!(look(Stands::Pending, 0, "1 of 2 approvals", 0), 1);
    assert_eq!(
        look(Stands::Pending, 0, "0 of 2 approvals", 60),
        0,
        "text alone is no news"
    );
    assert_eq!(look(Stands::Running, 0, "", 61), 1);
    assert_eq!(look(Stands::Soaking, 0, "", 65), 0, "too soon");
    assert_eq!(
        look(Stands::Running, 1, "", 71),
        1,
        "what was skipped is past"
    );
    assert_eq!(look(Stands::Succeeded, 1, "", 90), 1);
    for second in 100..200 {
        assert_eq!(look(Stands::Succeeded, 1, "", second), 0);
    }
    // After a restart the last statuses are known, and none is sent again.
    assert_eq!(look(Stands::Halted, 1, "", 300), 1);
}

/// A repository without a forge, or with an unreachable one, kept the statuses of others from being sent.
#[test]
fn a_repository_that_cannot_be_told_takes_no_place_from_others() {
    let key = |repository: &str, number: usize| Key {
        environment: "prod".parse().unwrap(),
        repository: repository.parse().unwrap(),
        commit: format!("{:040x}", number + 1).parse().unwrap(),
    };
    let status = DesiredStatus {
        status: CommitStatus {
            context: "flotilla/prod".to_owned(),
            state: State::Failure,
            description: String::new(),
            link: String::new(),
        },
        change: "rolledBack".to_owned(),
        of_pull: false,
    };
    let away = (0..2 * AT_ONCE).map(|number| (key("away", number), status.clone()));
    let mut statuses: BTreeMap<Key, DesiredStatus> = away.collect();
    statuses.insert(key("here", 1), status);
    let can_be_told = |key: &Key, _: &DesiredStatus| key.repository.as_str() == "here";
    let due = due(&BTreeMap::new(), &statuses, can_be_told, at(0));
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].0, key("here", 1));
}
