//! Percent-encoding of texts in URLs and forms.

use crate::hex;

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

/// Decodes a part of a URL; none: a `%` lacks its two digits, or the bytes are not UTF-8.
#[must_use]
pub fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => hex::byte(rest.next()?, rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Returns the body of a form, or a query string, of fields whose names need no encoding.
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
    use super::{decode, encode, form};

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

    #[test]
    fn a_part_of_a_url_is_text() {
        for text in ["", "a/b:c?d=e&f g%", "ü", "+"] {
            assert_eq!(decode(&encode(text, b"")).as_deref(), Some(text));
        }
        assert_eq!(decode("a+b%2fc%2Bd").as_deref(), Some("a+b/c+d"));
        for wrong in ["%", "%2", "a%2", "%zz", "%+5", "%é0", "%ff"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
