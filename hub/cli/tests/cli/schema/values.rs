//! Values with every optional key, and those that the fixture lacks.

use flotilla_proto::v1;
use flotilla_shared::findings::{Findings, Group, Outcome};
use flotilla_status::{
    Application, ApplicationPlan, Cluster, Environment, EnvironmentDifference, Fleet, FleetPlan,
    Hub, NewToken, Operator, Promotion, Rollout, RolloutSummary, Token,
};
use flotilla_vendor::{Change, Checked, LockChange, Outdated, Standing, Vendored, VendoredChart};
use serde::Serialize;
use serde_json::json;

use super::hold;
use crate::fixture::{self, NEW, OLD, ago, commit};

fn told(key: &str, value: impl Serialize) {
    hold(key, &serde_json::to_value(value).unwrap());
}

fn mark() -> v1::Mark {
    v1::Mark {
        by: "ada".to_owned(),
        reason: "lunch".to_owned(),
        at: ago(30),
        rolled_back: "prod-6".to_owned(),
        repositories: vec!["fleet".to_owned()],
    }
}

fn pin() -> v1::Pin {
    v1::Pin {
        cluster: "prod-1".to_owned(),
        commits: commit(NEW),
        mark: Some(mark()),
        expires_at: ago(-60),
        unproven: false,
    }
}

fn gate() -> v1::ExplainStep {
    v1::ExplainStep {
        reason: "ApprovalNeeded".to_owned(),
        may_open: true,
        opens_at: ago(-60),
        ..fixture::step("approval", "ada", v1::StepState::Waiting, "one more")
    }
}

fn quarantine() -> v1::Quarantine {
    v1::Quarantine {
        commits: commit(OLD),
        rollout: "prod-6".to_owned(),
        reason: "1 failed".to_owned(),
        at: ago(60),
    }
}

pub(super) fn hub() -> v1::GetHubResponse {
    v1::GetHubResponse {
        version: "0.1.0".to_owned(),
        operator: "ada".to_owned(),
        rights: vec![v1::OperatorRight {
            role: "viewer".to_owned(),
            environments: vec!["prod".to_owned()],
        }],
        fleet_error: "fleet.yaml:3: what?".to_owned(),
        started_at: ago(60),
        given_up: vec![v1::GivenUpMessage {
            target: "chat".to_owned(),
            event: "rolledBack".to_owned(),
            environment: "prod".to_owned(),
            rollout: "prod-6".to_owned(),
            at: ago(5),
            why: "HTTP 404".to_owned(),
        }],
        given_up_total: 1,
        ..v1::GetHubResponse::default()
    }
}

pub(super) fn rollout(state: &str) -> v1::RolloutStatus {
    v1::RolloutStatus {
        id: "prod-7".to_owned(),
        environment: "prod".to_owned(),
        state: state.to_owned(),
        target: commit(NEW),
        from: commit(OLD),
        waves: vec![v1::WaveStatus {
            name: "canary".to_owned(),
            waiting: 1,
            done: 2,
            offline: 1,
            done_unchanged: 1,
            approved_by: vec!["bob".to_owned()],
            soak_ends_at: ago(-60),
            ..v1::WaveStatus::default()
        }],
        created_at: ago(600),
        started_at: ago(590),
        note: "it goes on".to_owned(),
        clusters: vec![v1::ClusterProgress {
            cluster: "prod-1".to_owned(),
            wave: "canary".to_owned(),
            phase: "done".to_owned(),
            since: ago(60),
            started_at: ago(90),
            ..v1::ClusterProgress::default()
        }],
        unread: "the server offers no filter".to_owned(),
        changes: vec!["web path: a \u{2192} b".to_owned()],
        budgets: vec![v1::BudgetStatus {
            budget: "failed".to_owned(),
            used: 1,
            at_most: 2,
        }],
        gates: vec![gate()],
        more_gates: 3,
        apart: vec![v1::WaitingCommit {
            commit: commit(OLD).pop(),
            gates: vec![gate()],
            text: "waits for people".to_owned(),
        }],
        ..v1::RolloutStatus::default()
    }
}

pub(super) fn decisions() -> v1::EnvironmentDecisions {
    v1::EnvironmentDecisions {
        environment: "prod".to_owned(),
        paused: Some(mark()),
        hold: Some(mark()),
        pin: Some(pin()),
        quarantined: vec![quarantine()],
        good: vec![v1::GoodCommits {
            commits: commit(OLD),
            rollout: "prod-5".to_owned(),
            at: ago(6000),
            seen: vec![v1::Seen {
                repository: "fleet".to_owned(),
                doubt: "nobody runs it".to_owned(),
            }],
        }],
        approvals: vec![v1::Approval {
            commit: NEW.to_owned(),
            wave: "canary".to_owned(),
            r#override: true,
            mark: Some(mark()),
            ..v1::Approval::default()
        }],
        cluster_pins: vec![pin()],
        held: Some(v1::HeldCommits::default()),
    }
}

fn cluster() -> v1::ClusterStatus {
    v1::ClusterStatus {
        locked: "its identity is in use twice".to_owned(),
        reason: "PolicyRefused".to_owned(),
        message: "no such repository".to_owned(),
        suspended: "the storage is moved".to_owned(),
        suspension: Some(mark()),
        pin: Some(pin()),
        pending_fingerprint: "ab".repeat(32),
        clock_ahead_seconds: -3600,
        ..fixture::bad("prod-1", "prod")
    }
}

fn environment() -> v1::EnvironmentStatus {
    let heading = v1::CommitHeading {
        subject: "Raise replicas".to_owned(),
        author: "Ada".to_owned(),
        authored_at: ago(900),
    };
    let mut environment = fixture::environments().remove(1);
    let branch = &mut environment.branches[0];
    branch.approved = OLD.to_owned();
    branch.heading = Some(heading.clone());
    branch.approved_heading = Some(heading);
    environment.rollout = Some(rollout("running"));
    environment.paused = Some(mark());
    environment.quarantined = vec![quarantine()];
    environment
}

#[test]
fn every_key_that_can_be_left_out_is_in_the_schema() {
    let cluster = Cluster::from(&cluster());
    told("describeCluster", &cluster);
    told(
        "statusWatch",
        json!({"type": "cluster", "cluster": cluster}),
    );
    told(
        "statusWatch",
        json!({"type": "clusterRemoved", "name": "prod-1"}),
    );
    let environment = Environment::from(&environment());
    told(
        "statusWatch",
        json!({"type": "environment", "environment": environment}),
    );
    told(
        "status",
        Fleet {
            environments: vec![environment],
            clusters: vec![cluster],
        },
    );
    told("hub", Hub::from(&hub()));
    let rollout = Rollout::from(&rollout("pending"));
    let summaries = [RolloutSummary::from(&rollout)];
    told("rolloutList", &summaries);
    told("history", &summaries);
    told(
        "rolloutShow",
        json!({"rollout": null, "decisions": flotilla_status::Decisions::default()}),
    );
    let applications = [v1::ApplicationStatus {
        name: "guestbook".to_owned(),
        renderer: v1::Renderer::Kustomize.into(),
        placements: fixture::bad("prod-1", "prod").applications,
        ..v1::ApplicationStatus::default()
    }];
    let applications: Vec<Application> = applications.iter().map(Application::from).collect();
    told("getApplications", applications);
    let compared = fixture::compared();
    let compared: Vec<EnvironmentDifference> = compared.iter().map(Into::into).collect();
    told("checkFleetFile", compared);
}

#[test]
fn plans_and_promotions_have_entries() {
    let mut plan = fixture::plans().remove(0);
    plan.error = "the repository is not there".to_owned();
    plan.reason = "RepositoryUnavailable".to_owned();
    plan.changes[3].managers = vec!["kubectl".to_owned()];
    told("diff", [ApplicationPlan::from(&plan)]);
    let verdicts = [
        v1::PlanVerdict::Nothing,
        v1::PlanVerdict::Changes,
        v1::PlanVerdict::Conflict,
        v1::PlanVerdict::Refused,
        v1::PlanVerdict::Failed,
        v1::PlanVerdict::TimedOut,
        v1::PlanVerdict::Offline,
        v1::PlanVerdict::Unspecified,
    ];
    let groups = verdicts.map(|verdict| v1::PlanGroup {
        verdict: verdict.into(),
        clusters: vec!["a".to_owned()],
        applications: vec![plan.clone()],
        reason: "SignatureMissing".to_owned(),
        message: "no key".to_owned(),
        folded: true,
    });
    told(
        "plan",
        FleetPlan::from(&v1::FleetPlan {
            application: "guestbook".to_owned(),
            waiting: 1,
            groups: groups.into(),
            ..v1::FleetPlan::default()
        }),
    );
    let mut promotion = Promotion::from(&v1::PreviewPromotionResponse {
        environment: "prod".to_owned(),
        promotes_from: "dev".to_owned(),
        moves: vec![v1::PromotionMove {
            repository: "fleet".to_owned(),
            from_commit: OLD.to_owned(),
            to_commit: NEW.to_owned(),
            ..v1::PromotionMove::default()
        }],
        clusters: vec!["prod-1".to_owned()],
        gates: vec![gate()],
    });
    promotion.moves[0].commits = vec!["3f2a9c1 Raise replicas".to_owned()];
    promotion.moves[0].commit_count = 3;
    told("promote", promotion);
}

#[test]
fn tokens_and_operators_have_entries() {
    let token = v1::TokenStatus {
        id: "id".to_owned(),
        labels: vec![v1::Label {
            key: "region".to_owned(),
            value: "eu".to_owned(),
        }],
        expires_at: ago(-60),
        ..v1::TokenStatus::default()
    };
    told("tokenList", [Token::from(&token)]);
    told(
        "tokenCreate",
        NewToken::from(&v1::CreateTokenResponse {
            token: "flt_id_secret".to_owned(),
            status: Some(token),
            ..v1::CreateTokenResponse::default()
        }),
    );
    told(
        "operatorList",
        [Operator::from(&v1::OperatorStatus {
            name: "ada".to_owned(),
            role: "admin".to_owned(),
            changed_at: ago(60),
            ..v1::OperatorStatus::default()
        })],
    );
}

#[test]
fn each_outcome_of_a_check_has_its_word() {
    for outcome in [
        Outcome::Well,
        Outcome::Look,
        Outcome::Unknown,
        Outcome::Wrong,
    ] {
        let mut group = Group::new("hub");
        // A new variant has to be added here and to the schema.
        match outcome {
            Outcome::Well => group.well("it is there"),
            Outcome::Look => group.look("it is old", "upgrade it"),
            Outcome::Unknown => group.unknown("it does not say", "ask"),
            Outcome::Wrong => group.wrong("it is not there", "start it"),
        }
        told("check", Findings::from(vec![group]));
    }
}

#[test]
fn each_word_about_charts_has_its_place() {
    let chart = |change, checked| VendoredChart {
        name: "web".to_owned(),
        version: "1.2.0".to_owned(),
        repository: "https://charts.example.org".to_owned(),
        file: Some("web-1.2.0.tgz".to_owned()),
        sha256: Some("ab".repeat(32)),
        checked,
        signed_by: Some("ab".repeat(20)),
        change,
    };
    for lock in [LockChange::Written, LockChange::Unchanged, LockChange::None] {
        told(
            "chartVendor",
            Vendored {
                dependencies: vec![
                    chart(Change::Added, vec![Checked::Index]),
                    chart(Change::Updated, vec![Checked::Manifest]),
                    chart(Change::Unchanged, vec![Checked::Provenance]),
                ],
                removed: vec!["web-1.1.0.tgz".to_owned()],
                lock,
                warnings: vec!["the index has no sum".to_owned()],
            },
        );
    }
    let standings = [
        Standing::Current,
        Standing::Update,
        Standing::Beyond,
        Standing::Missing,
        Standing::Local,
    ];
    let standings = standings.map(|standing| Outdated {
        name: "web".to_owned(),
        repository: "https://charts.example.org".to_owned(),
        range: "^1.2".to_owned(),
        current: Some("1.2.0".to_owned()),
        in_range: Some("1.3.0".to_owned()),
        newest: Some("2.0.0".to_owned()),
        standing,
    });
    told("chartOutdated", json!({ "dependencies": standings }));
}
