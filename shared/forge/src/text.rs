//! Texts below a forge's limit: what matters first, and what does not fit is counted, never cut silently.

/// A part of a comment that may be left out where there is no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// One line, plain text.
    pub title: String,
    /// Shown as it is, in a fence.
    pub text: String,
}

/// By which a text is found again; unseen where Markdown is shown.
#[must_use]
pub fn marker(purpose: &str) -> String {
    let mut plain = String::new();
    for c in purpose.chars() {
        // Two dashes would end it.
        let ends = c == '-' && plain.ends_with('-');
        if !ends && (c.is_ascii_alphanumeric() || "-_./:".contains(c)) {
            plain.push(c);
        }
    }
    format!("<!-- flotilla:{plain} -->")
}

/// A comment of a marker, a summary in Markdown and folded sections, below a limit of bytes.
#[must_use]
pub fn comment(marker: &str, summary: &str, sections: &[Section], limit: usize) -> String {
    /// What says how many are left out.
    const ROOM: usize = 200;
    let mut out = format!("{marker}\n");
    out.push_str(cut(summary, limit.saturating_sub(out.len() + ROOM)));
    if out.len() < marker.len() + 1 + summary.len() {
        out.push_str("\n\n(cut here: it is too long for this forge)");
    }
    out.push('\n');
    let mut left_out = 0usize;
    for section in sections {
        let fence = fence(&section.text);
        let shown = format!(
            "\n<details><summary>{}</summary>\n\n{fence}diff\n{}\n{fence}\n\n</details>\n",
            html(&section.title),
            section.text.trim_end_matches('\n'),
        );
        if out.len() + shown.len() + ROOM > limit {
            left_out += 1;
        } else {
            out.push_str(&shown);
        }
    }
    if left_out > 0 {
        out.push_str(&format!(
            "\n{left_out} of {} parts are not shown: there is no room for them here.\n",
            sections.len()
        ));
    }
    out
}

/// The beginning of a text, at most so many bytes.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// One line of at most so many bytes, with a sign where it was cut.
pub(crate) fn line(text: &str, limit: usize) -> String {
    let plain = flotilla_shared::report::plain_line(text, 4096);
    if plain.len() <= limit {
        return plain;
    }
    format!("{}…", cut(&plain, limit.saturating_sub('…'.len_utf8())))
}

/// A fence that nothing in the text can end.
fn fence(text: &str) -> String {
    let mut longest = 2usize;
    let mut run = 0usize;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(longest + 1)
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in flotilla_shared::report::plain_line(text, 300).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_over_its_limit_and_what_is_missing_is_said() {
        let sections: Vec<Section> = (0..100)
            .map(|number| Section {
                title: format!("<b>{number}</b>"),
                text: format!("- a\n+ ```` b {number}\n").repeat(number + 1),
            })
            .collect();
        let mark = marker("plan:prod -->--<script>");
        assert_eq!(mark, "<!-- flotilla:plan:prod-script -->");
        for limit in [1_000, 5_000, 65_000] {
            let text = comment(&mark, "1 change", &sections, limit);
            assert!(text.len() <= limit, "{} > {limit}", text.len());
            assert!(text.starts_with(&format!("{mark}\n1 change\n")));
            let shown = text.matches("<details>").count();
            let said = format!("{} of 100 parts are not shown", 100 - shown);
            assert_eq!(text.contains(&said), shown < 100, "{limit}");
            assert!(!text.contains("<b>") && text.contains("`````diff"));
        }
        let long = "ä".repeat(2_000);
        let text = comment(&mark, &long, &[], 1_000);
        assert!(text.len() <= 1_000 && text.contains("cut here"));
        assert_eq!(line(&"ä".repeat(100), 21), format!("{}…", "ä".repeat(9)));
        assert_eq!(line("a\nb", 140), "a b");
    }
}
