//! ASCII armour: RFC 9580, section 6.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Largest block, bytes; a certificate with many user IDs and signatures is below it.
const MAX: usize = 256 << 10;

/// The bytes of exactly one armoured block of that kind.
pub(super) fn read(text: &[u8], kind: &str) -> Result<Vec<u8>, String> {
    if text.len() > MAX {
        return Err(format!("it has more than {MAX} bytes"));
    }
    let text = std::str::from_utf8(text).map_err(|_| "it is not text".to_owned())?;
    let mut lines = text.trim().lines().map(str::trim_end);
    if lines.next() != Some(&format!("-----BEGIN PGP {kind}-----")) {
        return Err(format!("it does not begin with -----BEGIN PGP {kind}-----"));
    }
    // Headers such as `Comment:` say nothing that is signed.
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
        // The optional checksum guards against line noise only.
        if !line.starts_with('=') {
            body.push_str(line);
        }
    }
    if !is_closed || lines.next().is_some() {
        return Err("it is not one whole armoured block".to_owned());
    }
    STANDARD
        .decode(body)
        .map_err(|error| format!("its base64 is broken: {error}"))
}
