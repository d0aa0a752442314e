//! Admission of clusters: judges a token, a key and a name. Pure.
//!
//! Laws, checked by the simulation below it:
//! - a name belongs to the key that took it, until an operator removes the cluster: no token and no number of tries
//!   gives it to a second key;
//! - a token is used up only by the enrolment that it admits, in the same transaction;
//! - no cluster is locked out by claims of a caller without the key. The UID of a namespace kube-system is such a
//!   claim: it proves nothing, and only holds a newcomer back.

pub(crate) mod token;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use flotilla_shared::id::ClusterName;
use jiff::Timestamp;

pub use token::{NewToken, Redeemer, Token};

use crate::fleet::credential::Lock;
use crate::fleet::event::ClusterRecord;
use crate::spec::ClusterSpec;

/// An attempt to enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The cluster's name.
    pub name: ClusterName,
    /// SHA-256 of the public key, whose possession was proven.
    pub key: String,
    /// The UID of its namespace kube-system, as it reports.
    pub uid: String,
}

/// Decision on an attempt that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrolmentDecision {
    /// The name belongs to the key, which gets a certificate.
    Certificate,
    /// The name belongs to the key, and an operator has to accept it.
    Wait,
    /// The name is free and is given to the key; the token is used up. The record contains whether an operator has to
    /// accept it.
    Join(Box<ClusterRecord>),
}

/// Why an attempt is refused. Details of a token are only returned to callers that have its secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token does not exist, or the secret is wrong: one answer, so that guessing reveals nothing.
    #[error("the join token is not known: create one with `flotilla token create`")]
    UnknownToken,
    /// An operator revoked it.
    #[error("the join token was revoked: create a new one with `flotilla token create`")]
    Revoked,
    /// It has expired.
    #[error("the join token expired at {at}: create a new one with `flotilla token create`")]
    Expired { at: Timestamp },
    /// It is for another cluster.
    #[error(
        "the join token is for the cluster {to}: use it there, or create one for this cluster with \
         `flotilla token create --cluster NAME`"
    )]
    Bound { to: ClusterName },
    /// It was used by another cluster.
    #[error(
        "the join token was used at {at} by the cluster {by}, with another key or under another name: \
         each token lets in one agent; create a new one with `flotilla token create`"
    )]
    Used {
        at: Timestamp,
        /// Name of that cluster.
        by: ClusterName,
    },
    /// It was used by this key, and the cluster was removed since.
    #[error("the cluster was removed after it enrolled; create a new token")]
    Removed,
    /// The name belongs to another key.
    #[error(
        "a cluster named {0} already exists with another key: choose another name; or, if this \
         agent replaces it, remove it first with `flotilla cluster remove {0}`. The token is \
         not used up"
    )]
    NameTaken(ClusterName),
    /// An accepted cluster reports to be the same Kubernetes cluster.
    #[error(
        "this Kubernetes cluster (kube-system {uid}) is already enrolled as {other}: remove \
         {other} first, or give a restored copy of a cluster its own kube-system namespace. The \
         token is not used up"
    )]
    SameCluster {
        /// UID that both report.
        uid: String,
        /// Name of the accepted cluster.
        other: ClusterName,
    },
    /// The cluster is locked.
    #[error("{}", lock.refusal(name))]
    Locked { name: ClusterName, lock: Lock },
}

/// Judges an attempt. `holder` is the record of the name, `namesake` an accepted cluster of another name that reports
/// the same UID, `declared` the place that the fleet file gives the name.
///
/// # Errors
/// With the message for the caller, or for the operator behind it.
pub fn judge(
    attempt: &Attempt,
    token: Option<&Token>,
    holder: Option<&ClusterRecord>,
    namesake: Option<&ClusterName>,
    declared: Option<&ClusterSpec>,
    now: Timestamp,
) -> Result<EnrolmentDecision, Refusal> {
    let token = token.ok_or(Refusal::UnknownToken)?;
    if token.revoked_at.is_some() {
        return Err(Refusal::Revoked);
    }
    if let Some(used) = &token.redeemed {
        if used.cluster != attempt.name || used.key != attempt.key {
            return Err(Refusal::Used {
                at: used.at,
                by: used.cluster.clone(),
            });
        }
        // The token admitted this key before: this is a repeated attempt.
        let record = holder.ok_or(Refusal::Removed)?;
        return again(attempt, record);
    }
    if now >= token.new.expires_at {
        return Err(Refusal::Expired {
            at: token.new.expires_at,
        });
    }
    if let Some(to) = token.new.cluster.as_ref().filter(|to| **to != attempt.name) {
        return Err(Refusal::Bound { to: to.clone() });
    }
    if let Some(record) = holder {
        // The holder of the name needs no token, so that none is used up.
        return again(attempt, record);
    }
    if let Some(other) = namesake {
        return Err(Refusal::SameCluster {
            uid: attempt.uid.clone(),
            other: other.clone(),
        });
    }
    // Automatic acceptance requires an environment, from the token or from the fleet file.
    let placed = token.new.environment.is_some() || declared.is_some();
    let accepted = token.new.auto_accept && placed;
    let mut record = ClusterRecord {
        environment: token.new.environment.clone(),
        labels: token.new.labels.clone(),
        created_at: now,
        cluster_uid: attempt.uid.clone(),
        ..ClusterRecord::default()
    };
    if accepted {
        record.credential.key.clone_from(&attempt.key);
    } else {
        record.pending = Some(attempt.key.clone());
    }
    Ok(EnrolmentDecision::Join(Box::new(record)))
}

/// Judges an attempt for a name that is taken, which belongs to its key alone.
fn again(attempt: &Attempt, record: &ClusterRecord) -> Result<EnrolmentDecision, Refusal> {
    if holder(record) != Some(attempt.key.as_str()) {
        return Err(Refusal::NameTaken(attempt.name.clone()));
    }
    if let Some(lock) = &record.credential.locked {
        return Err(Refusal::Locked {
            name: attempt.name.clone(),
            lock: lock.clone(),
        });
    }
    Ok(match &record.pending {
        Some(_) => EnrolmentDecision::Wait,
        None => EnrolmentDecision::Certificate,
    })
}

/// Returns SHA-256 of the key that has a name; none: an older hub did not record it, so it cannot be proven.
#[must_use]
pub fn holder(record: &ClusterRecord) -> Option<&str> {
    let known = Some(record.credential.key.as_str()).filter(|key| !key.is_empty());
    record.pending.as_deref().or(known)
}

/// Highest number of remembered uses; older ones are in the store.
const MAX_USES: usize = 4096;

/// Recent uses of tokens. A token is read before it is judged, and another attempt may have been made in between.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    known: BTreeMap<String, Use>,
    order: VecDeque<String>,
}

#[derive(Debug, Clone)]
enum Use {
    Redeemed(Redeemer),
    Revoked(Timestamp),
}

impl Uses {
    /// Notes that a token was used.
    pub fn redeemed(&mut self, id: &str, by: Redeemer) {
        self.note(id, Use::Redeemed(by));
    }

    /// Notes that a token was revoked.
    pub fn revoked(&mut self, id: &str, at: Timestamp) {
        self.note(id, Use::Revoked(at));
    }

    fn note(&mut self, id: &str, what: Use) {
        if self.known.insert(id.to_owned(), what).is_none() {
            self.order.push_back(id.to_owned());
        }
        if self.order.len() > MAX_USES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Returns a token that was read earlier as it is now.
    #[must_use]
    pub fn current(&self, mut token: Token) -> Token {
        match self.known.get(&token.id) {
            Some(Use::Redeemed(by)) => token.redeemed = Some(by.clone()),
            Some(Use::Revoked(at)) => token.revoked_at = Some(*at),
            None => {}
        }
        token
    }
}
