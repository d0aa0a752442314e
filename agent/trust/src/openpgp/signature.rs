//! Signature packets: RFC 9580, section 5.2.

use super::armor;
use super::packet::{length, mpi, packets};
use crate::primitive::{Hash, Public, padded, pair};
use crate::{Rejection, TrustError};

/// Tag of a signature packet.
pub(super) const SIGNATURE: u8 = 2;

/// Kinds of signatures that are looked at.
pub(super) mod kind {
    pub(in crate::openpgp) const BINARY: u8 = 0x00;
    pub(in crate::openpgp) const TEXT: u8 = 0x01;
    pub(in crate::openpgp) const CERTIFICATIONS: std::ops::RangeInclusive<u8> = 0x10..=0x13;
    pub(in crate::openpgp) const SUBKEY_BINDING: u8 = 0x18;
    pub(in crate::openpgp) const PRIMARY_BINDING: u8 = 0x19;
    pub(in crate::openpgp) const DIRECT: u8 = 0x1F;
    pub(in crate::openpgp) const KEY_REVOCATION: u8 = 0x20;
    pub(in crate::openpgp) const SUBKEY_REVOCATION: u8 = 0x28;
}

/// The part of a signature packet that subpackets are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    /// Covered by the signature.
    Hashed,
    Unhashed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PgpSignature {
    pub(super) kind: u8,
    algorithm: u8,
    pub(super) hash: Hash,
    /// The bytes that are hashed after the message.
    trailer: Vec<u8>,
    numbers: Vec<u8>,
    /// Seconds since 1970; signed.
    pub(super) created: u32,
    /// Seconds after `created`; 0: never.
    expires_after: u32,
    /// In a self-signature: seconds from the key's creation to its expiry; 0: never.
    pub(super) key_expires_after: u32,
    pub(super) key_flags: Option<u8>,
    /// The back-signature of a subkey.
    pub(super) embedded: Option<Vec<u8>>,
    /// Fingerprint or key ID, as the signature claims; a hint which key to try, never a proof.
    issuer: Option<Vec<u8>>,
}

impl PgpSignature {
    /// Reads one armoured, detached signature over bytes.
    pub(crate) fn parse(armoured: &[u8]) -> Result<Self, TrustError> {
        Self::of_kind(armoured, kind::BINARY)
    }

    /// Reads one armoured signature over a text, of which the ends of lines do not count.
    pub(crate) fn parse_text(armoured: &[u8]) -> Result<Self, TrustError> {
        Self::of_kind(armoured, kind::TEXT)
    }

    fn of_kind(armoured: &[u8], kind: u8) -> Result<Self, TrustError> {
        let read = || -> Result<Self, Rejection> {
            let bytes = armor::read(armoured, "SIGNATURE")?;
            let packets = packets(&bytes)?;
            let [packet] = packets.as_slice() else {
                return Err(format!("it has {} packets, not one", packets.len()).into());
            };
            if packet.tag != SIGNATURE {
                return Err("it is not a signature packet".into());
            }
            let signature = Self::packet(packet.body)?;
            if signature.kind != kind {
                return Err(
                    format!("it is of kind {:#04x}, not over a document", signature.kind).into(),
                );
            }
            Ok(signature)
        };
        read().map_err(TrustError::from)
    }

    /// Reads the body of a signature packet.
    pub(super) fn packet(body: &[u8]) -> Result<Self, Rejection> {
        let short = || Rejection::from("the signature packet is too short");
        let [version, kind, algorithm, hash, hashed @ ..] = body else {
            return Err(short());
        };
        if *version != 4 {
            return Err(format!("signatures of version {version} are not supported").into());
        }
        let hash = match hash {
            8 => Hash::Sha256,
            9 => Hash::Sha384,
            10 => Hash::Sha512,
            1..=3 => return Err("MD5, SHA-1 and RIPEMD-160 are not supported".into()),
            other => return Err(format!("hash algorithm {other} is not supported").into()),
        };
        let (size, rest) = hashed.split_first_chunk::<2>().ok_or_else(short)?;
        let size = usize::from(u16::from_be_bytes(*size));
        let (signed, rest) = rest.split_at_checked(size).ok_or_else(short)?;
        let (size, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        let (unsigned, rest) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*size)))
            .ok_or_else(short)?;
        // The two bytes of the hash only allow a quick refusal; the full check is done by ring.
        let (_, numbers) = rest.split_first_chunk::<2>().ok_or_else(short)?;
        let head = body.get(..6 + signed.len()).ok_or_else(short)?;
        let mut trailer = head.to_vec();
        trailer.extend([4, 0xFF]);
        trailer.extend(
            u32::try_from(head.len())
                .map_err(|_| short())?
                .to_be_bytes(),
        );
        let mut signature = Self {
            kind: *kind,
            algorithm: *algorithm,
            hash,
            trailer,
            numbers: numbers.to_vec(),
            created: 0,
            expires_after: 0,
            key_expires_after: 0,
            key_flags: None,
            embedded: None,
            issuer: None,
        };
        signature.subpackets(signed, Area::Hashed)?;
        signature.subpackets(unsigned, Area::Unhashed)?;
        if signature.created == 0 {
            return Err("it has no creation time".into());
        }
        Ok(signature)
    }

    fn subpackets(&mut self, mut bytes: &[u8], area: Area) -> Result<(), Rejection> {
        let broken = || Rejection::from("a subpacket is malformed");
        while !bytes.is_empty() {
            let (size, rest) = length(bytes).ok_or_else(broken)?;
            let (packet, rest) = rest.split_at_checked(size).ok_or_else(broken)?;
            bytes = rest;
            let (kind, value) = packet.split_first().ok_or_else(broken)?;
            let number = || {
                value
                    .try_into()
                    .map(u32::from_be_bytes)
                    .map_err(|_| broken())
            };
            match (kind & 0x7F, area) {
                (2, Area::Hashed) => self.created = number()?,
                (3, Area::Hashed) => self.expires_after = number()?,
                (9, Area::Hashed) => self.key_expires_after = number()?,
                (27, Area::Hashed) => {
                    self.key_flags = Some(value.first().copied().unwrap_or_default());
                }
                // A back-signature proves itself, and the issuer is only a hint.
                (32, _) => self.embedded = Some(value.to_vec()),
                (16, _) if value.len() == 8 && self.issuer.is_none() => {
                    self.issuer = Some(value.to_vec());
                }
                (33, _) if value.len() == 21 => self.issuer = value.get(1..).map(<[u8]>::to_vec),
                // Preferences and other subpackets without effect here. Notations (20) are not among them: the
                // meaning of none is known, so a critical one is refused below.
                (2..=7 | 9..=12 | 16 | 21..=35, _) => {}
                (unknown, Area::Hashed) if kind & 0x80 != 0 => {
                    return Err(format!("it has the critical subpacket {unknown}").into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The key that it claims to be by, for people.
    pub(crate) fn issuer(&self) -> String {
        match &self.issuer {
            Some(issuer) => format!("OpenPGP key {}", hex(issuer)),
            None => "an OpenPGP key that it does not name".to_owned(),
        }
    }

    pub(super) fn names_issuer(&self) -> bool {
        self.issuer.is_some()
    }

    /// Its own expiry, seconds since 1970.
    pub(super) fn until(&self) -> Option<i64> {
        ends(self.created, self.expires_after)
    }

    /// Whether it may be of a key with that fingerprint.
    pub(super) fn may_be_of(&self, fingerprint: &[u8]) -> bool {
        self.issuer
            .as_ref()
            .is_none_or(|issuer| fingerprint.ends_with(issuer))
    }

    /// Whether the key made it over `message`.
    pub(super) fn is_by(&self, key: &Public, message: &[u8]) -> bool {
        let Some(numbers) = self.numbers_for(key) else {
            return false;
        };
        let mut message = message.to_vec();
        message.extend_from_slice(&self.trailer);
        match key {
            // In OpenPGP, Ed25519 signs the hash of the message.
            Public::Ed25519(_) => key.verify(self.hash, &self.hash.of(&message), &numbers),
            _ => key.verify(self.hash, &message, &numbers),
        }
    }

    fn numbers_for(&self, key: &Public) -> Option<Vec<u8>> {
        let two = |length| {
            let (r, rest) = mpi(&self.numbers)?;
            let (s, rest) = mpi(rest)?;
            rest.is_empty().then(|| pair(r, s, length))?
        };
        match (self.algorithm, key) {
            (1 | 3, Public::Rsa { n, .. }) => {
                let (number, rest) = mpi(&self.numbers)?;
                rest.is_empty().then(|| padded(number, n.len()))?
            }
            (19, Public::P256(_)) => two(32),
            (19, Public::P384(_)) => two(48),
            (22, Public::Ed25519(_)) => two(32),
            (27, Public::Ed25519(_)) => Some(self.numbers.clone()),
            _ => None,
        }
    }
}

/// The expiry of something created then, if it has one.
pub(super) fn ends(created: u32, seconds: u32) -> Option<i64> {
    (seconds != 0).then(|| i64::from(created) + i64::from(seconds))
}

/// Whether the body of a signature packet, which cannot be read as a whole, says that it revokes a key.
pub(super) fn claims_revocation(body: &[u8]) -> bool {
    // Version 3 has the length of the hashed material first.
    let ([3, _, kind, ..] | [_, kind, ..]) = body else {
        return false;
    };
    matches!(*kind, kind::KEY_REVOCATION | kind::SUBKEY_REVOCATION)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    flotilla_shared::hex::encode(bytes).to_ascii_uppercase()
}
