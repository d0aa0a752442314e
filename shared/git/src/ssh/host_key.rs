//! A readable message for a host key that OpenSSH's client refuses.
//!
//! The client prints a banner of four lines, advice to edit files on its own machine, and in between the two facts that
//! matter: the key that the host shows, and the line of `known_hosts` that contradicts it.

/// Returns the refusal in one sentence; none: it is another text.
pub(super) fn in_words(output: &str) -> Option<String> {
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    let part = |before: &str, after: &str| {
        let mut parts = lines.iter().enumerate();
        parts.find_map(|(at, line)| {
            let part = line.strip_prefix(before)?.strip_suffix(after)?;
            Some((at, part))
        })
    };
    let shown = part(
        "The fingerprint for the ",
        " key sent by the remote host is",
    );
    if let Some((at, kind)) = shown {
        let fingerprint = lines.get(at + 1)?.trim_end_matches('.');
        let which = lines.iter().find_map(|line| offending(line));
        let which = which.map_or_else(String::new, |which| format!(" ({which})"));
        return Some(format!(
            "the server presents {kind} {fingerprint}; known_hosts has a different key{which}. \
             Replace it only after the host's operator has confirmed the new key: the \
             connection may be intercepted"
        ));
    }
    let strict = " and you have requested strict checking.";
    if let Some((_, rest)) = part("No ", strict) {
        let (kind, host) = rest.split_once(" host key is known for ")?;
        return Some(format!(
            "known_hosts has no {kind} key for {host}; add it once the host's operator has \
             confirmed it"
        ));
    }
    let (_, rest) = part("", &format!(" was revoked{strict}"))?;
    let (kind, host) = rest.split_once(" host key for ")?;
    Some(format!(
        "known_hosts marks the {kind} key that {host} presents as revoked: it may be compromised"
    ))
}

/// Returns `ECDSA, line 3` for `Offending ECDSA key in /path/known_hosts:3`.
fn offending(line: &str) -> Option<String> {
    let (kind, place) = line.strip_prefix("Offending ")?.split_once(" key in ")?;
    let (_, number) = place.rsplit_once(':')?;
    let number: u32 = number.parse().ok()?;
    Some(format!("{kind}, line {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output of OpenSSH 9.2 with the options that are used here.
    const CHANGED: &str = "\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\r
Someone could be eavesdropping on you right now (man-in-the-middle attack)!\r
It is also possible that a host key has just been changed.\r
The fingerprint for the ED25519 key sent by the remote host is\r
SHA256:3L6ZWEJ/sVr7SXZxOMvyzGCT/qDGyuAuCKjxiRHSeIQ.\r
Please contact your system administrator.\r
Add correct host key in /keys/known_hosts to get rid of this message.\r
Offending ECDSA key in /keys/known_hosts:3\r
  remove with:\r
  ssh-keygen -f \"/keys/known_hosts\" -R \"[127.0.0.1]:22922\"\r
Host key for [127.0.0.1]:22922 has changed and you have requested strict checking.\r
Host key verification failed.\r
";
    const UNKNOWN: &str = "\
No ED25519 host key is known for [127.0.0.1]:22922 and you have requested strict checking.\r
Host key verification failed.\r
";
    const REVOKED: &str = "\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@       WARNING: REVOKED HOST KEY DETECTED!               @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
The ED25519 host key for [127.0.0.1]:22922 is marked as revoked.\r
This could mean that a stolen key is being used to\r
impersonate this host.\r
ED25519 host key for [127.0.0.1]:22922 was revoked and you have requested strict checking.\r
Host key verification failed.\r
";

    #[test]
    fn refused_host_keys_are_told_without_the_banner() {
        for (output, expected) in [
            (
                CHANGED,
                "the server presents ED25519 SHA256:3L6ZWEJ/sVr7SXZxOMvyzGCT/qDGyuAuCKjxiRHSeIQ; known_hosts has a \
                 different key (ECDSA, line 3). ",
            ),
            (
                UNKNOWN,
                "known_hosts has no ED25519 key for [127.0.0.1]:22922; ",
            ),
            (
                REVOKED,
                "known_hosts marks the ED25519 key that [127.0.0.1]:22922 presents as revoked: ",
            ),
        ] {
            let words = in_words(output).unwrap_or_default();
            assert!(words.starts_with(expected), "{words}");
            assert!(words.len() < 400 && !words.contains('@'), "{words}");
        }
        for other in [
            "",
            "Host key verification failed.",
            "The fingerprint for the ED25519 key sent by the remote host is",
            "No such file",
        ] {
            assert_eq!(in_words(other), None, "{other}");
        }
    }
}
