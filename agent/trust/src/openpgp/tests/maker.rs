//! Builds keys, signatures and packets as requested, including invalid ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::{Digest as _, Sha256};

use crate::Rejection;
use crate::openpgp::{Certificate, PgpSignature, Verdict};

/// When all keys were created, seconds since 1970.
pub(super) const MADE: u32 = 1_000_000;
pub(super) const MESSAGE: &[u8] = b"what was signed";

const ED25519: u8 = 27;
const SHA256: u8 = 8;

/// Types of signature subpackets: RFC 9580, section 5.2.3.7.
pub(super) const CREATED: u8 = 2;
pub(super) const EXPIRES: u8 = 3;
pub(super) const KEY_EXPIRES: u8 = 9;
pub(super) const KEY_ID: u8 = 16;
pub(super) const FLAGS: u8 = 27;
pub(super) const EMBEDDED: u8 = 32;
pub(super) const FINGERPRINT: u8 = 33;

/// Key flags.
pub(super) const CERTIFIES: u8 = 1;
pub(super) const SIGNS: u8 = 2;
pub(super) const DECRYPTS: u8 = 0x0C;

/// A key pair.
pub(super) struct Maker(Ed25519KeyPair);

impl Maker {
    pub(super) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(super) fn body(&self) -> Vec<u8> {
        let head = [&[4][..], &MADE.to_be_bytes(), &[ED25519]].concat();
        [&head, self.0.public_key().as_ref()].concat()
    }

    /// The bytes of this key in the hash of signatures over keys.
    pub(super) fn hashed(&self) -> Vec<u8> {
        hashed(&self.body())
    }

    pub(super) fn fingerprint(&self) -> Vec<u8> {
        fingerprint(&self.body())
    }

    /// The body of a signature packet with signed subpackets and others.
    pub(super) fn sign(&self, kind: u8, signed: &[u8], others: &[u8], message: &[u8]) -> Vec<u8> {
        let head = [&[4, kind, ED25519, SHA256][..], &two(signed), signed].concat();
        let size = u32::try_from(head.len()).unwrap().to_be_bytes();
        let hash = Sha256::digest([message, &head, &[4, 0xFF], &size].concat());
        let signature = self.0.sign(&hash);
        [&head, &two(others)[..], others, &[0, 0], signature.as_ref()].concat()
    }

    /// A signature over [`MESSAGE`] that names its issuer.
    pub(super) fn document(&self) -> PgpSignature {
        let issuer = part(FINGERPRINT, &[&[4], &self.fingerprint()[..]].concat());
        let body = self.sign(0, &[created(MADE), issuer].concat(), &[], MESSAGE);
        read(&body).unwrap()
    }
}

pub(super) fn hashed(body: &[u8]) -> Vec<u8> {
    [&[0x99][..], &two(body), body].concat()
}

pub(super) fn fingerprint(body: &[u8]) -> Vec<u8> {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, &hashed(body));
    digest.as_ref().to_vec()
}

/// The bytes that a certification of a user ID covers.
pub(super) fn with_user_id(key: &Maker, user_id: &[u8]) -> Vec<u8> {
    let size = u32::try_from(user_id.len()).unwrap().to_be_bytes();
    [&key.hashed()[..], &[0xB4], &size, user_id].concat()
}

fn two(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_be_bytes()
}

/// A signature subpacket, its length in five octets (RFC 9580, section 5.2.3.7).
pub(super) fn part(kind: u8, value: &[u8]) -> Vec<u8> {
    let size = u32::try_from(value.len() + 1).unwrap().to_be_bytes();
    [&[255][..], &size, &[kind], value].concat()
}

pub(super) fn number(kind: u8, value: u32) -> Vec<u8> {
    part(kind, &value.to_be_bytes())
}

pub(super) fn created(seconds: u32) -> Vec<u8> {
    number(CREATED, seconds)
}

pub(super) fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[0xC0 | tag, 255][..], &size, body].concat()
}

pub(super) fn armoured(kind: &str, bytes: &[u8]) -> String {
    let body = STANDARD.encode(bytes);
    format!("-----BEGIN PGP {kind}-----\n\n{body}\n-----END PGP {kind}-----\n")
}

pub(super) fn certificate(packets: &[Vec<u8>]) -> Result<Certificate, Rejection> {
    Certificate::parse(&armoured("PUBLIC KEY BLOCK", &packets.concat()))
}

/// Reads a signature over bytes.
pub(super) fn read(body: &[u8]) -> Result<PgpSignature, String> {
    let text = armoured("SIGNATURE", &packet(2, body));
    PgpSignature::parse(text.as_bytes()).map_err(|fault| fault.to_string())
}

/// The verdict on a signature over [`MESSAGE`], seen some seconds after the creation of the keys.
pub(super) fn verdict(certificate: &Certificate, by: &Maker, after: i64) -> Verdict {
    let seen = Timestamp::from_second(i64::from(MADE) + after).unwrap();
    certificate.verify(&by.document(), MESSAGE, seen)
}
