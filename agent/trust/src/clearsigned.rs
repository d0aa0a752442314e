//! Clear-signed texts (RFC 9580, section 7), as Helm's provenance files are.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::openpgp::{Certificate, PgpSignature, Verdict, keyring};
use crate::{MAX_SIGNATURE_BYTES, Rejection, TrustError};

/// Largest text that is looked at, bytes: a provenance file has a `Chart.yaml` and a few sums.
const MAX_TEXT_BYTES: usize = 1 << 20;

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";

/// OpenPGP certificates of a keyring file.
#[derive(Debug, Clone)]
pub struct Certificates(Vec<Certificate>);

impl Certificates {
    /// Reads a keyring: one armoured block or several, or the binary that `gpg --export` writes.
    /// Certificates without a key that can sign in a way that is taken are passed over.
    ///
    /// # Errors
    /// When it is not a keyring, or none of its certificates can be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        keyring(bytes).map(Self)
    }

    /// The text of a clear-signed message, and the fingerprint of the certificate that signed it;
    /// `seen` is the time at which the certificate has to be valid.
    ///
    /// # Errors
    /// Why its signature, or the lack of one, is not accepted.
    pub fn clear_signed(
        &self,
        message: &[u8],
        seen: Timestamp,
    ) -> Result<(String, String), TrustError> {
        let (text, signature) = split(message)?;
        let signature = PgpSignature::parse_text(signature.as_bytes())?;
        // RFC 9580, section 7: lines of the signed text end with CR LF, without one after the last line.
        let signed = text.split('\n').collect::<Vec<_>>().join("\r\n");
        let key = signature.issuer();
        let mut verdict = Err(TrustError::Unknown { key });
        for certificate in &self.0 {
            let key = certificate.fingerprint();
            let answer = match certificate.verify(&signature, signed.as_bytes(), seen) {
                Verdict::BySomebodyElse => continue,
                Verdict::OverOtherBytes => Err(TrustError::Mismatch { key }),
                Verdict::OverAnotherHash => Err(TrustError::another_hash(&key)),
                // A keyring may also hold the certificate as it was before its revocation.
                Verdict::Revoked => return Err(TrustError::Revoked { key }),
                Verdict::Outside(why) => Err(TrustError::Expired { key, seen, why }),
                Verdict::Good => Ok(key),
            };
            if verdict.is_err() {
                verdict = answer;
            }
        }
        verdict.map(|key| (text, key))
    }
}

/// The text as it was before it was signed, and the armoured signature.
fn split(message: &[u8]) -> Result<(String, &str), TrustError> {
    if message.len() > MAX_TEXT_BYTES {
        return Err(TrustError::malformed(format!(
            "it has more than {MAX_TEXT_BYTES} bytes"
        )));
    }
    let message =
        std::str::from_utf8(message).map_err(|_| TrustError::malformed("it is not text"))?;
    let message = message.trim();
    let at = message.find(SIGNATURE).ok_or(TrustError::Missing)?;
    let (head, signature) = message.split_at(at);
    if signature.len() > MAX_SIGNATURE_BYTES {
        return Err(TrustError::malformed(format!(
            "its signature has more than {MAX_SIGNATURE_BYTES} bytes"
        )));
    }
    // Unsigned text before the message could be read as part of it.
    let mut lines = head.lines();
    if lines.next().map(str::trim_end) != Some(BEGIN) {
        return Err(TrustError::malformed(format!(
            "it does not begin with {BEGIN}"
        )));
    }
    for line in lines.by_ref() {
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        // The only header allowed here (section 7.2); the signature itself names its hash.
        if !line.starts_with("Hash: ") {
            return Err(TrustError::malformed("it has a header other than Hash"));
        }
    }
    let mut text = Vec::new();
    for line in lines {
        let line = match line.strip_prefix("- ") {
            Some(escaped) => Cow::Borrowed(escaped),
            None if line.starts_with('-') => {
                return Err(TrustError::malformed(
                    "a line of its text begins with a dash",
                ));
            }
            None => Cow::Borrowed(line),
        };
        // Trailing blanks of a line are not signed.
        text.push(line.trim_end_matches([' ', '\t', '\r']).to_owned());
    }
    Ok((text.join("\n"), signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_clear_signed_text_is_refused() {
        for (text, why) in [
            ("", "not signed"),
            ("hello", "not signed"),
            (
                "x\n-----BEGIN PGP SIGNED MESSAGE-----\n\na\n-----BEGIN PGP SIGNATURE-----\n",
                "does not begin with",
            ),
            (
                "-----BEGIN PGP SIGNED MESSAGE-----\nComment: trust me\n\na\n\
                 -----BEGIN PGP SIGNATURE-----\n",
                "header other than Hash",
            ),
            (
                "-----BEGIN PGP SIGNED MESSAGE-----\n\n-----a\n-----BEGIN PGP SIGNATURE-----\n",
                "begins with a dash",
            ),
        ] {
            let fault = split(text.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(why), "{text:?}: {fault}");
        }
        let of = |size: usize| split(&vec![b'a'; size]).unwrap_err();
        assert_eq!(of(MAX_TEXT_BYTES), TrustError::Missing);
        assert!(of(MAX_TEXT_BYTES + 1).to_string().contains("more than"));
    }

    #[test]
    fn a_signature_over_the_limit_is_not_looked_at() {
        let of = |size: usize| {
            let signature = format!("{SIGNATURE}{}", "a".repeat(size - SIGNATURE.len()));
            let message = format!("{BEGIN}\n\na\n{signature}\n");
            split(message.as_bytes()).map(|(_, signature)| signature.len())
        };
        assert_eq!(of(MAX_SIGNATURE_BYTES), Ok(MAX_SIGNATURE_BYTES));
        for over in 1..3 {
            let fault = of(MAX_SIGNATURE_BYTES + over).unwrap_err().to_string();
            assert!(fault.contains("more than 32768 bytes"), "{fault}");
        }
    }

    #[test]
    fn dashes_are_given_back_and_blanks_at_line_ends_are_not_signed() {
        let message = "-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA512\r\n\r\na: 1 \t\r\n- - b\r\n\r\n...\r\n\
                       -----BEGIN PGP SIGNATURE-----\r\n";
        let (text, signature) = split(message.as_bytes()).unwrap();
        assert_eq!(text, "a: 1\n- b\n\n...");
        assert_eq!(signature, SIGNATURE);
    }
}
