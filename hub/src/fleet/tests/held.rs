//! A restored store contains an older fleet file than the one that clusters run: the commits are the same, but the
//! declarations differ.

use super::super::rollout::State;
use super::super::{forget_queue, leave_behind};
use super::roll::{World, file};
use super::*;

struct Backup {
    clusters: Vec<StoredCluster>,
    environments: Vec<(EnvironmentName, EnvironmentState)>,
    rollouts: Vec<rollout::Rollout>,
    specifications: Vec<(Commit, crate::spec::Specification)>,
}

fn back_up(world: &World) -> Backup {
    let all = world.fleet.environments().iter();
    let environments = all.map(|(name, state)| (name.clone(), state.clone()));
    let kept = world.kept.iter();
    Backup {
        clusters: stored_clusters(&world.fleet),
        environments: environments.collect(),
        rollouts: world.fleet.rollouts().values().cloned().collect(),
        specifications: kept
            .map(|(revision, specification)| (revision.clone(), specification.clone()))
            .collect(),
    }
}

/// Restores the backup, as `store::epoch` does; agents still run their assignments. They report the declarations of
/// these, unless they are older agents.
fn put_back(world: &mut World, mut backup: Backup, text: &str, older: bool) {
    let now = at(world.second);
    let ran: Vec<_> = ["p1", "p2", "p3"]
        .into_iter()
        .map(|cluster| {
            let assigned = world.fleet.clusters()[&name(cluster)].assigned.clone();
            (cluster, assigned.unwrap())
        })
        .collect();
    for rollout in &mut backup.rollouts {
        if !rollout.state.is_over() {
            leave_behind(rollout, now);
        }
    }
    for (_, state) in &mut backup.environments {
        forget_queue(state);
    }
    let heads = world.fleet.heads().clone();
    world.fleet = Fleet::new(Epoch(2)).since(Some(now));
    world.step(Event::Restored {
        heads: heads.into_iter().collect(),
        clusters: backup.clusters,
        environments: backup.environments,
        rollouts: backup.rollouts,
        retired: Vec::new(),
        specifications: backup.specifications,
    });
    world.declare(text);
    for (index, (cluster, ran)) in ran.into_iter().enumerate() {
        let session = 100 + index as u64;
        world.step(connect(cluster, session, ran.reference));
        let mut report = current(&ran);
        if older {
            report.specified = Digest::default();
        }
        if world.orphaned {
            let orphan = ApplicationReport {
                sync: SyncState::Orphaned,
                revision: report
                    .applications
                    .values()
                    .find_map(|application| application.revision.clone()),
                ..ApplicationReport::default()
            };
            report
                .applications
                .insert("left".parse().unwrap(), orphan.into());
        }
        let digest = Digest::of(format!("{report:?}").as_bytes());
        world.step(Event::Reported(
            name(cluster),
            SessionId(session),
            report,
            digest,
        ));
    }
}

/// Passes seconds, in which the clusters report that were assigned something by this hub.
fn pass(world: &mut World, seconds: i64) {
    for _ in 0..seconds {
        let held = ["d1", "p1", "p2", "p3"].into_iter().filter(|cluster| {
            let assigned = world.fleet.clusters()[&name(cluster)].assigned.as_ref();
            assigned.is_none_or(|assigned| assigned.assignment.epoch != Epoch(2))
        });
        world.silent = held.map(str::to_owned).collect();
        world.pass(1);
    }
}

/// Returns the directory of `a` in the assignment of this hub; `-`: none.
fn given(world: &World, cluster: &str) -> String {
    let assigned = world.fleet.clusters()[&name(cluster)].assigned.as_ref();
    let assigned = assigned.filter(|assigned| assigned.assignment.epoch == Epoch(2));
    assigned.map_or("-".to_owned(), |assigned| {
        assigned.assignment.applications["a"].path.to_string()
    })
}

fn is_held(world: &World, cluster: &str) -> bool {
    let refusal = world.fleet.clusters()[&name(cluster)].refusal.as_ref();
    refusal.is_some_and(|refusal| refusal.reason == Reason::HeldAfterRestore)
}

/// Generations of p2's assignment pass without a change of its content.
fn generations_pass(world: &mut World) {
    for action in [Action::Suspend(name("p2")), Action::Unsuspend(name("p2"))] {
        world.act(&action).unwrap();
        world.pass(3);
    }
}

#[test]
fn p08_a_cluster_that_runs_another_specification_of_the_same_commits_is_held() {
    for older in [false, true] {
        let text = file("maxConcurrent: 1", "", "prod");
        let moved = text.replace("path: a,", "path: ax,");
        let mut world = World::rolled_out(&text);
        let backup = back_up(&world);
        world.declare(&moved);
        world.pass(30);
        assert_eq!(world.rollout().state, State::Succeeded);
        put_back(&mut world, backup, &moved, older);
        for _ in 0..40 {
            for cluster in ["p1", "p2", "p3"] {
                let path = given(&world, cluster);
                assert_ne!(path, "a", "{cluster} went back to what an older store knew");
                assert!(path == "ax" || is_held(&world, cluster), "{cluster}");
            }
            pass(&mut world, 1);
        }
        let rollout = world.rollout();
        assert_eq!(rollout.state, State::Succeeded, "{}", rollout.why());
        assert!(
            ["p1", "p2", "p3"]
                .iter()
                .all(|cluster| given(&world, cluster) == "ax")
        );
    }
}

/// Only the number of the assignment was lost: no cluster is held for that.
#[test]
fn p08_a_cluster_that_runs_what_it_would_be_given_anyway_is_not_held() {
    let text = file("maxConcurrent: 1", "", "prod");
    let mut world = World::rolled_out(&text);
    let backup = back_up(&world);
    generations_pass(&mut world);
    put_back(&mut world, backup, &text, false);
    assert!(!is_held(&world, "p2"));
    pass(&mut world, 3);
    assert_eq!(given(&world, "p2"), "a");
}

/// Texts with values of labels are part of what runs.
#[test]
fn p08_a_cluster_whose_texts_take_labels_that_the_store_does_not_know_is_held() {
    for substitute in [true, false] {
        let text = file("maxConcurrent: 1", "", "prod")
            .replace("path: a,", &format!("path: a, substitute: {substitute},"));
        let text = |size: &str| {
            let clusters = ["p1", "p2", "p3"].map(|cluster| {
                format!("- {{name: {cluster}, environment: prod, labels: {{size: {size}}}}}\n")
            });
            format!("{text}clusters:\n{}", clusters.concat())
        };
        let mut world = World::rolled_out(&text("small"));
        let backup = back_up(&world);
        world.declare(&text("large"));
        world.pass(40);
        let runs = |world: &World, cluster: &str| {
            let assigned = world.fleet.clusters()[&name(cluster)]
                .assigned
                .clone()
                .unwrap();
            assigned.assignment.labels["size"].clone()
        };
        assert_eq!(runs(&world, "p3"), "large", "{}", world.rollout().why());
        put_back(&mut world, backup, &text("small"), false);
        for cluster in ["p1", "p2", "p3"] {
            assert_eq!(is_held(&world, cluster), substitute, "{cluster}");
        }
    }
}

/// An agent does not run what it no longer manages.
#[test]
fn p08_an_application_that_is_orphaned_holds_nobody() {
    let text = file("maxConcurrent: 1", "", "prod");
    let mut world = World::rolled_out(&text);
    let backup = back_up(&world);
    generations_pass(&mut world);
    world.orphaned = true;
    put_back(&mut world, backup, &text, false);
    assert!(!is_held(&world, "p2"));
}
