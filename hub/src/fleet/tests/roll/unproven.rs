//! A commit is proven only by clusters that run something of its repository.

use flotilla_shared::id::ApplicationName;

use super::*;

/// `b` runs on p2 alone.
fn alone(strategy: &str) -> World {
    let text = file(strategy, "", "prod").replace(
        "path: b, placement: {environments: [prod]}",
        "path: b, placement: {environments: [prod], clusters: [p2]}",
    );
    World::rolled_out(&text)
}

fn pin_of(cluster: &str) -> Action {
    let mut action = pin(None, false);
    if let Action::Pin { subject, .. } = &mut action {
        *subject = Subject::Cluster(name(cluster));
    }
    action
}

/// Asserts the good commits of the first and of the second repository.
#[track_caller]
fn is_good(world: &World, expected: &(Commit, Commit)) {
    let of = |repository: &str| {
        world.state().approved[&repository.parse::<RepositoryName>().unwrap()].clone()
    };
    let good = (of("fleet"), of("second"));
    assert_eq!(good, *expected, "{}", world.rollout().why());
}

/// A rollout that cannot begin yields to the third commit of the first repository, once.
#[track_caller]
fn gives_way(world: &mut World) {
    world.push("fleet", "prod", 3);
    world.pass(30);
    is_good(world, &(commit(3), of_second(1)));
    let number = world.rollout().number();
    world.pass(60);
    assert_eq!(world.rollout().number(), number, "and nothing goes round");
}

#[test]
fn promise_4_a_commit_of_whose_clusters_all_are_kept_out_is_proven_by_nobody() {
    let ways = [
        (
            pin_of("p2"),
            Action::Unpin(Subject::Cluster(name("p2"))),
            "pinned: p2",
        ),
        (
            Action::Suspend(name("p2")),
            Action::Unsuspend(name("p2")),
            "suspended: p2",
        ),
    ];
    for (keep_out, let_in, why) in ways {
        let mut world = alone("maxConcurrent: 3");
        world.act(&keep_out).unwrap();
        world.push("fleet", "prod", 2);
        world.push("second", "prod", 2);
        world.pass(30);
        is_good(&world, &(commit(2), of_second(1)));
        // The remaining rollout says why it does not begin, and yields.
        world.stands(State::Pending);
        let note = &world.rollout().note;
        assert!(
            note.contains(why) && note.contains("applications of second"),
            "{note}"
        );
        gives_way(&mut world);
        // A cluster that takes part again has the good commits, until a rollout reaches it.
        world.act(&let_in).unwrap();
        world.pass(30);
        world.stands(State::Succeeded);
        is_good(&world, &(commit(3), of_second(2)));
        assert_eq!(world.having(&of_second(2)), ["p2"]);
    }
}

#[test]
fn promise_4_who_is_kept_out_in_the_middle_proves_nothing() {
    let mut world = alone("maxConcurrent: 3");
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.pass(1);
    assert_eq!(world.having(&commit(2)), ["p1"]);
    world.act(&pin_of("p2")).unwrap();
    world.pass(30);
    is_good(&world, &(commit(2), of_second(1)));
    world.stands(State::Pending);
}

#[test]
fn promise_4_who_failed_within_the_budget_proves_nothing_and_is_tried_alone() {
    let mut world = alone("maxConcurrent: 3, onFailure: rollback, budgets: {failed: 1}");
    world.bad = vec![of_second(2)];
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.pass(60);
    is_good(&world, &(commit(2), of_second(1)));
    assert!(world.having(&of_second(2)).is_empty());
    let quarantined = &world.state().quarantined;
    assert!(quarantined.iter().any(|quarantined| {
        quarantined
            .commits
            .values()
            .any(|commit| *commit == of_second(2))
    }));
    let number = world.rollout().number();
    world.pass(60);
    assert_eq!(world.rollout().number(), number, "and nothing goes round");
}

#[test]
fn promise_4_who_is_away_proves_nothing_and_holds_up_nobody_else() {
    let mut world = alone("maxConcurrent: 3, onNewCommit: queue, budgets: {offline: 1}");
    world.connect("p2", false);
    world.pass(40);
    world.push("fleet", "prod", 2);
    world.push("second", "prod", 2);
    world.pass(30);
    is_good(&world, &(commit(2), of_second(1)));
    let note = world.rollout().why();
    assert!(note.contains("waits for offline clusters: p2"), "{note}");
    world.push("fleet", "prod", 3);
    world.pass(30);
    is_good(&world, &(commit(3), of_second(1)));
    world.connect("p2", true);
    world.pass(40);
    is_good(&world, &(commit(3), of_second(2)));
}

/// Returns the directory of `b` on a cluster.
fn path_of_b(world: &World, cluster: &str) -> String {
    let assigned = world.fleet.clusters()[&name(cluster)].assigned.clone();
    let app: ApplicationName = "b".parse().unwrap();
    assigned.unwrap().assignment.applications[&app]
        .path
        .to_string()
}

fn declared(world: &World) -> Commit {
    world.state().approved[RepositoryName::fleet_file()].clone()
}

/// A revision of the fleet file is a commit like any other.
#[test]
fn promise_4_what_is_declared_for_clusters_that_are_all_kept_out_is_proven_by_nobody() {
    let text = |path: &str| {
        file("maxConcurrent: 3", "", "prod").replace(
            "path: b, placement: {environments: [prod]}",
            &format!("path: {path}, placement: {{environments: [prod], clusters: [p2]}}"),
        )
    };
    let mut world = World::rolled_out(&text("b"));
    let before = declared(&world);
    world.act(&pin_of("p2")).unwrap();
    world.declare(&text("moved"));
    world.push("fleet", "prod", 2);
    world.pass(30);
    // Other commits continue; what is declared for that cluster alone waits, says so, and yields.
    is_good(&world, &(commit(2), of_second(1)));
    assert_eq!(declared(&world), before);
    assert_eq!(path_of_b(&world, "p2"), "b");
    world.stands(State::Pending);
    let note = world.rollout().note.clone();
    assert!(
        note.contains("every cluster that is affected by the fleet file is excluded (pinned: p2)"),
        "{note}"
    );
    gives_way(&mut world);
    // It is rolled out once the cluster is unpinned.
    world
        .act(&Action::Unpin(Subject::Cluster(name("p2"))))
        .unwrap();
    world.pass(30);
    world.stands(State::Succeeded);
    assert_ne!(declared(&world), before);
    assert_eq!(path_of_b(&world, "p2"), "moved");
}

#[test]
fn promise_4_an_application_that_is_new_on_who_is_pinned_waits_and_is_not_given_by_the_others_word()
{
    let text = |more: &str| {
        let text = file("maxConcurrent: 3", "", "prod");
        format!("{text}{more}")
    };
    let mut world = World::rolled_out(&text(""));
    world.act(&pin_of("p2")).unwrap();
    world.pass(3);
    let new = "- {name: c, repository: fleet, path: c, placement: {environments: [prod], clusters: [p2]}}\n";
    world.declare(&text(new));
    world.pass(40);
    let has = |world: &World| {
        let assigned = world.fleet.clusters()[&name("p2")].assigned.clone();
        let app: ApplicationName = "c".parse().unwrap();
        assigned.unwrap().assignment.applications.contains_key(&app)
    };
    assert!(!has(&world), "{}", world.rollout().why());
    // After it is reverted, nothing of it is left.
    world.declare(&text(""));
    world.pass(10);
    assert!(!has(&world), "{}", world.rollout().why());
    world.declare(&text(new));
    world.pass(10);
    world
        .act(&Action::Unpin(Subject::Cluster(name("p2"))))
        .unwrap();
    world.pass(40);
    assert!(has(&world), "{}", world.rollout().why());
    world.stands(State::Succeeded);
}

/// Gates look at the applications of the commit's repository.
#[test]
fn promise_5_what_is_ill_beside_it_in_the_environment_before_holds_up_no_proof() {
    let text = file("maxConcurrent: 3", "proof: {soak: 5s}", "dev, prod");
    let mut world = World::rolled_out(&text);
    // Only in dev, and with a new commit every few seconds.
    world.bad = (2..20).map(of_second).collect();
    world.push("fleet", "dev", 2);
    world.pass(1);
    world.push("fleet", "prod", 2);
    for n in 2..8 {
        world.push("second", "dev", n);
        world.pass(2);
    }
    world.pass(20);
    assert_eq!(
        world.having(&commit(2)).len(),
        3,
        "{}",
        world.rollout().why()
    );
    // The unhealthy commit itself is not let in, and its gate names the application.
    world.push("second", "prod", 7);
    world.pass(20);
    assert!(world.having(&of_second(7)).is_empty());
    let note = world.rollout().why();
    assert!(note.contains("health d1: b: "), "{note}");
}
