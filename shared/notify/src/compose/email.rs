//! Email, in plain text.

use serde_json::{Value, json};

use crate::event::Notice;
use crate::text::{detail, headline};

/// Composes subject, text and thread, by which mailboxes group messages.
pub(super) fn email(notice: &Notice) -> Value {
    let line = headline(notice);
    let mut text = vec![line.clone()];
    let detail = detail(notice);
    if !detail.is_empty() {
        text.push(detail);
    }
    text.push(notice.event.command());
    if !notice.link.is_empty() {
        text.push(notice.link.clone());
    }
    json!({
        "id": notice.id.to_string(),
        "subject": format!("[flotilla] {line}"),
        "text": text.join("\n\n"),
        "thread": notice.event.subject(),
    })
}
