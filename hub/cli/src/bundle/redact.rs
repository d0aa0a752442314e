//! Redacts secrets in texts. Pure.
//!
//! A hub itself returns no secrets except new join tokens, once; but reports, reasons and messages contain texts of
//! others, which may contain secrets anywhere.

/// Replacement of a secret.
const GONE: &str = "REDACTED";
/// Keys with secret values, in any spelling that ends with them.
const KEYS: [&str; 9] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "authorization",
    "privatekey",
];

/// The text without what looks like a secret, and how many there were: PEM blocks of private keys, join
/// tokens, `user:password@` of URLs, words after `Bearer` and `Basic`, and values of keys such as
/// `password`.
pub(crate) fn redact(text: &str) -> (String, usize) {
    let mut count = 0;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("-----BEGIN ") {
        let (before, block) = rest.split_at(at);
        line_by_line(before, &mut out, &mut count);
        let label = block.lines().next().unwrap_or_default();
        // In a JSON string, a line end is two characters.
        let label = label.get(..label.len().min(64)).unwrap_or(label);
        let end = block.get(11..).and_then(|more| more.find("-----END "));
        if !label.contains("PRIVATE KEY") {
            let (own, more) = block.split_at(11);
            out.push_str(own);
            rest = more;
            continue;
        }
        out.push_str(GONE);
        count += 1;
        // Without an end marker the whole rest may be the key.
        let after = end.and_then(|end| block.get(11 + end + 9..));
        let after = after.and_then(|more| more.find("-----").and_then(|at| more.get(at + 5..)));
        rest = after.unwrap_or_default();
    }
    line_by_line(rest, &mut out, &mut count);
    (out, count)
}

fn line_by_line(text: &str, out: &mut String, count: &mut usize) {
    for line in text.split_inclusive('\n') {
        out.push_str(&line_without(line, count));
    }
}

fn line_without(line: &str, count: &mut usize) -> String {
    let line = credentials(line, count);
    let line = prefixed(&line, "flt_", count);
    let line = after_word(&line, "Bearer ", count);
    let line = after_word(&line, "Basic ", count);
    values(&line, count)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

/// Redacts `https://user:password@host`.
fn credentials(line: &str, count: &mut usize) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c.is_whitespace() || "\"'<>,;)".contains(c))
            .unwrap_or(after.len());
        let (authority, more) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) if user.contains(':') => {
                *count += 1;
                out.push_str(&format!("{GONE}@{host}"));
            }
            _ => out.push_str(authority),
        }
        rest = more;
    }
    out.push_str(rest);
    out
}

/// Redacts words with a prefix of Flotilla's tokens.
fn prefixed(line: &str, prefix: &str, count: &mut usize) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(prefix) {
        let (before, word) = rest.split_at(at);
        out.push_str(before);
        let end = word.find(|c| !is_word(c) && c != '_').unwrap_or(word.len());
        // The prefix alone is not a token.
        if end > prefix.len() {
            *count += 1;
            out.push_str(GONE);
        } else {
            out.push_str(prefix);
        }
        rest = word.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Redacts the word after a keyword.
fn after_word(line: &str, word: &str, count: &mut usize) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(word) {
        let (before, after) = rest.split_at(at + word.len());
        out.push_str(before);
        let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
        // Shorter words are prose.
        if end >= 8 {
            *count += 1;
            out.push_str(GONE);
        } else {
            out.push_str(after.get(..end).unwrap_or_default());
        }
        rest = after.get(end..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// Redacts `password: x`, `"token": "x"`, `api_key=x`.
fn values(line: &str, count: &mut usize) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find([':', '=']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        let key = before[..at].trim_end_matches(['"', '\'', ' ']);
        let start = key
            .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .map_or(0, |at| at + 1);
        let key = key[start..].to_ascii_lowercase();
        if !KEYS.iter().any(|secret| key.ends_with(secret)) {
            continue;
        }
        let value = after.trim_start_matches([' ', '"', '\'']);
        let end = value
            .find(|c: char| c.is_whitespace() || "\"',;}&".contains(c))
            .unwrap_or(value.len());
        // Empty, or redacted before.
        if end == 0
            || [GONE, "Bearer ", "Basic "]
                .iter()
                .any(|mark| value.starts_with(mark))
            || matches!(&value[..end], "null" | "true" | "false")
        {
            continue;
        }
        out.push_str(&after[..after.len() - value.len()]);
        out.push_str(GONE);
        *count += 1;
        rest = &value[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_what_is_around_them_stays() {
        for (text, expected) in [
            (
                "https://ada:hunter2@git.example.org/a.git failed",
                "https://REDACTED@git.example.org/a.git failed",
            ),
            ("made flt_ab12_c3d4e5 for x", "made REDACTED for x"),
            (
                "authorization: Bearer abcdefgh12345",
                "authorization: Bearer REDACTED",
            ),
            (
                "{\"password\": \"hunter2\", \"a\": 1}",
                "{\"password\": \"REDACTED\", \"a\": 1}",
            ),
            ("dbPassword=hunter2&x=1", "dbPassword=REDACTED&x=1"),
            ("a\nGIT_TOKEN: ghp_123\nb\n", "a\nGIT_TOKEN: REDACTED\nb\n"),
            (
                "x -----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY----- y",
                "x REDACTED y",
            ),
            (
                "\"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\\n\"",
                "\"REDACTED\\n\"",
            ),
            ("-----BEGIN PRIVATE KEY-----\nAAAA", "REDACTED"),
        ] {
            let (out, count) = redact(text);
            assert_eq!(out, expected);
            assert_eq!(count, 1, "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        for text in [
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "ssh://git@git.example.org/a.git",
            "the token: is expired",
            "\"secret\": null",
            "Basic rules of http://x/y",
            "Secret flotilla-agent-git: ä \u{1f600}",
            "",
        ] {
            let (out, count) = redact(text);
            if text == "the token: is expired" {
                // Redacting a harmless word is better than leaving a secret.
                assert_eq!(out, "the token: REDACTED expired");
                continue;
            }
            if text.starts_with("Secret") {
                assert_eq!(out, text);
            }
            assert_eq!((out.as_str(), count), (text, 0));
        }
    }

    #[test]
    fn a_certificate_beside_a_key_stays() {
        let text = "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n\
                    -----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n";
        let (out, count) = redact(text);
        assert_eq!(count, 1);
        assert!(out.contains("AA") && !out.contains("SECRET"), "{out}");
    }
}
