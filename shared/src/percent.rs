//! Percent-encoding of what stands in URLs and forms.

/// Encodes a text byte by byte; the unreserved characters of RFC 3986, section 2.3, stay, and those of
/// `keep`.
#[must_use]
pub fn encode(text: &str, keep: &[u8]) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// The body of a form, or a query string, of fields whose names need no encoding.
#[must_use]
pub fn form(fields: &[(&str, &str)]) -> String {
    let fields = fields.iter();
    let parts: Vec<String> = fields
        .map(|(name, value)| format!("{name}={}", encode(value, b"")))
        .collect();
    parts.join("&")
}

#[cfg(test)]
mod tests {
    use super::{encode, form};

    #[test]
    fn only_what_is_unreserved_or_kept_stays() {
        assert_eq!(encode("aZ0-._~", b""), "aZ0-._~");
        assert_eq!(
            encode("a/b:c?d=e&f g%", b""),
            "a%2Fb%3Ac%3Fd%3De%26f%20g%25"
        );
        assert_eq!(encode("a/b:c", b"/"), "a/b%3Ac");
        assert_eq!(encode("ü", b""), "%C3%BC");
        assert_eq!(form(&[("a", "1 2"), ("b", "x&y")]), "a=1%202&b=x%26y");
        assert_eq!(form(&[]), "");
    }
}
