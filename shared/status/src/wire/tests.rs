//! Reading what was sent gives the same values, and sending them again gives the same messages; the reader enforces
//! limits.

mod cut;
mod limits;

use prost_types::Timestamp;

use super::*;
use crate::{
    Cluster, Decisions, Environment, FleetPlan, Hub, Phase, Promotion, Rollout, RolloutState, Step,
};

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 7 })
}

fn commit(repository: &str, digit: &str) -> v1::RepositoryCommit {
    v1::RepositoryCommit {
        repository: repository.to_owned(),
        commit: digit.repeat(40),
    }
}

fn mark() -> v1::Mark {
    v1::Mark {
        by: "ada".to_owned(),
        reason: "lunch".to_owned(),
        at: at(100),
        rolled_back: "prod-3".to_owned(),
        repositories: vec!["fleet".to_owned()],
    }
}

fn step() -> v1::ExplainStep {
    v1::ExplainStep {
        step: "approval".to_owned(),
        subject: "fleet".to_owned(),
        state: v1::StepState::Waiting.into(),
        text: "0 of 1 approval".to_owned(),
        reason: "ApprovalNeeded".to_owned(),
        at: at(101),
        may_open: true,
        opens_at: at(102),
    }
}

fn rollout() -> v1::RolloutStatus {
    v1::RolloutStatus {
        id: "prod-4".to_owned(),
        environment: "prod".to_owned(),
        state: "rolledBack".to_owned(),
        target: vec![commit("fleet", "2")],
        from: vec![commit("fleet", "1")],
        waves: vec![v1::WaveStatus {
            name: "canary".to_owned(),
            waiting: 3,
            started: 4,
            soaking: 5,
            unavailable: 6,
            done: 7,
            failed: 8,
            pinned: 9,
            unchanged: 10,
            approvals: 2,
            approved_by: vec!["bob".to_owned()],
            soak_seconds: 60,
            offline: 1,
            done_unchanged: 2,
            soak_ends_at: at(103),
            suspended: 11,
        }],
        wave: 1,
        created_at: at(104),
        started_at: at(105),
        ended_at: at(106),
        note: "1 failed".to_owned(),
        clusters: vec![v1::ClusterProgress {
            cluster: "eu-1".to_owned(),
            wave: "canary".to_owned(),
            phase: "unavailable".to_owned(),
            since: at(107),
            started_at: at(108),
            reason: "Unhealthy".to_owned(),
            message: "crashes".to_owned(),
            unchanged: true,
        }],
        unread: "no filter".to_owned(),
        changes: vec!["web: path".to_owned()],
        budgets: vec![v1::BudgetStatus {
            budget: "offline".to_owned(),
            used: 1,
            at_most: 2,
        }],
        gates: vec![step()],
        more_gates: 3,
        apart: vec![v1::WaitingCommit {
            commit: Some(commit("charts", "3")),
            gates: vec![step()],
            text: "waits".to_owned(),
        }],
        next: "flotilla approve prod --wave canary".to_owned(),
        wave_to_approve: "canary".to_owned(),
    }
}

fn placement() -> v1::ApplicationInCluster {
    let revision = |digit: &str| v1::Revision {
        repository: "fleet".to_owned(),
        branch: "prod".to_owned(),
        commit: digit.repeat(40),
    };
    v1::ApplicationInCluster {
        cluster: "eu-1".to_owned(),
        environment: "prod".to_owned(),
        report: Some(v1::ApplicationReport {
            application: "web".to_owned(),
            revision: Some(revision("1")),
            sync: v1::Sync::OutOfSync.into(),
            health: v1::Health::Failed.into(),
            reason: "Unhealthy".to_owned(),
            message: "crashes".to_owned(),
            counts: Some(v1::ObjectCounts {
                total: 36,
                current: 1,
                in_progress: 2,
                suspended: 3,
                failed: 4,
                terminating: 5,
                not_found: 6,
                unknown: 15,
            }),
            objects: vec![v1::ObjectStatus {
                object: Some(v1::ObjectRef {
                    group: "apps".to_owned(),
                    kind: "Deployment".to_owned(),
                    namespace: "web".to_owned(),
                    name: "web".to_owned(),
                }),
                action: v1::Action::Held.into(),
                health: v1::Health::Failed.into(),
                reason: "Unhealthy".to_owned(),
                message: "crashes".to_owned(),
            }],
            applied_at: at(109),
            changed_at: at(110),
            written: 2,
            pruned: 1,
            ..v1::ApplicationReport::default()
        }),
        assigned: Some(revision("2")),
        path: "web".to_owned(),
    }
}

fn cluster() -> v1::ClusterStatus {
    let place = |generation| v1::AssignmentRef {
        epoch: 2,
        generation,
        digest: Vec::new(),
    };
    v1::ClusterStatus {
        name: "eu-1".to_owned(),
        environment: "prod".to_owned(),
        labels: vec![v1::Label {
            key: "region".to_owned(),
            value: "eu".to_owned(),
        }],
        connection: v1::Connection::Online.into(),
        last_seen: at(111),
        connected_since: at(112),
        agent_version: "0.1.0".to_owned(),
        kubernetes_version: "v1.35.0".to_owned(),
        cluster_uid: "uid".to_owned(),
        assigned: Some(place(8)),
        accepted: Some(place(8)),
        verdict: v1::Verdict::Accepted.into(),
        reason: "Frozen".to_owned(),
        message: "until noon".to_owned(),
        sync: v1::Sync::Suspended.into(),
        health: v1::Health::Current.into(),
        applications: vec![placement()],
        reported_at: at(113),
        suspended: "lunch".to_owned(),
        created_at: at(114),
        certificate_expires_at: at(115),
        current_since: at(116),
        pending_fingerprint: "ab".to_owned(),
        locked: "twice".to_owned(),
        pin: Some(v1::Pin {
            cluster: "eu-1".to_owned(),
            commits: vec![commit("fleet", "1")],
            mark: Some(mark()),
            expires_at: at(117),
            unproven: true,
        }),
        suspension: Some(mark()),
        clock_ahead_seconds: -3600,
        current: Some(false),
    }
}

fn environment(good: &str) -> v1::EnvironmentStatus {
    let heading = |subject: &str| v1::CommitHeading {
        subject: subject.to_owned(),
        author: "Ada".to_owned(),
        authored_at: at(118),
    };
    v1::EnvironmentStatus {
        name: "prod".to_owned(),
        branch: "main".to_owned(),
        promotes_from: "stage".to_owned(),
        branches: vec![v1::BranchStatus {
            revision: Some(v1::Revision {
                repository: "fleet".to_owned(),
                branch: "main".to_owned(),
                commit: "2".repeat(40),
            }),
            seen_at: at(119),
            checked_at: at(120),
            reason: "RepositoryUnavailable".to_owned(),
            message: "no way".to_owned(),
            approved: good.repeat(40),
            heading: Some(heading("2")),
            approved_heading: Some(heading(good)),
            used: Some(true),
        }],
        clusters: 4,
        online: 3,
        current: 2,
        failed: 1,
        health: v1::Health::Failed.into(),
        rollout: Some(rollout()),
        paused: Some(mark()),
        hold: Some(mark()),
        pin: Some(v1::Pin::default()),
        quarantined: vec![v1::Quarantine {
            commits: vec![commit("fleet", "2")],
            rollout: "prod-4".to_owned(),
            reason: "1 failed".to_owned(),
            at: at(121),
        }],
    }
}

#[test]
fn what_is_read_is_sent_as_it_came() {
    assert_eq!(
        v1::RolloutStatus::from(Rollout::from(&rollout())),
        rollout()
    );
    assert_eq!(
        v1::ClusterStatus::from(Cluster::from(&cluster())),
        cluster()
    );
    for good in ["1", "2"] {
        let wire = environment(good);
        assert_eq!(v1::EnvironmentStatus::from(Environment::from(&wire)), wire);
    }
    let decisions = v1::EnvironmentDecisions {
        environment: "prod".to_owned(),
        paused: Some(mark()),
        hold: Some(mark()),
        pin: Some(v1::Pin::default()),
        quarantined: environment("1").quarantined,
        good: vec![v1::GoodCommits {
            commits: vec![commit("fleet", "1")],
            rollout: "prod-3".to_owned(),
            at: at(122),
            seen: vec![v1::Seen {
                repository: "fleet".to_owned(),
                doubt: "nobody said so".to_owned(),
            }],
        }],
        approvals: vec![v1::Approval {
            commit: "1".repeat(40),
            wave: "canary".to_owned(),
            r#override: true,
            mark: Some(mark()),
            repository: "fleet".to_owned(),
        }],
        cluster_pins: cluster().pin.into_iter().collect(),
        held: Some(v1::HeldCommits {
            commits: vec![v1::HeldCommit {
                commit: Some(commit("fleet", "2")),
                why: "which prod-4 brings".to_owned(),
                given_up: true,
            }],
        }),
    };
    let read = Decisions::from(&decisions);
    assert_eq!(v1::EnvironmentDecisions::from(read), decisions);
    let promotion = v1::PreviewPromotionResponse {
        environment: "prod".to_owned(),
        promotes_from: "stage".to_owned(),
        moves: vec![v1::PromotionMove {
            repository: "fleet".to_owned(),
            url: "https://git.example.com/fleet.git".to_owned(),
            source_branch: "stage".to_owned(),
            target_branch: "prod".to_owned(),
            from_commit: "1".repeat(40),
            to_commit: "2".repeat(40),
            applications: vec!["web".to_owned()],
        }],
        clusters: vec!["eu-1".to_owned()],
        gates: vec![step()],
    };
    let read = Promotion::from(&promotion);
    assert_eq!(v1::PreviewPromotionResponse::from(read), promotion);
    let hub = v1::GetHubResponse {
        version: "0.1.0".to_owned(),
        fleet_error: "line 1\nline 2".to_owned(),
        rights: vec![v1::OperatorRight {
            role: "admin".to_owned(),
            environments: vec!["prod".to_owned()],
        }],
        now: at(123),
        term: 4,
        ..v1::GetHubResponse::default()
    };
    assert_eq!(v1::GetHubResponse::from(Hub::from(&hub)), hub);
}

#[test]
fn a_plan_is_sent_as_it_was_read() {
    use v1::{Action, PlanVerdict as Verdict};
    let change = |action: v1::Action| v1::ObjectChange {
        object: Some(v1::ObjectRef {
            group: "apps".to_owned(),
            kind: "Deployment".to_owned(),
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        }),
        action: action.into(),
        reason: "Conflict".to_owned(),
        message: "two write it".to_owned(),
        fields: vec![v1::FieldChange {
            path: "/spec/replicas".to_owned(),
            ..v1::FieldChange::default()
        }],
        managers: vec!["X".to_owned()],
    };
    let actions = [
        Action::Unspecified,
        Action::Created,
        Action::Updated,
        Action::Unchanged,
        Action::Pruned,
        Action::Skipped,
        Action::Held,
        Action::Failed,
    ];
    let verdicts = [
        Verdict::Unspecified,
        Verdict::Nothing,
        Verdict::Changes,
        Verdict::Conflict,
        Verdict::Refused,
        Verdict::Failed,
        Verdict::TimedOut,
        Verdict::Offline,
    ];
    let groups = verdicts.map(|verdict| v1::PlanGroup {
        verdict: verdict.into(),
        clusters: vec!["a".to_owned(), "b".to_owned()],
        applications: vec![v1::ApplicationPlan {
            application: "shop".to_owned(),
            changes: actions.map(change).into(),
            unchanged: 3,
            truncated: true,
            error: "not signed".to_owned(),
            revision: None,
            reason: "SignatureMissing".to_owned(),
        }],
        reason: "SignatureMissing".to_owned(),
        message: "not signed".to_owned(),
        folded: true,
    });
    let plan = v1::FleetPlan {
        id: "0123".to_owned(),
        environment: "prod".to_owned(),
        revision: Some(v1::Revision {
            repository: "fleet".to_owned(),
            branch: "main".to_owned(),
            commit: "a".repeat(40),
        }),
        application: "shop".to_owned(),
        started_at: at(103),
        done: true,
        waiting: 2,
        unconcerned: 4,
        groups: groups.into(),
    };
    assert_eq!(v1::FleetPlan::from(FleetPlan::from(&plan)), plan);
}

#[test]
fn an_application_keeps_its_renderer() {
    for renderer in [
        v1::Renderer::Auto,
        v1::Renderer::Plain,
        v1::Renderer::Kustomize,
        v1::Renderer::Helm,
    ] {
        let wire = v1::ApplicationStatus {
            name: "web".to_owned(),
            renderer: renderer.into(),
            health: v1::Health::Current.into(),
            placements: vec![placement()],
            ..v1::ApplicationStatus::default()
        };
        let read = crate::Application::from(&wire);
        assert_eq!(v1::ApplicationStatus::from(read), wire);
    }
}

#[test]
fn a_newer_hubs_words_are_no_error_and_stay_what_they_are() {
    let wire = v1::RolloutStatus {
        state: "dreaming".to_owned(),
        clusters: vec![v1::ClusterProgress {
            phase: "asleep".to_owned(),
            ..v1::ClusterProgress::default()
        }],
        gates: vec![v1::ExplainStep {
            step: "moon".to_owned(),
            state: 99,
            ..v1::ExplainStep::default()
        }],
        ..v1::RolloutStatus::default()
    };
    let read = Rollout::from(&wire);
    assert_eq!(read.state, RolloutState::Other("dreaming".to_owned()));
    assert_eq!(read.clusters[0].phase, Phase::Other("asleep".to_owned()));
    assert!(read.gates[0].state.holds_back(), "nobody knows better");
    let sent = v1::RolloutStatus::from(read);
    assert_eq!(
        (sent.state, sent.gates[0].step.as_str()),
        (wire.state, "moon")
    );
}

#[test]
fn who_reads_cuts_what_is_too_much() {
    let mut wire = rollout();
    wire.gates = vec![step(); 1000];
    wire.budgets = vec![v1::BudgetStatus::default(); 1000];
    wire.apart = vec![v1::WaitingCommit::default(); 1000];
    wire.note = format!("\u{1b}[2J{}", "x".repeat(1 << 20));
    wire.state = format!("\u{1b}[2J{}", "x".repeat(1 << 20));
    wire.next.push('\u{202e}');
    wire.waves[0].offline = 1000;
    let read = Rollout::from(&wire);
    let counts = (read.gates.len(), read.budgets.len(), read.apart.len());
    assert_eq!(counts, (50, 8, 100));
    for text in [read.note.as_str(), read.state.as_str(), read.next.as_str()] {
        assert!(text.len() <= 4096 && !text.contains(['\u{1b}', '\u{202e}']));
    }
    assert_eq!(read.waves[0].offline, read.waves[0].waiting);
    let mut loud = step();
    loud.step = "a\u{1b}b".to_owned();
    assert!(!Step::from(&loud).step.as_str().contains('\u{1b}'));
}
