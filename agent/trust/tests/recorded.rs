//! Recorded certificates and signatures of the real gpg (`recorded/make.sh`), at every second that matters.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use flotilla_trust::{Certificates, GIT_NAMESPACE, Keyring, PinnedKey, TrustError};
use jiff::Timestamp;

const MESSAGE: &[u8] = include_bytes!("recorded/message");

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("recorded/", $name))
    };
}

fn pinned(name: &str, openpgp: &str) -> PinnedKey {
    PinnedKey {
        name: name.to_owned(),
        ssh: None,
        openpgp: Some(openpgp.to_owned()),
        valid_from: None,
        valid_until: None,
        revoked: false,
    }
}

/// `good`, or the fault in one word, and the message for people.
fn judge(keys: &[PinnedKey], signature: &str, seen: &str) -> (&'static str, String) {
    let keyring = Keyring::new(keys).unwrap();
    let names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
    let seen: Timestamp = seen.parse().unwrap();
    match keyring.detached(signature.as_bytes(), GIT_NAMESPACE, MESSAGE, &names, seen) {
        Ok(name) => ("good", name.to_owned()),
        Err(fault) => {
            let word = match &fault {
                TrustError::Missing => "missing",
                TrustError::Malformed(_) => "malformed",
                TrustError::Mismatch { .. } => "mismatch",
                TrustError::Unknown { .. } => "unknown",
                TrustError::Expired { .. } => "expired",
                TrustError::Revoked { .. } => "revoked",
            };
            (word, fault.to_string())
        }
    }
}

fn verdict(certificate: &str, signature: &str, seen: &str) -> (&'static str, String) {
    judge(&[pinned("k", certificate)], signature, seen)
}

const MADE: &str = "2024-01-01T00:00:00Z";
const FOR_EVER: &str = "2099-01-01T00:00:00Z";

#[test]
fn g14_a_certificate_ends_at_the_second_its_user_id_says_and_can_be_extended() {
    let signature = recorded!("ending.sig");
    for (certificate, last, end) in [
        (
            recorded!("ending.asc"),
            "2024-01-30T23:59:59Z",
            "2024-01-31T00:00:00Z",
        ),
        (
            recorded!("extended.asc"),
            "2024-02-13T23:59:59Z",
            "2024-02-14T00:00:00Z",
        ),
        // Its newest signature is a direct one, without an expiry.
        (
            recorded!("revoker.asc"),
            "2024-02-13T23:59:59Z",
            "2024-02-14T00:00:00Z",
        ),
    ] {
        assert_eq!(verdict(certificate, signature, MADE).0, "good");
        assert_eq!(verdict(certificate, signature, last).0, "good");
        let (word, text) = verdict(certificate, signature, end);
        assert_eq!(word, "expired");
        let why = format!("the key itself expires {end}");
        assert!(text.contains(&why), "{text}");
    }
    // Pinned as it was and as it is: the newer one is valid, and that is enough.
    let both = [
        pinned("as it was", recorded!("ending.asc")),
        pinned("as it is", recorded!("extended.asc")),
    ];
    let between = "2024-02-01T00:00:00Z";
    assert_eq!(
        judge(&both, signature, between),
        ("good", "as it is".into())
    );
}

#[test]
fn g14_a_signature_ends_when_it_says_so() {
    let of = |seen| verdict(recorded!("notes.asc"), recorded!("one-day.sig"), seen);
    assert_eq!(of("2024-01-01T23:59:59Z").0, "good");
    let (word, text) = of("2024-01-02T00:00:00Z");
    assert_eq!(word, "expired");
    assert!(text.contains("the signature itself expires"), "{text}");
}

#[test]
fn g14_notes_on_a_signature_change_nothing_unless_they_have_to_be_understood() {
    let certificate = recorded!("notes.asc");
    assert_eq!(
        verdict(certificate, recorded!("noted.sig"), FOR_EVER).0,
        "good"
    );
    // The signer restricted the signature by a critical notation; gpg treats this as a bad signature as well.
    let (word, text) = verdict(certificate, recorded!("critical.sig"), MADE);
    assert_eq!(word, "malformed");
    assert!(text.contains("critical subpacket 20"), "{text}");
}

#[test]
fn g14_of_a_team_s_subkeys_only_the_one_counts_that_is_not_revoked() {
    let certificate = recorded!("team.asc");
    assert_eq!(
        verdict(certificate, recorded!("team.sig"), FOR_EVER).0,
        "good"
    );
    // This holds also for signatures that were first seen before the revocation.
    let (word, text) = verdict(certificate, recorded!("gone.sig"), MADE);
    assert_eq!(word, "revoked");
    assert!(text.contains("signed by k, which is revoked"), "{text}");
}

#[test]
fn g14_the_larger_curve_counts_with_its_own_hash() {
    assert_eq!(
        verdict(recorded!("p384.asc"), recorded!("p384.sig"), MADE).0,
        "good"
    );
    let (word, text) = verdict(recorded!("notes.asc"), recorded!("p384.sig"), MADE);
    assert_eq!(word, "unknown");
    let issuer = format!("OpenPGP key {}", recorded!("p384.fingerprint"));
    assert!(text.contains(&issuer), "{text}");
}

/// gpg signs with SHA-1 if it is told to, and with SHA-512 on a curve that is only supported with SHA-256
/// here. The owner pinned a revoked certificate: that the revocation cannot be verified must not make the key
/// valid again.
#[test]
fn g14_a_revocation_that_cannot_be_judged_revokes() {
    for (before, after, signature) in [
        (
            recorded!("old.asc"),
            recorded!("old-revoked.asc"),
            recorded!("old.sig"),
        ),
        (
            recorded!("p256.asc"),
            recorded!("p256-revoked.asc"),
            recorded!("p256.sig"),
        ),
    ] {
        assert_eq!(verdict(before, signature, MADE).0, "good");
        assert_eq!(verdict(after, signature, MADE).0, "revoked");
        // Pinned as it was and as it is, in either order.
        let mut both = [pinned("as it was", before), pinned("as it is", after)];
        for _ in 0..2 {
            assert_eq!(judge(&both, signature, MADE).0, "revoked");
            both.reverse();
        }
        // A revocation affects its own certificate only.
        let mixed = [pinned("other", after), pinned("k", recorded!("notes.asc"))];
        assert_eq!(judge(&mixed, recorded!("noted.sig"), MADE).0, "good");
    }
}

#[test]
fn g14_a_key_that_the_policy_revokes_is_revoked_by_all_its_names() {
    let good = pinned("k", recorded!("notes.asc"));
    let gone = PinnedKey {
        name: "stolen".to_owned(),
        revoked: true,
        ..good.clone()
    };
    let keyring = Keyring::new(&[good, gone]).unwrap();
    let signature = recorded!("noted.sig").as_bytes();
    for names in [vec!["k"], vec!["k", "stolen"], vec!["stolen", "k"], vec![]] {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let seen = MADE.parse().unwrap();
        let verdict = keyring.detached(signature, GIT_NAMESPACE, MESSAGE, &names, seen);
        let key = "stolen".to_owned();
        assert_eq!(verdict, Err(TrustError::Revoked { key }), "{names:?}");
    }
    // The expiry of the key does not change that.
    let ended = PinnedKey {
        revoked: true,
        ..pinned("k", recorded!("ending.asc"))
    };
    let of = |seen| judge(std::slice::from_ref(&ended), recorded!("ending.sig"), seen).0;
    assert_eq!(of(MADE), "revoked");
    assert_eq!(of(FOR_EVER), "revoked");
}

/// Keyrings grow by appending newer exports.
#[test]
fn clear_signed_texts_are_judged_by_all_that_a_keyring_says_of_a_certificate() {
    let judge = |certificates: [&str; 2], text: &str, seen: &str| {
        let keyring = Certificates::parse(certificates.concat().as_bytes()).unwrap();
        let verdict = keyring.clear_signed(text.as_bytes(), seen.parse().unwrap());
        verdict.map(|(text, _)| text)
    };
    let text = Ok("what was signed".to_owned());
    let old = [recorded!("old.asc"), recorded!("old-revoked.asc")];
    let ending = [recorded!("ending.asc"), recorded!("extended.asc")];
    let other = recorded!("notes.asc");
    for [was, is] in [[0, 1], [1, 0]] {
        let verdict = judge([old[was], old[is]], recorded!("old.txt"), MADE);
        assert!(matches!(verdict, Err(TrustError::Revoked { .. })));
        let between = "2024-02-01T00:00:00Z";
        let signed = recorded!("ending.txt");
        assert_eq!(judge([ending[was], ending[is]], signed, between), text);
        let late = judge([ending[was], ending[is]], signed, FOR_EVER);
        assert!(matches!(late, Err(TrustError::Expired { .. })));
        let both = [other, ending[is]];
        assert_eq!(judge([both[was], both[is]], signed, MADE), text);
    }
    let unknown = judge([other, old[0]], recorded!("ending.txt"), MADE);
    assert!(matches!(unknown, Err(TrustError::Unknown { .. })));
}

/// Only the unsigned parts of a signature may be changed: the claimed issuer, and the two bytes for a quick
/// refusal.
#[test]
fn g14_a_signature_with_any_other_bit_is_not_taken() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let text = recorded!("ending.sig");
    let body: String = text
        .lines()
        .skip_while(|line| !line.is_empty())
        .take_while(|line| !line.starts_with('='))
        .collect();
    let packet = STANDARD.decode(body).unwrap();
    let judge = |packet: &[u8]| {
        let body = STANDARD.encode(packet);
        let text =
            format!("-----BEGIN PGP SIGNATURE-----\n\n{body}\n-----END PGP SIGNATURE-----\n");
        verdict(recorded!("ending.asc"), &text, MADE).0
    };
    assert_eq!(judge(&packet), "good");
    // Two bytes of tag and length, six of the head, then the hashed subpackets.
    let signed = 8 + usize::from(u16::from_be_bytes([packet[6], packet[7]]));
    let numbers = packet.len() - 32;
    for at in (0..signed).chain(numbers..packet.len()) {
        for bit in 0..8 {
            let mut changed = packet.clone();
            changed[at] ^= 1 << bit;
            assert_ne!(judge(&changed), "good", "bit {bit} of byte {at}");
        }
    }
}
