//! Why our own private key is of no use, in words.
//!
//! OpenSSH's client says so with a banner, or, of a key with a passphrase, nothing at all: it cannot ask for
//! one, goes on without the key, and the server denies it.

use std::io::Read as _;
use std::path::Path;

/// What is read of a key to see how it is kept, bytes: its head.
const HEAD: u64 = 512;
/// `openssh-key-v1` and a zero in base64, with which every key of OpenSSH's own format begins; three bytes are
/// four letters, so that what follows begins anew.
const FORMAT: &str = "b3BlbnNzaC1rZXktdjEA";
/// Next is the cipher's name: this is `none`.
const NO_CIPHER: &str = "AAAABG5vbmUA";

/// What is wrong with the key, by what the program says and by the file itself; none: nothing that is known.
pub(super) fn in_words(output: &str, key: &Path) -> Option<String> {
    let mut head = String::new();
    let read = std::fs::File::open(key).and_then(|file| file.take(HEAD).read_to_string(&mut head));
    explain(
        output,
        &key.display().to_string(),
        read.map(|_| head.as_str()).ok(),
    )
}

/// `head`: how the key file begins; none: it cannot be read, or is no text.
fn explain(output: &str, key: &str, head: Option<&str>) -> Option<String> {
    if let Some((_, rest)) = output.split_once("Permissions ")
        && let Some((mode, _)) = rest.split_once(" for '")
        && output.contains("private key will be ignored")
    {
        return Some(format!(
            "the private key {key} can be read by others (mode {mode}), and ssh does not use such a one: chmod \
             600 {key}; for a mounted Secret, defaultMode: 0400"
        ));
    }
    if output.contains("Permission denied") && head.is_some_and(has_passphrase) {
        return Some(format!(
            "the private key {key} has a passphrase, which nobody is here to type: use one without \
             (ssh-keygen -p -N '' -f {key} takes it away)"
        ));
    }
    if output.contains("Load key ") {
        let why = match head {
            Some(head) if !head.trim_start().starts_with("-----BEGIN ") => {
                "it does not begin as one (-----BEGIN …)"
            }
            Some(_) => "it is cut off, damaged, or of a format that this ssh does not know",
            None => "it cannot be read, or is no text",
        };
        return Some(format!("ssh cannot use {key} as a private key: {why}"));
    }
    None
}

/// Whether a key is kept under a passphrase, in OpenSSH's own format or in PEM.
fn has_passphrase(head: &str) -> bool {
    if head.contains("BEGIN ENCRYPTED PRIVATE KEY") || head.contains("Proc-Type: 4,ENCRYPTED") {
        return true;
    }
    let body = head.split_once("-----BEGIN OPENSSH PRIVATE KEY-----");
    let body: String = body
        .map_or("", |(_, body)| body)
        .split_whitespace()
        .collect();
    body.strip_prefix(FORMAT)
        .is_some_and(|cipher| !cipher.starts_with(NO_CIPHER))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As OpenSSH 9.2 says it, with the options that we give.
    const OPEN: &str = "\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\r
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r
Permissions 0644 for '/keys/git.example.com.ssh-privatekey' are too open.\r
It is required that your private key files are NOT accessible by others.\r
This private key will be ignored.\r
Load key \"/keys/git.example.com.ssh-privatekey\": bad permissions\r
git@127.0.0.1: Permission denied (publickey).\r
";
    const DENIED: &str = "git@127.0.0.1: Permission denied (publickey).\r\n";
    const BROKEN: &str = "\
Load key \"/keys/git.example.com.ssh-privatekey\": error in libcrypto\r
git@127.0.0.1: Permission denied (publickey).\r
";
    /// The heads of keys that ssh-keygen made, with nothing secret in them.
    const WITHOUT: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
";
    const WITH: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABDT
";
    const PEM: &str = "\
-----BEGIN RSA PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,00
";

    #[test]
    fn a_key_of_no_use_is_told_with_what_to_do() {
        let key = "/keys/git.example.com.ssh-privatekey";
        for (output, head, expected) in [
            (
                OPEN,
                Some(WITHOUT),
                "the private key /keys/git.example.com.ssh-privatekey can be read by others (mode 0644), and ssh \
                 does not use such a one: chmod 600 /keys/git.example.com.ssh-privatekey; ",
            ),
            (
                DENIED,
                Some(WITH),
                "the private key /keys/git.example.com.ssh-privatekey has a passphrase",
            ),
            (
                DENIED,
                Some(PEM),
                "the private key /keys/git.example.com.ssh-privatekey has a passphrase",
            ),
            (
                BROKEN,
                Some("garbage"),
                "ssh cannot use /keys/git.example.com.ssh-privatekey as a private key: it does not begin",
            ),
            (
                BROKEN,
                Some(WITHOUT),
                "ssh cannot use /keys/git.example.com.ssh-privatekey as a private key: it is cut off",
            ),
            (
                BROKEN,
                None,
                "ssh cannot use /keys/git.example.com.ssh-privatekey as a private key: it cannot be read",
            ),
        ] {
            let words = explain(output, key, head).unwrap_or_default();
            assert!(words.starts_with(expected), "{words}");
            assert!(words.len() < 400 && !words.contains('@'), "{words}");
        }
        // Another key than the server knows: its own words say it best.
        assert_eq!(explain(DENIED, key, Some(WITHOUT)), None);
        assert_eq!(explain("", key, Some(WITH)), None);
    }
}
