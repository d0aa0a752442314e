//! A small fleet, as a hub reports it.

use flotilla_proto::v1;

/// Time of all snapshots.
pub(crate) const NOW: i64 = 1_893_456_000;
pub(crate) const OLD: &str = "1111111111111111111111111111111111111111";
pub(crate) const NEW: &str = "3f2a9c1bdeadbeef3f2a9c1bdeadbeef3f2a9c1b";

pub(crate) fn ago(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp {
        seconds: NOW - seconds,
        nanos: 0,
    })
}

fn revision(branch: &str, commit: &str) -> Option<v1::Revision> {
    Some(v1::Revision {
        repository: "fleet".to_owned(),
        branch: branch.to_owned(),
        commit: commit.to_owned(),
    })
}

/// A commit of the one repository.
pub(crate) fn commit(commit: &str) -> Vec<v1::RepositoryCommit> {
    vec![v1::RepositoryCommit {
        repository: "fleet".to_owned(),
        commit: commit.to_owned(),
    }]
}

fn object(kind: &str, name: &str, health: v1::Health, action: v1::Action) -> v1::ObjectStatus {
    v1::ObjectStatus {
        object: Some(v1::ObjectRef {
            group: if kind == "Deployment" { "apps" } else { "" }.to_owned(),
            kind: kind.to_owned(),
            namespace: "web".to_owned(),
            name: name.to_owned(),
        }),
        action: action.into(),
        health: health.into(),
        ..v1::ObjectStatus::default()
    }
}

fn reference(generation: u64) -> Option<v1::AssignmentRef> {
    Some(v1::AssignmentRef {
        epoch: 1,
        generation,
        digest: vec![7; 32],
    })
}

/// A healthy, current cluster.
pub(crate) fn good(name: &str, environment: &str) -> v1::ClusterStatus {
    let report = v1::ApplicationReport {
        application: "guestbook".to_owned(),
        revision: revision(environment, NEW),
        sync: v1::Sync::Synced.into(),
        health: v1::Health::Current.into(),
        counts: Some(v1::ObjectCounts {
            total: 2,
            current: 2,
            ..v1::ObjectCounts::default()
        }),
        objects: vec![
            object("Service", "web", v1::Health::Current, v1::Action::Unchanged),
            object(
                "Deployment",
                "web",
                v1::Health::Current,
                v1::Action::Updated,
            ),
        ],
        applied_at: ago(300),
        changed_at: ago(290),
        written: 1,
        ..v1::ApplicationReport::default()
    };
    v1::ClusterStatus {
        name: name.to_owned(),
        environment: environment.to_owned(),
        labels: vec![v1::Label {
            key: "region".to_owned(),
            value: "eu".to_owned(),
        }],
        connection: v1::Connection::Online.into(),
        last_seen: ago(3),
        connected_since: ago(7200),
        agent_version: "0.1.0".to_owned(),
        kubernetes_version: "v1.33.1".to_owned(),
        cluster_uid: "6f0c".to_owned(),
        assigned: reference(4),
        accepted: reference(4),
        verdict: v1::Verdict::Accepted.into(),
        sync: v1::Sync::Synced.into(),
        health: v1::Health::Current.into(),
        applications: vec![v1::ApplicationInCluster {
            cluster: name.to_owned(),
            environment: environment.to_owned(),
            report: Some(report),
            assigned: revision(environment, NEW),
            path: format!("apps/guestbook/overlays/{environment}"),
        }],
        reported_at: ago(3),
        created_at: ago(1_000_000),
        certificate_expires_at: ago(-40_000),
        current: Some(true),
        ..v1::ClusterStatus::default()
    }
}

/// A cluster that is behind, with a failing Deployment, whose message contains terminal escapes.
pub(crate) fn bad(name: &str, environment: &str) -> v1::ClusterStatus {
    let mut cluster = good(name, environment);
    cluster.sync = v1::Sync::OutOfSync.into();
    cluster.health = v1::Health::Failed.into();
    cluster.accepted = reference(3);
    cluster.current = Some(false);
    let placement = &mut cluster.applications[0];
    let report = placement.report.as_mut().unwrap();
    report.revision = revision(environment, OLD);
    report.sync = v1::Sync::OutOfSync.into();
    report.health = v1::Health::Failed.into();
    report.reason = "ApplyFailed".to_owned();
    report.message = "Deployment web/web: \u{1b}[2Jdenied by the API server".to_owned();
    report.counts = Some(v1::ObjectCounts {
        total: 40,
        current: 39,
        failed: 1,
        ..v1::ObjectCounts::default()
    });
    report.objects[1].health = v1::Health::Failed.into();
    report.objects[1].action = v1::Action::Failed.into();
    report.objects[1].reason = "ApplyFailed".to_owned();
    report.objects[1].message = "replicas must not be negative".to_owned();
    cluster
}

/// A cluster that waits to be accepted.
pub(crate) fn pending(name: &str) -> v1::ClusterStatus {
    v1::ClusterStatus {
        name: name.to_owned(),
        environment: "prod".to_owned(),
        connection: v1::Connection::Pending.into(),
        pending_fingerprint: "ab".repeat(32),
        created_at: ago(60),
        current: Some(false),
        ..v1::ClusterStatus::default()
    }
}

pub(crate) fn clusters() -> Vec<v1::ClusterStatus> {
    vec![
        good("dev-1", "dev"),
        pending("prod-3"),
        bad("prod-1", "prod"),
        good("prod-2", "prod"),
    ]
}

/// A halted rollout of `prod`.
pub(crate) fn halted() -> v1::RolloutStatus {
    v1::RolloutStatus {
        id: "prod-7".to_owned(),
        environment: "prod".to_owned(),
        state: "halted".to_owned(),
        target: commit(NEW),
        from: commit(&"0123456789".repeat(4)),
        created_at: ago(600),
        ..v1::RolloutStatus::default()
    }
}

pub(crate) fn environments() -> Vec<v1::EnvironmentStatus> {
    let environment = |name: &str, from: &str, clusters, failed| v1::EnvironmentStatus {
        name: name.to_owned(),
        branch: name.to_owned(),
        promotes_from: from.to_owned(),
        branches: vec![v1::BranchStatus {
            revision: revision(name, NEW),
            seen_at: ago(310),
            checked_at: ago(2),
            approved: NEW.to_owned(),
            used: Some(true),
            ..v1::BranchStatus::default()
        }],
        clusters,
        online: clusters,
        current: clusters - failed,
        failed,
        health: if failed > 0 {
            v1::Health::Failed
        } else {
            v1::Health::Current
        }
        .into(),
        ..v1::EnvironmentStatus::default()
    };
    let mut environments = vec![
        environment("dev", "", 1, 0),
        environment("prod", "dev", 2, 1),
    ];
    environments[1].branches[0].reason = "RepositoryUnavailable".to_owned();
    environments[1].branches[0].message = "connection refused".to_owned();
    let mark = |by: &str, reason: &str| {
        Some(v1::Mark {
            by: by.to_owned(),
            reason: reason.to_owned(),
            at: ago(30),
            ..v1::Mark::default()
        })
    };
    environments[1].rollout = Some(v1::RolloutStatus {
        waves: vec![
            v1::WaveStatus {
                name: "canary".to_owned(),
                failed: 1,
                ..v1::WaveStatus::default()
            },
            v1::WaveStatus {
                name: "rest".to_owned(),
                waiting: 1,
                ..v1::WaveStatus::default()
            },
        ],
        started_at: ago(590),
        note: "1 failed (budget 0): prod-1 (web failed)".to_owned(),
        ..halted()
    });
    environments[1].hold = mark("hub", "prod-6 was rolled back: 1 failed").map(|mark| v1::Mark {
        rolled_back: "prod-6".to_owned(),
        ..mark
    });
    environments[1].pin = Some(v1::Pin {
        commits: commit(NEW),
        mark: mark("ada", "black friday"),
        ..v1::Pin::default()
    });
    environments
}

/// The same, where the last read of every branch succeeded.
pub(crate) fn read_environments() -> Vec<v1::EnvironmentStatus> {
    let mut environments = environments();
    for branch in environments
        .iter_mut()
        .flat_map(|environment| &mut environment.branches)
    {
        branch.reason.clear();
        branch.message.clear();
    }
    environments
}

pub(crate) fn step(step: &str, subject: &str, state: v1::StepState, text: &str) -> v1::ExplainStep {
    v1::ExplainStep {
        step: step.to_owned(),
        subject: subject.to_owned(),
        state: state.into(),
        text: text.to_owned(),
        reason: String::new(),
        at: ago(600),
        may_open: false,
        opens_at: None,
    }
}

pub(crate) fn steps() -> Vec<v1::ExplainStep> {
    let mut failed = step(
        "apply",
        "guestbook",
        v1::StepState::Failed,
        "denied by the API server",
    );
    failed.reason = "ApplyFailed".to_owned();
    vec![
        step(
            "branch-head",
            "fleet/prod",
            v1::StepState::Ok,
            "the head is 3f2a9c1",
        ),
        step(
            "delivery",
            "",
            v1::StepState::Waiting,
            "the agent is offline",
        ),
        failed,
    ]
}

/// The changes of an agent's plan.
pub(crate) fn plans() -> Vec<v1::ApplicationPlan> {
    let object = |kind: &str, name: &str| {
        Some(v1::ObjectRef {
            group: String::new(),
            kind: kind.to_owned(),
            namespace: "web".to_owned(),
            name: name.to_owned(),
        })
    };
    let change = |kind: &str, name: &str, action: v1::Action| v1::ObjectChange {
        object: object(kind, name),
        action: action.into(),
        ..v1::ObjectChange::default()
    };
    let field = |path: &str, live: &str, desired: &str| v1::FieldChange {
        path: path.to_owned(),
        live: live.to_owned(),
        desired: desired.to_owned(),
    };
    let mut updated = change("ConfigMap", "config", v1::Action::Updated);
    updated.fields = vec![
        field("/data/a", "\"1\"", "\"2\""),
        field("/data/b", "", "\"x\""),
    ];
    let mut held = change("Namespace", "old", v1::Action::Held);
    held.reason = "ProtectedKind".to_owned();
    held.message = "removed from Git".to_owned();
    vec![v1::ApplicationPlan {
        application: "guestbook".to_owned(),
        changes: vec![
            change("Service", "new", v1::Action::Created),
            updated,
            change("Service", "gone", v1::Action::Pruned),
            held,
        ],
        unchanged: 7,
        ..v1::ApplicationPlan::default()
    }]
}

/// The effect of a fleet file.
pub(crate) fn compared() -> Vec<v1::EnvironmentDifference> {
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
    vec![
        v1::EnvironmentDifference {
            environment: "prod".to_owned(),
            changes: names(&["web path: apps/web → apps/web2", "api: new, api of fleet"]),
            clusters: vec![
                v1::ClusterDifference {
                    cluster: "prod-1".to_owned(),
                    gains: names(&["api"]),
                    changes: names(&["web"]),
                    ..v1::ClusterDifference::default()
                },
                v1::ClusterDifference {
                    cluster: "prod-2".to_owned(),
                    moves_from: "stage".to_owned(),
                    loses: names(&["debug", "probe"]),
                    ..v1::ClusterDifference::default()
                },
            ],
            more_clusters: 3,
            in_waves: true,
            rollout: "r-7".to_owned(),
        },
        v1::EnvironmentDifference {
            environment: "qa".to_owned(),
            changes: names(&["the environment is removed"]),
            ..v1::EnvironmentDifference::default()
        },
    ]
}
