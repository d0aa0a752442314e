//! Escaping of foreign text in markup.

/// Escapes the characters that begin a tag or an entity of HTML, which Slack's markup uses, too.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
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
    use super::escape;

    #[test]
    fn no_tag_and_no_entity_is_left() {
        assert_eq!(
            escape("<b>a & \"b\"</b> &lt;"),
            "&lt;b&gt;a &amp; \"b\"&lt;/b&gt; &amp;lt;"
        );
    }
}
