//! Markdown for pull requests, in which text from others is escaped.

use flotilla_shared::report::plain_line;

/// Escapes text from others for a line or a table of Markdown, and cuts it at `max_bytes`.
#[must_use]
pub fn plain(text: &str, max_bytes: usize) -> String {
    let mut out = String::new();
    for c in plain_line(text, max_bytes).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Prevents mentions: forges also find names behind a backslash.
            '@' => out.push_str("@\u{200b}"),
            c if "\\`*_[]|#~!".contains(c) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
