//! Alerts: Alertmanager (API version 2) and PagerDuty (<https://developer.pagerduty.com/docs/events-api-v2/overview/>).
//! Raised alerts are resolved.

use serde_json::{Value, json};

use super::{Post, PostAuth};
use crate::event::{Kind, Notice};
use crate::severity::Severity;
use crate::text::{detail, headline};

/// Steps of a rollout that raise an alert.
const NEEDS: [Kind; 4] = [
    Kind::RolloutPaused,
    Kind::RolloutHalted,
    Kind::RolloutRolledBack,
    Kind::ApprovalNeeded,
];

/// Returns the kinds of alerts that an event resolves.
fn ended(kind: Kind) -> Vec<Kind> {
    match kind {
        Kind::RolloutSucceeded | Kind::RolloutSuperseded => NEEDS.to_vec(),
        // It continued, or ended in another way.
        Kind::RolloutStarted => vec![Kind::RolloutPaused, Kind::ApprovalNeeded],
        Kind::RolloutRolledBack => vec![
            Kind::RolloutPaused,
            Kind::RolloutHalted,
            Kind::ApprovalNeeded,
        ],
        Kind::ClusterBack => vec![Kind::ClusterOffline],
        _ => Vec::new(),
    }
}

fn raises(kind: Kind) -> bool {
    kind.severity() > Severity::Info
}

pub(super) fn alertmanager(notice: &Notice) -> Vec<Post> {
    let event = &notice.event;
    let labels = |kind: Kind| {
        let mut word = kind.as_str().to_owned();
        if let Some(first) = word.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let mut labels = json!({
            "alertname": format!("Flotilla{word}"),
            "severity": kind.severity().as_str(),
        });
        for (key, value) in [
            ("environment", &event.environment),
            ("rollout", &event.rollout),
        ] {
            if !value.is_empty() {
                labels[key] = json!(value);
            }
        }
        labels
    };
    let at = event.at.to_string();
    let mut alerts: Vec<Value> = ended(event.kind)
        .into_iter()
        .map(|kind| json!({"labels": labels(kind), "startsAt": at, "endsAt": at}))
        .collect();
    if raises(event.kind) {
        let mut alert = json!({
            "labels": labels(event.kind),
            "annotations": {
                "summary": headline(notice),
                "description": detail(notice),
                "command": event.command(),
            },
            "startsAt": at,
        });
        if !notice.link.is_empty() {
            alert["generatorURL"] = json!(notice.link);
        }
        alerts.push(alert);
    }
    if alerts.is_empty() {
        return Vec::new();
    }
    vec![Post::json(
        "/api/v2/alerts",
        Value::Array(alerts),
        PostAuth::Bearer,
    )]
}

/// Composes events; the sender adds the routing key as `routing_key`.
pub(super) fn pager_duty(notice: &Notice) -> Vec<Post> {
    let event = &notice.event;
    if raises(event.kind) {
        let mut body = json!({
            "event_action": "trigger",
            "dedup_key": event.subject(),
            "client": "Flotilla",
            "payload": {
                "summary": headline(notice),
                "source": "flotilla",
                "severity": event.kind.severity().as_str(),
                "timestamp": event.at.to_string(),
                "group": event.environment,
                "class": event.kind.as_str(),
                "custom_details": {"detail": detail(notice), "command": event.command()},
            },
        });
        if !notice.link.is_empty() {
            body["client_url"] = json!(notice.link);
            body["links"] = json!([{"href": notice.link, "text": "Page"}]);
        }
        return vec![Post::json("/v2/enqueue", body, PostAuth::No)];
    }
    let over = match event.kind {
        Kind::ClusterBack => format!("{}/{}", Kind::ClusterOffline.as_str(), event.environment),
        kind if kind.ends() => event.subject(),
        _ => return Vec::new(),
    };
    let body = json!({"event_action": "resolve", "dedup_key": over});
    vec![Post::json("/v2/enqueue", body, PostAuth::No)]
}
