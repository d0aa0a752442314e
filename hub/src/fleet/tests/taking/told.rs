//! The last application of an environment, removals during another rollout, and how both are shown.

use super::*;
use crate::status::Detail;

/// Nothing is declared any longer, and the former applications are removed.
fn emptied(text: &str) -> String {
    let head = text.split("applications:").next().unwrap();
    format!("{head}removed: [{{application: a}}, {{application: b}}]\n")
}

/// Returns the state of `b` on a cluster, as shown.
fn told(world: &World, cluster: &str) -> (SyncState, String) {
    let now = at(world.second);
    let shown = crate::status::cluster(&world.fleet, &name(cluster), now, Detail::Full).unwrap();
    let mut all = shown.applications.into_iter();
    let b = all.find(|application| application.application == "b");
    let b = b.expect("it is listed");
    (b.sync, b.message)
}

/// Its agent reports that `b` is left.
fn says(world: &mut World, cluster: &str, sync: SyncState) {
    let known = &world.fleet.clusters()[&name(cluster)];
    let (session, assigned) = (known.session.unwrap().0, known.assigned.clone().unwrap());
    let mut report = current(&assigned);
    let left = ApplicationReport {
        sync,
        health: Health::Current,
        ..ApplicationReport::default()
    };
    report
        .applications
        .insert("b".parse().unwrap(), left.into());
    let digest = digest_of(&report);
    world.step(Event::Reported(name(cluster), session, report, digest));
}

#[test]
fn the_last_application_is_removed_by_a_rollout_of_the_fleet_file_alone() {
    let mut world = World::rolled_out(&base());
    world.declare(&emptied(&base()));
    assert_eq!(stands(&world), "x--", "{}", world.rollout().note);
    assert_eq!(
        world.rollout().changes,
        [
            "a: removed, with its objects",
            "b: removed, with its objects"
        ]
    );
    let title = world.rollout().title();
    assert!(
        title.starts_with("fleet file ") && !title.contains("as of"),
        "{title}"
    );
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(stands(&world), "xxx");
    let good: Vec<_> = world.state().approved.keys().collect();
    assert_eq!(good, [RepositoryName::fleet_file()]);
    // Nothing further follows from it, and new declarations are handled as usual.
    let last = world.rollout().id.clone();
    world.pass(10);
    assert_eq!(world.rollout().id, last);
    world.declare(&base());
    world.pass(60);
    assert_eq!(stands(&world), "bbb", "{}", world.rollout().note);
}

#[test]
fn the_last_application_may_vanish_first_and_be_removed_then() {
    let mut world = World::rolled_out(&base());
    let head = base();
    let head = head.split("applications:").next().unwrap();
    world.declare(head);
    world.pass(3);
    assert_eq!(stands(&world), "---");
    world.declare(&emptied(&base()));
    world.pass(30);
    assert_eq!(stands(&world), "xxx", "{}", world.rollout().note);
}

/// The fleet file is edited by hand, without an announcement.
#[test]
fn without_rollouts_the_removal_of_the_last_application_has_an_entry() {
    let mut world = World::rolled_out(&base());
    world.declare(&emptied(&base()));
    assert!(assigned(&world, "d1").tombstones["a"].delete_objects);
    let taken = |entry: &&AuditEntry| entry.action == AuditAction::FleetFileTaken;
    let entries: Vec<&AuditEntry> = world.audit.iter().filter(taken).collect();
    let [entry] = entries.as_slice() else {
        panic!("{entries:#?}");
    };
    assert_eq!(
        (entry.environment.as_str(), entry.clusters.as_slice()),
        ("dev", &["d1".to_owned()][..])
    );
    assert!(
        entry.detail.contains("a: removed, with its objects"),
        "{entry:?}"
    );
    // A branch that was never read removes nothing.
    let mut fleet = fleet();
    fleet.step(put("d", "dev", None), at(1));
    let state = &fleet.environments()[&"dev".parse::<EnvironmentName>().unwrap()];
    assert!(state.approved.is_empty());
}

/// `p2` runs only `b`, and the others only `a`.
fn apart() -> String {
    let text = file(
        "maxConcurrent: 3, onNewCommit: supersede",
        "approvals: 0",
        "prod",
    );
    text.replace(
        "path: a, placement: {environments: [dev, prod]}",
        "path: a, placement: {clusters: [d1, p1, p3]}",
    )
    .replace(
        "path: b, placement: {environments: [prod]}",
        "path: b, placement: {clusters: [p2]}",
    )
}

#[test]
fn a_removal_goes_on_while_the_next_commit_is_on_its_way_to_who_runs_nothing_else() {
    let mut world = World::rolled_out(&apart());
    world.holding.push("p2".to_owned());
    world.declare(&removed(&apart()));
    world.pass(12);
    assert_eq!(stands(&world), "xxx");
    let first = world.rollout().id.clone();
    let given = assigned(&world, "p2").clone();
    assert!(given.applications.is_empty());
    assert_eq!(given.removed_by, first);
    world.push("fleet", "prod", 2);
    assert_ne!(world.rollout().id, first, "it took over");
    assert_eq!(world.having(&commit(2)), ["p1"]);
    assert_eq!(
        (stands(&world).as_str(), assigned(&world, "p2")),
        ("xxx", &given)
    );
    world.pass(2);
    assert_eq!(assigned(&world, "p2"), &given, "and is not sent anew");
    world.holding.clear();
    world.pass(40);
    world.stands(State::Succeeded);
    assert_eq!(stands(&world), "xxx");
}

#[test]
fn promise_6_a_removal_that_failed_is_not_told_as_one_that_is_still_to_come() {
    let mut world = World::rolled_out(&base());
    world.holding.push("p1".to_owned());
    world.declare(&removed(&base()));
    world.pass(30);
    world.stands(State::Halted);
    let failed = world.rollout().id.clone();
    world.push("fleet", "prod", 9);
    world.pass(30);
    world.stands(State::Succeeded);
    assert_eq!(stands(&world), "---", "it is left where it was good");
    says(&mut world, "p1", SyncState::Orphaned);
    let (_, text) = told(&world, "p1");
    let revision = world
        .fleet
        .declared_revision(&"prod".parse().unwrap())
        .unwrap()
        .1;
    for part in [
        format!("failed in {failed}"),
        format!(
            "flotilla promote prod --force --commit {} --reason TEXT",
            revision.short()
        ),
        "confirm it".to_owned(),
    ] {
        assert!(text.contains(&part), "{text}");
    }
    assert!(!text.contains("has not come here yet"), "{text}");
}

/// Its agent was not told yet, and its report is from before.
#[test]
fn promise_4_what_vanished_from_a_cluster_that_is_away_is_not_told_as_synced() {
    let mut world = World::rolled_out(&base());
    says(&mut world, "p1", SyncState::Synced);
    world.connect("p1", false);
    world.declare(&vanished(&base()));
    let (sync, text) = told(&world, "p1");
    assert_eq!(sync, SyncState::Applying);
    assert!(text.starts_with("it is no longer declared"), "{text}");
    // The same where it is to be removed, and waits for its wave.
    world.declare(&removed(&base()));
    says(&mut world, "p2", SyncState::Synced);
    let (sync, text) = told(&world, "p2");
    assert_eq!(sync, SyncState::Applying);
    assert!(text.contains("has not come here yet"), "{text}");
}

#[test]
fn promise_6_a_removal_that_waits_says_for_what() {
    let text = file("maxConcurrent: 3", "approvals: 0", "dev, prod");
    let mut world = World::rolled_out(&text);
    let shop = "- {name: shop, repository: second, path: 'b/{labels.no}'}\n";
    world.declare(&(vanished(&text) + shop + "removed: [{application: b}]\n"));
    says(&mut world, "d1", SyncState::Orphaned);
    let (_, text) = told(&world, "d1");
    for part in [
        "its removal waits, and its objects are kept",
        ": shop (flotilla explain d1",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

fn suspended(fleet: &mut Fleet, cluster: &str, second: i64) -> String {
    let taken = fleet.act(&suspend(cluster), "bob", "why", at(second));
    taken.unwrap().answer
}

#[test]
fn a_suspension_that_is_not_sent_is_not_said_to_hold_anybody_back() {
    let mut world = World::rolled_out(&base());
    world.step(Event::Cloned(name("p2"), "two hold it".to_owned()));
    world.connect("p3", false);
    let (fleet, second) = (&mut world.fleet, world.second);
    assert_eq!(
        suspended(fleet, "p1", second),
        "its agent writes nothing until it is resumed"
    );
    let text = suspended(fleet, "p2", second);
    for part in [
        "may go on writing",
        "p2 is locked: two hold it",
        "flotilla cluster unlock p2",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let text = suspended(fleet, "p3", second);
    assert!(text.contains("it is not connected"), "{text}");
    let sent = ["p1", "p2", "p3"].map(|cluster| assigned(&world, cluster).suspended);
    assert_eq!(sent, [true, false, true]);
    let resumed = world
        .fleet
        .act(&resume("p2"), "bob", "why", at(world.second));
    let text = resumed.unwrap().answer;
    assert!(text.contains("as soon as it is unlocked"), "{text}");
    // A restored hub does not know what this one runs.
    let mut fleet = Fleet::new(Epoch(2)).since(Some(at(100)));
    let spec = spec::parse("f", &base()).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), at(100));
    fleet.step(put("p2", "prod", None), at(100));
    let text = suspended(&mut fleet, "p2", 101);
    assert!(
        text.contains("what it runs is not known to this hub"),
        "{text}"
    );
}
