//! For any bytes, the answer is a verdict and never a panic.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use flotilla_trust::{Keyring, PinnedKey, split};
use jiff::Timestamp;
use proptest::prelude::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4bzQXA0vX6KwFjm8tsNIjhFi1+FyJNU3zIVFBVbUqN test";

fn pinned(ssh: Option<String>, openpgp: Option<String>) -> PinnedKey {
    PinnedKey {
        name: "k".to_owned(),
        ssh,
        openpgp,
        valid_from: None,
        valid_until: None,
        revoked: false,
    }
}

fn armoured(kind: &str, bytes: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(bytes);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(70)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {kind}-----\n\n{}\n-----END {kind}-----\n",
        lines.join("\n")
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_get_a_verdict(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        tag in prop_oneof![Just(0xC2u8), Just(0x88), Just(0xC6), Just(0x98), any::<u8>()],
    ) {
        let keyring = Keyring::new(&[pinned(Some(KEY.to_owned()), None)]).unwrap();
        let names = ["k".to_owned()];
        let now = Timestamp::UNIX_EPOCH;
        let _ = split(&bytes);
        prop_assert!(keyring.commit(&bytes, &names, now).is_err());
        let mut packet = vec![tag];
        packet.extend_from_slice(&bytes);
        for text in [armoured("PGP SIGNATURE", &packet), armoured("SSH SIGNATURE", &bytes)] {
            prop_assert!(keyring.detached(text.as_bytes(), "git", b"", &names, now).is_err());
        }
        let block = armoured("PGP PUBLIC KEY BLOCK", &packet);
        let _ = Keyring::new(&[pinned(None, Some(block))]);
        let line = String::from_utf8_lossy(&bytes).into_owned();
        let _ = Keyring::new(&[pinned(Some(line), None)]);
    }
}
