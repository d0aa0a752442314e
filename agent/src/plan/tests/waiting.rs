//! What changes have to wait for, and the message about it.

use super::*;

const LATER: &[(&str, &str)] = &[(WAVE_ANNOTATION, "1")];

/// An empty cluster, and these objects desired.
fn wants(desired: Vec<Desired>) -> World {
    let mut world = world();
    world.inventory = Inventory::default();
    world.observed.live.clear();
    world.desired = desired;
    world
}

fn live_of(world: &mut World, index: usize) -> &mut Live {
    let object = world.desired[index].object.clone();
    world.observed.live.get_mut(&object).unwrap()
}

/// Why an object is not applied.
fn why(world: &World, name: &str) -> Problem {
    let found = world.plan().rest.into_iter().find_map(|step| match step {
        Step::Skip(object, reason, message) if object.name == name => {
            Some(Problem { reason, message })
        }
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{name} is not skipped: {:#?}", world.plan()))
}

#[test]
fn a_later_wave_waits_for_the_change_and_not_only_for_health() {
    let mut world = wants(vec![
        annotated("ConfigMap", "first", &[]),
        annotated("ConfigMap", "second", LATER),
    ]);
    let second = |world: &World| why(world, "second").message;
    assert_eq!(
        second(&world),
        "waiting: ConfigMap web/first does not exist yet"
    );
    // The old content is healthy; the new one is not applied yet.
    make_live(&mut world, 0, Health::Current);
    live_of(&mut world, 0).fit = Fit::Unknown;
    assert_eq!(applies(&world), ["first"]);
    assert_eq!(
        second(&world),
        "waiting: ConfigMap web/first is not up to date yet"
    );
    make_live(&mut world, 0, Health::InProgress);
    assert_eq!(second(&world), "waiting: ConfigMap web/first is InProgress");
    make_live(&mut world, 0, Health::Failed);
    assert_eq!(second(&world), "waiting: ConfigMap web/first failed");
    make_live(&mut world, 0, Health::Current);
    assert_eq!(applies(&world), ["second"]);
}

#[test]
fn what_git_itself_suspends_is_as_far_as_it_gets() {
    let object = object("CronJob", "a");
    let made = |is_held: bool| {
        let body = json!({"spec": {"suspend": is_held}});
        Desired::new(object.clone(), "v1".to_owned(), &body)
    };
    let later = || annotated("ConfigMap", "second", LATER);
    let mut world = wants(vec![made(true), later()]);
    make_live(&mut world, 0, Health::Suspended);
    assert_eq!(applies(&world), ["second"]);
    live_of(&mut world, 0).fit = Fit::Unknown;
    assert_eq!(applies(&world), ["a"], "it is to be changed first");
    // The object was suspended by others.
    let mut world = wants(vec![made(false), later()]);
    make_live(&mut world, 0, Health::Suspended);
    assert_eq!(why(&world, "second").reason, Reason::DependencyNotReady);
}

#[test]
fn a_hook_over_its_deadline_has_failed() {
    let mut world = wants(vec![
        annotated("Job", "before", &[(HOOK_ANNOTATION, "pre-sync")]),
        annotated("ConfigMap", "main", &[]),
        annotated("Job", "rescue", &[(HOOK_ANNOTATION, "on-failure")]),
    ]);
    make_live(&mut world, 0, Health::InProgress);
    let Problem { reason, message } = why(&world, "main");
    assert_eq!(reason, Reason::DependencyNotReady);
    assert_eq!(
        message,
        "waiting: pre-sync hook Job.batch web/before is InProgress"
    );
    assert_eq!(applies(&world), Vec::<String>::new());
    live_of(&mut world, 0).overdue = true;
    let Problem { reason, message } = why(&world, "main");
    assert_eq!(reason, Reason::HookFailed);
    assert!(
        message.ends_with("before exceeded its deadline"),
        "{message}"
    );
    assert_eq!(applies(&world), ["rescue"]);
    // Only hooks have deadlines.
    let mut world = wants(vec![
        annotated("ConfigMap", "main", &[]),
        annotated("Job", "rescue", &[(HOOK_ANNOTATION, "on-failure")]),
    ]);
    make_live(&mut world, 0, Health::InProgress);
    live_of(&mut world, 0).overdue = true;
    assert_eq!(applies(&world), Vec::<String>::new());
}

#[test]
fn a_running_hook_is_not_compared_with_what_is_desired() {
    let mut world = wants(vec![
        annotated("Job", "before", &[(HOOK_ANNOTATION, "pre-sync")]),
        annotated("ConfigMap", "main", &[]),
    ]);
    make_live(&mut world, 0, Health::Unknown);
    live_of(&mut world, 0).fit = Fit::Unknown;
    let text = why(&world, "main").message;
    assert!(text.ends_with("before is Unknown"), "{text}");
    make_live(&mut world, 0, Health::Current);
    live_of(&mut world, 0).fit = Fit::Unknown;
    assert_eq!(applies(&world), ["main"]);
}

#[test]
fn a_helper_is_waited_for_until_it_is_as_desired_and_not_until_it_is_healthy() {
    for word in ["pre-sync", "both"] {
        let mut world = wants(vec![
            annotated("ConfigMap", "helper", &[(HELPER_ANNOTATION, word)]),
            annotated("ConfigMap", "main", &[]),
        ]);
        make_live(&mut world, 0, Health::InProgress);
        assert_eq!(applies(&world), ["main"], "{word}");
        live_of(&mut world, 0).fit = Fit::Unknown;
        assert_eq!(applies(&world), ["helper"], "{word}");
    }
    // A definition cannot be used before it is established.
    let mut world = wants(vec![
        annotated("ConfigMap", "helper", &[(HELPER_ANNOTATION, "first")]),
        annotated("ConfigMap", "main", &[]),
    ]);
    make_live(&mut world, 0, Health::InProgress);
    assert_eq!(applies(&world), Vec::<String>::new());
}

#[test]
fn what_is_only_made_is_waited_for_until_it_is_healthy() {
    let mut world = wants(vec![
        annotated("ConfigMap", "a", &[(CREATE_ONLY_ANNOTATION, "true")]),
        annotated("ConfigMap", "later", LATER),
    ]);
    make_live(&mut world, 0, Health::InProgress);
    assert_eq!(applies(&world), Vec::<String>::new());
}

#[test]
fn helpers_go_with_the_hooks_they_came_with() {
    const GOES: (&str, &str) = (HOOK_DELETE_ANNOTATION, "succeeded");
    let mut world = wants(vec![
        annotated(
            "ConfigMap",
            "early",
            &[(HELPER_ANNOTATION, "pre-sync"), GOES],
        ),
        annotated(
            "ConfigMap",
            "late",
            &[(HELPER_ANNOTATION, "post-sync"), GOES],
        ),
        annotated("ConfigMap", "always", &[(HELPER_ANNOTATION, "both"), GOES]),
        annotated("Job", "before", &[(HOOK_ANNOTATION, "pre-sync")]),
        annotated("Job", "after", &[(HOOK_ANNOTATION, "post-sync"), GOES]),
        annotated("Job", "rescue", &[(HOOK_ANNOTATION, "on-failure"), GOES]),
    ]);
    for index in 0..5 {
        make_live(&mut world, index, Health::Current);
        let object = world.desired[index].object.clone();
        let version = "v1".to_owned();
        let (uid, applied) = ("x".to_owned(), String::new());
        world.inventory.insert(Entry {
            object,
            version,
            uid,
            applied,
        });
    }
    make_live(&mut world, 4, Health::InProgress);
    assert_eq!(world.pruned(), ["early x"], "its phase is through");
    make_live(&mut world, 4, Health::Current);
    // Nothing failed, so that nothing waits for the rescue; a hook without a deletion policy stays.
    assert_eq!(world.pruned(), ["early x", "late x", "always x", "after x"]);
}

#[test]
fn dependencies_are_found_in_their_own_namespace_in_none_and_along_a_chain() {
    let depends =
        |name: &str, on: &str| annotated("ConfigMap", name, &[(DEPENDS_ON_ANNOTATION, on)]);
    let mut world = wants(vec![
        desired("Namespace", "web"),
        depends("a", "Namespace/web"),
        depends("b", "ConfigMap/a"),
        depends("c", "ConfigMap/web/b, ConfigMap/a"),
    ]);
    for (index, name) in ["web", "a", "b", "c"].into_iter().enumerate() {
        assert_eq!(applies(&world), [name], "one after another, and no circle");
        make_live(&mut world, index, Health::Current);
    }
}

#[test]
fn dependencies_that_can_never_be_met_are_told_apart() {
    let on = |text: &str| {
        let needs = annotated("ConfigMap", "needs", &[(DEPENDS_ON_ANNOTATION, text)]);
        wants(vec![needs, annotated("ConfigMap", "last", LATER)])
    };
    for text in ["ConfigMap/", "/last", "last", "a/b/c/d"] {
        let Problem { reason, message } = why(&on(text), "needs");
        assert_eq!(reason, Reason::DependencyNotReady, "{text}");
        assert!(
            message.contains(&format!("{text:?} is not an object")),
            "{message}"
        );
    }
    let told = why(&on("ConfigMap/gone"), "needs").message;
    assert!(
        told.ends_with("web/gone is not in this application"),
        "{told}"
    );
    // It would wait for objects that wait for it.
    let Problem { reason, message } = why(&on("ConfigMap/last"), "needs");
    assert_eq!(reason, Reason::Cycle);
    assert!(
        message.ends_with("web/last, which is in a later wave"),
        "{message}"
    );
}

#[test]
fn an_explicit_wave_counts_more_than_a_kind_and_admission_comes_last() {
    let of = |kind: &str, wave: &str| weight(&annotated(kind, "x", &[(WAVE_ANNOTATION, wave)]));
    let webhook = "ValidatingWebhookConfiguration";
    assert!(
        of("Widget", "0") < of(webhook, "0"),
        "it would judge the rest"
    );
    assert!(of("ConfigMap", "0") < of("Widget", "0"));
    for wave in -3..3 {
        let (this, next) = (wave.to_string(), (wave + 1).to_string());
        assert!(of(webhook, &this) < of("Namespace", &next), "{wave}");
    }
}

#[test]
fn drift_names_who_and_where_and_never_what() {
    let mut world = world();
    let a = object("ConfigMap", "a");
    world.drift = Drift::Report;
    let mut known = entry("ConfigMap", "a", "1");
    known.applied = world.desired[0].short_digest();
    world.inventory.remove(&a);
    world.inventory.insert(known);
    for (manager, told) in [
        (
            "kubectl-edit",
            r#"changed by manager "kubectl-edit": /data/x, /data/y"#,
        ),
        ("", "changed: /data/x, /data/y"),
    ] {
        world.observed.live.get_mut(&a).unwrap().fit = Fit::Differs {
            fields: vec!["/data/x".to_owned(), "/data/y".to_owned()],
            manager: manager.to_owned(),
        };
        assert_eq!(why(&world, "a"), Problem::new(Reason::Drifted, told));
    }
    // Without the mark it is not managed here, so it is taken over like any other desired object.
    world.observed.live.get_mut(&a).unwrap().application = String::new();
    let step = Step::Apply {
        index: 0,
        create: false,
        drift: false,
    };
    assert_eq!(world.plan().apply, [[step.clone()]]);
    // Another content was applied before, so this is a change and not drift.
    world.observed.live.get_mut(&a).unwrap().application = "app".to_owned();
    world.desired[0] = Desired::new(a, "v1".to_owned(), &json!({"data": {"x": "new"}}));
    assert_eq!(world.plan().apply, [[step]]);
}

#[test]
fn what_is_applied_is_what_the_commit_says() {
    let value = json!({"metadata": {"name": "a"}, "data": {"x": "1"}});
    let desired = Desired::new(object("ConfigMap", "a"), "v1".to_owned(), &value);
    assert_eq!(desired.value(), value);
    assert_eq!(desired.short_digest().len(), 16);
}
