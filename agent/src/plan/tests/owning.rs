//! Who owns an object, and what happens to one that is not assigned, or no longer.

use super::*;

#[test]
fn p15_a_record_alone_deletes_nothing() {
    // The record is correct in every detail, but the object carries no mark of this agent.
    let b = object("ConfigMap", "b");
    let mut world = world();
    world.observed.live.get_mut(&b).unwrap().applied_by_us = false;
    assert!(world.pruned().is_empty());
    assert!(world.plan().rest.contains(&Step::Disown(b.clone())));
    // Not even with a copied mark, nor with an unknown UID.
    world.inventory = Inventory::new([entry("ConfigMap", "a", "1"), entry("ConfigMap", "b", "")]);
    assert!(world.pruned().is_empty());
    world.desired.clear();
    for intent in [Intent::Remove, Intent::Release, Intent::Orphan] {
        world.intent = intent;
        let marked: &[&str] = match intent {
            // The other object carries the marks, and is deleted with its application.
            Intent::Remove => &["a 1"],
            _ => &[],
        };
        assert_eq!(world.pruned(), marked, "{intent:?}");
    }
    let a = object("ConfigMap", "a");
    world.observed.live.get_mut(&a).unwrap().applied_by_us = false;
    for intent in [Intent::Remove, Intent::Release, Intent::Orphan] {
        world.intent = intent;
        assert!(world.pruned().is_empty(), "{intent:?}");
        assert!(world.plan().rest.contains(&Step::Disown(a.clone())));
    }
}

#[test]
fn p15_a_record_that_was_changed_deletes_nothing_that_turn() {
    let mut world = world();
    world.inventory_proven = false;
    assert!(world.pruned().is_empty());
    assert_eq!(world.held(), [Reason::InventoryChanged]);
}

#[test]
fn an_orphan_keeps_and_remembers_what_nobody_took_over() {
    let (a, b) = (object("ConfigMap", "a"), object("ConfigMap", "b"));
    let mut world = world();
    world.desired.clear();
    world.intent = Intent::Orphan;
    assert!(world.pruned().is_empty());
    assert_eq!(world.held(), [Reason::NotAssigned, Reason::NotAssigned]);
    // By now one belongs to another application, and one is gone.
    let live = world.observed.live.get_mut(&a).unwrap();
    "shop".clone_into(&mut live.application);
    world.observed.live.remove(&b);
    assert_eq!(world.plan().rest, [Step::Forget(a), Step::Forget(b)]);
}

#[test]
fn a_removal_over_the_budget_waits_for_the_clusters_own_people() {
    let mut world = world();
    world.desired.clear();
    world.intent = Intent::Remove;
    world.policy.delete_budget = DeleteBudget {
        count: 1,
        percent: 0,
    };
    assert_eq!(world.held(), [Reason::DeleteBudget, Reason::DeleteBudget]);
    world.removal_confirmed = true;
    assert_eq!(world.pruned(), ["a 1", "b 2"]);
}

#[test]
fn an_application_that_waits_changes_nothing_and_is_not_touched_where_nothing_changes() {
    let mut world = world();
    world.waits_for = Some("base");
    let step = Step::Unchanged(object("ConfigMap", "a"));
    assert!(world.plan().rest.contains(&step));
    assert!(world.pruned().is_empty());
    assert_eq!(world.held(), [Reason::DependencyNotReady]);
    let live = world.observed.live.get_mut(&object("ConfigMap", "a"));
    live.unwrap().fit = Fit::Unknown;
    let plan = world.plan();
    assert!(plan.apply.is_empty());
    let is_skip = |step: &Step| matches!(step, Step::Skip(_, Reason::DependencyNotReady, _));
    assert!(plan.rest.iter().any(is_skip), "{plan:#?}");
}

#[test]
fn an_object_that_is_desired_twice_is_refused_by_name() {
    let mut world = world();
    world.desired.push(desired("ConfigMap", "a"));
    let Problem { reason, message } = world.plan().refused.unwrap();
    assert_eq!(reason, Reason::DuplicateObject);
    assert!(message.contains("web/a"), "{message}");
}
