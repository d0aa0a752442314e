//! Each fault has its finding, and a healthy fleet has none.

use flotilla_proto::v1;
use flotilla_shared::findings::{Findings, Outcome};
use flotilla_status::{Connectivity, Mark};
use jiff::{SignedDuration, Timestamp};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2030-01-01T00:00:00Z")
}

fn validity(name: &str, begin: &str, end: &str) -> Validity {
    Validity {
        fingerprint: name.repeat(8),
        begin: at(begin),
        end: at(end),
    }
}

fn root() -> Validity {
    validity("aa", "2029-01-01T00:00:00Z", "2039-01-01T00:00:00Z")
}

/// A healthy fleet.
fn good() -> CheckFacts {
    let wire = v1::GetHubResponse {
        version: "0.1.0".to_owned(),
        operator: "ada".to_owned(),
        fleet_digest: "d".repeat(64),
        rights: vec![v1::OperatorRight {
            role: "admin".to_owned(),
            environments: Vec::new(),
        }],
        store: "postgresql".to_owned(),
        decider: "10.0.0.1:8443".to_owned(),
        term: 2,
        ..v1::GetHubResponse::default()
    };
    let environment = v1::EnvironmentStatus {
        name: "prod".to_owned(),
        branch: "prod".to_owned(),
        branches: vec![v1::BranchStatus {
            revision: Some(v1::Revision {
                repository: "fleet".to_owned(),
                ..v1::Revision::default()
            }),
            ..v1::BranchStatus::default()
        }],
        ..v1::EnvironmentStatus::default()
    };
    let mut environment = Environment::from(&environment);
    environment.branches[0].checked_at = Some(now());
    let cluster = v1::ClusterStatus {
        name: "prod-1".to_owned(),
        connection: v1::Connection::Online.into(),
        agent_version: "0.1.4".to_owned(),
        ..v1::ClusterStatus::default()
    };
    CheckFacts {
        now: now(),
        version: "0.1.2",
        context: Ok(ContextFacts {
            name: "default".to_owned(),
            hub: "hub:8443".to_owned(),
            certificate: Some(validity(
                "cc",
                "2029-06-01T00:00:00Z",
                "2030-06-01T00:00:00Z",
            )),
            roots: vec![root()],
        }),
        hub: Some(Ok(HubFacts {
            hub: Hub {
                now: Some(now()),
                ..Hub::from(&wire)
            },
            roots: vec![root()],
            asked: (now(), now()),
        })),
        environments: Some(Ok(vec![environment])),
        clusters: Some(Ok(vec![Cluster::from(&cluster)])),
        fleet_file: Some(Ok(FleetFile {
            path: "fleet.yaml".to_owned(),
            digest: "d".repeat(64),
        })),
    }
}

fn missing(why: &str) -> FactError {
    FactError {
        why: why.to_owned(),
        hint: "do".to_owned(),
    }
}

/// Findings that are not ok, as `outcome group: text`.
fn faults(findings: &Findings) -> Vec<String> {
    let mut all = Vec::new();
    for group in &findings.groups {
        for finding in &group.findings {
            if finding.outcome != Outcome::Well {
                all.push(format!(
                    "{:?} {}: {}",
                    finding.outcome, group.name, finding.text
                ));
            }
        }
    }
    all
}

#[test]
fn where_all_is_well_nothing_is_found() {
    let findings = judge(&good());
    assert_eq!(faults(&findings), Vec::<String>::new());
    assert_eq!(findings.exit_code(), 0);
    let names: Vec<&str> = findings.groups.iter().map(|group| group.name).collect();
    assert_eq!(
        names,
        [
            "context",
            "clock",
            "hub",
            "authority",
            "rights",
            "fleet file",
            "environments",
            "clusters"
        ]
    );
}

/// A change of the facts, the expected finding, and the exit code.
type Case = (fn(&mut CheckFacts), &'static str, u8);

fn hub(facts: &mut CheckFacts) -> &mut HubFacts {
    facts.hub.as_mut().unwrap().as_mut().unwrap()
}

fn environment(facts: &mut CheckFacts) -> &mut Environment {
    &mut facts.environments.as_mut().unwrap().as_mut().unwrap()[0]
}

fn cluster(facts: &mut CheckFacts) -> &mut Cluster {
    &mut facts.clusters.as_mut().unwrap().as_mut().unwrap()[0]
}

fn mark() -> Mark {
    Mark::from(&v1::Mark {
        by: "bob".to_owned(),
        reason: "lunch".to_owned(),
        ..v1::Mark::default()
    })
}

const CASES: &[Case] = &[
    (
        |f| f.context = Err(missing("no file")),
        "Wrong context: no file",
        1,
    ),
    (
        |f| f.hub = Some(Err(missing("it does not answer"))),
        "Wrong hub: it does not answer",
        1,
    ),
    (
        |f| f.now = at("2030-04-01T00:00:00Z"),
        "Look context: your certificate ends on 2030-06-01 00:00 UTC: less than a fifth of its life is left",
        1, // The branch has not been read for too long by then.
    ),
    (
        |f| {
            let context = f.context.as_mut().unwrap();
            context.certificate = Some(validity(
                "cc",
                "2029-01-01T00:00:00Z",
                "2029-12-31T00:00:00Z",
            ));
        },
        "Wrong context: your certificate ended on 2029-12-31 00:00 UTC",
        1,
    ),
    (
        |f| {
            let context = f.context.as_mut().unwrap();
            context.certificate = Some(validity(
                "cc",
                "2030-02-01T00:00:00Z",
                "2031-02-01T00:00:00Z",
            ));
        },
        "Wrong context: your certificate begins on 2030-02-01 00:00 UTC",
        1,
    ),
    (
        |f| hub(f).hub.now = Some(now() + SignedDuration::from_secs(30)),
        "Look clock: the hub's clock is 30s ahead of this machine's",
        0,
    ),
    (
        |f| hub(f).hub.now = Some(now() - SignedDuration::from_secs(600)),
        "Wrong clock: the hub's clock is 600s behind this machine's",
        1,
    ),
    (
        |f| hub(f).hub.now = None,
        "Unknown clock: the hub does not tell its time: it is older than this program",
        2,
    ),
    (
        |f| hub(f).hub.version = "0.2.0".to_owned(),
        "Look hub: it runs 0.2.0, this program is 0.1.2: this program is older",
        0,
    ),
    (
        |f| hub(f).hub.store_failing = true,
        "Wrong hub: its store (postgresql) is not writable",
        1,
    ),
    (
        |f| hub(f).hub.decider = String::new(),
        "Look hub: no replica is recorded as the leader",
        0,
    ),
    (
        |f| hub(f).hub.fleet_errors = vec!["fleet.yaml:3: what?".to_owned()],
        "Wrong hub: the fleet file on its disk is not in force: fleet.yaml:3: what?",
        1,
    ),
    (
        |f| {
            let new = validity("bb", "2029-12-01T00:00:00Z", "2039-12-01T00:00:00Z");
            hub(f).roots.push(new);
        },
        "Look authority: this context lacks some of them, and will not trust the hub once the old root is gone",
        0,
    ),
    (
        |f| hub(f).roots[0].end = at("2030-03-01T00:00:00Z"),
        "Look authority: root aaaaaaaaaaaa, 365 days old, ends on 2030-03-01 00:00 UTC: less than a fifth \
         of its life is left",
        0,
    ),
    (
        |f| hub(f).hub.rights.clear(),
        "Wrong rights: ada has no role here",
        1,
    ),
    (
        |f| hub(f).hub.fleet_digest = "e".repeat(64),
        "Wrong fleet file: fleet.yaml is not in force at the hub",
        1,
    ),
    (
        |f| f.fleet_file = Some(Err(missing("cannot be read"))),
        "Wrong fleet file: cannot be read",
        1,
    ),
    (
        |f| f.environments = Some(Err(missing("refused"))),
        "Unknown environments: refused",
        2,
    ),
    (
        |f| environment(f).branches[0].reason = "RepositoryUnavailable".to_owned(),
        "Wrong environments: prod: branch prod of fleet cannot be read: RepositoryUnavailable: ",
        1,
    ),
    (
        |f| environment(f).branches[0].checked_at = Some(now() - SignedDuration::from_secs(601)),
        "Wrong environments: prod: branch prod of fleet has not been read for ten minutes",
        1,
    ),
    (
        |f| environment(f).paused = Some(mark()),
        "Look environments: prod is paused by bob: lunch",
        0,
    ),
    (
        |f| {
            let wire = v1::RolloutStatus {
                id: "prod-7".to_owned(),
                state: "halted".to_owned(),
                note: "1 failed".to_owned(),
                ..v1::RolloutStatus::default()
            };
            environment(f).rollout = Some(flotilla_status::Rollout::from(&wire));
        },
        "Wrong environments: prod: rollout prod-7 halted: 1 failed",
        1,
    ),
    (
        |f| cluster(f).connection = Connectivity::Pending,
        "Look clusters: waiting to be accepted: prod-1",
        0,
    ),
    (
        |f| cluster(f).connection = Connectivity::Offline,
        "Look clusters: offline: prod-1",
        0,
    ),
    (
        |f| cluster(f).locked = "copied".to_owned(),
        "Wrong clusters: locked: prod-1",
        1,
    ),
    (
        |f| cluster(f).clock_ahead_seconds = Some(-3700),
        "Wrong clusters: the agent's clock is far off: prod-1 (1h 1m behind the hub's)",
        1,
    ),
    (
        |f| cluster(f).refused = true,
        "Wrong clusters: refuse their assignment: prod-1",
        1,
    ),
    (
        |f| cluster(f).certificate_expires_at = Some(now()),
        "Wrong clusters: the agent's certificate has expired: prod-1",
        1,
    ),
    (
        |f| cluster(f).agent_version = "0.2.0".to_owned(),
        "Look clusters: agents run 0.2.0: prod-1; the hub is at 0.1.0",
        0,
    ),
];

#[test]
fn each_fault_is_found_with_its_exit_code() {
    for (change, expected, code) in CASES {
        let mut facts = good();
        change(&mut facts);
        let findings = judge(&facts);
        let found = faults(&findings);
        assert!(
            found.iter().any(|line| line == expected),
            "{expected}\n{found:#?}"
        );
        assert_eq!(findings.exit_code(), *code, "{expected}");
    }
}

#[test]
fn many_clusters_are_counted_and_some_named() {
    let mut facts = good();
    let clusters = facts.clusters.as_mut().unwrap().as_mut().unwrap();
    for number in 2..10 {
        let mut cluster = clusters[0].clone();
        cluster.name = format!("prod-{number}");
        cluster.connection = Connectivity::Offline;
        clusters.push(cluster);
    }
    let found = faults(&judge(&facts));
    assert_eq!(
        found,
        ["Look clusters: offline: prod-2, prod-3, prod-4, prod-5, prod-6 and 3 more"]
    );
}
