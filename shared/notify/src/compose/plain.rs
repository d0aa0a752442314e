//! For programs: CloudEvents 1.0 (<https://github.com/cloudevents/spec>), and Grafana's annotations.

use flotilla_shared::markup::escape;
use serde_json::json;

use super::{MessageRef, Post, PostAuth};
use crate::event::{Kind, Notice};
use crate::text::{detail, headline};

/// Composes a CloudEvent in structured mode. The id stays the same when it is sent twice, so that a receiver can detect
/// it.
pub(super) fn cloud_event(notice: &Notice) -> Post {
    let event = &notice.event;
    let mut body = json!({
        "specversion": "1.0",
        "id": notice.id.to_string(),
        "source": "/flotilla",
        "type": format!("dev.flotilla.{}", event.kind.as_str()),
        "subject": event.subject(),
        "time": event.at.to_string(),
        "datacontenttype": "application/json",
        "data": {
            "severity": event.kind.severity().as_str(),
            "environment": event.environment,
            "rollout": event.rollout,
            "commit": event.commit,
            "clusters": event.clusters,
            "count": event.count,
            "actor": event.actor,
            "reason": event.reason,
            "text": headline(notice),
            "command": event.command(),
            "link": notice.link,
        },
    });
    if notice.repeated {
        body["repeated"] = json!(true);
    }
    Post {
        content_type: "application/cloudevents+json; charset=utf-8",
        ..Post::json("", body, PostAuth::Hmac)
    }
}

/// Composes a region annotation that spans a rollout. Other events become a point in time.
pub(super) fn grafana(notice: &Notice, known: &MessageRef) -> Vec<Post> {
    let event = &notice.event;
    let at = event.at.as_millisecond();
    let mut tags = vec!["flotilla".to_owned(), event.kind.as_str().to_owned()];
    if !event.environment.is_empty() {
        tags.push(format!("environment:{}", event.environment));
    }
    let text = [headline(notice), detail(notice)].join("\n");
    let text = html(text.trim_end());
    if event.kind.ends() && !known.message.is_empty() {
        let body = json!({"timeEnd": at, "text": text, "tags": tags});
        let path = format!("/api/annotations/{}", known.message);
        return vec![Post {
            method: "PATCH",
            ..Post::json(&path, body, PostAuth::Bearer)
        }];
    }
    let begins = event.kind == Kind::RolloutStarted;
    if event.kind.is_of_rollout() && (!begins || !known.message.is_empty()) && !event.kind.ends() {
        return Vec::new();
    }
    let body = json!({"time": at, "text": text, "tags": tags});
    let mut post = Post::json("/api/annotations", body, PostAuth::Bearer);
    post.names = begins;
    vec![post]
}

/// Escapes text as HTML, which Grafana shows annotations as.
fn html(text: &str) -> String {
    escape(text).replace('"', "&quot;")
}
