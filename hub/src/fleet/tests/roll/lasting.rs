//! Decisions of operators, and the settings that a rollout began with, last: pins, waves, approvals, and environments
//! that left the file.

use super::*;

#[test]
fn roll_12_a_pin_of_what_did_not_pass_the_gates_takes_an_admin_and_goes_in_waves() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    world.push("fleet", "prod", 2);
    assert!(matches!(
        world.act(&pin(Some(&commit(2)), false)),
        Err(ActionError::NeedsAdmin(_))
    ));
    assert!(world.state().pin.is_none());
    // A promoter may pin to a good commit at once.
    world.act(&pin(Some(&commit(1)), false)).unwrap();
    world.push("second", "prod", 2);
    world.act(&pin(Some(&commit(2)), true)).unwrap();
    assert_eq!(world.having(&commit(2)), ["p1"], "the first wave");
    let entry = world
        .audit
        .iter()
        .rev()
        .find(|entry| entry.action == AuditAction::Pin)
        .unwrap();
    assert!(
        entry.detail.contains("not passed the gates"),
        "{}",
        entry.detail
    );
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
    assert!(
        world.having(&of_second(2)).is_empty(),
        "it lets in nothing else"
    );
}

#[test]
fn a_pin_in_the_middle_of_a_rollout_takes_nobody_back() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "", "prod"));
    world.push("fleet", "prod", 2);
    world.pass(1);
    assert_eq!(world.having(&commit(2)), ["p1"]);
    world.act(&pin(None, false)).unwrap();
    world.pass(20);
    assert_eq!(world.having(&commit(2)), ["p1"], "kept where they are");
    world
        .act(&Action::Unpin(Subject::Environment(
            "prod".parse().unwrap(),
        )))
        .unwrap();
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
}

#[test]
fn roll_10_22_a_rollout_keeps_the_waves_that_it_began_with() {
    let strategy = "waves: [{name: canary, clusters: [p1]}, {name: two, clusters: [p2], approvals: 1}], soak: 3s, progressDeadline: 20s, maxConcurrent: 3";
    let text = file("maxConcurrent: 3", "", "prod");
    let with = text.replace(
        "waves: [{name: canary, clusters: [p1]}], soak: 3s, progressDeadline: 20s, maxConcurrent: 3",
        strategy,
    );
    let without = text.replace(
        "waves: [{name: canary, clusters: [p1]}], soak: 3s, progressDeadline: 20s, maxConcurrent: 3",
        "soak: 1s",
    );
    let bare: String = text
        .lines()
        .filter(|line| !line.contains("strategy:"))
        .map(|line| format!("{line}\n"))
        .collect();
    for edited in [without, bare] {
        let mut world = World::new(&with);
        for repository in ["fleet", "second"] {
            world.push(repository, "dev", 1);
            world.push(repository, "prod", 1);
        }
        world.pass(10);
        for (repository, commit) in [("fleet", commit(1)), ("second", of_second(1))] {
            world
                .act(&approve(repository, &commit, Scope::Wave("two".to_owned())))
                .unwrap();
        }
        world.pass(20);
        world.stands(State::Succeeded);
        world.push("fleet", "prod", 2);
        world.pass(10);
        assert!(
            world.rollout().note.contains("waits for approval"),
            "{}",
            world.rollout().note
        );
        world.declare(&edited);
        world.pass(20);
        assert_eq!(world.having(&commit(2)), ["p1"], "{}", world.rollout().note);
        world
            .act(&approve("fleet", &commit(2), Scope::Wave("two".to_owned())))
            .unwrap();
        world.pass(20);
        assert_eq!(world.having(&commit(2)).len(), 3);
    }
}

#[test]
fn roll_23_a_repository_that_the_environment_before_does_not_use_is_proven_by_nobody() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "proof: {soak: 2s}", "prod"));
    world.push("second", "prod", 2);
    world.pass(30);
    assert!(world.having(&of_second(2)).is_empty());
    assert!(
        world.rollout().note.contains("can never"),
        "{}",
        world.rollout().note
    );
    // It delays no repair of the other repository, and an admin can override it.
    world.act(&override_of("second", &of_second(2))).unwrap();
    world.pass(20);
    assert_eq!(world.having(&of_second(2)).len(), 3);
}

#[test]
fn roll_31_a_hotfix_comes_in_by_an_admins_word() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "proof: {soak: 2s}", "dev, prod"));
    world.push("fleet", "prod", 5);
    world.pass(10);
    assert!(world.having(&commit(5)).is_empty());
    world.act(&override_of("fleet", &commit(5))).unwrap();
    world.pass(20);
    assert_eq!(world.having(&commit(5)).len(), 3);
    let mut entries = world.audit.iter();
    assert!(entries.any(|entry| entry.action == AuditAction::Override));
}

#[test]
fn roll_32_an_environment_that_is_gone_ends_its_rollout_and_a_new_one_proves_nothing_alone() {
    let text = file("maxConcurrent: 3", "", "prod");
    let mut world = World::rolled_out(&text);
    world.push("fleet", "prod", 2);
    world.pass(1);
    let renamed = text
        .replace("- name: prod", "- name: live")
        .replace("[dev, prod]", "[dev, live]")
        .replace("[prod]", "[live]");
    world.declare(&renamed);
    world.pass(20);
    assert_eq!(world.rollout().state, State::Superseded);
    assert!(world.rollout().note.contains("no longer in the fleet file"));
    let live = &world.fleet.rollouts()[&"live".parse::<EnvironmentName>().unwrap()];
    assert_eq!(live.state, State::Pending, "{}", live.note);
    assert_eq!(world.having(&commit(2)), ["p1"], "all stay where they are");
    world.declare(&text);
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
}

/// After an environment is renamed nothing of it is deleted, and nothing passes to the new name by itself.
#[test]
fn roll_32_pins_and_approvals_stay_with_the_name_that_they_were_given_to() {
    let text = file("maxConcurrent: 3", "approvals: 1", "prod");
    let mut world = World::rolled_out(&text);
    world.push("fleet", "prod", 2);
    world
        .act(&approve("fleet", &commit(2), Scope::Commit))
        .unwrap();
    world.pass(20);
    assert_eq!(world.having(&commit(2)).len(), 3);
    world.act(&pin(None, false)).unwrap();
    let before = world.state().clone();
    let renamed = text
        .replace("- name: prod", "- name: live")
        .replace("[dev, prod]", "[dev, live]")
        .replace("[prod]", "[live]");
    // One cluster is not in the file.
    let placed = "clusters:\n- {name: p1, environment: live}\n- {name: p2, environment: live}\n";
    world.declare(&(renamed + placed));
    world.pass(20);
    assert_eq!(*world.state(), before, "what was decided is all there");
    let live: EnvironmentName = "live".parse().unwrap();
    let state = &world.fleet.environments()[&live];
    assert!(state.pin.is_none() && state.approvals.is_empty());
    let good: Vec<&str> = state.approved.keys().map(RepositoryName::as_str).collect();
    assert_eq!(good, ["fleet-file"], "no commit is good there yet");
    let rollout = &world.fleet.rollouts()[&live];
    assert_eq!(rollout.state, State::Pending);
    assert!(rollout.note.contains("0 of 1 approval"), "{}", rollout.note);
    assert_eq!(world.having(&commit(2)).len(), 3, "all stay where they are");
    no_application_less(&world);
    let told = crate::status::explain(&world.fleet, "p3", at(world.second)).unwrap();
    let told: Vec<&str> = told.iter().map(|step| step.text.as_str()).collect();
    assert!(
        told.iter()
            .any(|text| text.contains("environment prod is not in the fleet file")),
        "{told:?}"
    );
    // After it is renamed back, the decisions apply again.
    world.declare(&text);
    world.pass(20);
    assert!(world.state().pin.is_some());
    assert_eq!(world.having(&commit(2)).len(), 3);
    no_application_less(&world);
}

fn no_application_less(world: &World) {
    for cluster in ["p1", "p2", "p3"] {
        let assigned = world.fleet.clusters()[&name(cluster)].assigned.clone();
        let applications = assigned.unwrap().assignment.applications.clone();
        assert_eq!(applications.len(), 2, "{cluster}");
    }
}

#[test]
fn an_approval_of_somebody_who_may_not_any_more_counts_no_longer() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 2", "prod"));
    world.push("fleet", "prod", 2);
    world
        .act(&approve("fleet", &commit(2), Scope::Commit))
        .unwrap();
    assert!(
        world.rollout().note.contains("1 of 2"),
        "{}",
        world.rollout().note
    );
    world.step(Event::Demoted(
        "bob".to_owned(),
        vec!["prod".parse().unwrap()],
    ));
    assert!(
        world.rollout().note.contains("0 of 2"),
        "{}",
        world.rollout().note
    );
    assert!(
        world
            .audit
            .iter()
            .any(|entry| entry.action == AuditAction::ApprovalsWithdrawn)
    );
}

#[test]
fn a_hub_that_has_read_half_of_its_branches_begins_nothing() {
    let mut world = World::new(&file("maxConcurrent: 3", "", "prod"));
    world.push("fleet", "prod", 1);
    assert!(world.fleet.rollouts().is_empty());
    world.push("second", "prod", 1);
    assert_eq!(world.rollout().target.len(), 3, "with the fleet file");
}

/// A rollout ends by the strategy it began with, and so do the commands that it names.
#[test]
fn a_rollout_can_be_stopped_and_ended_when_the_file_has_no_strategy_any_more() {
    let with = file("maxConcurrent: 3", "", "prod");
    let mut world = World::rolled_out(&with);
    world.push("fleet", "prod", 2);
    world.pass(1);
    world.declare(&bare(&with));
    let prod: EnvironmentName = "prod".parse().unwrap();
    world.act(&Action::Pause(prod.clone())).unwrap();
    world.pass(1);
    assert_eq!(world.rollout().state, State::Paused);
    world.act(&Action::Resume(prod.clone())).unwrap();
    world.act(&Action::Abort(prod.clone())).unwrap();
    let mut entries = world.audit.iter();
    assert!(entries.any(|entry| entry.action == AuditAction::RolloutRolledBack));
    let again = world.act(&Action::Abort(prod));
    assert!(matches!(again, Err(ActionError::NoStrategy(..))));
}

/// A new enrolment brings a new record; decisions of operators about the cluster stay.
#[test]
fn what_people_decided_about_a_cluster_outlives_its_enrolment() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 0", "prod"));
    world.act(&Action::Suspend(name("p1"))).unwrap();
    let let_go = |record: &mut ClusterRecord| record.let_go = Some(Epoch(1));
    world
        .fleet
        .change_record(&name("p1"), &mut Vec::new(), let_go);
    world.step(put("p1", "prod", None));
    let record = &world.fleet.clusters()[&name("p1")].record;
    assert_eq!(record.let_go, Some(Epoch(1)));
    assert!(record.suspended.is_some());
}

/// A pin of an environment to a commit that has not passed the gates means that commit only: no newer one on the
/// branch, and none of another repository. With a pin to the present commits a new commit still gets a rollout,
/// which the pin stops, so that it is seen to wait.
#[test]
fn roll_12_a_pin_ahead_names_all_that_comes_in() {
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "approvals: 1", "prod"));
    world.push("second", "prod", 2);
    world.push("fleet", "prod", 3);
    world.act(&pin(Some(&commit(2)), true)).unwrap();
    world.pass(30);
    assert_eq!(world.having(&commit(2)).len(), 3);
    assert!(world.having(&commit(3)).is_empty() && world.having(&of_second(2)).is_empty());
    let mut world = World::rolled_out(&file("maxConcurrent: 3", "", "prod"));
    world.act(&pin(None, false)).unwrap();
    world.push("fleet", "prod", 2);
    world.pass(5);
    let target = &world.rollout().target;
    assert_eq!(
        target[&"fleet".parse::<RepositoryName>().unwrap()],
        commit(2),
        "it is seen to wait"
    );
    let note = &world.rollout().note;
    assert!(note.contains("the environment is pinned"), "{note}");
    assert!(world.having(&commit(2)).is_empty());
}
