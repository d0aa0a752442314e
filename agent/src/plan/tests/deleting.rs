//! Which objects are deleted, and which are not: budgets, hand-overs, records without a UID.

use super::*;

/// An application of `count` objects that run as they should.
fn running(count: usize) -> World {
    let mut world = world();
    world.desired.clear();
    world.observed.live.clear();
    world.inventory = Inventory::default();
    for number in 0..count {
        let name = format!("o{number:02}");
        world.inventory.insert(entry("ConfigMap", &name, "5"));
        let object = object("ConfigMap", &name);
        world.observed.live.insert(object, live("5"));
    }
    world
}

#[test]
fn p13_a_removal_is_judged_by_its_number_and_not_by_its_share() {
    for count in [1, 4, 10] {
        let mut world = running(count);
        world.intent = Intent::Remove;
        assert_eq!(world.pruned().len(), count, "all of {count}");
    }
    let mut world = running(11);
    world.intent = Intent::Remove;
    assert_eq!(world.pruned(), Vec::<String>::new());
    assert_eq!(world.held(), [Reason::DeleteBudget; 11]);
}

#[test]
fn p13_what_leaves_a_commit_is_judged_by_its_share_too() {
    let mut world = running(10);
    world.desired = (0..5)
        .map(|number| desired("ConfigMap", &format!("o{number:02}")))
        .collect();
    assert_eq!(world.pruned().len(), 5, "one half may go");
    world.desired.pop();
    assert_eq!(world.pruned(), Vec::<String>::new());
    assert_eq!(world.held(), [Reason::DeleteBudget; 6]);
}

/// The message of the first object that is held.
fn says(world: &World) -> String {
    let held = world.plan().rest.into_iter().find_map(|step| match step {
        Step::Hold(_, _, message) => Some(message),
        _ => None,
    });
    held.unwrap_or_default()
}

#[test]
fn p13_over_the_budget_it_says_how_many_which_and_how_a_removal_is_confirmed() {
    let mut world = running(11);
    world.intent = Intent::Remove;
    let text = says(&world);
    for part in [
        "11 of 11 objects",
        "kubectl -n flotilla-system annotate configmap flotilla-inventory-app-0",
        "o04, ...",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("o05"), "{text}");
    // Five names are listed in full. Without a confirmation to give, no command is suggested: a commit is
    // corrected in Git.
    let mut world = running(6);
    world.desired = vec![desired("ConfigMap", "o05")];
    let text = says(&world);
    assert!(text.ends_with("o04"), "{text}");
    assert!(!text.contains("kubectl"), "{text}");
}

#[test]
fn p03_a_hand_over_that_cannot_be_seen_is_remembered_until_it_is() {
    let b = object("ConfigMap", "b");
    let forgets = |world: &World| world.plan().rest.contains(&Step::Forget(b.clone()));
    let mut world = world();
    world.claims.owners = [(b.clone(), vec!["other".into()])].into();
    world.observed.live.remove(&b);
    assert!(forgets(&world), "it is gone: nothing is left to hand over");
    world.observed.complete = false;
    assert!(!forgets(&world), "it may be there");
    assert_eq!(world.held(), Vec::<Reason>::new());
}

#[test]
fn p03_a_removal_says_for_whom_an_object_waits() {
    let mut world = world();
    world.claims.owners = [(object("ConfigMap", "b"), vec!["other".into()])].into();
    assert_eq!(
        world.held(),
        Vec::<Reason>::new(),
        "a commit has a next pass"
    );
    for intent in [Intent::Remove, Intent::Release] {
        world.intent = intent;
        world.desired.clear();
        world.inventory = Inventory::new([entry("ConfigMap", "b", "2")]);
        assert_eq!(world.held(), [Reason::DependencyNotReady]);
        assert_eq!(
            says(&world),
            "kept; waiting for application other to take it over"
        );
    }
}

#[test]
fn p03_what_may_have_moved_to_what_cannot_be_assigned_yet_is_kept_and_says_so() {
    for intent in [Intent::Run, Intent::Remove] {
        let mut world = world();
        world.intent = intent;
        world.removal_confirmed = true;
        if intent == Intent::Remove {
            world.desired.clear();
        }
        world.claims.complete = false;
        world.claims.unresolved = vec!["shop".into()];
        assert_eq!(world.pruned(), Vec::<String>::new());
        let text = says(&world);
        assert!(
            text.contains("cannot be assigned yet: shop (flotilla explain"),
            "{text}"
        );
    }
}

#[test]
fn a_record_without_a_uid_is_believed_where_the_object_names_its_application() {
    // The agent died after the apply and before it recorded the UID.
    let b = object("ConfigMap", "b");
    let mut world = world();
    world.inventory = Inventory::new([entry("ConfigMap", "a", "1"), entry("ConfigMap", "b", "")]);
    assert_eq!(world.pruned(), ["b 2"]);
    let live = world.observed.live.get_mut(&b).unwrap();
    live.application = String::new();
    assert_eq!(world.pruned(), Vec::<String>::new());
    assert!(world.plan().rest.contains(&Step::Forget(b)));
}

#[test]
fn what_waits_for_its_finalizers_is_not_deleted_again() {
    let mut world = world();
    let b = world.observed.live.get_mut(&object("ConfigMap", "b"));
    b.unwrap().terminating = true;
    assert_eq!(world.held(), [Reason::WaitingForFinalizer]);
}

#[test]
fn a_plan_that_writes_anything_is_something_to_do() {
    let mut world = world();
    assert!(!world.plan().is_noop(), "b is deleted");
    world.inventory.remove(&object("ConfigMap", "b"));
    assert!(world.plan().is_noop());
    world.desired.push(desired("ConfigMap", "new"));
    assert!(!world.plan().is_noop(), "`new` is made");
}

#[test]
fn claims_as_if_some_applications_desired_something_else() {
    let [a, b, c] = ["a", "b", "c"].map(|name| Arc::new(desired("ConfigMap", name)));
    let now = Claims::of_one("shop", &[Arc::clone(&a), Arc::clone(&b)]);
    assert!(now.complete);
    assert!(now.desired_by_another(&a.object, "web"));
    assert!(!now.desired_by_another(&a.object, "shop"));
    assert!(!now.desired_by_another(&c.object, "web"));
    // `b` moves from shop to the other application, and both want `c`.
    let states = [
        (
            "shop".into(),
            Arc::new(vec![Arc::clone(&a), Arc::clone(&c)]),
        ),
        (
            "alpha".into(),
            Arc::new(vec![Arc::clone(&b), Arc::clone(&c)]),
        ),
    ];
    let then = now.as_if(&states.into());
    assert!(then.complete);
    let owners = |object: &ObjectRef| -> Vec<String> {
        let owners = then.owners.get(object).into_iter().flatten();
        owners.map(ToString::to_string).collect()
    };
    assert_eq!(owners(&a.object), ["shop"]);
    assert_eq!(owners(&b.object), ["alpha"]);
    assert_eq!(owners(&c.object), ["alpha", "shop"], "sorted");
    // An application that desires nothing claims nothing; the others keep their claims.
    let none = then.as_if(&[("shop".into(), Arc::new(Vec::new()))].into());
    assert!(!none.owners.contains_key(&a.object));
    assert_eq!(none.owners.get(&c.object), Some(&vec!["alpha".into()]));
}

#[test]
fn p12_protected_kinds_wait_for_a_confirmation() {
    let mut world = world();
    let namespace = object("Namespace", "web");
    world.inventory.insert(entry("Namespace", "web", "9"));
    world.observed.live.insert(namespace.clone(), live("9"));
    assert_eq!(world.held(), [Reason::ProtectedKind]);
    world.observed.live.get_mut(&namespace).unwrap().prune = "confirmed".to_owned();
    assert_eq!(world.pruned(), ["b 2", "web 9"], "namespaces go last");
}

#[test]
fn p11_a_definition_is_held_with_the_number_of_its_custom_resources() {
    let definition = ObjectRef::from(ObjectNames {
        group: "apiextensions.k8s.io".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        namespace: String::new(),
        name: "widgets.example.com".to_owned(),
    });
    let mut world = world();
    world.inventory.insert(Entry {
        object: definition.clone(),
        ..entry("ConfigMap", "b", "9")
    });
    world.observed.live.insert(definition.clone(), live("9"));
    assert_eq!(world.held(), [Reason::ProtectedKind]);
    assert!(says(&world).ends_with("to delete it"), "{}", says(&world));
    world.observed.custom_resources = [(definition.clone(), 12)].into();
    let text = says(&world);
    assert!(text.ends_with("and with it 12 custom resources"), "{text}");
    // An object that is never deleted takes no custom resources along.
    let live = world.observed.live.get_mut(&definition).unwrap();
    live.prune = "disabled".to_owned();
    assert!(!says(&world).contains("12"), "{}", says(&world));
}

#[test]
fn p13_over_the_budget_nothing_is_deleted_and_applies_go_on() {
    let mut world = world();
    world.policy.delete_budget = DeleteBudget {
        count: 0,
        percent: 100,
    };
    world.desired.push(desired("ConfigMap", "new"));
    assert!(world.pruned().is_empty());
    assert_eq!(world.held(), [Reason::DeleteBudget]);
    assert_eq!(world.plan().apply.len(), 1);
}

#[test]
fn p14_partial_knowledge_deletes_nothing() {
    let mut world = world();
    world.observed.complete = false;
    assert!(world.pruned().is_empty());
    world.observed.live.clear();
    assert!(world.pruned().is_empty());
    assert_eq!(world.held(), [Reason::PartialDiscovery]);
    assert!(says(&world).contains("completely; nothing"));
    world.observed.stale_groups = vec!["metrics.k8s.io".to_owned()];
    let text = says(&world);
    assert!(text.contains("of API group metrics.k8s.io)"), "{text}");
}

#[test]
fn p14_what_was_prepared_while_its_kind_was_not_known_does_not_leave() {
    let unplaced = ObjectRef::from(ObjectNames {
        namespace: String::new(),
        ..object("ConfigMap", "b").into()
    });
    let mut world = world();
    let prepared = Desired::new(unplaced.clone(), "v1".to_owned(), &json!({}));
    world.desired.push(prepared);
    assert_eq!(world.pruned(), Vec::<String>::new());
    assert!(world.held().is_empty());
    // Its kind is not served at all, and may stay so for a long time.
    world.observed.unknown_kinds = [unplaced.clone()].into();
    assert_eq!(world.held(), [Reason::InventoryUnavailable]);
    assert_eq!(world.pruned(), Vec::<String>::new());
    // What another application desires in the same way does not leave either.
    world.desired.pop();
    assert_eq!(world.pruned(), ["b 2"]);
    world.claims.owners = [(unplaced, vec!["other".into()])].into();
    assert_eq!(world.pruned(), Vec::<String>::new());
}

#[test]
fn p14_what_another_application_may_want_is_kept_with_its_name() {
    let b = object("ConfigMap", "b");
    let unplaced = ObjectRef::from(ObjectNames {
        namespace: String::new(),
        ..b.clone().into()
    });
    for intent in [Intent::Run, Intent::Remove] {
        let mut world = world();
        world.intent = intent;
        world.claims.owners = [(unplaced.clone(), vec!["app".into(), "other".into()])].into();
        let rest = world.plan().rest;
        let told = rest.iter().find_map(|step| match step {
            Step::Hold(object, Reason::InventoryUnavailable, told) if *object == b => Some(told),
            _ => None,
        });
        let told = told.unwrap_or_else(|| panic!("{rest:?}"));
        assert!(told.contains("application other may want it,"), "{told}");
        // An object that is gone, or belongs to others now, is forgotten.
        world.observed.live.remove(&b);
        assert!(world.plan().rest.contains(&Step::Forget(b.clone())));
        // The other application's placement is known: it takes the object over as it is.
        world.observed.live.insert(b.clone(), live("2"));
        let other: Vec<Arc<str>> = vec!["other".into()];
        world.claims.owners = [(b.clone(), other.clone()), (unplaced.clone(), other)].into();
        let waits = [Reason::DependencyNotReady];
        let held: &[Reason] = if intent == Intent::Remove {
            &waits
        } else {
            &[]
        };
        assert_eq!(world.held(), held);
        assert_eq!(world.pruned(), Vec::<String>::new());
    }
}

#[test]
fn p16_another_uid_is_not_ours() {
    let mut world = world();
    world
        .observed
        .live
        .get_mut(&object("ConfigMap", "b"))
        .unwrap()
        .uid = "3".to_owned();
    assert!(world.pruned().is_empty());
}

#[test]
fn p17_objects_outside_the_inventory_are_never_pruned() {
    let mut world = world();
    world
        .observed
        .live
        .insert(object("ConfigMap", "child"), live("7"));
    assert_eq!(world.pruned(), ["b 2"]);
}
