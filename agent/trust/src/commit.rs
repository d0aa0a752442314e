//! A commit object's signature, and the bytes that it covers.

use crate::{MAX_COMMIT_BYTES, MAX_SIGNATURE_BYTES, TrustError};

/// A signed commit, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCommit {
    /// The commit object without its signature headers: the signed bytes.
    pub payload: Vec<u8>,
    /// The armoured signature.
    pub signature: Vec<u8>,
}

/// Splits a raw commit object (without the `commit <size>\0` that its id covers), exactly as git's
/// `parse_buffer_signed_by_header` does for a repository of SHA-1: the `gpgsig` header with its
/// continuation lines is the signature, `gpgsig-sha256` is not part of the signed bytes, and everything
/// after the first empty line is the message.
///
/// Git joins several `gpgsig` headers; here they are refused, since no program creates such commits.
///
/// # Errors
/// When there is no signature, more than one, or one over the limit.
pub fn split(raw: &[u8]) -> Result<SignedCommit, TrustError> {
    if raw.len() > MAX_COMMIT_BYTES {
        return Err(TrustError::malformed(format!(
            "the commit object has more than {MAX_COMMIT_BYTES} bytes"
        )));
    }
    let mut payload = Vec::with_capacity(raw.len());
    let mut signature = Vec::new();
    let mut signatures = 0;
    // The header that continuation lines belong to.
    let mut within = Header::Other;
    let mut rest = raw;
    while !rest.is_empty() {
        if rest.starts_with(b"\n") {
            payload.extend_from_slice(rest);
            break;
        }
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (line, next) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        rest = next;
        let content = match line.strip_prefix(b" ") {
            Some(continued) => continued,
            None => {
                let (kind, value) = header(line);
                within = kind;
                value
            }
        };
        match within {
            Header::Signature => {
                if !line.starts_with(b" ") {
                    signatures += 1;
                }
                signature.extend_from_slice(content);
            }
            Header::OtherSignature => {}
            Header::Other => payload.extend_from_slice(line),
        }
        if signature.len() > MAX_SIGNATURE_BYTES {
            return Err(TrustError::malformed(format!(
                "it has more than {MAX_SIGNATURE_BYTES} bytes"
            )));
        }
    }
    match signatures {
        0 => Err(TrustError::Missing),
        1 => Ok(SignedCommit { payload, signature }),
        _ => Err(TrustError::malformed("there is more than one")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Signature,
    /// A signature over the same commit in another object format, and any other header with this prefix.
    OtherSignature,
    Other,
}

fn header(line: &[u8]) -> (Header, &[u8]) {
    if let Some(value) = line.strip_prefix(b"gpgsig ") {
        (Header::Signature, value)
    } else if line.starts_with(b"gpgsig") {
        (Header::OtherSignature, line)
    } else {
        (Header::Other, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, signature: &str, payload: &str) {
        let signed = split(raw.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(signed.signature).unwrap(), signature);
        assert_eq!(String::from_utf8(signed.payload).unwrap(), payload);
    }

    #[test]
    fn g14_the_signature_is_taken_out_as_git_does() {
        check(
            "tree t\nauthor a\ngpgsig BEGIN\n \n line\n END\n\nmessage\ngpgsig no header\n",
            "BEGIN\n\nline\nEND\n",
            "tree t\nauthor a\n\nmessage\ngpgsig no header\n",
        );
        // A signature before other headers, and one for the other object format.
        check(
            "tree t\ngpgsig A\n B\ngpgsig-sha256 C\n D\nencoding x\n\nm",
            "A\nB\n",
            "tree t\nencoding x\n\nm",
        );
        // Continuation lines of other headers are not a signature, whatever they contain.
        check(
            "tree t\nmergetag object o\n gpgsig X\n Y\ngpgsig A\n\nm",
            "A\n",
            "tree t\nmergetag object o\n gpgsig X\n Y\n\nm",
        );
    }

    #[test]
    fn g14_none_two_and_huge_ones_are_refused() {
        let fault = |raw: String| split(raw.as_bytes()).unwrap_err();
        assert_eq!(
            fault("tree t\n\ngpgsig A\n".to_owned()),
            TrustError::Missing
        );
        assert_eq!(
            fault("tree t\ngpgsig-sha256 A\n B\n\nm".to_owned()),
            TrustError::Missing
        );
        let two = fault("tree t\ngpgsig A\n B\ngpgsig C\n\nm".to_owned());
        assert!(two.to_string().contains("more than one"), "{two}");
        let huge = fault(format!("tree t\ngpgsig A\n {}\n\nm", "x".repeat(1 << 20)));
        assert!(huge.to_string().contains("32768 bytes"), "{huge}");
        // The limits themselves are allowed.
        let sized = |signature: usize, whole: usize| {
            let head = format!("tree t\ngpgsig {}\n\n", "x".repeat(signature - 1));
            let raw = format!("{head}{}", "m".repeat(whole - head.len()));
            split(raw.as_bytes()).map(|signed| signed.signature.len())
        };
        let (most, whole) = (MAX_SIGNATURE_BYTES, MAX_COMMIT_BYTES);
        assert_eq!(sized(most, whole), Ok(most));
        assert!(sized(most + 1, whole).is_err());
        for over in 1..3 {
            let fault = sized(10, whole + over).unwrap_err().to_string();
            assert!(fault.contains("4194304 bytes"), "{fault}");
        }
    }
}
