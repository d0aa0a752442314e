//! SSH keys that `ssh-keygen` cannot sign with here: keys on security tokens, whose signatures are made as a token
//! makes them and compared with the real `ssh-keygen`; RSA over SHA-256; and invalid forms.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flotilla_trust::{Keyring, PinnedKey, TrustError};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use sha2::{Digest as _, Sha256};

const APPLICATION: &str = "ssh:work";
const MESSAGE: &[u8] = b"what was signed";
const TOUCHED: u8 = 1;
const PIN_GIVEN: u8 = 4;

enum Token {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// RFC 4251, section 5.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

/// As an `mpint`: no leading zeroes except the one that makes it positive.
fn number(bytes: &[u8]) -> Vec<u8> {
    let bytes: Vec<u8> = bytes
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    let sign: &[u8] = if bytes[0] & 0x80 == 0 { &[] } else { &[0] };
    string(&[sign, &bytes].concat())
}

impl Token {
    fn both() -> [Self; 2] {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let p256 = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let ed25519 = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        [Self::Ed25519(ed25519), Self::P256(p256)]
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            Self::P256(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// With an application: the key of a token.
    fn public(&self, application: Option<&str>) -> Vec<u8> {
        let kind = match (self, application) {
            (_, Some(_)) => self.kind(),
            (Self::Ed25519(_), None) => "ssh-ed25519",
            (Self::P256(_), None) => "ecdsa-sha2-nistp256",
        };
        let mut blob = string(kind.as_bytes());
        match self {
            Self::Ed25519(pair) => blob.extend(string(pair.public_key().as_ref())),
            Self::P256(pair) => {
                blob.extend(string(b"nistp256"));
                blob.extend(string(pair.public_key().as_ref()));
            }
        }
        if let Some(application) = application {
            blob.extend(string(application.as_bytes()));
        }
        blob
    }

    /// A token's signature of a message for an application.
    fn sign(&self, asked_for: &str, flags: u8, counter: u32, message: &[u8]) -> Vec<u8> {
        let mut seen = Sha256::digest(asked_for).to_vec();
        seen.push(flags);
        seen.extend(counter.to_be_bytes());
        seen.extend(Sha256::digest(message));
        self.sign_bytes(&seen)
    }

    fn sign_bytes(&self, seen: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => string(pair.sign(seen).as_ref()),
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), seen).unwrap();
                let (r, s) = signature.as_ref().split_at(32);
                string(&[number(r), number(s)].concat())
            }
        }
    }

    /// A signature by the token, in which `stated` are the flags and counter that it claims.
    fn touch(&self, asked_for: &str, made: (u8, u32), stated: (u8, u32)) -> String {
        let mut inner = string(self.kind().as_bytes());
        inner.extend(self.sign(asked_for, made.0, made.1, &signed()));
        inner.push(stated.0);
        inner.extend(stated.1.to_be_bytes());
        armoured(&self.public(Some(APPLICATION)), &inner)
    }
}

/// The bytes that every SSHSIG covers.
fn signed() -> Vec<u8> {
    let hash = Sha256::digest(MESSAGE);
    let parts = [&b"git"[..], b"", b"sha256", &hash].map(string);
    [b"SSHSIG".to_vec(), parts.concat()].concat()
}

fn armoured(public: &[u8], signature: &[u8]) -> String {
    let parts = [public, b"git", b"", b"sha256", signature].map(string);
    let blob = [&b"SSHSIG\x00\x00\x00\x01"[..], &parts.concat()].concat();
    let body = STANDARD.encode(blob);
    let lines: Vec<&str> = (0..body.len())
        .step_by(70)
        .map(|at| &body[at..body.len().min(at + 70)])
        .collect();
    let lines = lines.join("\n");
    format!("-----BEGIN SSH SIGNATURE-----\n{lines}\n-----END SSH SIGNATURE-----\n")
}

/// The line of a `.pub` file starts with the kind that is also the first field of the blob.
fn pinned(public: &[u8]) -> PinnedKey {
    let (length, rest) = public.split_first_chunk::<4>().unwrap();
    let kind = &rest[..u32::from_be_bytes(*length) as usize];
    let kind = std::str::from_utf8(kind).unwrap();
    named(&format!("{kind} {}", STANDARD.encode(public)))
}

fn named(line: &str) -> PinnedKey {
    PinnedKey {
        name: "key".to_owned(),
        ssh: Some(line.to_owned()),
        openpgp: None,
        valid_from: None,
        valid_until: None,
        revoked: false,
    }
}

fn judge(key: &PinnedKey, signature: &str) -> Result<String, TrustError> {
    let keyring = Keyring::new(std::slice::from_ref(key)).unwrap();
    let names = [key.name.clone()];
    keyring
        .detached(
            signature.as_bytes(),
            "git",
            MESSAGE,
            &names,
            Timestamp::UNIX_EPOCH,
        )
        .map(str::to_owned)
}

/// Whether the real program accepts it as well. None: it is not installed.
fn ssh_keygen(key: &PinnedKey, signature: &str) -> Option<bool> {
    let program = flotilla_needs::program("ssh-keygen", None, &["ssh-keygen"])?;
    let directory = tempfile::tempdir().unwrap();
    let (signers, file) = (
        directory.path().join("signers"),
        directory.path().join("signature"),
    );
    std::fs::write(&signers, format!("key {}\n", key.ssh.as_deref().unwrap())).unwrap();
    std::fs::write(&file, signature).unwrap();
    let mut child = Command::new(program)
        .args(["-Y", "verify", "-I", "key", "-n", "git", "-f"])
        .arg(signers)
        .arg("-s")
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), MESSAGE).unwrap();
    Some(child.wait().unwrap().success())
}

#[test]
fn g14_what_a_token_signed_counts_as_ssh_keygen_says() {
    for token in Token::both() {
        let key = pinned(&token.public(Some(APPLICATION)));
        let kind = token.kind();
        for made in [(TOUCHED, 9), (TOUCHED | PIN_GIVEN, u32::MAX)] {
            let good = token.touch(APPLICATION, made, made);
            assert_eq!(judge(&key, &good), Ok("key".to_owned()), "{kind} {made:?}");
            assert_ne!(ssh_keygen(&key, &good), Some(false), "{kind} {made:?}");
        }
        let made = (TOUCHED, 9);
        for (asked_for, stated, what) in [
            ("ssh:", made, "for another application"),
            (APPLICATION, (TOUCHED, 10), "with another counter"),
            (APPLICATION, (TOUCHED | PIN_GIVEN, 9), "with other flags"),
        ] {
            let bad = token.touch(asked_for, made, stated);
            assert!(
                matches!(judge(&key, &bad), Err(TrustError::Mismatch { .. })),
                "{kind} {what}"
            );
            assert_ne!(ssh_keygen(&key, &bad), Some(true), "{kind} {what}");
        }
        // The same key pair, pinned for another application, is another key.
        let other = pinned(&token.public(Some("ssh:")));
        let good = token.touch(APPLICATION, made, made);
        assert!(matches!(
            judge(&other, &good),
            Err(TrustError::Unknown { .. })
        ));
    }
}

/// Malware beside a token that is plugged in can ask it to sign, but not touch it.
#[test]
fn g14_a_token_that_nobody_touched_signs_nothing() {
    for token in Token::both() {
        let key = pinned(&token.public(Some(APPLICATION)));
        for flags in [0, PIN_GIVEN, 0xFE] {
            let untouched = token.touch(APPLICATION, (flags, 9), (flags, 9));
            let fault = judge(&key, &untouched).unwrap_err().to_string();
            assert!(fault.contains("not touched"), "{flags}: {fault}");
        }
    }
}

#[test]
fn g14_a_signature_of_another_form_does_not_fit_its_key() {
    for token in Token::both() {
        let (of_token, plain) = (token.public(Some(APPLICATION)), token.public(None));
        let plain_kind = pinned(&plain).ssh.unwrap();
        let (plain_kind, _) = plain_kind.split_once(' ').unwrap();
        let direct = token.sign_bytes(&signed());
        let good = armoured(
            &plain,
            &[string(plain_kind.as_bytes()), direct.clone()].concat(),
        );
        assert_eq!(judge(&pinned(&plain), &good), Ok("key".to_owned()));
        assert_ne!(ssh_keygen(&pinned(&plain), &good), Some(false));

        let mut touched = token.sign(APPLICATION, TOUCHED, 9, &signed());
        touched.extend([TOUCHED, 0, 0, 0, 9]);
        for (public, kind, signature) in [
            // Signed without the token's application and flags, and the other way round.
            (&of_token, plain_kind, &direct),
            (&plain, token.kind(), &touched),
            // The name of another curve, which ssh-keygen refuses as well.
            (&plain, "ecdsa-sha2-nistp384", &direct),
        ] {
            let text = armoured(
                public,
                &[string(kind.as_bytes()), signature.clone()].concat(),
            );
            assert!(judge(&pinned(public), &text).is_err(), "{kind}");
            assert_ne!(ssh_keygen(&pinned(public), &text), Some(true), "{kind}");
        }
    }
}

#[test]
fn g14_rsa_over_sha_256_counts_and_others_are_called_by_their_fingerprint() {
    let signature = include_str!("recorded/rsa-sha2-256.sig");
    let of = |key: &PinnedKey| {
        let keyring = Keyring::new(std::slice::from_ref(key)).unwrap();
        let (names, seen) = (["key".to_owned()], Timestamp::UNIX_EPOCH);
        let message = include_bytes!("recorded/message");
        let verdict = keyring.detached(signature.as_bytes(), "git", message, &names, seen);
        verdict.map(str::to_owned)
    };
    let fingerprint = include_str!("recorded/rsa.fingerprint");
    let rsa = named(include_str!("recorded/rsa.pub"));
    assert_eq!(of(&rsa), Ok("key".to_owned()));
    let keyring = Keyring::new(&[rsa]).unwrap();
    assert_eq!(keyring.fingerprint("key").as_deref(), Some(fingerprint));
    let [ed25519, _] = Token::both();
    let key = fingerprint.to_owned();
    assert_eq!(
        of(&pinned(&ed25519.public(None))),
        Err(TrustError::Unknown { key })
    );
}

#[test]
fn g14_rsa_keys_have_2048_to_8192_bits() {
    for (bytes, is_taken) in [
        (255, false),
        (256, true),
        (1024, true),
        (1025, false),
        (1026, false),
    ] {
        let modulus = vec![0xFF; bytes];
        let blob = [string(b"ssh-rsa"), number(&[1, 0, 1]), number(&modulus)].concat();
        match Keyring::new(&[pinned(&blob)]) {
            Ok(_) => assert!(is_taken, "{bytes}"),
            Err(error) => {
                let why = format!("this one has {}", bytes * 8);
                assert!(!is_taken && error.to_string().contains(&why), "{error}");
            }
        }
    }
}
