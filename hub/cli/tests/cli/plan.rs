//! `flotilla plan`, against a hub with configured answers.

use std::sync::Arc;

use flotilla_proto::v1;
use parking_lot::Mutex;

use crate::fixture::{self, NEW};
use crate::schema;
use crate::service::{Fake, Hub, stderr, stdout};

fn group(verdict: v1::PlanVerdict, clusters: &[&str]) -> v1::PlanGroup {
    let applications = match verdict {
        v1::PlanVerdict::Changes => fixture::plans(),
        _ => Vec::new(),
    };
    v1::PlanGroup {
        verdict: verdict.into(),
        clusters: clusters.iter().map(|name| (*name).to_owned()).collect(),
        applications,
        ..v1::PlanGroup::default()
    }
}

fn plan(groups: Vec<v1::PlanGroup>, waiting: u32) -> v1::FleetPlan {
    v1::FleetPlan {
        id: "7f3a".to_owned(),
        environment: "prod".to_owned(),
        revision: Some(v1::Revision {
            repository: "fleet".to_owned(),
            branch: "main".to_owned(),
            commit: NEW.to_owned(),
        }),
        done: waiting == 0,
        waiting,
        groups,
        ..v1::FleetPlan::default()
    }
}

fn hub(plans: Vec<v1::FleetPlan>) -> Hub {
    Hub::start(Fake {
        plans: Arc::new(Mutex::new(plans.into())),
        ..Fake::default()
    })
}

const ASK: [&str; 5] = ["plan", "--env", "prod", "--commit", NEW];

#[test]
fn exit_codes_tell_nothing_from_changes_from_what_nobody_can_say() {
    use v1::PlanVerdict as Verdict;
    let changes = || group(Verdict::Changes, &["a", "b"]);
    let nothing = || group(Verdict::Nothing, &["c"]);
    for (groups, code) in [
        (vec![nothing()], 0),
        (Vec::new(), 0),
        (vec![changes(), nothing()], 1),
        (vec![changes(), group(Verdict::Offline, &["d"])], 2),
        (vec![nothing(), group(Verdict::Refused, &["d"])], 2),
        (vec![nothing(), group(Verdict::TimedOut, &["d"])], 2),
        (vec![nothing(), group(Verdict::Conflict, &["d"])], 2),
    ] {
        let output = hub(vec![plan(groups, 0)]).run(&ASK);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }
}

#[test]
fn a_plan_is_followed_to_its_end_and_shown_in_each_format() {
    use v1::PlanVerdict as Verdict;
    let whole = || plan(vec![group(Verdict::Changes, &["a", "b"])], 0);
    let part = plan(vec![group(Verdict::Changes, &["a"])], 1);
    let hub = hub(vec![part, whole(), whole(), whole()]);
    let output = hub.run(&ASK);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("1 answered, 1 to come"),
        "{}",
        stderr(&output)
    );
    let text = stdout(&output);
    assert!(text.contains("2 clusters: the same 3 changes"), "{text}");
    assert!(text.contains("~ update ConfigMap web/config"), "{text}");
    assert!(text.contains("    /data/a\n"), "{text}");
    let json = hub.run(&[&ASK[..], &["-o", "json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    schema::hold("plan", &value);
    assert_eq!(value["answer"], "changes");
    assert_eq!(
        value["groups"][0]["clusters"],
        serde_json::json!(["a", "b"])
    );
    let markdown = stdout(&hub.run(&[&ASK[..], &["-o", "markdown"]].concat()));
    assert!(
        markdown.starts_with("<!-- flotilla:plan:prod -->\n"),
        "{markdown}"
    );
    assert!(
        markdown.contains("<details><summary>2 clusters: the same 3 changes"),
        "{markdown}"
    );
}

#[test]
fn a_hub_that_forgot_the_plan_is_told_of_with_what_to_do() {
    let hub = hub(vec![plan(Vec::new(), 3)]);
    let output = hub.run(&ASK);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(message.contains("the hub restarted"), "{message}");
    assert!(message.contains("run the same command again"), "{message}");
}

#[test]
fn what_is_asked_reaches_the_hub() {
    let fake = Fake::default();
    fake.plans.lock().push_back(plan(Vec::new(), 0));
    let planned = Arc::clone(&fake.planned);
    let hub = Hub::start(fake);
    let more = [
        "--branch",
        "feature/x",
        "--application",
        "shop",
        "--wait=90s",
    ];
    let output = hub.run(&[&ASK[..], &more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let asked = planned.lock().clone();
    assert_eq!(
        asked,
        [v1::StartPlanRequest {
            environment: "prod".to_owned(),
            repository: String::new(),
            branch: "feature/x".to_owned(),
            commit: NEW.to_owned(),
            application: "shop".to_owned(),
            wait_seconds: 90,
        }]
    );
    for wrong in [
        &["plan", "--env", "prod"][..],
        &["plan", "--commit", NEW],
        &["plan", "--env", "prod", "--commit", NEW, "--comment", "7"],
    ] {
        assert_eq!(hub.run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
