//! The hub names the command that lets a rollout continue, so that clients need not parse its note.

use flotilla_status::{GateKind, RolloutState, StepKind, StepState};

use super::*;

#[test]
fn the_hub_says_what_lets_a_rollout_go_on() {
    let mut fleet = waiting();
    let shown = |fleet: &Fleet, second| {
        let prod = environments(fleet, at(second)).remove(0);
        prod.rollout.unwrap()
    };
    let gated = shown(&fleet, 3);
    assert_eq!(gated.state, RolloutState::Pending);
    assert!(gated.wants_commits_approved());
    assert_eq!(gated.next, "", "the note names it: {}", gated.note);
    approve(&mut fleet, Scope::Commit, 4).unwrap();
    let asks = shown(&fleet, 5);
    assert_eq!(asks.next, "flotilla approve prod --wave canary");
    assert_eq!(asks.asked_wave().map(|wave| wave.approvals), Some(1));
    approve(&mut fleet, Scope::Wave("canary".to_owned()), 6).unwrap();
    let goes = shown(&fleet, 7);
    assert_eq!((goes.next.as_str(), goes.asked_wave()), ("", None));
}

#[test]
fn a_pause_is_told_with_what_ends_it() {
    let mut fleet = waiting();
    let pause = Action::Pause("prod".parse().unwrap());
    fleet.act(&pause, "ada", "lunch", at(4)).unwrap();
    let steps = explain(&fleet, "prod", at(5)).unwrap();
    let pause = StepKind::Gate(GateKind::Pause);
    let step = steps.iter().find(|step| step.step == pause).unwrap();
    let text = "no further cluster is started: lunch (ada); to continue: flotilla resume prod";
    assert_eq!((step.text.as_str(), step.state), (text, StepState::Waiting));
    assert_eq!(
        (step.subject.as_str(), step.reason.as_str()),
        ("", "Paused")
    );
}
