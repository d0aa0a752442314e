//! Objects that come and go with hooks, and objects that are only created if they are missing.

use super::*;

const HELP: (&str, &str) = (HELPER_ANNOTATION, "pre-sync");
const GOES: (&str, &str) = (HOOK_DELETE_ANNOTATION, "succeeded");

/// An empty cluster, and the objects that Helm's hooks are turned into.
fn hooked() -> World {
    let mut world = world();
    world.inventory = Inventory::default();
    world.observed.live.clear();
    world.desired = vec![
        annotated("ConfigMap", "definition", &[(HELPER_ANNOTATION, "first")]),
        annotated("ConfigMap", "account", &[HELP, GOES]),
        annotated(
            "Job",
            "migrate",
            &[(HOOK_ANNOTATION, "pre-sync"), (WAVE_ANNOTATION, "1"), GOES],
        ),
        annotated("ConfigMap", "main", &[]),
        annotated("ConfigMap", "late", &[(HELPER_ANNOTATION, "post-sync")]),
    ];
    world
}

/// The applied object exists, is marked and is in the inventory.
fn came(world: &mut World, index: usize) {
    make_live(world, index, Health::Current);
    let object = world.desired[index].object.clone();
    world.inventory.insert(Entry {
        object,
        version: "v1".to_owned(),
        uid: world.observed.live[&world.desired[index].object]
            .uid
            .clone(),
        applied: String::new(),
    });
}

#[test]
fn helpers_come_with_their_hooks_and_go_with_them() {
    let mut world = hooked();
    assert_eq!(applies(&world), ["definition"]);
    came(&mut world, 0);
    assert_eq!(applies(&world), ["account"]);
    came(&mut world, 1);
    assert_eq!(applies(&world), ["migrate"]);
    came(&mut world, 2);
    make_live(&mut world, 2, Health::InProgress);
    assert_eq!(applies(&world), Vec::<String>::new());
    assert_eq!(world.pruned(), Vec::<String>::new());
    make_live(&mut world, 2, Health::Current);
    let pruned = |world: &World| -> Vec<String> {
        let names = world.pruned().into_iter();
        names
            .filter_map(|step| Some(step.split_once(' ')?.0.to_owned()))
            .collect()
    };
    assert_eq!(pruned(&world), ["account", "migrate"]);
    assert_eq!(applies(&world), ["main"]);
    // The helpers are gone, and the record of the finished hook is enough.
    for index in [1, 2] {
        let object = world.desired[index].object.clone();
        world.observed.live.remove(&object);
        world.inventory.remove(&object);
    }
    world.finished_hooks.insert(world.desired[2].object.clone());
    came(&mut world, 3);
    assert_eq!(applies(&world), ["late"]);
    came(&mut world, 4);
    assert!(world.plan().is_noop(), "{:?}", world.plan());
}

#[test]
fn helpers_are_deleted_by_the_rules_of_every_delete() {
    let mut world = hooked();
    for index in 0..5 {
        came(&mut world, index);
    }
    assert_eq!(world.pruned().len(), 2);
    let foil: [fn(&mut World); 4] = [
        |world| world.prune_enabled = false,
        |world| world.inventory_proven = false,
        |world| world.observed.complete = false,
        |world| world.claims.complete = false,
    ];
    for foil in foil {
        let mut world = hooked();
        for index in 0..5 {
            came(&mut world, index);
        }
        foil(&mut world);
        assert_eq!(world.pruned(), Vec::<String>::new());
    }
    let job = world.desired[2].object.clone();
    if let Some(live) = world.observed.live.get_mut(&job) {
        live.applied_by_us = false;
    }
    assert_eq!(world.pruned().len(), 1, "the Job is somebody else's");
}

#[test]
fn what_is_only_made_is_left_alone_where_it_is() {
    let mut world = world();
    let definition = annotated("ConfigMap", "a", &[(CREATE_ONLY_ANNOTATION, "true")]);
    world.desired = vec![
        definition,
        annotated("ConfigMap", "later", &[(WAVE_ANNOTATION, "1")]),
    ];
    let a = world.desired[0].object.clone();
    let live = world.observed.live.get_mut(&a).unwrap();
    live.fit = Fit::Unknown;
    live.application = String::new();
    assert_eq!(applies(&world), ["later"]);
    world.observed.live.remove(&a);
    assert_eq!(applies(&world), ["a"]);
}

#[test]
fn unknown_words_for_helpers_are_refused() {
    let mut world = world();
    world.desired = vec![annotated("ConfigMap", "a", &[(HELPER_ANNOTATION, "soon")])];
    assert_eq!(skips(&world)["a"], Reason::Invalid);
}
