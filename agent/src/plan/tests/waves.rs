//! What later waves wait for.

use super::*;

/// Kinds that become healthy only through what comes later hold up no wave.
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
                // A claim never fails.
                let is_bound_by_use = kind == "PersistentVolumeClaim" && word.is_empty();
                world.desired = vec![first, made("", "ConfigMap", "later", json!({}))];
                let plan = world.plan();
                assert_eq!(!plan.apply.is_empty(), is_free, "{kind} {health} {word:?}");
                // Not there yet, or not as it is wanted: everything waits for that.
                for live in world.observed.live.values_mut() {
                    live.fit = Fit::Unknown;
                }
                let plan = world.plan();
                let waits =
                    |step: &Step| matches!(step, Step::Skip(object, ..) if object.name == "later");
                assert!(plan.rest.iter().any(waits), "{kind}");
                // What comes after all waits for all of it, but for what its user binds.
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
