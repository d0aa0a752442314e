//! Comments within a forge's size limit, in its Markdown: the important parts come first, and what does not fit is
//! counted, never cut silently.

use flotilla_shared::markup::escape;
use flotilla_shared::report::plain_line;

use crate::place::Kind;

/// A section of a comment, which may be left out for lack of room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its title, one line of plain text.
    pub title: String,
    /// Its text, shown in a code block.
    pub text: String,
}

/// The form of a comment: forge and size limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Kind of forge.
    pub kind: Kind,
    /// Size limit of the text, bytes.
    pub limit: usize,
}

impl From<Kind> for Form {
    fn from(kind: Kind) -> Self {
        let limit = kind.comment_limit();
        Self { kind, limit }
    }
}

/// Returns a marker by which a text is found again; it is invisible on the forge's page.
#[must_use]
pub fn marker(kind: Kind, purpose: &str) -> String {
    let mut plain = String::new();
    for c in purpose.chars() {
        // Two dashes would end the HTML comment.
        let ends = c == '-' && plain.ends_with('-');
        if !ends && (c.is_ascii_alphanumeric() || "-_./:".contains(c)) {
            plain.push(c);
        }
    }
    match has_html(kind) {
        true => format!("<!-- flotilla:{plain} -->"),
        // An unused link definition is not rendered.
        false => format!("[//]: # (flotilla:{plain})"),
    }
}

/// Returns whether a forge renders HTML in Markdown; others show the tags.
fn has_html(kind: Kind) -> bool {
    kind != Kind::Bitbucket
}

/// Composes a comment of a marker, a summary in Markdown and sections, which are folded where the forge supports it.
#[must_use]
pub fn comment(form: Form, purpose: &str, summary: &str, sections: &[Section]) -> String {
    /// Room for the line about left-out sections, bytes.
    const ROOM: usize = 200;
    let Form { kind, limit } = form;
    let mut out = format!("{}\n", marker(kind, purpose));
    if !has_html(kind) {
        // A paragraph begins after an empty line.
        out.push('\n');
    }
    let head = out.len();
    out.push_str(cut(summary, limit.saturating_sub(out.len() + ROOM)));
    if out.len() < head + summary.len() {
        out.push_str("\n\n(cut here: it is too long for this forge)");
    }
    out.push('\n');
    let mut left_out = 0usize;
    for section in sections {
        let shown = shown(kind, section);
        if out.len() + shown.len() + ROOM > limit {
            left_out += 1;
        } else {
            out.push_str(&shown);
        }
    }
    if left_out > 0 {
        out.push_str(&format!(
            "\n{left_out} of {} parts are not shown: there is not enough room for them.\n",
            sections.len()
        ));
    }
    out
}

fn shown(kind: Kind, section: &Section) -> String {
    let text = section.text.trim_end_matches('\n');
    if has_html(kind) {
        let (title, fence) = (html(&section.title), fence(text));
        return format!(
            "\n<details><summary>{title}</summary>\n\n{fence}diff\n{text}\n{fence}\n\n</details>\n"
        );
    }
    // Within a code fence the title needs no escaping.
    let text = format!("# {}\n{text}", plain_line(&section.title, 300));
    let fence = fence(&text);
    format!("\n{fence}diff\n{text}\n{fence}\n")
}

/// Returns the beginning of a text, at most `limit` bytes.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}

/// Returns a text as one line of at most `limit` bytes, with an ellipsis where it was cut.
pub(crate) fn line(text: &str, limit: usize) -> String {
    let plain = plain_line(text, 4096);
    if plain.len() <= limit {
        return plain;
    }
    format!("{}…", cut(&plain, limit.saturating_sub('…'.len_utf8())))
}

/// Returns a code fence that no line of the text can end.
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
    escape(&plain_line(text, 300))
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
        let purpose = "plan:prod -->--<script>";
        let mark = marker(Kind::Github, purpose);
        assert_eq!(mark, "<!-- flotilla:plan:prod-script -->");
        for limit in [1_000, 5_000, 65_000] {
            let kind = Kind::Gitea;
            let text = comment(Form { kind, limit }, purpose, "1 change", &sections);
            assert!(text.len() <= limit, "{} > {limit}", text.len());
            assert!(text.starts_with(&format!("{mark}\n1 change\n")));
            let shown = text.matches("<details>").count();
            let note = format!("{} of 100 parts are not shown", 100 - shown);
            assert_eq!(text.contains(&note), shown < 100, "{limit}");
            assert!(!text.contains("<b>") && text.contains("`````diff"));
        }
        let long = "ä".repeat(2_000);
        let form = Form {
            kind: Kind::Gitlab,
            limit: 1_000,
        };
        let text = comment(form, purpose, &long, &[]);
        assert!(text.len() <= 1_000 && text.contains("cut here"));
        assert_eq!(line(&"ä".repeat(100), 21), format!("{}…", "ä".repeat(9)));
        assert_eq!(line("a\nb", 140), "a b");
    }

    /// Bitbucket escapes HTML, so that people would see the tags.
    #[test]
    fn who_takes_no_html_gets_none() {
        let purpose = "plan:prod) --> [x](y)";
        let mark = marker(Kind::Bitbucket, purpose);
        assert_eq!(mark, "[//]: # (flotilla:plan:prod-xy)");
        let section = |number: usize| Section {
            title: format!("eu_{number} ``` <b>"),
            text: format!("+ ```` {number}\n").repeat(600),
        };
        let sections: Vec<Section> = (0..10).map(section).collect();
        let text = comment(Kind::Bitbucket.into(), purpose, "1 change", &sections);
        assert!(text.starts_with(&format!(
            "{mark}\n\n1 change\n\n`````diff\n# eu_0 ``` <b>\n"
        )));
        assert!(!text.contains("<details>") && !text.contains("<!--"));
        assert!(text.len() <= Kind::Bitbucket.comment_limit());
        assert!(
            text.contains("5 of 10 parts are not shown"),
            "{}",
            text.len()
        );
        let long = comment(Kind::Bitbucket.into(), purpose, &"x".repeat(40_000), &[]);
        assert!(long.len() <= 32_000 && long.contains("cut here"));
    }
}
