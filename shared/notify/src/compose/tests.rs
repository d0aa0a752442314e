use jiff::Timestamp;
use serde_json::Value;

use super::*;
use crate::config::parse;
use crate::event::{Event, Kind};

fn target(format: &str) -> Target {
    let text = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Notifications\ntargets: [{{name: t, {format}}}]\n"
    );
    parse("n", &text).unwrap().targets.remove(0)
}

fn targets() -> Vec<Target> {
    [
        "type: webhook, url: 'https://h/x'",
        "type: slack, tokenFile: /t, channel: C1",
        "type: slackWebhook, urlFile: /u",
        "type: teams, urlFile: /u",
        "type: discord, urlFile: /u",
        "type: alertmanager, url: 'https://h'",
        "type: pagerDuty, tokenFile: /t",
        "type: grafana, url: 'https://h', tokenFile: /t",
        "type: email, url: 'smtp://h', from: a@b.c, to: [d@e.f]",
    ]
    .map(target)
    .to_vec()
}

fn notice(kind: Kind) -> Notice {
    let event = Event {
        kind,
        at: "2026-11-27T07:00:00Z".parse::<Timestamp>().unwrap(),
        environment: "prod".to_owned(),
        rollout: if kind.is_of_rollout() {
            "prod-7".to_owned()
        } else {
            String::new()
        },
        commit: "3f2a9c1".to_owned(),
        clusters: vec!["eu-1".to_owned()],
        count: if kind.is_of_rollout() { 0 } else { 41 },
        actor: "ann".to_owned(),
        reason: "2 of 1 failed".to_owned(),
    };
    Notice {
        id: 12,
        event,
        link: "https://f.example.org/rollout/prod-7".to_owned(),
        repeated: false,
    }
}

fn one(posts: Vec<Post>) -> Post {
    assert_eq!(posts.len(), 1, "{posts:?}");
    posts.into_iter().next().unwrap()
}

/// Every string of a value.
fn strings(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => all.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| strings(value, all)),
        Value::Object(map) => map.values().for_each(|value| strings(value, all)),
        _ => {}
    }
}

#[test]
fn a_cloud_event_has_what_the_standard_asks_for() {
    let post = one(compose(
        &targets()[0],
        &notice(Kind::RolloutHalted),
        &MessageRef::default(),
    ));
    for (key, expected) in [
        ("specversion", "1.0"),
        ("id", "12"),
        ("source", "/flotilla"),
        ("type", "dev.flotilla.rolloutHalted"),
        ("subject", "rollout/prod-7"),
        ("time", "2026-11-27T07:00:00Z"),
    ] {
        assert_eq!(post.body[key], expected);
    }
    assert!(
        post.content_type
            .starts_with("application/cloudevents+json")
    );
    assert_eq!(
        (post.sign, post.body.get("repeated")),
        (PostAuth::Hmac, None)
    );
    let again = Notice {
        repeated: true,
        ..notice(Kind::RolloutHalted)
    };
    let again = one(compose(&targets()[0], &again, &MessageRef::default()));
    assert_eq!(
        (&again.body["id"], &again.body["repeated"]),
        (&post.body["id"], &Value::Bool(true))
    );
    // CloudEvents allows only lower-case letters and digits in attribute names.
    for key in again.body.as_object().unwrap().keys() {
        assert!(key.bytes().all(|b| b.is_ascii_lowercase()), "{key}");
    }
}

#[test]
fn slack_has_one_message_for_a_rollout_that_changes() {
    let slack = &targets()[1];
    let first = one(compose(
        slack,
        &notice(Kind::RolloutStarted),
        &MessageRef::default(),
    ));
    assert_eq!(
        (first.path.as_str(), first.names),
        ("/chat.postMessage", true)
    );
    let answer = br#"{"ok":true,"channel":"C9","ts":"1503435956.000247"}"#;
    let known = resolved(slack, &first, 200, answer).unwrap().unwrap();
    let mut messages = 1;
    for kind in [
        Kind::RolloutWaits,
        Kind::ApprovalNeeded,
        Kind::RolloutHalted,
        Kind::RolloutRolledBack,
    ] {
        let posts = compose(slack, &notice(kind), &known);
        let [update, reply] = posts.as_slice() else {
            panic!("{posts:?}");
        };
        assert_eq!(update.path, "/chat.update");
        assert_eq!(update.body["ts"], "1503435956.000247");
        assert_eq!(update.body["channel"], "C9");
        assert_eq!(reply.body["thread_ts"], "1503435956.000247");
        let loud = matches!(kind, Kind::RolloutHalted | Kind::RolloutRolledBack);
        assert_eq!(reply.body["reply_broadcast"], loud);
        messages += posts
            .iter()
            .filter(|post| post.path == "/chat.postMessage" && post.body.get("thread_ts").is_none())
            .count();
    }
    assert_eq!(messages, 1);
    // An event outside of rollouts is a message of its own each time.
    let other = one(compose(slack, &notice(Kind::Fight), &known));
    assert_eq!(
        (other.path.as_str(), other.names),
        ("/chat.postMessage", false)
    );
    // Slack reports errors with status 200.
    let no = |body: &[u8]| resolved(slack, &first, 200, body).unwrap_err();
    assert_eq!(
        no(br#"{"ok":false,"error":"channel_not_found"}"#),
        SendError::lasting("Slack error: channel_not_found")
    );
    assert!(no(br#"{"ok":false,"error":"ratelimited"}"#).passing);
    assert!(no(b"<html>").why.contains("not JSON"));
}

#[test]
fn a_page_is_called_for_what_needs_somebody_and_taken_back() {
    let pager = &targets()[6];
    let posts = |kind| compose(pager, &notice(kind), &MessageRef::default());
    assert!(posts(Kind::RolloutStarted).is_empty() && posts(Kind::RolloutWaits).is_empty());
    let halted = one(posts(Kind::RolloutHalted));
    assert_eq!(
        (&halted.body["event_action"], &halted.body["dedup_key"]),
        (&"trigger".into(), &"rollout/prod-7".into())
    );
    assert_eq!(halted.body["payload"]["severity"], "critical");
    let over = one(posts(Kind::RolloutSucceeded));
    assert_eq!(
        (&over.body["event_action"], &over.body["dedup_key"]),
        (&"resolve".into(), &"rollout/prod-7".into())
    );
    let away = one(posts(Kind::ClusterOffline)).body["dedup_key"].clone();
    let back = one(posts(Kind::ClusterBack));
    assert_eq!(
        (&back.body["event_action"], &back.body["dedup_key"]),
        (&"resolve".into(), &away)
    );
    let alerts = &targets()[5];
    let posts = |kind| compose(alerts, &notice(kind), &MessageRef::default());
    let raised = one(posts(Kind::RolloutHalted)).body[0].clone();
    assert_eq!(raised["labels"]["alertname"], "FlotillaRolloutHalted");
    let ended = one(posts(Kind::RolloutSucceeded)).body;
    let same = ended
        .as_array()
        .unwrap()
        .iter()
        .find(|alert| alert["labels"] == raised["labels"]);
    assert!(same.unwrap()["endsAt"].is_string(), "{ended:#}");
    assert!(posts(Kind::RolloutWaits).is_empty());
}

#[test]
fn grafana_gets_a_region_over_the_rollout() {
    let grafana = &targets()[7];
    let begin = one(compose(
        grafana,
        &notice(Kind::RolloutStarted),
        &MessageRef::default(),
    ));
    assert_eq!((begin.method, begin.names), ("POST", true));
    let known = resolved(
        grafana,
        &begin,
        200,
        br#"{"message":"Annotation added","id":7}"#,
    )
    .unwrap()
    .unwrap();
    assert!(compose(grafana, &notice(Kind::RolloutHalted), &known).is_empty());
    let end = one(compose(grafana, &notice(Kind::RolloutSucceeded), &known));
    assert_eq!(
        (end.method, end.path.as_str()),
        ("PATCH", "/api/annotations/7")
    );
    assert_eq!(end.body["timeEnd"], 1_795_762_800_000_i64);
    // The end is sent even if the start was never sent.
    let late = one(compose(
        grafana,
        &notice(Kind::RolloutSucceeded),
        &MessageRef::default(),
    ));
    assert_eq!(late.method, "POST");
}

#[test]
fn no_text_of_others_becomes_a_sign_of_the_target() {
    let hostile = "<!channel> <https://evil|x> @everyone **b** [x](https://evil) \\ `c` \u{1b}[31m\n| # <script>";
    for target in targets() {
        let mut notice = notice(Kind::ApprovalNeeded);
        notice.event.reason = hostile.to_owned();
        notice.event.actor = hostile.to_owned();
        notice.event.environment = hostile.to_owned();
        notice.event.clusters = vec![hostile.to_owned(); 100];
        for post in compose(&target, &notice, &MessageRef::default()) {
            let mut all = Vec::new();
            strings(&post.body, &mut all);
            let whole = post.body.to_string();
            assert!(whole.len() < 20_000, "{:?}: {}", target.format, whole.len());
            match target.format {
                Format::Slack | Format::SlackWebhook => {
                    let marked = |value: &Value| value["type"] == "mrkdwn";
                    let blocks = post.body["blocks"].as_array().unwrap();
                    for block in blocks {
                        for element in block["elements"].as_array().into_iter().flatten() {
                            let text = element["text"].as_str().unwrap();
                            assert!(!marked(element) || !text.contains("evil"), "{text}");
                        }
                        assert!(!marked(&block["text"]));
                    }
                    assert!(!post.body["text"].as_str().unwrap().contains('<'));
                }
                Format::Discord => {
                    assert_eq!(
                        post.body["allowed_mentions"]["parse"],
                        serde_json::json!([])
                    );
                    let text = post.body["embeds"][0]["description"].as_str().unwrap();
                    assert!(
                        text.contains("\\*\\*b\\*\\*") && text.contains("\\[x\\]\\("),
                        "{text}"
                    );
                }
                Format::Teams => assert!(!whole.contains("\"TextBlock\""), "it reads Markdown"),
                Format::Grafana => {
                    assert!(all.iter().all(|text| !text.contains("<script>")), "{whole}");
                }
                _ => {}
            }
            // A command that a person may copy never contains text from others.
            assert!(!notice.event.command().contains("evil"));
        }
    }
}

#[test]
fn every_kind_has_something_to_say_to_a_program_and_to_people() {
    for kind in Kind::ALL {
        for target in targets() {
            let posts = compose(&target, &notice(*kind), &MessageRef::default());
            let silent = matches!(
                target.format,
                Format::Alertmanager | Format::PagerDuty | Format::Grafana
            ) || *kind == Kind::RolloutWaits;
            assert!(silent || posts.len() == 1, "{kind:?} {:?}", target.format);
        }
    }
}

#[test]
fn which_answers_are_worth_another_try() {
    let target = &targets()[0];
    let post = one(compose(
        target,
        &notice(Kind::Fight),
        &MessageRef::default(),
    ));
    for (status, passing) in [
        (400, false),
        (401, false),
        (404, false),
        (410, false),
        (302, false),
        (408, true),
        (429, true),
        (500, true),
        (503, true),
    ] {
        let fault = resolved(target, &post, status, b"").unwrap_err();
        assert_eq!(fault.passing, passing, "{status}");
    }
    assert_eq!(resolved(target, &post, 204, b""), Ok(None));
}
