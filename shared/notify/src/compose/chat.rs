//! Messages for people: Slack (<https://api.slack.com/methods/chat.postMessage>), Microsoft Teams
//! (Adaptive Card 1.4 to a workflow's URL), Discord (<https://discord.com/developers/docs/resources/webhook>).

use flotilla_shared::markup::escape;
use serde_json::{Value, json};

use super::{MessageRef, Post, PostAuth};
use crate::config::Target;
use crate::event::{Kind, Notice};
use crate::severity::Severity;
use crate::text::{detail, headline, markdown};

/// Composes for channels without threads: one message when something begins, needs attention, and ends.
pub(super) fn once(notice: &Notice, message: fn(&Notice) -> Value) -> Vec<Post> {
    if notice.event.kind == Kind::RolloutWaits {
        return Vec::new();
    }
    vec![Post::json("", message(notice), PostAuth::No)]
}

fn sign(notice: &Notice) -> &'static str {
    match (notice.event.kind, notice.event.kind.severity()) {
        (Kind::RolloutSucceeded | Kind::ClusterBack, _) => "✅",
        (_, Severity::Critical) => "❌",
        (_, Severity::Warning) => "⚠️",
        (_, Severity::Info) => "▶️",
    }
}

fn slack_body(notice: &Notice) -> Value {
    let line = headline(notice);
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "emoji": false, "text": cut(&format!("{} {line}", sign(notice)), 150)},
    })];
    let detail = detail(notice);
    if !detail.is_empty() {
        blocks.push(json!({
            "type": "section",
            "text": {"type": "plain_text", "emoji": false, "text": cut(&detail, 2_900)},
        }));
    }
    let mut more = format!("`{}`", notice.event.command());
    if !notice.link.is_empty() {
        more.push_str(&format!(" · <{}|page>", notice.link));
    }
    blocks.push(json!({
        "type": "context",
        "elements": [{"type": "mrkdwn", "text": more}],
    }));
    json!({
        "text": escape(&line),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// Composes one message for each rollout, which is updated, with the steps in its thread; anything else is a message of
/// its own.
pub(super) fn slack(target: &Target, notice: &Notice, known: &MessageRef) -> Vec<Post> {
    let post = |path: &str, body: Value| Post::json(path, body, PostAuth::Bearer);
    let mut body = slack_body(notice);
    if known.message.is_empty() || !notice.event.kind.is_of_rollout() {
        body["channel"] = json!(target.channel);
        let mut first = post("/chat.postMessage", body);
        first.names = notice.event.kind.is_of_rollout();
        return vec![first];
    }
    let channel = match known.channel.as_str() {
        "" => target.channel.as_str(),
        channel => channel,
    };
    body["channel"] = json!(channel);
    body["ts"] = json!(known.message);
    let loud = matches!(
        notice.event.kind,
        Kind::RolloutHalted | Kind::RolloutRolledBack
    );
    let step = [headline(notice), detail(notice)].join("\n");
    let reply = json!({
        "channel": channel,
        "thread_ts": known.message,
        "reply_broadcast": loud,
        "text": escape(cut(step.trim_end(), 2_900)),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
    });
    vec![post("/chat.update", body), post("/chat.postMessage", reply)]
}

pub(super) fn slack_webhook(notice: &Notice) -> Value {
    slack_body(notice)
}

/// Composes an Adaptive Card; text runs are not parsed as Markdown, unlike a `TextBlock`.
pub(super) fn teams(notice: &Notice) -> Value {
    let run = |text: String, more: Value| {
        let mut run = json!({"type": "TextRun", "text": text});
        if let (Some(run), Some(more)) = (run.as_object_mut(), more.as_object()) {
            run.extend(more.clone());
        }
        json!({"type": "RichTextBlock", "inlines": [run]})
    };
    let color = match notice.event.kind.severity() {
        Severity::Critical => "attention",
        Severity::Warning => "warning",
        Severity::Info => "default",
    };
    let title = format!("{} {}", sign(notice), headline(notice));
    let mut body = vec![run(title, json!({"weight": "bolder", "color": color}))];
    let detail = detail(notice);
    if !detail.is_empty() {
        body.push(run(detail, json!({})));
    }
    body.push(run(
        notice.event.command(),
        json!({"fontType": "monospace"}),
    ));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    if !notice.link.is_empty() {
        card["actions"] = json!([{"type": "Action.OpenUrl", "title": "Page", "url": notice.link}]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": card,
        }],
    })
}

pub(super) fn discord(notice: &Notice) -> Value {
    let color = match notice.event.kind.severity() {
        Severity::Critical => 0x00d1_242f,
        Severity::Warning => 0x00bf_8700,
        Severity::Info => 0x0009_69da,
    };
    let text = format!(
        "{}\n`{}`",
        markdown(&detail(notice)),
        notice.event.command()
    );
    let mut embed = json!({
        "title": cut(&format!("{} {}", sign(notice), markdown(&headline(notice))), 250),
        "description": cut(text.trim_start(), 4_000),
        "color": color,
        "timestamp": notice.event.at.to_string(),
    });
    if !notice.link.is_empty() {
        embed["url"] = json!(notice.link);
    }
    json!({"embeds": [embed], "allowed_mentions": {"parse": []}})
}

/// Returns the beginning of a text, at most `limit` characters.
fn cut(text: &str, limit: usize) -> &str {
    match text.char_indices().nth(limit) {
        Some((end, _)) => text.get(..end).unwrap_or_default(),
        None => text,
    }
}
