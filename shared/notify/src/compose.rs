//! What is sent to a target for a notice, and what its answer means.

mod alert;
mod chat;
mod email;
mod plain;

use serde::{Deserialize, Serialize};

use crate::config::{Format, Target};
use crate::event::Notice;
use crate::fault::Fault;

/// What is known of a subject's earlier messages at one target.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Known {
    /// What the target calls the message: Slack's `ts`, Grafana's number.
    #[serde(default)]
    pub message: String,
    /// Slack's own id of the channel, which changing a message takes.
    #[serde(default)]
    pub channel: String,
}

/// How a post is let in. The sender has the texts of the files; nothing here has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Nothing but its URL.
    No,
    /// `Authorization: Bearer` with the token, where there is one.
    Bearer,
    /// `X-Signature: sha256=...`, HMAC-SHA-256 of the body with the secret, where there is one.
    Hmac,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// POST, PUT or PATCH.
    pub method: &'static str,
    /// After the target's URL.
    pub path: String,
    /// The content's type.
    pub content_type: &'static str,
    /// Sent as JSON; of email, what its message is made of.
    pub body: serde_json::Value,
    /// How the request is signed.
    pub sign: Sign,
    /// Whether the answer says what the message is called.
    pub names: bool,
}

impl Post {
    fn json(path: &str, body: serde_json::Value, sign: Sign) -> Self {
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

/// What is sent, in this order; nothing where this target has nothing to say of it.
#[must_use]
pub fn compose(target: &Target, notice: &Notice, known: &Known) -> Vec<Post> {
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

/// What an answer means for what is known; none: nothing new.
///
/// # Errors
/// When the target says no, in its words.
pub fn resolved(
    target: &Target,
    post: &Post,
    status: u16,
    body: &[u8],
) -> Result<Option<Known>, Fault> {
    let short = |text: &str| flotilla_shared::report::plain_line(text, 200);
    if !(200..300).contains(&status) {
        let passing = status == 408 || status == 425 || status == 429 || status >= 500;
        return Err(Fault {
            why: format!("HTTP {status}"),
            passing,
        });
    }
    if !matches!(target.format, Format::Slack | Format::Grafana) {
        return Ok(None);
    }
    let answer: serde_json::Value = serde_json::from_slice(body)
        .map_err(|_| Fault::lasting("the answer is not JSON: is this the address of the API?"))?;
    let text = |place: &str| answer.pointer(place).and_then(serde_json::Value::as_str);
    // Slack says no with 200 (<https://api.slack.com/web#responses>).
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
        return Err(Fault {
            why: format!("Slack says {}", short(error)),
            passing,
        });
    }
    if !post.names {
        return Ok(None);
    }
    Ok(match target.format {
        Format::Slack => text("/ts").map(|ts| Known {
            message: short(ts),
            channel: short(text("/channel").unwrap_or_default()),
        }),
        _ => answer
            .get("id")
            .and_then(serde_json::Value::as_u64)
            .map(|id| Known {
                message: id.to_string(),
                channel: String::new(),
            }),
    })
}

#[cfg(test)]
mod tests;
