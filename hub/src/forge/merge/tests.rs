use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_forge::{State, marker};
use flotilla_shared::id::Epoch;
use flotilla_status::{StepKind, StepState};

use super::*;
use crate::fleet::rollout::Commits;
use crate::fleet::{Action, EnvironmentState, Event, GoodCommits, PendingMerge};
use crate::forge::status::takes;
use crate::spec;

pub(super) const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://github.com/acme/fleet'}]
environments:
- {name: dev, branch: dev}
- {name: prod, branch: prod, promotesFrom: dev, merge: fastForward, gates: {proof: {}}}
applications: [{name: web, repository: fleet, path: web}]
";

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

pub(super) fn commit(digit: &str) -> Commit {
    digit.repeat(40).parse().unwrap()
}

fn commits(digit: &str) -> Commits {
    [("fleet".parse().unwrap(), commit(digit))].into()
}

pub(super) fn names() -> (EnvironmentName, RepositoryName) {
    ("prod".parse().unwrap(), "fleet".parse().unwrap())
}

/// Marks the branches as read.
pub(super) fn heads(dev: &str, prod: &str) -> Event {
    let branch = |text: &str| text.parse::<BranchName>().unwrap();
    let found = [("dev", dev), ("prod", prod)];
    Event::HeadsRead {
        repository: "fleet".parse().unwrap(),
        asked: vec![branch("dev"), branch("prod")],
        found: found
            .map(|(name, digit)| (branch(name), commit(digit)))
            .into(),
    }
}

/// A fleet where `dev` has proven `b`, and `prod` runs `a`.
pub(super) fn fleet(file: &str) -> Fleet {
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", file).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), at(0));
    let good = |digit: &str| GoodCommits {
        commits: commits(digit),
        rollout: String::new(),
        at: at(0),
        epoch: 1,
    };
    let state = EnvironmentState {
        approved: commits("a"),
        history: [good("a")].into(),
        proven: [good("a"), good("b")].into(),
        ..EnvironmentState::default()
    };
    let restored = Event::Restored {
        heads: Vec::new(),
        clusters: Vec::new(),
        environments: vec![("prod".parse().unwrap(), state)],
        rollouts: Vec::new(),
        retired: Vec::new(),
        specifications: Vec::new(),
    };
    fleet.step(restored, at(0));
    fleet
}

pub(super) fn proven() -> Fleet {
    let mut fleet = fleet(FILE);
    fleet.step(heads("b", "a"), at(1));
    fleet
}

fn pull(digit: &str) -> PullRequest {
    PullRequest {
        number: 7,
        open: true,
        head: "flotilla/promote-prod".to_owned(),
        head_commit: commit(digit).to_string(),
        base: "prod".to_owned(),
        body: format!("{}\ntext", marker(Kind::Github, "promote:prod")),
        author: "bot".to_owned(),
        ..PullRequest::default()
    }
}

#[test]
fn something_is_looked_for_only_where_something_may_be_taken() {
    let mut world = fleet(FILE);
    assert_eq!(candidates(&world), [], "no branch was read yet");
    world.step(heads("b", "a"), at(1));
    let all = candidates(&world);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].head, Some(commit("a")));
    assert_eq!(all[0].url.as_str(), "https://github.com/acme/fleet");
    world.step(heads("b", "b"), at(2));
    assert_eq!(candidates(&world), [], "it is there already");
    let by_hand = FILE.replace(", merge: fastForward", "");
    let mut world = fleet(&by_hand);
    world.step(heads("b", "a"), at(1));
    assert_eq!(candidates(&world), []);
}

#[test]
fn the_pull_request_is_the_one_that_a_promotion_opened() {
    let candidate = candidates(&proven()).remove(0);
    let with = |change: fn(&mut PullRequest)| {
        let mut pull = pull("b");
        change(&mut pull);
        candidate.ours(Kind::Github, &[pull]).is_some()
    };
    assert!(with(|_| {}));
    assert!(!with(|pull| pull.open = false));
    assert!(!with(|pull| pull.from_fork = true));
    assert!(!with(|pull| pull.head = "feature".to_owned()));
    assert!(!with(|pull| pull.base = "dev".to_owned()));
    assert!(!with(|pull| pull.body = "mine".to_owned()));
    // Bitbucket shortens commits to twelve digits. Seven are easily forged, and other commits are not the candidate's.
    let b = commit("b");
    assert_eq!(candidate.whole(b.as_str()), Some(b.clone()));
    assert_eq!(candidate.whole(&"b".repeat(12)), Some(b));
    assert_eq!(candidate.whole(&"b".repeat(7)), None);
    assert_eq!(candidate.whole(&"c".repeat(12)), None);
    assert_eq!(candidate.whole(""), None);
}

#[test]
fn the_fleet_takes_what_is_proven_and_held_by_nobody() {
    let (environment, repository) = names();
    let says = |fleet: &Fleet, digit: &str| {
        says(fleet, &environment, (&repository, &commit(digit)), at(2))
    };
    let world = proven();
    assert_eq!(says(&world, "b"), Ok(()));
    let unproven = says(&world, "c").unwrap_err();
    assert!(
        matches!(&unproven, Wait::Gate(text) if text.contains("dev")),
        "{unproven}"
    );
    let act = |action: Action| {
        let mut world = proven();
        world.act(&action, "ann", "lunch", at(2)).unwrap();
        says(&world, "b").unwrap_err()
    };
    let paused = act(Action::Pause(environment.clone()));
    assert!(
        paused.to_string().contains("ann paused prod: lunch"),
        "{paused}"
    );
    assert!(
        paused.to_string().contains("flotilla resume prod"),
        "{paused}"
    );
    let freeze = FILE.replace(
        "proof: {}",
        "proof: {}, freezes: [{from: '2026-01-01 00:00', to: '2030-01-01 00:00', reason: audit}]",
    );
    let mut world = fleet(&freeze);
    world.step(heads("b", "a"), at(1));
    let frozen = says(&world, "b").unwrap_err();
    assert!(
        matches!(&frozen, Wait::Gate(text) if text.contains("audit")),
        "{frozen}"
    );
    let mut world = fleet(&FILE.replace("proof: {}", "proof: {}, approvals: 1"));
    world.step(heads("b", "a"), at(1));
    let asked = says(&world, "b").unwrap_err();
    assert!(matches!(&asked, Wait::Gate(text) if text.contains("0 of 1 approval")));
    let mut world = fleet(&FILE.replace(", merge: fastForward", ""));
    world.step(heads("b", "a"), at(1));
    assert!(matches!(says(&world, "b"), Err(Wait::Held(_))));
}

#[test]
fn a_rollout_that_is_under_way_is_finished_before_more_is_taken() {
    let (environment, repository) = names();
    let mut world = proven();
    let record = crate::fleet::ClusterRecord {
        environment: Some(environment.clone()),
        ..Default::default()
    };
    world.step(Event::ClusterPut("p1".parse().unwrap(), record), at(2));
    world.step(heads("b", "c"), at(3));
    let rollout = world.rollouts().values().next().unwrap();
    assert!(
        rollout.started_at.is_none(),
        "it is not proven: {rollout:?}"
    );
    let says = |world: &Fleet, digit: &str, second| {
        says(
            world,
            &environment,
            (&repository, &commit(digit)),
            at(second),
        )
    };
    assert_eq!(says(&world, "b", 4), Ok(()), "what has not begun gives way");
    let hello = crate::fleet::Hello::default();
    let session = crate::fleet::SessionId(1);
    world.step(
        Event::Connected("p1".parse().unwrap(), session, hello),
        at(5),
    );
    world.step(heads("d", "b"), at(5));
    world.step(Event::Tick, at(6));
    let rollout = world.rollouts().values().next().unwrap();
    assert!(rollout.started_at.is_some(), "{rollout:?}");
    let busy = says(&world, "a", 7).unwrap_err();
    assert!(busy.to_string().contains("is under way"), "{busy}");
}

#[test]
fn a_forge_has_to_say_yes_to_exactly_this_commit() {
    let (environment, _) = names();
    let url = "https://github.com/acme/fleet".parse().unwrap();
    let place = Repository::at(&url, None, None).unwrap();
    let by = |name: &str, digit: &str| Approval {
        by: name.to_owned(),
        commit: commit(digit).to_string(),
    };
    let check = |name: &str, state| Check {
        name: name.to_owned(),
        state,
    };
    let good = PullState {
        pull: pull("b"),
        required: Required {
            checks: vec!["build".to_owned(), "flotilla/prod".to_owned()],
            approvals: 1,
            fresh: false,
        },
        approvals: vec![by("eve", "b"), by("ann", "b")],
        checks: vec![
            check("build", State::Success),
            // The hub's own status, which stays pending until the merge.
            check("flotilla/prod", State::Pending),
        ],
        rewrites: None,
    };
    let judge = |change: &dyn Fn(&mut PullState)| {
        let mut found = good.clone();
        change(&mut found);
        decide(&place, &environment, &commit("b"), found)
    };
    let people = Ok(vec!["ann".to_owned(), "eve".to_owned()]);
    assert_eq!(judge(&|_| {}), people);
    assert_eq!(
        judge(&|found| found.checks[1].state = State::Failure),
        people,
        "what we said ourselves is no news"
    );
    let word = |change: &dyn Fn(&mut PullState)| judge(change).unwrap_err().code();
    assert_eq!(
        word(&|found| found.rewrites = Some(Rewrites::Rebases)),
        "mergeMethod"
    );
    assert_eq!(word(&|found| found.approvals.clear()), "approvals");
    assert_eq!(
        word(&|found| found.approvals = vec![by("ann", "c")]),
        "approvals",
        "of another commit, though the branch does not ask for fresh ones"
    );
    assert_eq!(word(&|found| found.checks.clear()), "check");
    assert_eq!(
        word(&|found| found.checks.push(check("flotilla/dev", State::Failure))),
        "check",
        "of another environment"
    );
    assert_eq!(word(&|found| found.pull.draft = true), "notReady");
    let squashed = judge(&|found| found.pull.squash = true).unwrap_err();
    assert!(squashed.is_refusal(), "somebody has to untick it");
    assert_eq!(
        word(&|found| found.pull.head_commit = commit("c").to_string()),
        "notReady",
        "somebody pushed meanwhile"
    );
}

#[test]
fn every_reason_is_told_on_the_commit_and_by_explain() {
    let (environment, repository) = names();
    let mut world = proven();
    let mut look = |wait: Option<Wait>, with_commit: bool| {
        let waits = wait.map(|wait| {
            Box::new(PendingMerge {
                commit: with_commit.then(|| commit("b")),
                pull: Some((7, "https://x/7".to_owned())),
                refused: wait.is_refusal(),
                word: wait.code(),
                text: wait.to_string(),
            })
        });
        let event = Event::MergeLooked {
            environment: environment.clone(),
            repository: repository.clone(),
            waits,
        };
        let before = world.version();
        world.step(event, at(5));
        let changed = world.version() != before;
        let statuses = super::super::status::desired(&world, "");
        let on_commit: BTreeMap<_, _> = statuses
            .into_iter()
            .filter(|(key, _)| key.commit == commit("b"))
            .collect();
        let status = on_commit.into_values().next().map(|desired| {
            let state = desired.status.state;
            assert!(takes(Kind::Github, &desired));
            let gitlab = takes(Kind::Gitlab, &desired);
            (state, desired.change, desired.status.description, gitlab)
        });
        let steps = crate::status::explain(&world, "prod", at(5)).unwrap();
        let step = steps.into_iter().find(|step| step.step == StepKind::Merge);
        (changed, status, step)
    };
    let waits = Wait::NotReady(NotReady::Approvals { have: 0, need: 1 });
    let (changed, status, step) = look(Some(waits.clone()), true);
    assert!(changed);
    let (state, change, text, gitlab) = status.unwrap();
    assert_eq!(
        (state, change.as_str()),
        (State::Pending, "merge/approvals")
    );
    assert!(
        !gitlab,
        "a project where pipelines must succeed would wait for it for ever"
    );
    assert_eq!(text, "waiting to merge: 0 of 1 approval");
    let step = step.unwrap();
    assert_eq!(step.subject, "fleet, pull request 7");
    assert_eq!(step.text, "0 of 1 approval (https://x/7)");
    assert_eq!(step.state, StepState::Waiting);
    let (changed, ..) = look(Some(waits), true);
    assert!(!changed, "the same again is no news");

    let refused = Wait::Forge(Error::Forbidden("protected branch".to_owned()));
    let (_, status, step) = look(Some(refused), true);
    assert_eq!(status.unwrap().0, State::Failure);
    let step = step.unwrap();
    assert_eq!(step.state, StepState::Failed);
    assert!(step.text.contains("protected branch"), "{}", step.text);

    let (_, status, step) = look(Some(Wait::NoPull("prod".parse().unwrap())), false);
    assert_eq!(status, None, "there is no commit to tell it on");
    assert!(step.unwrap().text.contains("--pull-request"));
    let (_, _, step) = look(None, false);
    assert_eq!(step, None);
}
