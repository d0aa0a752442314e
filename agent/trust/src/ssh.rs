//! SSH signatures: OpenSSH's PROTOCOL.sshsig, version 1. Parsed by `ssh-key`, judged by ring.
//!
//! Certificates are refused, since their authority would have to be pinned, and their dates be
//! trusted. So are DSA, P-521 and `ssh-rsa` with SHA-1.

use ssh_key::public::{EcdsaPublicKey, KeyData, RsaPublicKey};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, Mpint, PublicKey, Signature, SshSig};

use crate::primitive::{Hash, Public, padded, pair};
use crate::{Rejection, TrustError};

/// A pinned SSH key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshKey {
    data: KeyData,
    public: Public,
    /// For keys on a token (`sk-…`): the application that the token was asked for.
    application: Option<String>,
}

impl SshKey {
    /// From the line of a `.pub` file.
    pub(crate) fn parse(line: &str) -> Result<Self, Rejection> {
        let line = line.trim();
        if line.contains("-cert-v0") {
            return Err("certificates are not supported; give the key itself".into());
        }
        let key = PublicKey::from_openssh(line)
            .map_err(|error| format!("it is not the line of an OpenSSH .pub file: {error}"))?;
        Self::new(key.key_data().clone())
    }

    fn new(data: KeyData) -> Result<Self, Rejection> {
        let mut application = None;
        let public = match &data {
            KeyData::Ed25519(key) => Public::Ed25519(key.0),
            KeyData::SkEd25519(key) => {
                application = Some(key.application().to_owned());
                Public::Ed25519(key.public_key().0)
            }
            KeyData::SkEcdsaSha2NistP256(key) => {
                application = Some(key.application().to_owned());
                Public::P256(key.ec_point().as_bytes().to_vec())
            }
            KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)) => {
                Public::P256(point.as_bytes().to_vec())
            }
            KeyData::Ecdsa(EcdsaPublicKey::NistP384(point)) => {
                Public::P384(point.as_bytes().to_vec())
            }
            KeyData::Rsa(RsaPublicKey { e, n }) => Public::Rsa {
                n: positive(n)?.to_vec(),
                e: positive(e)?.to_vec(),
            },
            other => {
                return Err(format!(
                    "keys of type {} are not supported; supported are ed25519, ecdsa (P-256, \
                     P-384), rsa and their sk- forms",
                    other.algorithm()
                )
                .into());
            }
        };
        match public.weakness() {
            Some(why) => Err(why.into()),
            None => Ok(Self {
                data,
                public,
                application,
            }),
        }
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub(crate) fn fingerprint(&self) -> String {
        self.data.fingerprint(HashAlg::Sha256).to_string()
    }

    pub(crate) fn is(&self, signature: &SshSignature) -> bool {
        self.data == *signature.0.public_key()
    }

    /// Whether the signature is this key's over `message`.
    ///
    /// # Errors
    /// When the signature's algorithm does not fit the key.
    pub(crate) fn verify(
        &self,
        signature: &SshSignature,
        message: &[u8],
    ) -> Result<bool, TrustError> {
        let signed = SshSig::signed_data(signature.0.namespace(), signature.0.hash_alg(), message)
            .map_err(|error| TrustError::malformed(error.to_string()))?;
        let inner = signature.0.signature();
        let unfit =
            || TrustError::malformed(format!("{} does not match its key", inner.algorithm()));
        let (hash, bytes, trailer) = numbers(inner, &self.public).ok_or_else(unfit)?;
        let message = match (&self.application, trailer) {
            (None, None) => signed,
            // A security key signs the hashes of its application and of the message, with its flags and counter.
            (Some(application), Some(trailer)) => {
                let [flags, ..] = trailer;
                if flags & 1 == 0 {
                    return Err(TrustError::malformed(
                        "its security key was not touched for it",
                    ));
                }
                let mut message = Hash::Sha256.of(application.as_bytes());
                message.extend_from_slice(&trailer);
                message.extend(Hash::Sha256.of(&signed));
                message
            }
            _ => return Err(unfit()),
        };
        Ok(self.public.verify(hash, &message, &bytes))
    }
}

fn positive(number: &Mpint) -> Result<&[u8], Rejection> {
    number
        .as_positive_bytes()
        .ok_or_else(|| "an RSA number is negative".into())
}

/// Hash, signature as ring takes it, and a token's five bytes; none: they do not fit the key.
fn numbers(signature: &Signature, key: &Public) -> Option<(Hash, Vec<u8>, Option<[u8; 5]>)> {
    let bytes = signature.as_bytes();
    let elliptic = |bytes: &[u8], length| {
        let (r, rest) = mpint(bytes)?;
        let (s, rest) = mpint(rest)?;
        Some((pair(r, s, length)?, rest.to_vec()))
    };
    match (signature.algorithm(), key) {
        (Algorithm::Ed25519, Public::Ed25519(_)) => Some((Hash::Sha512, bytes.to_vec(), None)),
        (Algorithm::SkEd25519, Public::Ed25519(_)) => {
            let (bytes, trailer) = bytes.split_at_checked(64)?;
            Some((Hash::Sha512, bytes.to_vec(), Some(trailer.try_into().ok()?)))
        }
        (
            Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP256,
            },
            Public::P256(_),
        ) => {
            let (bytes, rest) = elliptic(bytes, 32)?;
            rest.is_empty().then_some((Hash::Sha256, bytes, None))
        }
        (
            Algorithm::Ecdsa {
                curve: EcdsaCurve::NistP384,
            },
            Public::P384(_),
        ) => {
            let (bytes, rest) = elliptic(bytes, 48)?;
            rest.is_empty().then_some((Hash::Sha384, bytes, None))
        }
        (Algorithm::SkEcdsaSha2NistP256, Public::P256(_)) => {
            let (bytes, rest) = elliptic(bytes, 32)?;
            Some((Hash::Sha256, bytes, Some(rest.try_into().ok()?)))
        }
        (Algorithm::Rsa { hash }, Public::Rsa { n, .. }) => {
            let hash = match hash? {
                HashAlg::Sha256 => Hash::Sha256,
                HashAlg::Sha512 => Hash::Sha512,
                _ => return None,
            };
            Some((hash, padded(bytes, n.len())?, None))
        }
        _ => None,
    }
}

/// RFC 4251, section 5: a length of four bytes, and a number.
fn mpint(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// A signature that was read.
#[derive(Debug)]
pub(crate) struct SshSignature(SshSig);

impl SshSignature {
    /// Reads an armoured signature made in `namespace`.
    pub(crate) fn parse(armoured: &[u8], namespace: &str) -> Result<Self, TrustError> {
        // Git leaves a line break after the armour.
        let text = armoured.trim_ascii_end();
        let signature =
            SshSig::from_pem(text).map_err(|error| TrustError::malformed(error.to_string()))?;
        if signature.version() != SshSig::VERSION {
            return Err(TrustError::malformed("it is not version 1 of SSHSIG"));
        }
        if signature.namespace() != namespace {
            return Err(TrustError::malformed(format!(
                "it was made for {:?}, not for {namespace:?}",
                signature.namespace()
            )));
        }
        // A future meaning of this field would have to be checked.
        if !signature.reserved().is_empty() {
            return Err(TrustError::malformed("its reserved field is not empty"));
        }
        Ok(Self(signature))
    }

    /// The fingerprint of the key that it claims to be by.
    pub(crate) fn fingerprint(&self) -> String {
        self.0.public_key().fingerprint(HashAlg::Sha256).to_string()
    }
}
