//! ASCII armour: RFC 9580, section 6.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Rejection;

/// Largest block, bytes; a certificate with many user IDs and signatures is below it.
const MAX: usize = 256 << 10;

/// The bytes of exactly one armoured block of that kind.
pub(super) fn read(text: &[u8], kind: &str) -> Result<Vec<u8>, Rejection> {
    if text.len() > MAX {
        return Err(format!("it has more than {MAX} bytes").into());
    }
    let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
    let mut lines = text.trim().lines().map(str::trim_end);
    if lines.next() != Some(&format!("-----BEGIN PGP {kind}-----")) {
        return Err(format!("it does not begin with -----BEGIN PGP {kind}-----").into());
    }
    // Headers such as `Comment:` are not signed.
    let mut body = String::new();
    let mut in_headers = true;
    let mut is_closed = false;
    for line in lines.by_ref() {
        if line == format!("-----END PGP {kind}-----") {
            is_closed = true;
            break;
        }
        if in_headers {
            if line.is_empty() {
                in_headers = false;
                continue;
            }
            if line.contains(": ") || line.ends_with(':') {
                continue;
            }
            in_headers = false;
        }
        // The optional checksum only detects transmission errors.
        if !line.starts_with('=') {
            body.push_str(line);
        }
    }
    if !is_closed || lines.next().is_some() {
        return Err("it is not one complete armoured block".into());
    }
    STANDARD
        .decode(body)
        .map_err(|error| format!("its base64 is malformed: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Result<Vec<u8>, Rejection> {
        read(lines.join("\n").as_bytes(), "SIGNATURE")
    }

    const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
    const END: &str = "-----END PGP SIGNATURE-----";

    #[test]
    fn g14_headers_and_the_checksum_say_nothing() {
        let good = Ok(vec![1, 2, 3]);
        for lines in [
            &[BEGIN, "", "AQID", END][..],
            &[BEGIN, "AQID", END],
            &[BEGIN, "", "AQ", "ID", "=abcd", END, ""],
            &[BEGIN, "Version: 1", "Comment:", "", "AQID", END],
            &[BEGIN, "Comment:", "AQID", END],
            &["", BEGIN, "Comment: a: b:", "AQID", END, " "],
        ] {
            assert_eq!(of(lines), good, "{lines:?}");
        }
        assert_eq!(of(&[BEGIN, END]), Ok(Vec::new()));
    }

    #[test]
    fn g14_armour_is_one_whole_block_of_its_kind() {
        let whole = "not one complete armoured block";
        for (lines, why) in [
            (&[BEGIN, "", "AQID"][..], whole),
            (&[BEGIN, "", "AQID", END, "AQID"], whole),
            (&[BEGIN, "", "AQID", END, BEGIN, "", "AQID", END], whole),
            (&["AQID", BEGIN, "", END], "does not begin with"),
            (
                &["-----BEGIN PGP MESSAGE-----", "", END],
                "does not begin with",
            ),
            (&[BEGIN, "", BEGIN, "AQID", END], "base64 is malformed"),
            // After the first line of the body there are no headers.
            (
                &[BEGIN, "", "Comment: x", "AQID", END],
                "base64 is malformed",
            ),
            (&[BEGIN, "AQID", "Comment: x", END], "base64 is malformed"),
        ] {
            let error = of(lines).unwrap_err().to_string();
            assert!(error.contains(why), "{lines:?}: {error}");
        }
        let error = read(b"\xFF", "SIGNATURE").unwrap_err().to_string();
        assert!(error.contains("not text"), "{error}");
        for (size, is_over) in [(0, false), (1, true), (2, true)] {
            let text = vec![b'a'; (256 << 10) + size];
            let error = read(&text, "SIGNATURE").unwrap_err().to_string();
            assert_eq!(error.contains("more than 262144 bytes"), is_over, "{error}");
        }
    }
}
