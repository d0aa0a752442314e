//! The keys of a policy, and their verdict on what is signed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::key::Material;
use crate::openpgp::{Issued, PgpSignature};
use crate::ssh::SshSignature;
use crate::{Fault, GIT_NAMESPACE, KeyError, MAX_SIGNATURE_BYTES, PinnedKey, split};

#[derive(Debug, Clone)]
struct Key {
    pinned: PinnedKey,
    material: Material,
}

/// Pinned keys by name.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: BTreeMap<String, Key>,
}

impl Keyring {
    /// Reads all keys.
    ///
    /// # Errors
    /// When one cannot be used, or two have one name.
    pub fn new(pinned: &[PinnedKey]) -> Result<Self, KeyError> {
        let mut keys = BTreeMap::new();
        for pinned in pinned {
            let fail = |why: &str| KeyError {
                name: pinned.name.clone(),
                why: why.to_owned(),
            };
            if pinned.name.is_empty() || pinned.name.len() > 100 {
                return Err(fail("its name should have 1 to 100 characters"));
            }
            let key = Key {
                material: pinned.material()?,
                pinned: pinned.clone(),
            };
            if keys.insert(pinned.name.clone(), key).is_some() {
                return Err(fail("another key has this name"));
            }
        }
        Ok(Self { keys })
    }

    /// Whether there is a key of that name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    /// A key's fingerprint, for people.
    #[must_use]
    pub fn fingerprint(&self, name: &str) -> Option<String> {
        self.keys.get(name).map(|key| match &key.material {
            Material::Ssh(key) => key.fingerprint(),
            Material::OpenPgp(key) => key.fingerprint(),
        })
    }

    /// Who of `names` signed a raw commit object, which was first seen at `seen`.
    ///
    /// # Errors
    /// Why its signature, or the lack of one, is not accepted.
    pub fn commit(&self, raw: &[u8], names: &[String], seen: Timestamp) -> Result<&str, Fault> {
        let signed = split(raw)?;
        self.detached(
            &signed.signature,
            GIT_NAMESPACE,
            &signed.payload,
            names,
            seen,
        )
    }

    /// Who of `names` made an armoured signature over `message`, which was first seen at `seen`.
    /// OpenPGP has no namespaces, so its signatures are only taken for git's.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn detached(
        &self,
        armoured: &[u8],
        namespace: &str,
        message: &[u8],
        names: &[String],
        seen: Timestamp,
    ) -> Result<&str, Fault> {
        if armoured.len() > MAX_SIGNATURE_BYTES {
            return Err(Fault::malformed(format!(
                "it has more than {MAX_SIGNATURE_BYTES} bytes"
            )));
        }
        let named = || names.iter().filter_map(|name| self.keys.get(name));
        if armoured.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
            let signature = SshSignature::parse(armoured, namespace)?;
            let matches = named().filter_map(|key| match &key.material {
                Material::Ssh(material) if material.is(&signature) => Some((key, material)),
                _ => None,
            });
            let mut fault = Fault::Unknown {
                key: signature.fingerprint(),
            };
            for (key, material) in matches {
                if !material.verify(&signature, message)? {
                    return Err(mismatch(key));
                }
                match key.within(seen) {
                    Ok(()) => return Ok(&key.pinned.name),
                    Err(worse) => fault = worse,
                }
            }
            return Err(fault);
        }
        if armoured.starts_with(b"-----BEGIN PGP SIGNATURE-----") && namespace == GIT_NAMESPACE {
            let signature = PgpSignature::parse(armoured)?;
            let mut fault = Fault::Unknown {
                key: signature.issuer(),
            };
            for key in named() {
                let Material::OpenPgp(certificate) = &key.material else {
                    continue;
                };
                match certificate.verify(&signature, message, seen) {
                    Issued::BySomebodyElse => continue,
                    Issued::OverOtherBytes => return Err(mismatch(key)),
                    Issued::Revoked => {
                        fault = Fault::Revoked {
                            key: key.pinned.name.clone(),
                        };
                    }
                    Issued::Outside(why) => fault = key.expired(seen, why),
                    Issued::Good => match key.within(seen) {
                        Ok(()) => return Ok(&key.pinned.name),
                        Err(worse) => fault = worse,
                    },
                }
            }
            return Err(fault);
        }
        Err(Fault::malformed(
            "it is neither an SSH nor an OpenPGP signature (X.509 is not taken)",
        ))
    }
}

fn mismatch(key: &Key) -> Fault {
    Fault::Mismatch {
        key: key.pinned.name.clone(),
    }
}

impl Key {
    fn expired(&self, seen: Timestamp, why: String) -> Fault {
        Fault::Expired {
            key: self.pinned.name.clone(),
            seen,
            why,
        }
    }

    /// Whether the policy takes what it signed, seen at that time.
    fn within(&self, seen: Timestamp) -> Result<(), Fault> {
        let pinned = &self.pinned;
        if pinned.revoked {
            return Err(Fault::Revoked {
                key: pinned.name.clone(),
            });
        }
        match (pinned.valid_from, pinned.valid_until) {
            (Some(from), _) if seen < from => Err(self.expired(seen, format!("from {from}"))),
            (_, Some(until)) if seen >= until => Err(self.expired(seen, format!("until {until}"))),
            _ => Ok(()),
        }
    }
}
