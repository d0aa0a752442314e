//! Certificates of a cluster, and detection of copies.

use flotilla_shared::id::ClusterName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The certificates of a cluster that the hub issued.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Credential {
    /// The counter of the last certificate under this name before the cluster enrolled: a caller with that one, or an
    /// older one, is not this cluster.
    #[serde(skip_serializing_if = "is_zero")]
    pub former: u64,
    /// Number of issued certificates: the counter of the newest.
    pub issued: u64,
    /// The highest counter that was presented to the hub. An older one does not come from the same agent: the agent
    /// stores a new certificate, for all its pods, before it presents it.
    pub shown: u64,
    /// SHA-256 of the certificate that signed the newest; empty: not known.
    pub issuer: String,
    /// SHA-256 of the public key of the newest: the holder of the key is the cluster, even when the certificate has
    /// expired (E10).
    pub key: String,
    /// The lock: no new assignments until an operator unlocks the cluster.
    pub locked: Option<Lock>,
}

/// Why a cluster gets no new assignments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// When it was locked.
    pub at: Timestamp,
    /// Message for operators.
    pub why: String,
}

impl Lock {
    /// Returns the refusal of requests for a locked cluster.
    #[must_use]
    pub fn refusal(&self, name: &ClusterName) -> String {
        format!(
            "{name} is locked: {}; find the cause, then run `flotilla cluster unlock {name} \
             --reason TEXT`",
            self.why
        )
    }
}

/// How an identity shows that more than one use it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DuplicateUse {
    #[error(
        "its identity is used from another Kubernetes cluster: it was enrolled for kube-system {enrolled} and \
         is now presented by {shown}"
    )]
    Elsewhere {
        /// The UID of kube-system with which it enrolled.
        enrolled: String,
        /// That of the cluster it is in.
        shown: String,
    },
    #[error(
        "its identity is used twice: certificate number {counter} was presented after number {newest}; two \
         agents have a copy of the key"
    )]
    OldCertificate {
        /// The number of the one that is shown.
        counter: u64,
        /// The highest that was shown before.
        newest: u64,
    },
}

/// A certificate that was issued to a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    pub counter: u64,
    /// SHA-256 of the signing certificate.
    pub issuer: String,
    /// SHA-256 of its public key.
    pub key: String,
    pub expires_at: Timestamp,
}

impl Credential {
    /// Returns whether this is the first certificate since the cluster enrolled, presented for the first time.
    #[must_use]
    pub const fn begins_with(&self, counter: u64) -> bool {
        counter == self.former.saturating_add(1) && self.issued == counter && self.shown == 0
    }

    /// Returns whether a certificate is from before the cluster enrolled: it was another cluster's. It is not a reason
    /// for a lock.
    #[must_use]
    pub const fn is_former(&self, counter: u64) -> bool {
        counter != 0 && counter <= self.former
    }

    /// Judges a presented certificate, and the Kubernetes cluster that it comes from (E7). Counter 0 and an empty UID
    /// are not judged.
    ///
    /// # Errors
    /// When the identity is in use twice.
    pub fn judge(&self, counter: u64, enrolled_uid: &str, uid: &str) -> Result<(), DuplicateUse> {
        if !uid.is_empty() && !enrolled_uid.is_empty() && uid != enrolled_uid {
            return Err(DuplicateUse::Elsewhere {
                enrolled: enrolled_uid.to_owned(),
                shown: uid.to_owned(),
            });
        }
        if counter != 0 && counter < self.shown {
            let newest = self.shown;
            return Err(DuplicateUse::OldCertificate { counter, newest });
        }
        Ok(())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e07_an_older_certificate_than_one_that_was_shown_is_a_clone() {
        let credential = Credential {
            issued: 9,
            shown: 7,
            ..Credential::default()
        };
        // The agent may lose an answer and renew with the older certificate, as long as it has not presented the newer
        // one.
        for counter in [0, 7, 8, 9, 10] {
            assert_eq!(credential.judge(counter, "u", "u"), Ok(()), "{counter}");
        }
        let old = DuplicateUse::OldCertificate {
            counter: 6,
            newest: 7,
        };
        assert_eq!(credential.judge(6, "u", "u"), Err(old));
        let elsewhere = credential.judge(9, "u", "other");
        assert!(matches!(elsewhere, Err(DuplicateUse::Elsewhere { .. })));
        for (enrolled, uid) in [("", "u"), ("u", ""), ("", "")] {
            assert_eq!(credential.judge(9, enrolled, uid), Ok(()));
        }
    }
}
