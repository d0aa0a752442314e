//! Pinned keys as the policy file has them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::openpgp::Certificate;
use crate::ssh::SshKey;

/// A key that the agent's owner trusts, with its validity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PinnedKey {
    /// Name in rules and messages.
    pub name: String,
    /// The line of an OpenSSH `.pub` file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// An armoured OpenPGP public key (`gpg --armor --export ID`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openpgp: Option<String>,
    /// Start of validity: a signature that was first seen before this is not accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// End of validity: a signature that was first seen at or after this is not accepted. A commit that was
    /// accepted before stays accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// Whether it is revoked: none of its signatures is accepted. It stays listed so that the refusal can give
    /// the reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

/// A pinned key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {name:?}: {why}")]
pub struct KeyError {
    /// Name of the key, as in [`PinnedKey::name`].
    pub name: String,
    /// Cause, for operators.
    pub why: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Material {
    Ssh(Box<SshKey>),
    OpenPgp(Box<Certificate>),
}

impl PinnedKey {
    pub(crate) fn material(&self) -> Result<Material, KeyError> {
        let fail = |why: String| KeyError {
            name: self.name.clone(),
            why,
        };
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && from >= until
        {
            return Err(fail("validUntil is not after validFrom".to_owned()));
        }
        let read = match (&self.ssh, &self.openpgp) {
            (Some(line), None) => SshKey::parse(line).map(|key| Material::Ssh(Box::new(key))),
            (None, Some(armoured)) => {
                Certificate::parse(armoured).map(|key| Material::OpenPgp(Box::new(key)))
            }
            _ => return Err(fail("give either `ssh` or `openpgp`".to_owned())),
        };
        read.map_err(|why| fail(why.to_string()))
    }
}
