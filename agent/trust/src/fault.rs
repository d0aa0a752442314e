//! Errors of signatures and of the keys that verify them.

use std::borrow::Cow;

use flotilla_shared::reason::Reason;
use jiff::Timestamp;

/// Why a key, a certificate or a signature is not accepted: it cannot be read, or is of an unsupported kind.
/// The text follows the name of the key or signature in a message to the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejection(Cow<'static, str>);

impl From<&'static str> for Rejection {
    fn from(why: &'static str) -> Self {
        Self(Cow::Borrowed(why))
    }
}

impl From<String> for Rejection {
    fn from(why: String) -> Self {
        Self(Cow::Owned(why))
    }
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// There is no signature.
    #[error("it is not signed")]
    Missing,
    /// It cannot be read, or is of a kind that is not accepted.
    #[error("its signature is not accepted: {0}")]
    Malformed(String),
    /// The key made it, but over other content.
    #[error("its signature by {key} does not match its content")]
    Mismatch {
        /// The key's name in the policy.
        key: String,
    },
    /// The policy does not name the key.
    #[error("it is signed by {key}, which the agent's policy does not name for this")]
    Unknown {
        /// The key's fingerprint.
        key: String,
    },
    /// First seen outside the key's validity.
    #[error(
        "it is signed by {key}, and was first seen here at {seen}, when that key was not valid ({why})"
    )]
    Expired {
        /// The key's name in the policy.
        key: String,
        /// When this was first seen here, which must be within the key's validity.
        seen: Timestamp,
        /// `from TIME`, `until TIME`, or the expiry in the key or the signature itself.
        why: String,
    },
    /// The key is revoked, by the policy or by itself.
    #[error("it is signed by {key}, which is revoked")]
    Revoked {
        /// The key's name in the policy.
        key: String,
    },
}

impl From<Rejection> for TrustError {
    fn from(why: Rejection) -> Self {
        Self::Malformed(why.0.into_owned())
    }
}

impl TrustError {
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }

    /// The key may have made it, but it cannot be verified here.
    pub(crate) fn another_hash(key: &str) -> Self {
        Self::Malformed(format!(
            "it is by {key}, over a hash that is not supported with its curve: P-256 signs over \
             SHA-256 and P-384 over SHA-384 (gpg: digest-algo)"
        ))
    }

    /// Reason code for status, Events and metrics.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Missing => Reason::SignatureMissing,
            Self::Malformed(_) | Self::Mismatch { .. } => Reason::SignatureInvalid,
            Self::Unknown { .. } => Reason::SignatureKeyUnknown,
            Self::Expired { .. } => Reason::SignatureKeyExpired,
            Self::Revoked { .. } => Reason::SignatureKeyRevoked,
        }
    }
}
