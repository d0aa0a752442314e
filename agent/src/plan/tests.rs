use flotilla_shared::object::{ObjectNames, ObjectRef};
use serde_json::json;

mod deleting;
mod helpers;
mod owning;
mod proof;
mod waiting;
mod waves;

use super::*;
use crate::inventory::Entry;
use crate::policy::DeleteBudget;

fn object(kind: &str, name: &str) -> ObjectRef {
    ObjectRef::from(ObjectNames {
        group: String::new(),
        kind: kind.to_owned(),
        namespace: if kind == "Namespace" {
            String::new()
        } else {
            "web".to_owned()
        },
        name: name.to_owned(),
    })
}

fn desired(kind: &str, name: &str) -> Desired {
    Desired::new(object(kind, name), "v1".to_owned(), &json!({}))
}

fn annotated(kind: &str, name: &str, annotations: &[(&str, &str)]) -> Desired {
    let annotations: BTreeMap<&str, &str> = annotations.iter().copied().collect();
    let value = json!({"metadata": {"annotations": annotations}});
    let mut object = object(kind, name);
    if kind == "Job" {
        object = ObjectRef::from(ObjectNames {
            group: "batch".to_owned(),
            ..object.into()
        });
    }
    Desired::new(object, "v1".to_owned(), &value)
}

fn entry(kind: &str, name: &str, uid: &str) -> Entry {
    Entry {
        object: object(kind, name),
        version: "v1".to_owned(),
        uid: uid.to_owned(),
        applied: String::new(),
    }
}

fn live(uid: &str) -> Live {
    Live {
        uid: uid.to_owned(),
        application: "app".to_owned(),
        applied_by_us: true,
        prune: String::new(),
        terminating: false,
        fit: Fit::Equal,
        health: Health::Current,
        overdue: false,
    }
}

struct World {
    desired: Vec<Desired>,
    observed: Observed,
    contested: BTreeMap<ObjectRef, String>,
    finished_hooks: BTreeSet<ObjectRef>,
    drift: Drift,
    intent: Intent,
    inventory_proven: bool,
    removal_confirmed: bool,
    waits_for: Option<&'static str>,
    inventory: Inventory,
    policy: Policy,
    claims: Claims,
    prune_enabled: bool,
}

/// `a` and `b` run; the commit wants `a` only.
fn world() -> World {
    World {
        desired: vec![desired("ConfigMap", "a")],
        observed: Observed {
            live: [
                (object("ConfigMap", "a"), live("1")),
                (object("ConfigMap", "b"), live("2")),
            ]
            .into(),
            complete: true,
            unknown_kinds: BTreeSet::new(),
            ..Observed::default()
        },
        inventory: Inventory::new([entry("ConfigMap", "a", "1"), entry("ConfigMap", "b", "2")]),
        policy: Policy::default(),
        claims: Claims {
            complete: true,
            ..Claims::default()
        },
        prune_enabled: true,
        contested: BTreeMap::new(),
        finished_hooks: BTreeSet::new(),
        drift: Drift::Correct,
        intent: Intent::Run,
        inventory_proven: true,
        removal_confirmed: false,
        waits_for: None,
    }
}

impl World {
    fn plan(&self) -> Plan {
        let desired: Vec<Arc<Desired>> = self.desired.iter().cloned().map(Arc::new).collect();
        plan(&Inputs {
            application: "app",
            desired: &desired,
            observed: &self.observed,
            inventory: &self.inventory,
            policy: &self.policy,
            own_namespace: "flotilla-system",
            claims: &self.claims,
            prune_enabled: self.prune_enabled,
            drift: self.drift,
            contested: &self.contested,
            finished_hooks: &self.finished_hooks,
            intent: self.intent,
            inventory_proven: self.inventory_proven,
            removal_confirmed: self.removal_confirmed,
            waits_for: self.waits_for,
        })
    }

    fn pruned(&self) -> Vec<String> {
        let plan = self.plan();
        plan.prune
            .into_iter()
            .flatten()
            .map(|step| match step {
                Step::Prune(object, uid) => format!("{} {uid}", object.name),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn held(&self) -> Vec<Reason> {
        self.plan()
            .rest
            .into_iter()
            .filter_map(|step| match step {
                Step::Hold(_, reason, _) => Some(reason),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn what_left_the_set_is_pruned_by_uid() {
    assert_eq!(world().pruned(), ["b 2"]);
}

#[test]
fn p01_p05_an_empty_render_is_refused_whole() {
    let mut world = world();
    world.desired.clear();
    let plan = world.plan();
    let reason = plan.refused.map(|problem| problem.reason);
    assert_eq!(reason, Some(Reason::EmptyRender));
    assert!(plan.prune.is_empty());
}

#[test]
fn p03_a_hand_over_forgets_instead_of_deleting() {
    let mut world = world();
    world
        .claims
        .owners
        .insert(object("ConfigMap", "b"), vec!["other".into()]);
    assert!(world.pruned().is_empty());
    let forgets = |world: &World| {
        let step = Step::Forget(object("ConfigMap", "b"));
        world.plan().rest.contains(&step)
    };
    assert!(!forgets(&world), "remembered until the other one took it");
    let taken = world.observed.live.get_mut(&object("ConfigMap", "b"));
    "other".clone_into(&mut taken.unwrap().application);
    assert!(forgets(&world));
    let mut world = self::world();
    world.claims.complete = false;
    assert!(
        world.pruned().is_empty(),
        "it may have moved to the application that is not known"
    );
}

#[test]
fn p19_an_object_of_another_application_is_refused_with_its_owner() {
    let mut world = world();
    world
        .claims
        .owners
        .insert(object("ConfigMap", "a"), vec!["other".into()]);
    let skipped = world.plan().rest.into_iter().find_map(|step| match step {
        Step::Skip(_, reason, message) => Some(Problem { reason, message }),
        _ => None,
    });
    let Problem { reason, message } = skipped.unwrap();
    assert_eq!(reason, Reason::OwnedByAnotherApplication);
    assert!(message.contains("application other"), "{message}");
}

#[test]
fn prune_annotations_and_modes_hold() {
    let b = object("ConfigMap", "b");
    for (annotation, reason) in [
        ("disabled", Reason::PruneDisabled),
        ("confirm", Reason::ConfirmationRequired),
    ] {
        let mut world = world();
        world.observed.live.get_mut(&b).unwrap().prune = annotation.to_owned();
        assert_eq!(world.held(), [reason]);
        assert!(world.pruned().is_empty());
    }
    let mut world = world();
    world.prune_enabled = false;
    assert_eq!(world.held(), [Reason::PruneDisabled]);
}

#[test]
fn phases_put_namespaces_and_definitions_first() {
    let mut world = world();
    world.observed.live.clear();
    world.desired = [
        "Widget",
        "Service",
        "CustomResourceDefinition",
        "Namespace",
        "ConfigMap",
    ]
    .map(|kind| desired(kind, "x"))
    .into();
    let order: Vec<Vec<usize>> = world
        .plan()
        .apply
        .into_iter()
        .map(|phase| {
            phase
                .into_iter()
                .map(|step| match step {
                    Step::Apply {
                        index,
                        create: true,
                        ..
                    } => index,
                    other => panic!("{other:?}"),
                })
                .collect()
        })
        .collect();
    assert_eq!(order, [vec![3], vec![2], vec![1, 4], vec![0]]);
}

#[test]
fn p14_what_cannot_be_looked_at_is_neither_made_nor_forgotten() {
    let mut world = world();
    world.observed.live.clear();
    world.observed.complete = false;
    world.observed.unseen = [object("ConfigMap", "a"), object("ConfigMap", "b")].into();
    let problem = Problem::new(Reason::Forbidden, "configmaps is forbidden");
    world.observed.problem = Some(problem);
    let made = world.plan();
    assert!(made.is_noop(), "{made:?}");
    let [
        Step::Skip(skipped, Reason::Forbidden, why),
        Step::Hold(held, ..),
    ] = &made.rest[..]
    else {
        panic!("{made:?}");
    };
    assert_eq!(skipped, &object("ConfigMap", "a"));
    assert_eq!(held, &object("ConfigMap", "b"));
    assert!(why.ends_with("configmaps is forbidden"), "{why}");
}

#[test]
fn p19_of_two_claimants_the_holder_keeps_it() {
    let claims = Claims {
        owners: [(
            object("ConfigMap", "a"),
            vec!["a-newcomer".into(), "app".into()],
        )]
        .into(),
        complete: true,
        ..Claims::default()
    };
    let mut world = world();
    world.claims = claims;
    assert!(
        world
            .plan()
            .rest
            .contains(&Step::Unchanged(object("ConfigMap", "a")))
    );
    world.observed.live.remove(&object("ConfigMap", "a"));
    let plan = world.plan();
    assert!(
        plan.rest
            .iter()
            .any(|s| matches!(s, Step::Skip(_, Reason::OwnedByAnotherApplication, _)))
    );
}

#[test]
fn a_removed_application_prunes_within_its_budget() {
    let mut world = world();
    world.desired.clear();
    world.intent = Intent::Remove;
    assert_eq!(world.pruned(), ["a 1", "b 2"]);
    for number in 0..20 {
        let name = format!("many{number}");
        world.inventory.insert(entry("ConfigMap", &name, "5"));
        let id = object("ConfigMap", &name);
        world.observed.live.insert(id, live("5"));
    }
    assert!(world.pruned().is_empty(), "p13: over the budget");
}

fn skips(world: &World) -> BTreeMap<String, Reason> {
    world
        .plan()
        .rest
        .into_iter()
        .filter_map(|step| match step {
            Step::Skip(object, reason, _) => Some((object.name.clone(), reason)),
            _ => None,
        })
        .collect()
}

fn applies(world: &World) -> Vec<String> {
    world
        .plan()
        .apply
        .into_iter()
        .flatten()
        .filter_map(|step| match step {
            Step::Apply { index, .. } => Some(world.desired[index].object.name.clone()),
            _ => None,
        })
        .collect()
}

/// Creates the live object as desired, with this health.
fn make_live(world: &mut World, index: usize, health: Health) {
    let mut live = live("x");
    live.health = health;
    let object = world.desired[index].object.clone();
    world.observed.live.insert(object, live);
}

#[test]
fn hooks_run_before_after_and_on_failure_once_for_a_content() {
    let mut world = world();
    world.inventory = Inventory::default();
    world.observed.live.clear();
    world.desired = vec![
        annotated("Job", "before", &[(HOOK_ANNOTATION, "pre-sync")]),
        annotated("ConfigMap", "main", &[]),
        annotated("Job", "after", &[(HOOK_ANNOTATION, "post-sync")]),
        annotated("Job", "rescue", &[(HOOK_ANNOTATION, "on-failure")]),
    ];
    assert_eq!(applies(&world), ["before"]);
    make_live(&mut world, 0, Health::InProgress);
    assert_eq!(applies(&world), Vec::<String>::new());
    assert_eq!(skips(&world)["main"], Reason::DependencyNotReady);
    make_live(&mut world, 0, Health::Failed);
    assert_eq!(skips(&world)["main"], Reason::HookFailed);
    assert_eq!(applies(&world), ["rescue"]);
    // The hook's Job has been deleted by its time-to-live, but is remembered.
    world.observed.live.clear();
    let before = world.desired[0].object.clone();
    world.finished_hooks.insert(before);
    assert_eq!(applies(&world), ["main"]);
    make_live(&mut world, 1, Health::Current);
    assert_eq!(applies(&world), ["after"]);
    make_live(&mut world, 2, Health::Current);
    assert!(world.plan().is_noop());
}

#[test]
fn drift_is_corrected_reported_or_left_alone_for_a_while() {
    let mut world = world();
    let a = object("ConfigMap", "a");
    let mut known = entry("ConfigMap", "a", "1");
    known.applied = world.desired[0].short_digest();
    world.inventory.remove(&a);
    world.inventory.insert(known);
    world.observed.live.get_mut(&a).unwrap().fit = Fit::Differs {
        fields: vec!["/data/x".to_owned()],
        manager: "kubectl-edit".to_owned(),
    };
    let plan = world.plan();
    assert!(matches!(plan.apply[0][0], Step::Apply { drift: true, .. }));
    world.drift = Drift::Report;
    assert_eq!(skips(&world)["a"], Reason::Drifted);
    world.drift = Drift::Correct;
    world.contested.insert(a, "fight".to_owned());
    assert_eq!(skips(&world)["a"], Reason::Contested);
}
