//! Composes the posts for a notice at a target, and reads the target's answers.

mod alert;
mod chat;
mod email;
mod plain;

use serde::{Deserialize, Serialize};

use crate::config::{Format, Target};
use crate::event::Notice;
use crate::fault::SendError;

/// What is known of earlier messages on the same subject at a target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRef {
    /// The target's id of the message: Slack's `ts`, Grafana's number.
    #[serde(default)]
    pub message: String,
    /// Slack's id of the channel, needed to change a message.
    #[serde(default)]
    pub channel: String,
}

/// Authentication of a post. Only the sender reads the files of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostAuth {
    /// None but the URL.
    No,
    /// `Authorization: Bearer` with the token, where there is one.
    Bearer,
    /// `X-Signature: sha256=...`, HMAC-SHA-256 of the body with the secret, where there is one.
    Hmac,
}

/// A request to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// HTTP method: POST, PUT or PATCH.
    pub method: &'static str,
    /// Path after the target's URL.
    pub path: String,
    /// The content type.
    pub content_type: &'static str,
    /// The body, sent as JSON; for email, the parts of the message.
    pub body: serde_json::Value,
    /// Authentication of the request.
    pub sign: PostAuth,
    /// Whether the answer contains the id of the message.
    pub names: bool,
}

impl Post {
    fn json(path: &str, body: serde_json::Value, sign: PostAuth) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            content_type: "application/json; charset=utf-8",
            body,
            sign,
            names: false,
        }
    }
}

/// Returns the posts for a notice, in order; empty where this target gets none.
#[must_use]
pub fn compose(target: &Target, notice: &Notice, known: &MessageRef) -> Vec<Post> {
    match target.format {
        Format::Webhook => vec![plain::cloud_event(notice)],
        Format::Slack => chat::slack(target, notice, known),
        Format::SlackWebhook => chat::once(notice, chat::slack_webhook),
        Format::Teams => chat::once(notice, chat::teams),
        Format::Discord => chat::once(notice, chat::discord),
        Format::Alertmanager => alert::alertmanager(notice),
        Format::PagerDuty => alert::pager_duty(notice),
        Format::Grafana => plain::grafana(notice, known),
        Format::Email => chat::once(notice, email::email),
    }
}

/// Returns what an answer adds to what is known; none: nothing.
///
/// # Errors
/// When the target refuses, in its words.
pub fn resolved(
    target: &Target,
    post: &Post,
    status: u16,
    body: &[u8],
) -> Result<Option<MessageRef>, SendError> {
    let short = |text: &str| flotilla_shared::report::plain_line(text, 200);
    if !(200..300).contains(&status) {
        let passing = status == 408 || status == 425 || status == 429 || status >= 500;
        return Err(SendError {
            why: format!("HTTP {status}"),
            passing,
        });
    }
    if !matches!(target.format, Format::Slack | Format::Grafana) {
        return Ok(None);
    }
    let answer: serde_json::Value = serde_json::from_slice(body).map_err(|_| {
        SendError::lasting("the answer is not JSON: is this the address of the API?")
    })?;
    let text = |place: &str| answer.pointer(place).and_then(serde_json::Value::as_str);
    // Slack reports errors with status 200 (<https://api.slack.com/web#responses>).
    if target.format == Format::Slack && answer.get("ok") != Some(&serde_json::Value::Bool(true)) {
        let error = text("/error").unwrap_or("no reason");
        let passing = matches!(
            error,
            "ratelimited"
                | "internal_error"
                | "fatal_error"
                | "service_unavailable"
                | "request_timeout"
        );
        return Err(SendError {
            why: format!("Slack error: {}", short(error)),
            passing,
        });
    }
    if !post.names {
        return Ok(None);
    }
    Ok(match target.format {
        Format::Slack => text("/ts").map(|ts| MessageRef {
            message: short(ts),
            channel: short(text("/channel").unwrap_or_default()),
        }),
        _ => answer
            .get("id")
            .and_then(serde_json::Value::as_u64)
            .map(|id| MessageRef {
                message: id.to_string(),
                channel: String::new(),
            }),
    })
}

#[cfg(test)]
mod tests;
