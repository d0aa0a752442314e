//! A readable message for a private key that cannot be used.
//!
//! OpenSSH's client prints a banner, or nothing for a key with a passphrase: it cannot ask for one and continues
//! without the key, and the server denies access.

use std::io::Read as _;
use std::path::Path;

/// Bytes that are read of a key's beginning.
const HEAD: u64 = 512;
/// `openssh-key-v1` and a zero in base64, with which every key of OpenSSH's own format begins. Its length is a multiple
/// of three bytes, so that the next field starts a new base64 group.
const FORMAT: &str = "b3BlbnNzaC1rZXktdjEA";
/// The cipher's name follows: this is `none`.
const NO_CIPHER: &str = "AAAABG5vbmUA";

/// Returns a message about an unusable key, by the program's output and the file; none: unknown failure.
pub(super) fn in_words(output: &str, key: &Path) -> Option<String> {
    let mut head = String::new();
    let read = std::fs::File::open(key).and_then(|file| file.take(HEAD).read_to_string(&mut head));
    explain(
        output,
        &key.display().to_string(),
        read.map(|_| head.as_str()).ok(),
    )
}

/// `head`: beginning of the key file; none: it cannot be read, or is not text.
fn explain(output: &str, key: &str, head: Option<&str>) -> Option<String> {
    if let Some((_, rest)) = output.split_once("Permissions ")
        && let Some((mode, _)) = rest.split_once(" for '")
        && output.contains("private key will be ignored")
    {
        return Some(format!(
            "the private key {key} can be read by others (mode {mode}), so ssh refuses to use \
             it: chmod 600 {key}; for a mounted Secret, defaultMode: 0400"
        ));
    }
    if output.contains("Permission denied") && head.is_some_and(has_passphrase) {
        return Some(format!(
            "the private key {key} has a passphrase, which cannot be entered here: use a key \
             without one (ssh-keygen -p -N '' -f {key} removes it)"
        ));
    }
    if output.contains("Load key ") {
        let why = match head {
            Some(head) if !head.trim_start().starts_with("-----BEGIN ") => {
                "it does not begin with -----BEGIN …"
            }
            Some(_) => "it is truncated, damaged, or in a format that this ssh does not support",
            None => "it cannot be read, or is not text",
        };
        return Some(format!("ssh cannot use {key} as a private key: {why}"));
    }
    None
}

/// Returns whether a key has a passphrase, in OpenSSH's own format or in PEM.
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

    /// Output of OpenSSH 9.2 with the options that are used here.
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
    /// Beginnings of keys that ssh-keygen made; they contain no secrets.
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
                "the private key /keys/git.example.com.ssh-privatekey can be read by others (mode 0644), so ssh \
                 refuses to use it: chmod 600 /keys/git.example.com.ssh-privatekey; ",
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
                "ssh cannot use /keys/git.example.com.ssh-privatekey as a private key: it is truncated",
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
        // The server does not know the key; ssh's own message is clear.
        assert_eq!(explain(DENIED, key, Some(WITHOUT)), None);
        assert_eq!(explain("", key, Some(WITH)), None);
    }
}
