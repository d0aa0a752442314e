//! Whole outputs, from a hub's answers.

use flotilla_cli::render::{self, Paint, StatusOptions, Width};
use flotilla_proto::v1;
use flotilla_status::{Cluster, Environment, Fleet, Promotion, Step};
use jiff::Timestamp;

use crate::fixture::{self, NEW, NOW, OLD};
use crate::schema;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn fleet() -> Fleet {
    Fleet {
        environments: fixture::environments()
            .iter()
            .map(Environment::from)
            .collect(),
        clusters: fixture::clusters().iter().map(Cluster::from).collect(),
    }
}

fn options(wide: bool, paint: Paint) -> StatusOptions {
    StatusOptions {
        wide,
        paint,
        now: now(),
    }
}

#[test]
fn status() {
    insta::assert_snapshot!(render::status(&fleet(), options(false, Paint::Plain)));
}

#[test]
fn a_cluster_whose_environment_is_not_in_the_fleet_file_is_named() {
    let mut fleet = fleet();
    fleet
        .environments
        .retain(|environment| environment.name != "prod");
    let printed = render::status(&fleet, options(false, Paint::Plain));
    let line = "prod-2: NoEnvironment: the fleet file has no environment prod; flotilla explain prod-2 says \
                what to do\n";
    assert!(printed.contains(line), "{printed}");
    assert!(!printed.contains("dev-1: NoEnvironment"), "{printed}");
    assert!(
        !printed.contains("prod-3: NoEnvironment"),
        "it waits: {printed}"
    );
}

#[test]
fn status_names_clocks_that_are_far_off_and_by_how_much() {
    let mut fleet = fleet();
    assert!(!render::status(&fleet, options(false, Paint::Plain)).contains("ClockSkew"));
    let wire = v1::ClusterStatus {
        clock_ahead_seconds: 3600,
        ..fixture::good("dev-1", "dev")
    };
    fleet.clusters = vec![Cluster::from(&wire)];
    let printed = render::status(&fleet, options(false, Paint::Plain));
    let line = "dev-1: ClockSkew: the agent's clock is 1h ahead of the hub's; ";
    assert!(printed.contains(line), "{printed}");
}

#[test]
fn status_says_nothing_of_the_last_look_where_there_was_none() {
    let mut fleet = fleet();
    let branch = &mut fleet.environments[0].branches[0];
    (branch.head, branch.checked_at) = (None, None);
    "RepositoryUnavailable".clone_into(&mut branch.reason);
    "refused".clone_into(&mut branch.message);
    let printed = render::status(&fleet, options(false, Paint::Plain));
    let first = printed.lines().next().unwrap();
    assert!(first.contains("not read yet"), "{first}");
    assert!(
        first.ends_with("(RepositoryUnavailable: refused)"),
        "{first}"
    );
}

#[test]
fn status_wide() {
    insta::assert_snapshot!(render::status(&fleet(), options(true, Paint::Plain)));
}

#[test]
fn status_in_colour_says_the_same() {
    let painted = render::status(&fleet(), options(false, Paint::Ansi));
    let mut plain = painted.replace("\u{1b}[0m", "");
    for code in ["1", "2", "31", "32", "33", "36"] {
        plain = plain.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_ne!(painted, plain);
    assert_eq!(
        plain,
        render::status(&fleet(), options(false, Paint::Plain))
    );
}

#[test]
fn status_as_json() {
    schema::hold("status", &serde_json::to_value(fleet()).unwrap());
    insta::assert_snapshot!(serde_json::to_string_pretty(&fleet()).unwrap());
}

#[test]
fn changes() {
    let lines: String = fleet()
        .clusters
        .iter()
        .map(|cluster| render::change(cluster, options(false, Paint::Plain)))
        .collect();
    insta::assert_snapshot!(lines);
}

#[test]
fn describe_shows_the_worst_object_first() {
    let cluster = Cluster::from(&fixture::bad("prod-1", "prod"));
    insta::assert_snapshot!(render::describe(&cluster, Paint::Plain, now()));
}

#[test]
fn describe_a_pending_cluster() {
    let cluster = Cluster::from(&fixture::pending("prod-3"));
    insta::assert_snapshot!(render::describe(&cluster, Paint::Plain, now()));
}

#[test]
fn explain() {
    let steps: Vec<Step> = fixture::steps().iter().map(Step::from).collect();
    insta::assert_snapshot!(render::explain(&steps, Paint::Plain, now(), None));
}

#[test]
fn clusters() {
    insta::assert_snapshot!(render::clusters(
        &fleet().clusters,
        Width::Wide,
        Paint::Plain,
        now()
    ));
}

#[test]
fn environments() {
    insta::assert_snapshot!(render::environments(
        &fleet().environments,
        Paint::Plain,
        now()
    ));
}

#[test]
fn promotion() {
    let mut promotion = Promotion::from(&v1::PreviewPromotionResponse {
        environment: "prod".to_owned(),
        promotes_from: "dev".to_owned(),
        moves: vec![v1::PromotionMove {
            repository: "fleet".to_owned(),
            url: "https://git.example.org/fleet".to_owned(),
            source_branch: "dev".to_owned(),
            target_branch: "prod".to_owned(),
            from_commit: OLD.to_owned(),
            to_commit: NEW.to_owned(),
            applications: vec!["guestbook".to_owned()],
        }],
        clusters: vec!["prod-1".to_owned(), "prod-2".to_owned()],
        gates: vec![fixture::step(
            "health",
            "dev-1",
            v1::StepState::Ok,
            "runs exactly this",
        )],
    });
    promotion.moves[0].commits = vec!["3f2a9c1 Raise replicas".to_owned()];
    promotion.moves[0].commit_count = 3;
    insta::assert_snapshot!(render::promotion(&promotion, Paint::Plain, None));
}

#[test]
fn a_branch_that_cannot_be_read_is_a_line() {
    let fleet = fleet();
    let environment = &fleet.environments[1];
    assert_eq!(
        render::moved(environment, &environment.branches[0], now()),
        "2030-01-01T00:00:00Z prod fleet branch prod sha1:3f2a9c1 | RepositoryUnavailable: \
         connection refused\n"
    );
}

#[test]
fn diff_shows_each_field_and_what_is_held() {
    let plans: Vec<flotilla_status::ApplicationPlan> =
        fixture::plans().iter().map(Into::into).collect();
    insta::assert_snapshot!(render::diff(&plans, Paint::Plain));
}

#[test]
fn closed_gates_show_since_when_they_are_waited_for() {
    let waits = fixture::step("health", "dev-1", v1::StepState::Waiting, "1 s of 3");
    let (gate, since) = (
        Step::from(&waits),
        Timestamp::from_second(NOW - 90).unwrap(),
    );
    let show =
        |gates: &[(&Step, Option<Timestamp>)]| render::waiting(gates, Paint::Plain, now(), None);
    assert_eq!(
        show(&[(&gate, Some(since))]),
        "WAITS FOR  SUBJECT  SINCE  EVIDENCE\nhealth     dev-1    90s    1 s of 3\n"
    );
    assert_eq!(show(&[]), "the gates are open\n");
}
