//! What is reported of an assignment, and when.

use flotilla_shared::report::SUSPENDED_BY_HUB;

use super::*;

type Reports = watch::Receiver<Option<Arc<Report>>>;

fn registry() -> (Registry, Reports) {
    let (reports, read) = watch::channel(None);
    (Registry::new(reports, Metrics::default()), read)
}

fn assigned() -> (AssignmentRef, Digest) {
    (AssignmentRef::default(), Digest::default())
}

fn names(all: &[&str]) -> BTreeSet<ApplicationName> {
    all.iter().map(|name| name.parse().unwrap()).collect()
}

/// An assignment that removes all of them.
fn all<'n>(names: &'n BTreeSet<ApplicationName>, suspended: Option<&'static str>) -> Names<'n> {
    static NONE: BTreeSet<ApplicationName> = BTreeSet::new();
    Names {
        names,
        changed: names,
        removes: names,
        unresolved: &NONE,
        suspended,
        is_recorded: true,
    }
}

fn suspended(reports: &Reports) -> String {
    let report = reports.borrow();
    report.as_ref().unwrap().suspended.clone()
}

#[test]
fn a_removal_that_ends_the_last_worker_ends_its_suspension_too() {
    let (registry, reports) = registry();
    let standing = CancellationToken::new();
    let both = names(&["api", "web"]);
    let by_hub = Some(SUSPENDED_BY_HUB);
    registry.assign(assigned(), all(&both, by_hub));
    assert_eq!(suspended(&reports), "", "no worker has stopped yet");
    let report = ApplicationReport::default();
    for name in &both {
        registry.report(name, &report, Some(false), by_hub, &standing);
    }
    assert_eq!(suspended(&reports), SUSPENDED_BY_HUB);
    // After a resume, both have a pass that removes all their objects, and neither reports after it.
    registry.assign(assigned(), all(&both, None));
    let (api, web) = ("api".parse().unwrap(), "web".parse().unwrap());
    registry.remove(&api, Intent::Remove, &standing);
    assert_eq!(suspended(&reports), SUSPENDED_BY_HUB, "web has not resumed");
    registry.remove(&web, Intent::Remove, &standing);
    assert_eq!(suspended(&reports), "");
}

#[test]
fn promise_4_a_report_that_may_lack_something_does_not_say_what_it_is_declared_as() {
    let (registry, reports) = registry();
    let standing = CancellationToken::new();
    let declared = (AssignmentRef::default(), Digest::of(b"declared"));
    let specified = || reports.borrow().as_ref().unwrap().specified;
    let both = names(&["api", "web"]);
    let started = Names {
        is_recorded: false,
        ..all(&both, None)
    };
    registry.assign(declared, started);
    let report = ApplicationReport::default();
    registry.report(
        &"api".parse().unwrap(),
        &report,
        Some(true),
        None,
        &standing,
    );
    registry.report(
        &"web".parse().unwrap(),
        &report,
        Some(true),
        None,
        &standing,
    );
    assert!(specified().is_none(), "its inventories were not listed yet");
    let left = names(&["api", "left", "web"]);
    registry.assign(declared, all(&left, None));
    assert!(specified().is_none(), "nothing is said of one of them");
    registry.report(
        &"left".parse().unwrap(),
        &report,
        Some(true),
        None,
        &standing,
    );
    assert_eq!(specified(), declared.1);
}

/// At the same commit, with another path, say.
#[test]
fn promise_4_what_was_reported_of_the_task_before_does_not_count_for_the_next() {
    let (registry, reports) = registry();
    let standing = CancellationToken::new();
    let both = names(&["api", "web"]);
    registry.assign(assigned(), all(&both, None));
    let done = ApplicationReport {
        sync: SyncState::Synced,
        health: Health::Current,
        ..ApplicationReport::default()
    };
    for name in &both {
        registry.report(name, &done, Some(true), None, &standing);
    }
    let changed = names(&["web"]);
    let next = Names {
        changed: &changed,
        ..all(&both, None)
    };
    registry.assign(assigned(), next);
    let report = reports.borrow().clone().unwrap();
    let sync = |name: &str| report.applications[name].sync;
    assert_eq!(sync("api"), SyncState::Synced);
    assert_eq!(sync("web"), SyncState::Applying);
}

#[test]
fn without_any_application_the_suspension_is_known_at_once() {
    let (registry, reports) = registry();
    let none = BTreeSet::new();
    let by_hub = Some(SUSPENDED_BY_HUB);
    registry.assign(assigned(), all(&none, by_hub));
    assert_eq!(suspended(&reports), SUSPENDED_BY_HUB);
    registry.assign(assigned(), all(&none, None));
    assert_eq!(suspended(&reports), "");
}

/// Objects of `web` may be on their way to `shop`, which only the hub knows about.
#[test]
fn p03_nothing_is_complete_while_the_hub_cannot_assign_what_is_declared() {
    let registry = Registry::new(watch::Sender::new(None), Metrics::default());
    let (web, none) = (names(&["web"]), BTreeSet::new());
    let assign = |unresolved: &BTreeSet<ApplicationName>| {
        let all = Names {
            names: &web,
            changed: &none,
            removes: &none,
            unresolved,
            suspended: None,
            is_recorded: true,
        };
        registry.assign((AssignmentRef::default(), Digest::default()), all);
    };
    let standing = CancellationToken::new();
    let is_complete = || registry.claims().borrow().complete;
    assign(&none);
    let web = "web".parse().unwrap();
    registry.desired_state(&web, &[], DesiredBy::Assignment, &standing);
    assert!(is_complete());
    assign(&names(&["shop"]));
    assert!(!is_complete());
    let mut told = registry.claims();
    assert_eq!(told.borrow().unresolved, [Arc::<str>::from("shop")]);
    // Once it is assigned, or no longer declared, every worker looks again.
    told.mark_unchanged();
    assign(&none);
    assert!(told.has_changed().unwrap() && is_complete());
}
