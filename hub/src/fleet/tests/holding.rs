//! What a rollout waits for is available as values, and not only in its note; and headings of commits.

use flotilla_notify::Kind;
use flotilla_shared::heading::Heading;
use flotilla_status::{BudgetKind, GateKind, StepKind};

use super::roll::{World, approve, file, of_second};
use super::*;
use crate::fleet::rollout::Phase;
use crate::notify::conditions::conditions;
use crate::status::{self, Detail};

const WAVES: &str = "waves: [{name: canary, clusters: [p1]}, {name: two, clusters: [p2], approvals: 1}], soak: 3s, progressDeadline: 20s, budgets: {failed: 1}";

fn with_an_approved_wave() -> World {
    let text = file("maxConcurrent: 3", "", "prod").replace(
        "waves: [{name: canary, clusters: [p1]}], soak: 3s, progressDeadline: 20s",
        WAVES,
    );
    let mut world = World::new(&text);
    for repository in ["fleet", "second"] {
        world.push(repository, "dev", 1);
        world.push(repository, "prod", 1);
    }
    world.pass(10);
    world
}

fn shown(world: &World) -> flotilla_status::Rollout {
    let now = at(world.second);
    status::rollout(&world.fleet, world.rollout(), Detail::Summary, now)
}

fn asks(world: &World) -> bool {
    let key = (
        Kind::ApprovalNeeded,
        "prod".to_owned(),
        format!("{} wave two", world.rollout().id),
    );
    conditions(&world.fleet, "", at(world.second)).contains_key(&key)
}

#[test]
fn a_wave_that_waits_for_people_says_so_in_values() {
    let mut world = with_an_approved_wave();
    let asked = world.fleet.wave_approval(world.rollout()).unwrap();
    assert_eq!((asked.wave.as_str(), asked.needed), ("two", 1));
    assert!(asked.people.is_empty() && asks(&world));
    for (repository, commit) in [("fleet", commit(1)), ("second", of_second(1))] {
        let scope = Scope::Wave("two".to_owned());
        world.act(&approve(repository, &commit, scope)).unwrap();
    }
    let asked = world.fleet.wave_approval(world.rollout()).unwrap();
    assert!(asked.is_given() && asked.people == ["bob"] && !asks(&world));
}

#[test]
fn budgets_and_the_end_of_a_soak_are_told_while_it_goes_on() {
    let mut world = with_an_approved_wave();
    let budgets: Vec<_> = shown(&world)
        .budgets
        .iter()
        .map(|budget| (budget.budget.clone(), budget.used, budget.at_most))
        .collect();
    assert_eq!(budgets[0], (BudgetKind::Failed, 0, 1));
    for (repository, commit) in [("fleet", commit(1)), ("second", of_second(1))] {
        let scope = Scope::Wave("two".to_owned());
        world.act(&approve(repository, &commit, scope)).unwrap();
    }
    let mut tries = 0;
    while shown(&world).waves[1].soaking == 0 {
        tries += 1;
        assert!(tries < 10, "{}", world.rollout().note);
        world.pass(1);
    }
    let end = shown(&world).waves[1].soak_ends_at.unwrap();
    let left = end.as_second() - at(world.second).as_second();
    assert!((1..=3).contains(&left), "{left} s of 3");
    world.pass(20);
    let over = shown(&world);
    assert!(over.budgets.is_empty() && over.gates.is_empty(), "{over:?}");
    assert!(over.waves.iter().all(|wave| wave.soak_ends_at.is_none()));
}

#[test]
fn closed_gates_are_told_with_evidence_and_opening_time() {
    let gates = "windows: [{days: [mon], from: '00:00', to: '00:01'}]";
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    world.push("fleet", "prod", 2);
    world.pass(3);
    let told = shown(&world);
    let reasons: Vec<&str> = told.gates.iter().map(|gate| gate.reason.as_str()).collect();
    assert!(reasons.contains(&"ApprovalNeeded"), "{reasons:?}");
    world.declare(&file("maxConcurrent: 3", gates, "prod"));
    world.pass(3);
    let told = shown(&world);
    let window = told
        .gates
        .iter()
        .find(|gate| gate.step == StepKind::Gate(GateKind::Window))
        .unwrap();
    assert!(window.opens_at.unwrap() > at(world.second), "{told:?}");
    let explain = "to see each gate: flotilla explain prod";
    assert_eq!(told.next, explain, "time opens it: {}", told.note);
}

/// The number of clusters is in the waves; a list without them has it in the note.
#[test]
fn what_only_counts_the_clusters_of_a_rollout_is_no_note() {
    let world = World::rolled_out(&file("maxConcurrent: 3", "", "prod"));
    let mut rollout = world.rollout().clone();
    let count = flotilla_shared::words::counted(rollout.count(Phase::Done), "cluster");
    let shown = |rollout: &Rollout| status::past_rollout(rollout, Detail::Summary).note;
    rollout.note = count.clone();
    assert_eq!(shown(&rollout), "");
    rollout.note = format!("{count}; excluded by pins: p1");
    assert_eq!(shown(&rollout), rollout.note);
    rollout.note = count;
    rollout.clusters.clear();
    assert_eq!(shown(&rollout), rollout.note);
}

#[test]
fn what_commits_say_is_kept_for_those_that_are_shown() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "", "prod"));
    let fleet = "fleet".parse().unwrap();
    assert_eq!(world.fleet.missing_headings(&fleet), [commit(1)]);
    let read = |commit: Commit| Event::HeadingRead {
        repository: "fleet".parse().unwrap(),
        commit,
        heading: Heading::new(b"mend the shop", b"Ada", 0),
    };
    let before = world.fleet.environments_version();
    world.step(read(commit(1)));
    world.step(read(commit(77)));
    assert!(world.fleet.missing_headings(&fleet).is_empty());
    assert!(
        world.fleet.heading(&fleet, &commit(77)).is_none(),
        "nobody asked for it"
    );
    assert!(
        world.fleet.environments_version() > before,
        "pages are told"
    );
    let shown = crate::status::environments(&world.fleet, at(world.second));
    let heading = shown[1].branches[0].heading.clone().unwrap();
    assert_eq!(
        (heading.subject.as_str(), heading.author.as_str()),
        ("mend the shop", "Ada")
    );
    // Another repository under the same name has other commits.
    let moved = file("maxConcurrent: 3", "", "prod").replace("/fleet.git", "/other.git");
    world.declare(&moved);
    assert!(world.fleet.heading(&fleet, &commit(1)).is_none());
}
