//! Removals: applications that the fleet file removes, and clusters that are suspended.

mod renamed;
mod told;

use flotilla_shared::assignment::Assignment;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::report::SUSPENDED_BY_HUB;

use super::super::rollout::{Phase, State};
use super::roll::{World, approve, file};
use super::*;
use crate::spec::Objects;

const REMOVED: &str = "removed: [{application: b, environments: [prod]}]\n";

fn base() -> String {
    file("maxConcurrent: 3", "approvals: 0", "prod")
}

/// Without `b`, the only application of the second repository.
fn vanished(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.contains("name: b,"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn removed(text: &str) -> String {
    vanished(text) + REMOVED
}

fn assigned<'w>(world: &'w World, cluster: &str) -> &'w Assignment {
    let cluster = &world.fleet.clusters()[&name(cluster)];
    &cluster.assigned.as_ref().unwrap().assignment
}

/// The state of `b` on each of prod's clusters: `b` where it runs, `x` where it is removed with its objects, `k` where
/// it is left to itself, `-` where it is not mentioned.
fn stands(world: &World) -> String {
    let app: ApplicationName = "b".parse().unwrap();
    ["p1", "p2", "p3"]
        .into_iter()
        .map(|cluster| {
            let assigned = assigned(world, cluster);
            match (
                assigned.applications.contains_key(&app),
                assigned.tombstones.get(&app),
            ) {
                (true, _) => 'b',
                (false, Some(tombstone)) if tombstone.delete_objects => 'x',
                (false, Some(_)) => 'k',
                (false, None) => '-',
            }
        })
        .collect()
}

fn phases(world: &World) -> Vec<Phase> {
    let all = world.rollout().clusters.values();
    all.map(|progress| progress.phase).collect()
}

#[test]
fn a_removal_comes_by_waves_soaks_and_is_told() {
    let mut world = World::rolled_out(&base());
    world.declare(&removed(&base()));
    assert_eq!(
        stands(&world),
        "x--",
        "the canary alone; the others keep what they have"
    );
    assert!(
        assigned(&world, "p1")
            .required_features
            .contains(&"tombstones".to_owned())
    );
    world.pass(2);
    assert_eq!(stands(&world), "x--", "while it soaks");
    assert_eq!(
        phases(&world)[0],
        Phase::Soaking,
        "what is gone is a change"
    );
    assert_eq!(world.rollout().changes, ["b: removed, with its objects"]);
    world.pass(20);
    assert_eq!(stands(&world), "xxx");
    world.stands(State::Succeeded);
    // Once carried out everywhere, the entry may leave the file, which changes nothing.
    let last = world.rollout().id.clone();
    world.declare(&vanished(&base()));
    world.pass(5);
    assert_eq!(
        (stands(&world).as_str(), &world.rollout().id),
        ("---", &last)
    );
}

#[test]
fn what_merely_vanishes_is_kept_and_may_be_removed_later() {
    let mut world = World::rolled_out(&base());
    world.declare(&vanished(&base()));
    world.pass(10);
    assert_eq!(stands(&world), "---");
    world.declare(&removed(&base()).replace("[prod]}]", "[prod], keepObjects: true}]"));
    world.pass(2);
    assert_eq!(stands(&world), "k--");
    world.pass(20);
    assert_eq!(stands(&world), "kkk");
}

#[test]
fn a_removal_waits_for_its_gates() {
    let gated = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::rolled_out(&gated);
    world.declare(&removed(&gated));
    world.pass(20);
    assert_eq!(
        stands(&world),
        "---",
        "nobody approved it: {}",
        world.rollout().note
    );
    let prod = "prod".parse().unwrap();
    let revision = world.fleet.declared_revision(&prod).unwrap().1;
    world
        .act(&approve("fleet-file", &revision, Scope::Commit))
        .unwrap();
    world.pass(20);
    assert_eq!(stands(&world), "xxx");
}

#[test]
fn the_environment_before_loses_it_first_where_it_is_to_lose_it() {
    let gated = file("maxConcurrent: 3", "proof: {soak: 2s}", "dev, prod");
    let everywhere = REMOVED.replace(", environments: [prod]", "");
    let mut world = World::rolled_out(&gated);
    world.silent.push("d1".to_owned());
    world.declare(&(vanished(&gated) + &everywhere));
    world.pass(10);
    assert_eq!(stands(&world), "---", "{}", world.rollout().note);
    world.silent.clear();
    world.pass(30);
    assert_eq!(stands(&world), "xxx", "{}", world.rollout().note);
}

/// Promise 5: an unhealthy application beside it does not count for a removal.
#[test]
fn promise_5_a_removal_is_proven_where_it_is_gone_whatever_else_is_ill_there() {
    let gated = file("maxConcurrent: 3", "proof: {soak: 5s}", "dev, prod");
    let everywhere = REMOVED.replace(", environments: [prod]", "");
    let mut world = World::rolled_out(&gated);
    world.bad = (2..9).map(commit).collect();
    world.push("fleet", "dev", 2);
    world.pass(3);
    world.holding.push("d1".to_owned());
    world.declare(&(vanished(&gated) + &everywhere));
    world.pass(10);
    assert_eq!(stands(&world), "---", "{}", world.rollout().note);
    let note = &world.rollout().note;
    assert!(
        note.contains("d1: b: ") && note.contains("not removed yet"),
        "{note}"
    );
    world.holding.clear();
    // Other commits meanwhile do not restart its soak.
    for n in 3..9 {
        world.push("fleet", "dev", n);
        world.pass(1);
    }
    world.pass(20);
    assert_eq!(stands(&world), "xxx", "{}", world.rollout().note);
}

#[test]
fn a_removal_that_is_taken_back_in_git_stops_everywhere_at_once() {
    let mut world = World::rolled_out(&base());
    world.declare(&removed(&base()));
    assert_eq!(stands(&world), "x--");
    // The removal is reverted before any agent has seen it.
    world.declare(&base());
    assert!(!stands(&world).contains('x'), "{}", stands(&world));
    world.pass(30);
    assert_eq!(stands(&world), "bbb", "{}", world.rollout().note);
    // Or only the removal is reverted: then the application is kept.
    world.declare(&removed(&base()));
    world.pass(1);
    assert_eq!(stands(&world), "x--");
    world.declare(&vanished(&base()));
    assert_eq!(stands(&world), "---");
}

#[test]
fn a_delete_that_is_held_holds_its_own_rollout_and_says_so() {
    let mut world = World::rolled_out(&base());
    world.holding.push("p1".to_owned());
    world.declare(&removed(&base()));
    world.pass(10);
    assert_eq!(stands(&world), "x--");
    let cluster = &world.fleet.clusters()[&name("p1")];
    assert!(!cluster.is_current() && cluster.leaving().count() == 1);
    world.pass(20);
    let rollout = world.rollout();
    assert_eq!(rollout.state, State::Halted);
    assert!(
        rollout.note.contains("b is being removed: confirm it"),
        "{}",
        rollout.note
    );
    // A confirmed delete continues.
    world.holding.clear();
    world.act(&Action::Retry("prod".parse().unwrap())).unwrap();
    world.pass(30);
    assert_eq!(stands(&world), "xxx", "{}", world.rollout().note);
    // A delete that is held for longer delays no later commit.
    world.holding.push("p2".to_owned());
    world.pass(1);
    world.push("fleet", "prod", 9);
    world.pass(30);
    assert_eq!(world.having(&commit(9)), ["p1", "p2", "p3"]);
    world.stands(State::Succeeded);
}

#[test]
fn p10_a_cluster_that_changes_its_environment_loses_only_what_the_file_removes_there() {
    let mut world = World::rolled_out(&base());
    world.declare(&removed(&base()));
    world.pass(1);
    assert_eq!(stands(&world), "x--");
    // It moves into dev, where nothing is removed.
    world.step(put("p1", "dev", None));
    world.pass(3);
    let there = assigned(&world, "p1");
    assert!(there.tombstones.is_empty() && there.applications.contains_key("a"));
    // It moves back.
    world.step(put("p1", "prod", None));
    world.pass(30);
    assert_eq!(stands(&world), "xxx", "{}", world.rollout().note);
}

#[test]
fn a_name_that_never_was_is_no_harm() {
    let mut world = World::rolled_out(&base());
    world.declare(&(base() + "removed: [{application: never}]\n"));
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(stands(&world), "bbb");
}

#[test]
fn announcing_changes_nothing_and_knows_names() {
    let mut world = World::rolled_out(&base());
    let remove = |application: &str| Action::Remove {
        application: application.parse().unwrap(),
        environment: Some("prod".parse().unwrap()),
        objects: Objects::Delete,
    };
    world.act(&remove("b")).unwrap();
    let entry = world.audit.last().unwrap();
    assert_eq!(
        (&entry.action, entry.environment.as_str()),
        (&AuditAction::RemoveApplication, "prod")
    );
    assert!(
        entry.detail.starts_with("announced: b in prod"),
        "{entry:?}"
    );
    world.pass(3);
    assert_eq!(stands(&world), "bbb");
    let error = world.act(&remove("bb")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no application bb; did you mean b?"
    );
}

fn suspend(cluster: &str) -> Action {
    Action::Suspend(name(cluster))
}

fn resume(cluster: &str) -> Action {
    Action::Unsuspend(name(cluster))
}

#[test]
fn a_suspended_cluster_keeps_everything_and_is_left_out_by_name() {
    let mut world = World::rolled_out(&base());
    world.act(&suspend("p2")).unwrap();
    let before = assigned(&world, "p2").clone();
    assert!(before.suspended && !before.applications.is_empty());
    world.pass(2);
    assert!(
        !world.fleet.clusters()[&name("p2")].is_current(),
        "promise 4"
    );
    world.push("fleet", "prod", 2);
    world.declare(&removed(&base()));
    world.pass(40);
    let rollout = world.rollout();
    assert_eq!(rollout.state, State::Succeeded, "{}", rollout.note);
    assert!(
        rollout.note.contains("excluded as suspended: p2"),
        "{}",
        rollout.note
    );
    assert_eq!(rollout.clusters[&name("p2")].phase, Phase::Suspended);
    assert_eq!(world.having(&commit(2)), ["p1", "p3"]);
    assert_eq!(*assigned(&world, "p2"), before, "nothing of it moved");
    let refused = world.act(&suspend("p2")).unwrap_err().to_string();
    assert_eq!(refused, "p2 is already suspended by bob: why");
    // When it is resumed, it gets the present assignment in one step.
    world.act(&resume("p2")).unwrap();
    let after = assigned(&world, "p2");
    assert!(!after.suspended);
    assert_eq!(
        (stands(&world).as_str(), world.having(&commit(2)).len()),
        ("xxx", 3)
    );
    world.pass(3);
    assert!(world.fleet.clusters()[&name("p2")].is_current());
    assert!(
        world
            .act(&resume("p2"))
            .unwrap_err()
            .to_string()
            .contains("is not suspended")
    );
    assert!(
        world
            .act(&suspend("p9"))
            .unwrap_err()
            .to_string()
            .contains("no cluster p9")
    );
}

#[test]
fn who_is_suspended_in_the_middle_of_a_rollout_does_not_go_back_and_forth() {
    let mut world = World::rolled_out(&base());
    world.push("fleet", "prod", 2);
    assert_eq!(world.having(&commit(2)), ["p1"]);
    world.act(&suspend("p1")).unwrap();
    world.pass(10);
    // The canary proves nothing while it is suspended, and the wave asks for an approval.
    assert!(
        world
            .rollout()
            .note
            .contains("wave canary is suspended (p1)"),
        "{}",
        world.rollout().note
    );
    assert_eq!(
        world.having(&commit(2)),
        ["p1"],
        "kept, and nobody else has it"
    );
    let generation = assigned(&world, "p1").generation;
    world.act(&resume("p1")).unwrap();
    assert_eq!(world.having(&commit(2)), ["p1"]);
    assert_eq!(
        assigned(&world, "p1").generation.0,
        generation.0 + 1,
        "one step, and not back first"
    );
    world.pass(20);
    world.stands(State::Succeeded);
}

#[test]
fn an_environment_whose_clusters_are_all_suspended_says_so() {
    let mut world = World::rolled_out(&base());
    for cluster in ["p1", "p2", "p3"] {
        world.act(&suspend(cluster)).unwrap();
    }
    world.push("fleet", "prod", 2);
    world.pass(5);
    let note = &world.rollout().note;
    assert!(
        note.contains("suspended: p1, p2, p3") && note.contains("flotilla resume NAME"),
        "{note}"
    );
}

#[test]
fn p08_a_suspension_that_a_restored_store_does_not_know_is_kept() {
    let mut world = World::rolled_out(&base());
    world.act(&suspend("p2")).unwrap();
    let kept = world.fleet.clusters()[&name("p2")]
        .assigned
        .clone()
        .unwrap();
    // A hub that knows the cluster, but not its last assignment.
    let mut fleet = Fleet::new(Epoch(2)).since(Some(at(100)));
    let spec = spec::parse("f", &base()).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), at(100));
    fleet.step(put("p2", "prod", None), at(100));
    fleet.step(connect("p2", 1, kept.reference), at(101));
    let report = Report {
        suspended: SUSPENDED_BY_HUB.to_owned(),
        ..current(&kept)
    };
    let effects = fleet.step(
        Event::Reported(name("p2"), SessionId(1), report, Digest::of(b"r")),
        at(102),
    );
    let cluster = &fleet.clusters()[&name("p2")];
    assert!(cluster.record.suspended.is_some());
    let audited = effects.iter().any(|effect| {
        matches!(effect, Effect::Audit(entry)
            if entry.action == AuditAction::Suspend && entry.actor == HUB_ACTOR)
    });
    assert!(audited, "{effects:?}");
    for effect in &effects {
        if let Effect::Send(_, _, decoded) = effect {
            assert!(decoded.assignment.suspended);
        }
    }
}
