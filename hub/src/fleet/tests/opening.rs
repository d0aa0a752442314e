//! What opens and closes each gate, and how it is shown. Every test checks both.

use super::super::environment::AnnouncedRollback;
use super::super::gate::{Gate, GateKind, Open, closed};
use super::roll::{World, approve, file, of_second, override_of};
use super::*;

impl World {
    /// Returns the gates between prod and these commits.
    fn all_gates(&self, target: &[(&str, Commit)]) -> Vec<Gate> {
        let prod = self.fleet.spec().environment(&"prod".parse().unwrap());
        let target = target.iter();
        let target =
            target.map(|(repository, commit)| (repository.parse().unwrap(), commit.clone()));
        self.fleet
            .gates(prod.unwrap(), &target.collect(), at(self.second))
    }

    /// Like [`Self::all_gates`], without those of the environment before.
    fn gates(&self, target: &[(&str, Commit)]) -> Vec<Gate> {
        let mut gates = self.all_gates(target);
        gates.retain(|gate| gate.gate != GateKind::Health);
        gates
    }

    fn gate(&self, kind: GateKind, target: &[(&str, Commit)]) -> Gate {
        let mut all = self.all_gates(target).into_iter();
        let found = all.find(|gate| gate.gate == kind);
        found.unwrap_or_else(|| panic!("no gate {kind}"))
    }

    /// All first commits are good; these gates hold from now on.
    fn gated(gates: &str) -> Self {
        let mut world = Self::rolled_out(&file("maxConcurrent: 3", "", "prod"));
        world.declare(&file("maxConcurrent: 3", gates, "prod"));
        world
    }
}

fn moment(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn gate(kind: GateKind, subject: &str, open: Open, text: &str) -> Gate {
    Gate::new(kind, subject, open, text.to_owned())
}

#[test]
fn a_note_names_the_first_gate_that_holds_and_counts_the_others() {
    let open = gate(GateKind::Window, "", Open::Yes, "a change window is open");
    let skipped = gate(GateKind::Override, "ada", Open::Skipped, "ada overrode");
    let freeze = gate(GateKind::Freeze, "", Open::NotYet, "frozen until Monday");
    let check = gate(GateKind::Check, "errors", Open::No, "HTTP 500");
    let all = |gates: &[&Gate]| closed(&gates.iter().copied().cloned().collect::<Vec<_>>());
    assert_eq!(all(&[]), None);
    assert_eq!(all(&[&open, &skipped]), None);
    assert_eq!(
        all(&[&open, &freeze]).unwrap(),
        "freeze: frozen until Monday"
    );
    assert_eq!(all(&[&skipped, &check]).unwrap(), "check errors: HTTP 500");
    assert_eq!(
        all(&[&check, &open, &freeze]).unwrap(),
        "check errors: HTTP 500 (and 1 more)"
    );
    assert_eq!(
        all(&[&freeze, &check, &check]).unwrap(),
        "freeze: frozen until Monday (and 2 more)"
    );
}

#[test]
fn a_gate_says_in_values_why_it_holds_and_nothing_where_it_does_not() {
    for (kind, open, reason) in [
        (GateKind::Health, Open::Yes, None),
        (GateKind::Override, Open::Skipped, None),
        (GateKind::Health, Open::No, Some(Reason::NotProven)),
        (GateKind::Rollback, Open::NotYet, Some(Reason::NotProven)),
        (
            GateKind::Approval,
            Open::NotYet,
            Some(Reason::ApprovalNeeded),
        ),
        (GateKind::Check, Open::NotYet, Some(Reason::CheckFailed)),
        (GateKind::Job, Open::NotYet, Some(Reason::GateJobPending)),
        (GateKind::Job, Open::No, Some(Reason::GateJobFailed)),
        (GateKind::Freeze, Open::NotYet, Some(Reason::WindowClosed)),
    ] {
        let gate = gate(kind, "", open, "");
        assert_eq!(gate.reason, reason, "{kind} {open:?}");
        assert_eq!(gate.holds_back(), reason.is_some(), "{kind} {open:?}");
        assert!(!gate.lasting, "time may open it");
    }
}

#[test]
fn a_freeze_holds_until_its_end_and_says_when_that_is_and_why() {
    let freeze = "freezes: [{from: '2026-09-21T00:00', to: '2026-09-22T06:00', \
                  timeZone: Europe/Berlin, reason: release party}]";
    let mut world = World::gated(freeze);
    world.push("fleet", "prod", 2);
    world.pass(5);
    assert!(world.having(&commit(2)).is_empty());
    let note = &world.rollout().note;
    assert!(
        note.contains("freeze: frozen until 2026-09-22 06:00 Europe/Berlin: release party"),
        "{note}"
    );
    let held = world.gate(GateKind::Freeze, &[("fleet", commit(2))]);
    assert_eq!(held.open, Open::NotYet);
    assert_eq!(held.opens_at, Some(moment("2026-09-22T04:00:00Z")));
    // The freeze ends.
    let left = moment("2026-09-22T04:00:00Z").as_second() - at(world.second).as_second();
    world.stride(left - 1);
    assert!(world.having(&commit(2)).is_empty());
    world.stride(1);
    assert_eq!(world.having(&commit(2)), ["p1"]);
    assert!(world.gates(&[("fleet", commit(3))]).is_empty());
    // A freeze without a reason and a time zone.
    let world = World::gated("freezes: [{from: '2026-09-21T00:00', to: '2026-09-22T06:00'}]");
    let held = world.gate(GateKind::Freeze, &[("fleet", commit(2))]);
    assert_eq!(held.text, "frozen until 2026-09-22 06:00 UTC");
}

#[test]
fn out_of_a_change_window_a_commit_waits_for_the_next_one() {
    // It is Monday, 14:13.
    let windows = "windows: [{days: [wed], from: '08:00', to: '10:00'}, {days: [tue], from: '08:00', to: '10:00'}]";
    let mut world = World::gated(windows);
    world.push("fleet", "prod", 2);
    world.pass(5);
    assert!(world.having(&commit(2)).is_empty());
    let held = world.gate(GateKind::Window, &[("fleet", commit(2))]);
    assert_eq!(held.open, Open::NotYet);
    assert_eq!(held.opens_at, Some(moment("2026-09-22T08:00:00Z")));
    assert_eq!(
        held.text,
        "no change window is open; the next opens Tuesday, 2026-09-22 08:00 UTC"
    );
    let left = moment("2026-09-22T08:00:00Z").as_second() - at(world.second).as_second();
    world.stride(left);
    assert_eq!(world.having(&commit(2)), ["p1"]);
    let open = world.gate(GateKind::Window, &[("fleet", commit(3))]);
    assert_eq!((open.open, open.opens_at), (Open::Yes, None));
    assert_eq!(open.text, "a change window is open");
}

fn answer(world: &mut World, rollout: &str, good: bool, text: &str) {
    world.step(Event::Checked {
        environment: "prod".parse().unwrap(),
        check: "errors".to_owned(),
        rollout: rollout.to_owned(),
        good,
        text: text.to_owned(),
    });
}

const CHECK: &str = "checks: [{name: errors, http: 'https://shop.example.com/healthz'}]";

#[test]
fn a_check_opens_by_a_good_answer_that_was_asked_for_this_rollout_and_is_no_minute_old() {
    let mut world = World::gated(CHECK);
    let target = [("fleet", commit(2))];
    let last = world.rollout().id.clone();
    let prod: EnvironmentName = "prod".parse().unwrap();
    assert_eq!(world.fleet.asking_for(&prod), "", "nothing runs");
    world.push("fleet", "prod", 2);
    let id = world.rollout().id.clone();
    assert_eq!(world.fleet.asking_for(&prod), id);
    let is = |world: &World, open: Open, text: &str| {
        let gate = world.gate(GateKind::Check, &target);
        assert_eq!((gate.open, gate.text.as_str()), (open, text));
        assert_eq!(gate.subject, "errors");
        gate
    };
    assert_eq!(is(&world, Open::NotYet, "no answer yet").at, None);
    // An answer from before the rollout began does not count.
    answer(&mut world, &last, true, "HTTP 200");
    is(&world, Open::NotYet, "no answer yet");
    answer(&mut world, "", true, "HTTP 200");
    is(&world, Open::NotYet, "no answer yet");
    world.pass(3);
    assert!(world.having(&commit(2)).is_empty());
    answer(&mut world, &id, false, "HTTP 500");
    assert_eq!(is(&world, Open::No, "HTTP 500").at, Some(at(world.second)));
    world.pass(3);
    assert!(world.having(&commit(2)).is_empty());
    assert!(world.rollout().note.contains("check errors: HTTP 500"));
    answer(&mut world, &id, true, "HTTP 200");
    is(&world, Open::Yes, "HTTP 200");
    assert_eq!(world.having(&commit(2)), ["p1"]);
    // An old answer does not count.
    world.second += 60;
    is(&world, Open::Yes, "HTTP 200");
    world.second += 1;
    is(&world, Open::NotYet, "no answer yet");
    // Nor does one from the future, after the clock was set back.
    world.second -= 122;
    is(&world, Open::NotYet, "no answer yet");
    world.second += 1;
    is(&world, Open::Yes, "HTTP 200");
}

#[test]
fn as_many_different_people_as_are_asked_for_approve_each_commit_that_is_new() {
    let mut world = World::gated("approvals: 2");
    let target = [("fleet", commit(2)), ("second", of_second(1))];
    let is = |world: &World, open: Open, text: &str| {
        let gate = world.gate(GateKind::Approval, &target);
        assert_eq!((gate.open, gate.text.as_str()), (open, text));
        assert_eq!(gate.commit, Some(commit(2)));
        assert_eq!(
            gate.subject, "",
            "with one that is new there is none to name"
        );
    };
    is(&world, Open::NotYet, "0 of 2 approvals");
    let word = approve("fleet", &commit(2), Scope::Commit);
    world.act_as("bob", &word).unwrap();
    is(&world, Open::NotYet, "1 of 2 approvals (bob)");
    world.act_as("bob", &word).unwrap();
    is(&world, Open::NotYet, "1 of 2 approvals (bob)");
    world.act_as("ada", &word).unwrap();
    is(&world, Open::Yes, "2 of 2 approvals (ada, bob)");
    world.act_as("eve", &word).unwrap();
    is(&world, Open::Yes, "3 of 2 approvals (ada, bob, eve)");
    // With a second commit each gate is named, and has its own approvals.
    let both = [("fleet", commit(2)), ("second", of_second(2))];
    let gates = world.gates(&both);
    let told: Vec<_> = gates
        .iter()
        .map(|gate| (gate.subject.as_str(), gate.open, gate.commit.clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("fleet", Open::Yes, Some(commit(2))),
            ("second", Open::NotYet, Some(of_second(2)))
        ]
    );
    // A good commit needs no approval, and without required approvals there is no such gate.
    assert!(world.gates(&[("fleet", commit(1))]).is_empty());
    let world = World::gated("");
    assert!(world.gates(&both).is_empty());
}

#[test]
fn an_override_opens_times_and_checks_only_where_all_that_is_new_was_overridden() {
    let mut world = World::gated(&format!("approvals: 1, {CHECK}"));
    let both = [("fleet", commit(2)), ("second", of_second(2))];
    world.act(&override_of("fleet", &commit(2))).unwrap();
    let told = |world: &World, target: &[(&str, Commit)]| -> Vec<(GateKind, String, Open)> {
        let gates = world.gates(target).into_iter();
        gates
            .map(|gate| (gate.gate, gate.subject, gate.open))
            .collect()
    };
    let overridden = (GateKind::Override, "bob".to_owned(), Open::Skipped);
    assert_eq!(told(&world, &both[..1]), std::slice::from_ref(&overridden));
    assert_eq!(
        told(&world, &both),
        [
            overridden.clone(),
            (GateKind::Approval, "second".to_owned(), Open::NotYet),
            (GateKind::Check, "errors".to_owned(), Open::NotYet),
        ]
    );
    world.act(&override_of("second", &of_second(2))).unwrap();
    assert_eq!(told(&world, &both), [overridden.clone(), overridden]);
    let gate = world.gate(GateKind::Override, &both);
    let short = commit(2).short().to_owned();
    assert_eq!(
        gate.text,
        format!("bob overrode all gates for {short}: why")
    );
    assert_eq!(gate.at, Some(at(world.second)));
    // Without changes nothing is overridden.
    let nothing = told(&world, &[]);
    assert_eq!(
        nothing,
        [(GateKind::Check, "errors".to_owned(), Open::NotYet)]
    );
}

/// A rollback commit that was not compared yet holds only that commit of that repository.
#[test]
fn a_way_back_that_nobody_has_compared_yet_holds_that_commit_and_no_other() {
    let mut world = World::gated("");
    let back = AnnouncedRollback {
        repository: "fleet".parse().unwrap(),
        commit: commit(7),
        to: vec![commit(1)],
        mark: Mark {
            by: "bob".to_owned(),
            reason: "why".to_owned(),
            at: at(world.second),
        },
    };
    let prod: EnvironmentName = "prod".parse().unwrap();
    world.fleet.decide(&prod, &mut Vec::new(), |state| {
        state.going_back.push_back(back);
    });
    let held = world.gate(GateKind::Rollback, &[("fleet", commit(7))]);
    assert_eq!((held.open, held.lasting), (Open::NotYet, false));
    assert_eq!(
        held.text,
        "bob announced it as a rollback, and the hub has not verified its content yet"
    );
    assert!(world.gates(&[("fleet", commit(8))]).is_empty());
    assert!(world.gates(&[("second", commit(7))]).is_empty());
    // If it cannot be compared at all, it blocks no newer commit.
    world.step(Event::TreesFailed {
        repository: "fleet".parse().unwrap(),
        problem: Problem::new(Reason::RepositoryUnavailable, "no filter"),
    });
    let held = world.gate(GateKind::Rollback, &[("fleet", commit(7))]);
    assert!(held.holds_back() && held.lasting);
    assert!(held.text.ends_with("(no filter)"), "{}", held.text);
}

#[test]
fn what_the_environment_before_says_is_advice_where_no_proof_is_asked_for() {
    for (gates, held) in [("", false), ("proof: {soak: 2s}", true)] {
        let mut world = World::gated(gates);
        world.push("fleet", "prod", 5);
        let told = world.gate(GateKind::Health, &[("fleet", commit(5))]);
        assert!(told.holds_back(), "dev does not run it: {gates}");
        world.pass(3);
        assert_eq!(world.having(&commit(5)).is_empty(), held, "{gates}");
    }
}

/// A Job runs last. Open gates no longer delay it, and neither do gates that are only advice.
#[test]
fn a_job_says_that_it_waits_for_other_gates_only_while_one_holds() {
    let job = "approvals: 1, jobs: [{name: smoke, application: a, path: gates/smoke}]";
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "", "prod"));
    let gated = file("maxConcurrent: 3", job, "prod");
    world.declare(&gated.replace("path: a,", "path: a, namespace: shop,"));
    world.push("fleet", "prod", 2);
    let target = [("fleet", commit(2))];
    let text = world.gate(GateKind::Job, &target).text;
    assert_eq!(text, "it runs once the other gates are open");
    let word = approve("fleet", &commit(2), Scope::Commit);
    world.act(&word).unwrap();
    assert!(
        world.gate(GateKind::Health, &target).holds_back(),
        "as advice"
    );
    let text = world.gate(GateKind::Job, &target).text;
    assert_eq!(
        text,
        "cluster p1, which has to run it, has not reported on it yet"
    );
}
