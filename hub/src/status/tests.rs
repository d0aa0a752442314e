use std::sync::Arc;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::Epoch;
use flotilla_shared::report::Report;

use super::*;
use crate::fleet::{ClusterRecord, Event, Hello, SessionId};
use crate::spec;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments: [{name: prod, branch: prod}]
applications: [{name: web, repository: fleet, path: web}]
";

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

/// A fleet of one cluster that accepted its assignment and reported `commit` as synced and healthy.
fn fleet(reported: &str) -> Fleet {
    let name: ClusterName = "c".parse().unwrap();
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", FILE).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), at(0));
    let record = ClusterRecord {
        environment: Some("prod".parse().unwrap()),
        ..ClusterRecord::default()
    };
    fleet.step(Event::ClusterPut(name.clone(), record), at(0));
    let event = Event::HeadsRead {
        repository: "fleet".parse().unwrap(),
        asked: vec!["prod".parse().unwrap()],
        found: [("prod".parse().unwrap(), "a".repeat(40).parse().unwrap())].into(),
    };
    fleet.step(event, at(1));
    let accepted = fleet.clusters()[&name].assigned_ref();
    let hello = Hello {
        accepted,
        ..Hello::default()
    };
    fleet.step(Event::Connected(name.clone(), SessionId(1), hello), at(2));
    let report = ApplicationReport {
        revision: Some(flotilla_shared::revision::Revision {
            repository: "fleet".parse().unwrap(),
            branch: "prod".parse().unwrap(),
            commit: reported.repeat(40).parse().unwrap(),
        }),
        sync: Sync::Synced,
        health: Health::Current,
        ..ApplicationReport::default()
    };
    let report = Report {
        applications: [("web".parse().unwrap(), report.into())].into(),
        assignment: accepted,
        ..Report::default()
    };
    fleet.step(
        Event::Reported(name, SessionId(1), report, Digest::of(b"r")),
        at(3),
    );
    fleet
}

#[test]
fn a_cluster_is_current_only_at_exactly_the_assigned_commit() {
    let current = |reported| environments(&fleet(reported), at(4))[0].current;
    assert_eq!(current("a"), 1);
    assert_eq!(
        current("b"),
        0,
        "an older commit's good health proves nothing"
    );
    assert_eq!(environments(&fleet("a"), at(400))[0].online, 0);
    assert_eq!(
        environments(&fleet("a"), at(400))[0].current,
        0,
        "nor does a stale report"
    );
}

#[test]
fn explain_walks_the_whole_chain() {
    let steps = explain(&fleet("a"), "c", at(4)).unwrap();
    let chain: Vec<_> = steps.iter().map(|step| step.step.as_str()).collect();
    let want = [
        "placement",
        "branch-head",
        "assignment",
        "delivery",
        "acceptance",
        "apply",
        "health",
    ];
    assert_eq!(chain, want);
    assert!(
        steps.iter().all(|step| step.state() == v1::StepState::Ok),
        "{steps:?}"
    );
    assert!(explain(&fleet("a"), "prod", at(4)).is_some());
    assert!(explain(&fleet("a"), "nothing", at(4)).is_none());
}

#[test]
fn filters_join_by_and() {
    let fleet = fleet("b");
    let name: ClusterName = "c".parse().unwrap();
    let matches = |filter: v1::ClusterFilter| {
        Filter::parse(Some(filter))
            .unwrap()
            .matches(&fleet, &name, at(4))
    };
    let environments = vec!["prod".to_owned()];
    assert!(matches(v1::ClusterFilter {
        environments,
        not_ready: true,
        ..Default::default()
    }));
    assert!(!matches(v1::ClusterFilter {
        environments: vec!["dev".into()],
        ..Default::default()
    }));
    assert!(!matches(v1::ClusterFilter {
        selector: "region".into(),
        ..Default::default()
    }));
}
