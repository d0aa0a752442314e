//! Pinned keys of a policy, and verification of signatures with them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::key::Material;
use crate::openpgp::{PgpSignature, Verdict};
use crate::ssh::SshSignature;
use crate::{GIT_NAMESPACE, KeyError, MAX_SIGNATURE_BYTES, PinnedKey, TrustError, split};

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
                return Err(fail("its name must have 1 to 100 characters"));
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

    /// Returns a key's fingerprint, for messages.
    #[must_use]
    pub fn fingerprint(&self, name: &str) -> Option<String> {
        self.keys.get(name).map(|key| match &key.material {
            Material::Ssh(key) => key.fingerprint(),
            Material::OpenPgp(key) => key.fingerprint(),
        })
    }

    /// Which of `names` signed a raw commit object that was first seen at `seen`.
    ///
    /// # Errors
    /// Why its signature, or the lack of one, is not accepted.
    pub fn commit(
        &self,
        raw: &[u8],
        names: &[String],
        seen: Timestamp,
    ) -> Result<&str, TrustError> {
        let signed = split(raw)?;
        self.detached(
            &signed.signature,
            GIT_NAMESPACE,
            &signed.payload,
            names,
            seen,
        )
    }

    /// Which of `names` made an armoured signature over `message` that was first seen at `seen`.
    /// OpenPGP has no namespaces, so its signatures are only accepted for git.
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
    ) -> Result<&str, TrustError> {
        if armoured.len() > MAX_SIGNATURE_BYTES {
            return Err(TrustError::malformed(format!(
                "it has more than {MAX_SIGNATURE_BYTES} bytes"
            )));
        }
        // A signature by a revoked key is refused, even if the same key is pinned under another name.
        let revoked = self.keys.values().filter(|key| key.pinned.revoked);
        let named = names.iter().filter_map(|name| self.keys.get(name));
        let keys = named.chain(revoked);
        if armoured.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
            let signature = SshSignature::parse(armoured, namespace)?;
            let answers = keys.filter_map(|key| match &key.material {
                Material::Ssh(material) if material.is(&signature) => Some((key, material)),
                _ => None,
            });
            let answers = answers.map(|(key, material)| {
                let is_over = material.verify(&signature, message);
                let answer = match is_over {
                    Ok(true) => key.within(seen),
                    Ok(false) => Err(mismatch(key)),
                    Err(fault) => Err(fault),
                };
                (key, answer)
            });
            let key = signature.fingerprint();
            return verdict(answers, TrustError::Unknown { key });
        }
        if armoured.starts_with(b"-----BEGIN PGP SIGNATURE-----") && namespace == GIT_NAMESPACE {
            let signature = PgpSignature::parse(armoured)?;
            let answers = keys.filter_map(|key| {
                let Material::OpenPgp(certificate) = &key.material else {
                    return None;
                };
                let answer = match certificate.verify(&signature, message, seen) {
                    Verdict::BySomebodyElse => return None,
                    Verdict::OverOtherBytes => Err(mismatch(key)),
                    Verdict::OverAnotherHash => Err(TrustError::another_hash(&key.pinned.name)),
                    Verdict::Revoked => Err(key.revoked()),
                    Verdict::Outside(why) => key.within(seen).and(Err(key.expired(seen, why))),
                    Verdict::Good => key.within(seen),
                };
                Some((key, answer))
            });
            let key = signature.issuer();
            return verdict(answers, TrustError::Unknown { key });
        }
        Err(TrustError::malformed(
            "it is neither an SSH nor an OpenPGP signature (X.509 is not supported)",
        ))
    }
}

/// The first key with a good signature. If one of them is revoked there is none: a key may be pinned under
/// two names, and a certificate as it was before and after its revocation.
fn verdict<'k>(
    answers: impl Iterator<Item = (&'k Key, Result<(), TrustError>)>,
    unknown: TrustError,
) -> Result<&'k str, TrustError> {
    let mut verdict = Err(unknown);
    for (key, answer) in answers {
        if let Err(revoked @ TrustError::Revoked { .. }) = answer {
            return Err(revoked);
        }
        if verdict.is_err() {
            verdict = answer.map(|()| key.pinned.name.as_str());
        }
    }
    verdict
}

fn mismatch(key: &Key) -> TrustError {
    TrustError::Mismatch {
        key: key.pinned.name.clone(),
    }
}

impl Key {
    fn expired(&self, seen: Timestamp, why: String) -> TrustError {
        TrustError::Expired {
            key: self.pinned.name.clone(),
            seen,
            why,
        }
    }

    fn revoked(&self) -> TrustError {
        TrustError::Revoked {
            key: self.pinned.name.clone(),
        }
    }

    /// Whether the policy accepts its signatures that were first seen at that time.
    fn within(&self, seen: Timestamp) -> Result<(), TrustError> {
        let pinned = &self.pinned;
        if pinned.revoked {
            return Err(self.revoked());
        }
        match (pinned.valid_from, pinned.valid_until) {
            (Some(from), _) if seen < from => Err(self.expired(seen, format!("from {from}"))),
            (_, Some(until)) if seen >= until => Err(self.expired(seen, format!("until {until}"))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4bzQXA0vX6KwFjm8tsNIjhFi1+FyJNU3zIVFBVbUqN test";

    fn pinned(name: &str, from: Option<i64>, until: Option<i64>) -> PinnedKey {
        let at = |second: Option<i64>| second.map(|it| Timestamp::from_second(it).unwrap());
        PinnedKey {
            name: name.to_owned(),
            ssh: Some(LINE.to_owned()),
            openpgp: None,
            valid_from: at(from),
            valid_until: at(until),
            revoked: false,
        }
    }

    #[test]
    fn g14_a_window_begins_with_its_first_second_and_ends_before_its_last() {
        let good = |from, until, seen| {
            let keyring = Keyring::new(&[pinned("k", from, until)]).unwrap();
            let seen = Timestamp::from_second(seen).unwrap();
            match keyring.keys["k"].within(seen) {
                Ok(()) => true,
                Err(TrustError::Expired { .. }) => false,
                Err(other) => panic!("{other}"),
            }
        };
        for (from, until, first, last) in [
            (Some(100), Some(200), Some(100), Some(199)),
            (Some(100), None, Some(100), None),
            (None, Some(200), None, Some(199)),
        ] {
            for seen in [0, 99, 100, 150, 199, 200, 201, 9999] {
                let is_good =
                    first.is_none_or(|first| seen >= first) && last.is_none_or(|last| seen <= last);
                assert_eq!(
                    good(from, until, seen),
                    is_good,
                    "{from:?} {until:?} {seen}"
                );
            }
        }
        assert!(good(None, None, 0));
    }

    #[test]
    fn g14_keys_that_could_never_count_are_refused_when_the_policy_is_read() {
        for (from, until, is_taken) in [(100, 101, true), (100, 100, false), (101, 100, false)] {
            let read = Keyring::new(&[pinned("k", Some(from), Some(until))]);
            assert_eq!(read.is_ok(), is_taken, "{from} {until}");
        }
        for (name, is_taken) in [
            (String::new(), false),
            ("k".repeat(100), true),
            ("k".repeat(101), false),
        ] {
            assert_eq!(Keyring::new(&[pinned(&name, None, None)]).is_ok(), is_taken);
        }
        let twice = [pinned("k", None, None), pinned("k", None, None)];
        assert!(Keyring::new(&twice).is_err());
        let none = PinnedKey {
            ssh: None,
            ..pinned("k", None, None)
        };
        assert!(Keyring::new(&[none]).is_err());
        let keyring = Keyring::new(&[pinned("k", None, None)]).unwrap();
        assert!(keyring.has("k") && !keyring.has("other"));
        let printed = keyring.fingerprint("k").unwrap();
        assert!(printed.starts_with("SHA256:"), "{printed}");
        assert_eq!(keyring.fingerprint("other"), None);
    }

    #[test]
    fn what_is_no_signature_or_a_huge_one_is_refused_by_name() {
        let keyring = Keyring::new(&[pinned("k", None, None)]).unwrap();
        let fault = |text: &str, namespace: &str| {
            let seen = Timestamp::UNIX_EPOCH;
            let verdict = keyring.detached(text.as_bytes(), namespace, b"", &[], seen);
            verdict.unwrap_err().to_string()
        };
        let neither = "neither an SSH nor an OpenPGP signature";
        let large = "x".repeat(MAX_SIGNATURE_BYTES);
        assert!(fault(&large, GIT_NAMESPACE).contains(neither));
        for over in 1..3 {
            let larger = format!("{large}{}", "x".repeat(over));
            assert!(fault(&larger, GIT_NAMESPACE).contains("more than 32768 bytes"));
        }
        assert!(fault("-----BEGIN SIGNED MESSAGE-----", GIT_NAMESPACE).contains(neither));
        // OpenPGP has no namespaces: a signature made for another purpose could be passed off as an approval.
        let openpgp = "-----BEGIN PGP SIGNATURE-----\n";
        assert!(fault(openpgp, "flotilla-approval").contains(neither));
        assert!(!fault(openpgp, GIT_NAMESPACE).contains(neither));
    }
}
