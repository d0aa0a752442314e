//! Public keys as numbers, and ring's verdict on them.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A hash for signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    pub(crate) fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Public {
    Ed25519([u8; 32]),
    /// SEC 1 points, uncompressed.
    P256(Vec<u8>),
    P384(Vec<u8>),
    /// Modulus and exponent, big-endian without leading zeroes.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl Public {
    /// Why a key is too weak. None: it is accepted.
    pub(crate) fn weakness(&self) -> Option<String> {
        match self {
            // ring's own bounds, reported before any commit has to be verified.
            Self::Rsa { n, .. } if n.len() < 256 || n.len() > 1024 => Some(format!(
                "RSA keys must have 2,048 to 8,192 bits, this one has {}",
                n.len() * 8
            )),
            _ => None,
        }
    }

    /// Whether signatures over that hash are judged. ring joins each curve with the hash of its size.
    pub(crate) fn takes(&self, hash: Hash) -> bool {
        match self {
            Self::Ed25519(_) | Self::Rsa { .. } => true,
            Self::P256(_) => hash == Hash::Sha256,
            Self::P384(_) => hash == Hash::Sha384,
        }
    }

    /// Whether the signature is over `message`. Signatures on elliptic curves are `r` and `s`, each of
    /// the field's size; RSA's is as long as the modulus.
    pub(crate) fn verify(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        match (self, hash) {
            (Self::Ed25519(key), _) => UnparsedPublicKey::new(&ED25519, key)
                .verify(message, signature)
                .is_ok(),
            (Self::P256(key), Hash::Sha256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
                    .verify(message, signature)
                    .is_ok()
            }
            (Self::P384(key), Hash::Sha384) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key)
                    .verify(message, signature)
                    .is_ok()
            }
            (Self::P256(_) | Self::P384(_), _) => false,
            (Self::Rsa { n, e }, hash) => {
                let parameters = match hash {
                    Hash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
                    Hash::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
                    Hash::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
                };
                RsaPublicKeyComponents { n, e }
                    .verify(parameters, message, signature)
                    .is_ok()
            }
        }
    }
}

/// Big-endian bytes padded to a length with leading zeroes. None: it is longer.
pub(crate) fn padded(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let zeroes = bytes.iter().take_while(|byte| **byte == 0).count();
    let bytes = bytes.get(zeroes..)?;
    let missing = length.checked_sub(bytes.len())?;
    let mut padded = vec![0; missing];
    padded.extend_from_slice(bytes);
    Some(padded)
}

/// Numbers followed by other numbers, all of one length.
pub(crate) fn pair(r: &[u8], s: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut both = padded(r, length)?;
    both.extend(padded(s, length)?);
    Some(both)
}
