//! An application that is renamed, and moved to a repository that was not read yet: its old name loses nothing before
//! the new one is there.

use super::*;

const THIRD: &str = "- {name: third, url: 'https://git.example.com/third.git'}\nenvironments:\n";
const SHOP: &str = "- {name: shop, repository: third, path: b}\n";

/// `b` becomes `shop`, from a third repository; `more` contains the entries for the old name.
fn renamed(text: &str, more: &str) -> String {
    vanished(text).replace("environments:\n", THIRD) + SHOP + more
}

fn lost() -> Event {
    Event::HeadsFailed {
        repository: "third".parse().unwrap(),
        asked: vec!["dev".parse().unwrap(), "prod".parse().unwrap()],
        problem: Problem::new(Reason::RepositoryUnavailable, "down"),
    }
}

fn names<const N: usize>(names: [&str; N]) -> std::collections::BTreeSet<ApplicationName> {
    names.map(|name| name.parse().unwrap()).into()
}

#[test]
fn p03_without_rollouts_the_old_name_is_removed_when_the_new_one_can_be_assigned() {
    let text = file("maxConcurrent: 3", "approvals: 0", "dev, prod");
    let mut world = World::rolled_out(&text);
    let removed = "removed: [{application: b}]\n";
    world.declare(&renamed(&text, removed));
    for event in [None, Some(lost())] {
        if let Some(event) = event {
            world.step(event);
        }
        world.pass(3);
        let given = assigned(&world, "d1");
        assert!(given.tombstones.is_empty(), "{given:?}");
        assert_eq!(given.unresolved, names(["shop"]));
        let cluster = &world.fleet.clusters()[&name("d1")];
        assert_eq!(cluster.withheld, names(["b"]));
        assert!(!cluster.is_current());
    }
    world.push("third", "dev", 1);
    let given = assigned(&world, "d1");
    assert!(given.applications.contains_key("shop"));
    assert!(given.tombstones["b"].delete_objects, "both in one word");
    assert!(given.unresolved.is_empty());
    assert!(
        world.fleet.clusters()[&name("d1")].withheld.is_empty(),
        "it is on its way"
    );
}

/// An application that is only left to itself deletes nothing, and waits for no other.
#[test]
fn what_is_only_let_go_waits_for_no_other_application() {
    let text = file("maxConcurrent: 3", "approvals: 0", "dev, prod");
    let mut world = World::rolled_out(&text);
    let kept = "removed: [{application: b, keepObjects: true}]\n";
    world.declare(&renamed(&text, kept));
    let given = assigned(&world, "d1");
    assert!(!given.tombstones["b"].delete_objects);
    assert_eq!(given.unresolved, names(["shop"]));
}

/// Then the renderer's worker would delete the old objects, which only the agent can hold back.
#[test]
fn p03_an_agent_is_told_whose_desired_state_is_not_known_where_another_one_has_the_old_name() {
    let text = file("maxConcurrent: 3", "approvals: 0", "dev, prod");
    let mut world = World::rolled_out(&text);
    let other = "- {name: b, repository: fleet, path: other}\n";
    world.declare(&renamed(&text, other));
    let given = assigned(&world, "d1");
    assert_eq!(given.applications["b"].path.as_str(), "other");
    assert_eq!(given.unresolved, names(["shop"]));
    // An application that keeps its former assignment is unresolved, too.
    world.push("third", "dev", 1);
    assert!(assigned(&world, "d1").unresolved.is_empty());
    let elsewhere = renamed(&text, other).replace(
        "repository: third, path: b",
        "repository: second, path: 'b/{labels.no}'",
    );
    world.declare(&elsewhere);
    let given = assigned(&world, "d1");
    assert_eq!(given.applications["shop"].path.as_str(), "b");
    assert_eq!(given.unresolved, names(["shop"]));
}

#[test]
fn p03_a_rollout_waits_and_halts_where_the_new_name_has_no_branch_and_goes_on_when_it_has() {
    let mut world = World::rolled_out(&base());
    let renamed = renamed(&base(), REMOVED)
        .replace("path: b}", "path: b, placement: {environments: [prod]}}");
    world.declare(&renamed);
    world.pass(3);
    assert_eq!(stands(&world), "---");
    // The repository exists, but not the branch.
    world.push("third", "dev", 1);
    world.pass(5);
    assert_eq!(
        (stands(&world).as_str(), phases(&world)[0]),
        ("---", Phase::Started)
    );
    assert_eq!(assigned(&world, "p1").unresolved, names(["shop"]));
    world.pass(25);
    let rollout = world.rollout();
    assert_eq!(rollout.state, State::Halted, "{}", rollout.note);
    assert!(
        rollout.note.contains("b is not removed yet"),
        "{}",
        rollout.note
    );
    assert!(world.state().quarantined.is_empty(), "it is at no fault");
    assert_eq!(stands(&world), "---");
    world.push("third", "prod", 1);
    world.pass(1);
    assert_eq!(stands(&world), "x--");
    assert!(assigned(&world, "p1").applications.contains_key("shop"));
    world.pass(40);
    world.stands(State::Succeeded);
    assert_eq!(stands(&world), "xxx");
}

/// The same within one repository: a cluster lacks the label that the new directory contains.
#[test]
fn p03_a_cluster_for_which_the_new_name_cannot_be_worked_out_loses_nothing() {
    let mut world = World::rolled_out(&base());
    let shop = "- {name: shop, repository: second, path: 'b/{labels.region}', placement: {environments: [prod]}}\n";
    world.declare(&(vanished(&base()) + shop + REMOVED));
    world.pass(30);
    let rollout = world.rollout();
    assert_eq!(rollout.state, State::Halted, "{}", rollout.note);
    assert_eq!(stands(&world), "---");
    assert_eq!(assigned(&world, "p1").unresolved, names(["shop"]));
}

/// `b`, and beside it in prod `shop`, whose branch does not exist.
fn with_shop(text: &str) -> String {
    let shop = SHOP.replace("path: b", "path: b, placement: {environments: [prod]}");
    text.replace("environments:\n", THIRD) + &shop
}

#[test]
fn promise_5_a_removal_that_waits_for_what_could_not_be_assigned_before_holds_nobody_up() {
    let mut world = World::rolled_out(&base());
    let text = with_shop(&base());
    world.declare(&text);
    world.push("third", "dev", 1);
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(assigned(&world, "p1").unresolved, names(["shop"]));
    // An unrelated application is removed, and waits.
    world.declare(&removed(&text));
    world.pass(2);
    assert_eq!(stands(&world), "---");
    world.push("fleet", "prod", 2);
    world.pass(60);
    world.stands(State::Succeeded);
    assert_eq!(world.having(&commit(2)).len(), 3, "it goes on");
    assert!(world.state().quarantined.is_empty());
    assert_eq!(stands(&world), "---");
    assert_eq!(
        world.fleet.clusters()[&name("p3")].withheld,
        names(["b"]),
        "it is still shown"
    );
    // Once that can be assigned, the removal is in progress.
    world.push("third", "prod", 1);
    world.pass(40);
    world.stands(State::Succeeded);
    assert_eq!(stands(&world), "xxx");
}

#[test]
fn a_removal_that_waits_alone_ends_its_rollout_and_is_told() {
    let mut world = World::rolled_out(&base());
    let text = with_shop(&base());
    world.declare(&text);
    world.push("third", "dev", 1);
    world.pass(30);
    world.declare(&removed(&text));
    world.pass(40);
    world.stands(State::Succeeded);
    let note = &world.rollout().note;
    assert!(
        note.contains("ignoring shop") && note.contains("without the removal of b, which waits"),
        "{note}"
    );
    assert_eq!(stands(&world), "---");
    // The withheld removal is also shown for clusters that a newer rollout has not reached yet.
    world.push("fleet", "prod", 2);
    assert_eq!(world.having(&commit(2)), ["p1"]);
    let p3 = &world.fleet.clusters()[&name("p3")];
    assert_eq!(p3.withheld, names(["b"]));
    assert_eq!(stands(&world), "---");
}

/// A store contains assignments, but not why something was not assigned.
#[test]
fn what_could_not_be_assigned_was_ill_before_also_over_a_restart() {
    let mut world = World::rolled_out(&base());
    world.declare(&with_shop(&base()));
    world.push("third", "dev", 1);
    world.pass(30);
    let mut cluster = Cluster::clone(&world.fleet.clusters()[&name("p1")]);
    cluster.placed.clear();
    let found = crate::fleet::blame::before(&cluster, world.rollout(), None);
    assert!(found.unhealthy.contains("shop"), "{found:?}");
}

/// Its agent reports everything that it has a record of.
#[test]
fn promise_5_a_cluster_that_has_nothing_left_to_lose_keeps_no_rollout_waiting() {
    let text = base().replace(
        "path: b, placement: {environments: [prod]}",
        "path: b, placement: {clusters: [p2, p3]}",
    );
    let mut world = World::rolled_out(&text);
    let shop = SHOP.replace("path: b", "path: b, placement: {clusters: [p1]}");
    let text = vanished(&text).replace("environments:\n", THIRD) + &shop + REMOVED;
    world.declare(&text);
    world.push("third", "dev", 1);
    world.pass(40);
    assert_eq!(world.fleet.clusters()[&name("p1")].withheld, names(["b"]));
    world.stands(State::Succeeded);
    assert_eq!(stands(&world), "-xx");
}

/// Just after its start an agent has not listed its inventories, so that a missing report proves nothing.
#[test]
fn promise_4_a_report_that_may_lack_something_proves_no_removal() {
    let mut world = World::rolled_out(&base());
    world.declare(&renamed(&base(), REMOVED));
    world.step(lost());
    world.pass(5);
    let p1 = name("p1");
    let left = |world: &World| world.fleet.clusters()[&p1].loses_later().count();
    assert_eq!(left(&world), 1);
    let mut report = world.fleet.clusters()[&p1].report.clone().unwrap();
    report
        .applications
        .remove(&"b".parse::<ApplicationName>().unwrap());
    report.sequence += 1;
    let whole = report.clone();
    report.specified = Digest::default();
    let (session, _) = world.fleet.clusters()[&p1].session.unwrap();
    let told = |report: Report| {
        let digest = Digest::of(format!("{report:?}").as_bytes());
        Event::Reported(name("p1"), session, report, digest)
    };
    world.step(told(report));
    assert_eq!(left(&world), 1);
    world.step(told(whole));
    assert_eq!(left(&world), 0);
}

#[test]
fn the_environment_before_need_not_lose_what_it_never_had() {
    let gated = file("maxConcurrent: 3", "proof: {soak: 2s}", "prod");
    let mut world = World::rolled_out(&gated);
    let shop = SHOP.replace("path: b", "path: b, placement: {environments: [dev]}");
    let text = vanished(&gated).replace("environments:\n", THIRD) + &shop;
    world.declare(&(text + "removed: [{application: b}]\n"));
    world.step(lost());
    world.pass(40);
    assert_eq!(
        world.fleet.clusters()[&name("d1")].withheld,
        names(["b"]),
        "nobody knows what shop wants there"
    );
    assert_eq!(stands(&world), "xxx", "{}", world.rollout().note);
}

/// The environment before has not removed it as long as the removal is withheld there.
#[test]
fn a_removal_that_waits_proves_nothing_to_the_next_environment() {
    let gated = file("maxConcurrent: 3", "proof: {soak: 2s}", "dev, prod");
    let mut world = World::rolled_out(&gated);
    // Only dev declares the new name, which cannot be read.
    let shop = SHOP.replace("path: b", "path: b, placement: {environments: [dev]}");
    let text = vanished(&gated).replace("environments:\n", THIRD) + &shop;
    world.declare(&(text + "removed: [{application: b}]\n"));
    world.step(lost());
    world.pass(20);
    assert_eq!(stands(&world), "---", "{}", world.rollout().note);
    let note = &world.rollout().note;
    assert!(note.contains("d1: b: not removed yet"), "{note}");
    world.push("third", "dev", 1);
    world.pass(40);
    assert_eq!(stands(&world), "xxx", "{}", world.rollout().note);
}
