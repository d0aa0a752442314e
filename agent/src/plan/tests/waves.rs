//! What later waves wait for, and which objects need another one.

use super::*;

/// Kinds that become healthy only through later objects do not hold up a wave.
#[test]
fn what_becomes_healthy_through_later_waves_holds_up_none() {
    let kinds = [
        ("", "PersistentVolumeClaim", true),
        ("", "Service", true),
        ("networking.k8s.io", "Ingress", true),
        ("autoscaling", "HorizontalPodAutoscaler", true),
        ("policy", "PodDisruptionBudget", true),
        ("apiregistration.k8s.io", "APIService", true),
        ("apps", "Deployment", false),
        ("batch", "Job", false),
        ("apiextensions.k8s.io", "CustomResourceDefinition", false),
    ];
    let made = |group: &str, kind: &str, name: &str, annotations: serde_json::Value| {
        let object = ObjectRef::from(ObjectNames {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: "web".to_owned(),
            name: name.to_owned(),
        });
        let value = json!({"metadata": {"annotations": annotations}});
        Desired::new(object, "v1".to_owned(), &value)
    };
    for (group, kind, is_free) in kinds {
        for health in [Health::InProgress, Health::Failed] {
            for (word, is_free) in [("", is_free), ("true", false), ("false", true)] {
                let annotations = match word {
                    "" => json!({WAVE_ANNOTATION: "-1"}),
                    word => json!({WAVE_ANNOTATION: "-1", WAIT_ANNOTATION: word}),
                };
                let first = made(group, kind, "first", annotations);
                let mut world = world();
                let mut live = live("7");
                live.health = health;
                world.observed.live = [(first.object.clone(), live)].into();
                world.inventory = Inventory::default();
                // A claim never counts as failed.
                let is_bound_by_use = kind == "PersistentVolumeClaim" && word.is_empty();
                world.desired = vec![first, made("", "ConfigMap", "later", json!({}))];
                let plan = world.plan();
                assert_eq!(!plan.apply.is_empty(), is_free, "{kind} {health} {word:?}");
                // Missing, or not as desired: everything waits for it.
                for live in world.observed.live.values_mut() {
                    live.fit = Fit::Unknown;
                }
                let plan = world.plan();
                let waits =
                    |step: &Step| matches!(step, Step::Skip(object, ..) if object.name == "later");
                assert!(plan.rest.iter().any(waits), "{kind}");
                // Objects after all waves wait for everything except claims that their own user binds.
                for live in world.observed.live.values_mut() {
                    live.fit = Fit::Equal;
                }
                let hook = annotated("Job", "hook", &[(HOOK_ANNOTATION, "post-sync")]);
                world.desired.truncate(1);
                world.desired.push(hook);
                let is_run = !world.plan().apply.is_empty();
                assert_eq!(is_run, is_bound_by_use, "{kind} {health} {word:?}");
            }
        }
    }
}

#[test]
fn waves_wait_for_health_and_dependencies_for_theirs() {
    let mut world = world();
    world.inventory = Inventory::default();
    world.observed.live.clear();
    world.desired = vec![
        annotated("ConfigMap", "second", &[(WAVE_ANNOTATION, "2")]),
        annotated("ConfigMap", "first", &[]),
        annotated(
            "ConfigMap",
            "needs",
            &[(
                DEPENDS_ON_ANNOTATION,
                "ConfigMap/first, ConfigMap/web/other",
            )],
        ),
        annotated("ConfigMap", "other", &[]),
        annotated(
            "ConfigMap",
            "lost",
            &[(DEPENDS_ON_ANNOTATION, "ConfigMap/nowhere")],
        ),
    ];
    assert_eq!(applies(&world), ["first", "other"]);
    make_live(&mut world, 1, Health::InProgress);
    make_live(&mut world, 3, Health::Current);
    assert_eq!(applies(&world), Vec::<String>::new());
    make_live(&mut world, 1, Health::Current);
    assert_eq!(applies(&world), ["needs"]);
    make_live(&mut world, 2, Health::Current);
    assert_eq!(skips(&world)["second"], Reason::DependencyNotReady);
    world.desired.pop();
    assert_eq!(applies(&world), ["second"]);
}

#[test]
fn circular_dependencies_are_named_and_block_nothing_else() {
    let mut world = world();
    world.observed.live.clear();
    world.desired = vec![
        annotated("ConfigMap", "a", &[(DEPENDS_ON_ANNOTATION, "ConfigMap/b")]),
        annotated("ConfigMap", "b", &[(DEPENDS_ON_ANNOTATION, "ConfigMap/a")]),
        annotated("ConfigMap", "c", &[]),
    ];
    assert_eq!(applies(&world), ["c"]);
    assert_eq!(skips(&world)["a"], Reason::Cycle);
}
