//! Pinned OpenPGP certificates: a primary key and the subkeys that it vouches for.

use jiff::Timestamp;

use super::armor;
use super::packet::{Packet, mpi, packets};
use super::signature::{PgpSignature, SIGNATURE, claims_revocation, ends, hex, kind};
use crate::Rejection;
use crate::primitive::Public;

const PUBLIC_KEY: u8 = 6;
const USER_ID: u8 = 13;
const PUBLIC_SUBKEY: u8 = 14;
/// Key flag: this key may be used to sign data.
const SIGNS: u8 = 0x02;

/// Verdict of a certificate on a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// None of its keys made it.
    BySomebodyElse,
    /// It names one of its keys, but that key did not sign these bytes.
    OverOtherBytes,
    /// It names one of its keys, and uses a hash that is not supported with that key's curve.
    OverAnotherHash,
    /// The certificate says that the key is revoked.
    Revoked,
    /// The certificate, or the signature, has ended.
    Outside(String),
    Good,
}

#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    primary: Key,
    subkeys: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    public: Option<Public>,
    /// RFC 9580, 5.5.4.2: SHA-1 over the key, here only a name.
    fingerprint: Vec<u8>,
    /// `0x99`, length, body: the input to the hash of signatures over keys.
    hashed: Vec<u8>,
    created: u32,
    revoked: bool,
    /// From signatures over the primary key alone.
    direct: Terms,
    /// From those over the primary key with a user ID, or with this subkey.
    bound: Terms,
}

/// Purpose of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// It may sign data.
    Signing,
    Other,
}

impl From<bool> for Purpose {
    fn from(signs: bool) -> Self {
        match signs {
            true => Self::Signing,
            false => Self::Other,
        }
    }
}

/// The newest signature of a kind on a key.
#[derive(Debug, Clone, Copy)]
struct Terms {
    /// Seconds since 1970; 0: no signature was seen.
    signed_at: u32,
    purpose: Purpose,
    /// Seconds since 1970.
    until: Option<i64>,
}

/// Largest keyring that is read, bytes.
const MAX_KEYRING: usize = 4 << 20;

/// The certificates of a file: armoured blocks, or binary. One that cannot be used takes none of the
/// others with it.
pub(crate) fn keyring(file: &[u8]) -> Result<Vec<Certificate>, Rejection> {
    if file.len() > MAX_KEYRING {
        return Err(format!("it has more than {MAX_KEYRING} bytes").into());
    }
    const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
    let mut blocks = Vec::new();
    match std::str::from_utf8(file).ok().map(str::trim) {
        Some(text) if text.starts_with("-----") => {
            for block in text.split_inclusive(END) {
                blocks.push(armor::read(block.as_bytes(), "PUBLIC KEY BLOCK")?);
            }
        }
        _ => blocks.push(file.to_vec()),
    }
    let mut certificates = Vec::new();
    let mut refused = Rejection::from("it holds no certificate");
    for block in &blocks {
        let packets = packets(block)?;
        for chunk in packets.chunk_by(|_, next| next.tag != PUBLIC_KEY) {
            match Certificate::of(chunk) {
                Ok(certificate) => certificates.push(certificate),
                Err(why) => refused = why,
            }
        }
    }
    if certificates.is_empty() {
        return Err(refused);
    }
    Ok(certificates)
}

impl Certificate {
    pub(crate) fn parse(armoured: &str) -> Result<Self, Rejection> {
        let bytes = armor::read(armoured.as_bytes(), "PUBLIC KEY BLOCK")?;
        Self::of(&packets(&bytes)?)
    }

    fn of(packets: &[Packet<'_>]) -> Result<Self, Rejection> {
        let [primary, rest @ ..] = packets else {
            return Err("it is empty".into());
        };
        if primary.tag != PUBLIC_KEY {
            return Err("it does not begin with a public key".into());
        }
        let mut primary = Key::packet(primary.body, Terms::MAY_SIGN)?;
        // The user ID that the following signatures are about.
        let mut user_id: Option<&[u8]> = None;
        let mut subkeys: Vec<Key> = Vec::new();
        for Packet { tag, body } in rest {
            match *tag {
                PUBLIC_KEY => return Err("it holds more than one certificate".into()),
                PUBLIC_SUBKEY => subkeys.push(Key::packet(body, Terms::MAY_NOT_SIGN)?),
                USER_ID => user_id = Some(*body),
                SIGNATURE => match (subkeys.last_mut(), PgpSignature::packet(body)) {
                    (Some(subkey), Ok(signature)) => subkey.binding(&primary, &signature),
                    (None, Ok(signature)) => primary.certification(user_id, &signature),
                    // A signature of an unsupported version or hash grants nothing, but it may revoke.
                    (subkey, Err(_)) if claims_revocation(body) => {
                        subkey.unwrap_or(&mut primary).revoked = true;
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        let certificate = Self { primary, subkeys };
        let is_usable = |key: &Key| key.signs() && key.public.is_some();
        if !certificate.keys().any(is_usable) {
            return Err(
                "none of its keys can sign in a supported way: supported are Ed25519, ECDSA \
                 (P-256, P-384) and RSA of 2,048 bits and more, bound with SHA-2"
                    .into(),
            );
        }
        Ok(certificate)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.primary).chain(&self.subkeys)
    }

    /// The primary key's fingerprint.
    pub(crate) fn fingerprint(&self) -> String {
        hex(&self.primary.fingerprint)
    }

    /// Whether one of its keys made the signature over `message`, and was valid when it was first
    /// seen.
    pub(crate) fn verify(
        &self,
        signature: &PgpSignature,
        message: &[u8],
        seen: Timestamp,
    ) -> Verdict {
        let mut verdict = Verdict::BySomebodyElse;
        let candidates = self
            .keys()
            .filter(|key| key.signs() && signature.may_be_of(&key.fingerprint));
        for key in candidates {
            let Some(public) = &key.public else {
                continue;
            };
            if !signature.is_by(public, message) {
                // Without an issuer in the signature, it may be by another key as well.
                if signature.names_issuer() {
                    verdict = match public.takes(signature.hash) {
                        true => Verdict::OverOtherBytes,
                        false => Verdict::OverAnotherHash,
                    };
                }
                continue;
            }
            if self.primary.revoked || key.revoked {
                return Verdict::Revoked;
            }
            let seen = seen.as_second();
            let ends = [self.primary.until(), key.until()];
            if let Some(end) = ends.into_iter().flatten().find(|end| seen >= *end) {
                let end = Timestamp::from_second(end)
                    .map_or_else(|_| end.to_string(), |it| it.to_string());
                return Verdict::Outside(format!("the key itself expires {end}"));
            }
            if signature.until().is_some_and(|end| seen >= end) {
                return Verdict::Outside("the signature itself expires".to_owned());
            }
            return Verdict::Good;
        }
        verdict
    }
}

impl Key {
    /// `unbound`: the terms until a signature binds it.
    fn packet(body: &[u8], unbound: Terms) -> Result<Self, Rejection> {
        let [4, a, b, c, d, algorithm, numbers @ ..] = body else {
            return Err("only keys of version 4 are supported".into());
        };
        let length = u16::try_from(body.len()).map_err(|_| "a key packet is too long")?;
        let mut hashed = vec![0x99];
        hashed.extend(length.to_be_bytes());
        hashed.extend_from_slice(body);
        // An unsupported key may still be a subkey for encryption.
        let public = public(*algorithm, numbers).filter(|key| key.weakness().is_none());
        Ok(Self {
            public,
            fingerprint: ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &hashed)
                .as_ref()
                .to_vec(),
            hashed,
            created: u32::from_be_bytes([*a, *b, *c, *d]),
            revoked: false,
            direct: Terms::MAY_SIGN,
            bound: unbound,
        })
    }

    fn signs(&self) -> bool {
        self.direct.purpose == Purpose::Signing && self.bound.purpose == Purpose::Signing
    }

    /// When it ends: both kinds of signatures may only shorten it.
    fn until(&self) -> Option<i64> {
        [self.direct.until, self.bound.until]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes a signature over this primary key into account, if it is by this key.
    fn certification(&mut self, user_id: Option<&[u8]>, signature: &PgpSignature) {
        let mut message = self.hashed.clone();
        match (signature.kind, user_id) {
            (kind::DIRECT | kind::KEY_REVOCATION, _) => {}
            (certification, Some(user_id)) if kind::CERTIFICATIONS.contains(&certification) => {
                let Ok(length) = u32::try_from(user_id.len()) else {
                    return;
                };
                message.push(0xB4);
                message.extend(length.to_be_bytes());
                message.extend_from_slice(user_id);
            }
            _ => return,
        }
        if signature.kind == kind::KEY_REVOCATION {
            self.revoked |= self.may_have_signed(signature, &message);
        } else if self.signed(signature, &message) {
            // Old certificates do not state the purpose of the primary key.
            let signs = signature.key_flags.is_none_or(|flags| flags & SIGNS != 0);
            let terms = match signature.kind {
                kind::DIRECT => &mut self.direct,
                _ => &mut self.bound,
            };
            terms.learn(self.created, signature, Purpose::from(signs));
        }
    }

    /// Takes a signature of the primary key over this subkey into account.
    fn binding(&mut self, primary: &Self, signature: &PgpSignature) {
        let mut message = primary.hashed.clone();
        message.extend_from_slice(&self.hashed);
        match signature.kind {
            kind::SUBKEY_REVOCATION => self.revoked |= primary.may_have_signed(signature, &message),
            kind::SUBKEY_BINDING if primary.signed(signature, &message) => {
                // Without a back-signature by the subkey, the key of another person could be claimed.
                let agrees = signature
                    .embedded
                    .as_deref()
                    .and_then(|body| PgpSignature::packet(body).ok())
                    .is_some_and(|back| {
                        back.kind == kind::PRIMARY_BINDING && self.signed(&back, &message)
                    });
                let may_sign = signature.key_flags.is_some_and(|flags| flags & SIGNS != 0);
                self.bound
                    .learn(self.created, signature, Purpose::from(may_sign && agrees));
            }
            _ => {}
        }
    }

    fn signed(&self, signature: &PgpSignature, message: &[u8]) -> bool {
        let is_by = |public: &Public| signature.is_by(public, message);
        self.public.as_ref().is_some_and(is_by)
    }

    /// For signatures that take trust away: also true if it cannot be verified, since its hash does not fit the
    /// key.
    fn may_have_signed(&self, signature: &PgpSignature, message: &[u8]) -> bool {
        let fits = |public: &Public| public.takes(signature.hash);
        let is_judged = self.public.as_ref().is_some_and(fits);
        signature.may_be_of(&self.fingerprint) && (!is_judged || self.signed(signature, message))
    }
}

impl Terms {
    /// Of a primary key before any signature is seen.
    const MAY_SIGN: Self = Self {
        signed_at: 0,
        purpose: Purpose::Signing,
        until: None,
    };

    /// Of a subkey, which has to be bound for it.
    const MAY_NOT_SIGN: Self = Self {
        purpose: Purpose::Other,
        ..Self::MAY_SIGN
    };

    /// The newest signature counts, with all that it says and leaves out.
    fn learn(&mut self, created: u32, signature: &PgpSignature, purpose: Purpose) {
        if signature.created >= self.signed_at {
            let key = ends(created, signature.key_expires_after);
            *self = Self {
                signed_at: signature.created,
                purpose,
                until: [key, signature.until()].into_iter().flatten().min(),
            };
        }
    }
}

/// RFC 9580, section 5.5.5.
fn public(algorithm: u8, bytes: &[u8]) -> Option<Public> {
    const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
    const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];
    const ED25519: &[u8] = &[0x2B, 0x06, 0x01, 0x04, 0x01, 0xDA, 0x47, 0x0F, 0x01];
    let without_zeroes = |number: &[u8]| {
        let zeroes = number.iter().take_while(|byte| **byte == 0).count();
        number.get(zeroes..).map(<[u8]>::to_vec)
    };
    match algorithm {
        1 | 3 => {
            let (n, rest) = mpi(bytes)?;
            let (e, rest) = mpi(rest)?;
            rest.is_empty().then_some(())?;
            Some(Public::Rsa {
                n: without_zeroes(n)?,
                e: without_zeroes(e)?,
            })
        }
        19 | 22 => {
            let (size, rest) = bytes.split_first()?;
            let (curve, rest) = rest.split_at_checked(usize::from(*size))?;
            let (point, rest) = mpi(rest)?;
            rest.is_empty().then_some(())?;
            match (algorithm, curve) {
                (19, P256) => Some(Public::P256(point.to_vec())),
                (19, P384) => Some(Public::P384(point.to_vec())),
                // The prefix 0x40 marks the point as in its native form.
                (22, ED25519) => Some(Public::Ed25519(
                    point.strip_prefix(&[0x40])?.try_into().ok()?,
                )),
                _ => None,
            }
        }
        27 => Some(Public::Ed25519(bytes.try_into().ok()?)),
        _ => None,
    }
}
