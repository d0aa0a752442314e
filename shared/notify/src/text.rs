//! Texts of notifications, and escaping for each type of target.

use flotilla_shared::report::plain_line;

use crate::event::Notice;

/// Number of names that are shown of a long list.
const NAMES: usize = 5;
const REASON: usize = 500;

/// Returns one line: what, where, with which commit.
pub(crate) fn headline(notice: &Notice) -> String {
    let event = &notice.event;
    let mut line = match event.count {
        0 => event.kind.title().to_owned(),
        count => format!("{count} {}", lower(event.kind.title())),
    };
    if !event.environment.is_empty() {
        line.push_str(&format!(" in {}", event.environment));
    }
    let what = match (event.rollout.as_str(), event.commit.as_str()) {
        ("", "") => String::new(),
        ("", commit) => commit.to_owned(),
        (rollout, "") => rollout.to_owned(),
        (rollout, commit) => format!("{rollout}, {commit}"),
    };
    if !what.is_empty() {
        line.push_str(&format!(" ({what})"));
    }
    if notice.repeated {
        line.push_str(" - possible duplicate");
    }
    plain_line(&line, 200)
}

/// Returns one or two lines: why, by whom, and which clusters.
pub(crate) fn detail(notice: &Notice) -> String {
    let event = &notice.event;
    let mut parts = Vec::new();
    if !event.reason.is_empty() {
        parts.push(plain_line(&event.reason, REASON));
    }
    if !event.actor.is_empty() {
        parts.push(format!("by {}", plain_line(&event.actor, 100)));
    }
    if !event.clusters.is_empty() {
        let shown: Vec<String> = event
            .clusters
            .iter()
            .take(NAMES)
            .map(|name| plain_line(name, 63))
            .collect();
        let all = event.count.max(event.clusters.len());
        let more = match all.saturating_sub(shown.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        parts.push(format!("{}{more}", shown.join(", ")));
    }
    parts.join("; ")
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Escapes text for Discord's Markdown.
pub(crate) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() && !",.;%+='\"/&?".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
