mod compare;
mod declared;
mod delivery;
mod evidence;
mod held;
mod holding;
mod jobs;
mod opening;
pub(super) mod people;
mod proof;
mod roll;
mod scale;
pub(super) mod seeds;
mod taking;
mod unchanged;

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_shared::assignment::{ApplicationAssignment, AssignmentRef};
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::{ClusterName, Epoch, Generation};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{ApplicationReport, Report};
use flotilla_shared::revision::{BranchName, Commit, Revision};
use flotilla_shared::wire::{DecodedAssignment, encode_report, specified};
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;
use prost::Message as _;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::spec;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
- {name: fleet, url: 'https://git.example.com/fleet.git'}
environments:
- {name: dev, branch: dev}
- {name: prod, branch: prod, promotesFrom: dev}
applications:
- {name: web, repository: fleet, path: 'apps/web/{environment}'}
- {name: region, repository: fleet, path: 'regions/{labels.region}', placement: {environments: [prod]}}
";

fn at(second: i64) -> Timestamp {
    Timestamp::new(1_790_000_000 + second, 0).unwrap()
}

fn commit(n: u64) -> Commit {
    format!("{:040x}", n + 1).parse().unwrap()
}

fn name(text: &str) -> ClusterName {
    text.parse().unwrap()
}

fn heads(dev: Option<u64>, prod: Option<u64>) -> Event {
    let branch = |text: &str| text.parse::<BranchName>().unwrap();
    let mut found = BTreeMap::new();
    for (text, n) in [("dev", dev), ("prod", prod)] {
        if let Some(n) = n {
            found.insert(branch(text), commit(n));
        }
    }
    Event::HeadsRead {
        repository: "fleet".parse().unwrap(),
        asked: vec![branch("dev"), branch("prod")],
        found,
    }
}

fn failed() -> Event {
    Event::HeadsFailed {
        repository: "fleet".parse().unwrap(),
        asked: vec!["dev".parse().unwrap(), "prod".parse().unwrap()],
        problem: Problem::new(Reason::RepositoryUnavailable, "down"),
    }
}

fn put(cluster: &str, environment: &str, region: Option<&str>) -> Event {
    let record = ClusterRecord {
        environment: Some(environment.parse().unwrap()),
        labels: region
            .map(|r| ("region".to_owned(), r.to_owned()))
            .into_iter()
            .collect(),
        ..ClusterRecord::default()
    };
    Event::ClusterPut(name(cluster), record)
}

fn connect(cluster: &str, session: u64, accepted: AssignmentRef) -> Event {
    Event::Connected(
        name(cluster),
        SessionId(session),
        Hello {
            accepted,
            ..Hello::default()
        },
    )
}

/// An assigned application.
pub(super) fn application() -> ApplicationAssignment {
    ApplicationAssignment::new(
        Revision {
            repository: "fleet".parse().unwrap(),
            branch: "prod".parse().unwrap(),
            commit: commit(1),
        },
        "https://git.example.com/fleet.git".parse().unwrap(),
        "app".parse().unwrap(),
    )
}

fn fleet() -> Fleet {
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", FILE).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), at(0));
    fleet
}

fn sent(effects: &[Effect]) -> Vec<(u64, Vec<String>)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(_, _, decoded) => Some((
                decoded.reference.generation.0,
                decoded
                    .assignment
                    .applications
                    .iter()
                    .map(|(name, app)| format!("{name} {} {}", app.path, app.revision.branch))
                    .collect(),
            )),
            _ => None,
        })
        .collect()
}

/// The digest by which a report differs from others.
fn digest_of(report: &Report) -> Digest {
    Digest::of(format!("{report:?}").as_bytes())
}

/// Events of an agent that accepted its assignment: the acceptance, and a report of it.
fn taken(cluster: &str, session: SessionId, assigned: AssignmentRef, report: Report) -> [Event; 2] {
    let acked = Event::Acked {
        cluster: name(cluster),
        session,
        assignment: assigned,
        refusal: None,
        accepted: assigned,
    };
    let digest = digest_of(&report);
    let reported = Event::Reported(name(cluster), session, report, digest);
    [acked, reported]
}

/// Everything runs as assigned.
fn current(assigned: &DecodedAssignment) -> Report {
    let applications = assigned.assignment.applications.iter().map(|(name, app)| {
        let report = ApplicationReport {
            revision: Some(app.revision.clone()),
            sync: SyncState::Synced,
            health: Health::Current,
            ..ApplicationReport::default()
        };
        (name.clone(), report.into())
    });
    let removed = assigned.assignment.tombstones.keys().map(|name| {
        let report = ApplicationReport {
            sync: SyncState::Synced,
            health: Health::Current,
            reason: Some(Reason::Removed),
            ..ApplicationReport::default()
        };
        (name.clone(), report.into())
    });
    let applications = applications.chain(removed);
    let suspended = assigned.assignment.suspended;
    Report {
        suspended: match suspended {
            true => flotilla_shared::report::SUSPENDED_BY_HUB.to_owned(),
            false => String::new(),
        },
        sequence: 1,
        assignment: assigned.reference,
        specified: specified(
            &assigned.assignment.applications,
            &assigned.assignment.labels,
        ),
        applications: applications.collect(),
        ..Report::default()
    }
}

/// Reports of applications that were removed and that the agent was not told to remove.
fn left_over(fleet: &Fleet, name: &ClusterName) -> Vec<(ApplicationName, Box<ApplicationReport>)> {
    let (cluster, environment) = (&fleet.clusters()[name], fleet.environment_of(name));
    let given = cluster.assigned.as_ref().map(|given| &given.assignment);
    let is_given = |app: &ApplicationName| {
        given.is_some_and(|given| {
            given.applications.contains_key(app) || given.tombstones.contains_key(app)
        })
    };
    let is_to_go = |app: &ApplicationName| {
        let place = environment.as_ref();
        place.is_some_and(|place| fleet.spec().removal(app, name, place).is_some())
    };
    let told = cluster.report.iter().flat_map(|told| &told.applications);
    let left = told.filter(|(app, told)| !is_over(told) && !is_given(app) && is_to_go(app));
    let orphan = ApplicationReport {
        sync: SyncState::Orphaned,
        health: Health::Current,
        ..ApplicationReport::default()
    };
    left.map(|(app, _)| (app.clone(), orphan.clone().into()))
        .collect()
}

/// The clusters as a store has them.
fn stored_clusters(fleet: &Fleet) -> Vec<StoredCluster> {
    let all = fleet.clusters().iter();
    all.map(|(name, cluster)| StoredCluster {
        name: name.clone(),
        record: ClusterRecord::clone(&cluster.record),
        assignment: cluster
            .assigned
            .clone()
            .map(|decoded| StoredAssignment { decoded }),
        report: cluster.report.clone(),
        current_since: cluster.current_since,
    })
    .collect()
}
