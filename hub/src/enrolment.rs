//! Who may join the fleet under which name: a token, a key, a name, and what is known of each. Pure.
//!
//! Laws, checked by the simulation below it:
//! - a name belongs to the key that took it, until a person removes the cluster: no token and no number
//!   of tries gives it to a second key;
//! - a token is used up only by what it lets in, in the same transaction;
//! - nobody is locked out by what somebody without the key says. The UID of a namespace kube-system is
//!   such a say-so: it proves nothing, and only holds a newcomer back.

pub(crate) mod token;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use flotilla_shared::id::ClusterName;
use jiff::Timestamp;

pub use token::{NewToken, Redeemer, Token};

use crate::fleet::Lock;
use crate::fleet::event::ClusterRecord;
use crate::spec::ClusterSpec;

/// Somebody asks to come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Under this name.
    pub name: ClusterName,
    /// With the key of this SHA-256; that it has the key was proven.
    pub key: String,
    /// The UID of its namespace kube-system, as it says.
    pub uid: String,
}

/// What an attempt comes to, where it is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnrolmentDecision {
    /// The name is the key's: it gets a certificate.
    Certificate,
    /// The name is the key's, and a person has to accept it.
    Wait,
    /// The name is free and becomes the key's; the token is used up. The record says whether a person has
    /// to accept it.
    Join(Box<ClusterRecord>),
}

/// Why somebody does not come in. Only who has a token's secret is told anything about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such token, or the secret is another: one answer, so that a guesser learns nothing.
    #[error("the join token is not known: create one with `flotilla token create`")]
    UnknownToken,
    /// A person revoked it.
    #[error("the join token was revoked: create a new one with `flotilla token create`")]
    Revoked,
    /// Its time is over.
    #[error("the join token expired at {at}: create a new one with `flotilla token create`")]
    Expired { at: Timestamp },
    /// It is for somebody else.
    #[error(
        "the join token is for the cluster {to}: use it there, or create one for this cluster with \
         `flotilla token create --cluster NAME`"
    )]
    Bound { to: ClusterName },
    /// It let somebody else in.
    #[error(
        "the join token was used at {at} by the cluster {by}, with another key or under another name: \
         each token lets in one agent; create a new one with `flotilla token create`"
    )]
    Used {
        at: Timestamp,
        /// Whom it let in.
        by: ClusterName,
    },
    /// It let this key in, and a person removed the cluster since.
    #[error("the cluster was removed after it enrolled; create a new token")]
    Removed,
    /// The name is another key's.
    #[error(
        "a cluster named {0} is already there, with another key: take another name; or, if this agent is \
         to take its place, remove it first with `flotilla cluster remove {0}`. The token is not used up"
    )]
    NameTaken(ClusterName),
    /// An accepted cluster says that it is the same Kubernetes cluster.
    #[error(
        "this Kubernetes cluster (kube-system {uid}) is enrolled as {other} already: remove {other} \
         first, or give a restored copy of a cluster a kube-system namespace of its own. The token is \
         not used up"
    )]
    SameCluster {
        /// What both say.
        uid: String,
        /// The one that is there.
        other: ClusterName,
    },
    /// The cluster is locked.
    #[error("{}", lock.refusal(name))]
    Locked { name: ClusterName, lock: Lock },
}

/// Judges an attempt. `holder` is the record of the name, `namesake` an accepted cluster of another name
/// that says it has the same UID, `declared` the place that the fleet file gives the name.
///
/// # Errors
/// With what the asker, or the operator behind it, is told.
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
        // The token let this key in: what it asks now it asks again.
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
        // Who has the name needs no token for it, so that none is used up.
        return again(attempt, record);
    }
    if let Some(other) = namesake {
        return Err(Refusal::SameCluster {
            uid: attempt.uid.clone(),
            other: other.clone(),
        });
    }
    // Automatic acceptance needs a place to belong to.
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

/// A name that is taken is its key's and nobody else's.
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

/// SHA-256 of the key that has a name; none: an older hub did not note it, so that nobody proves it.
#[must_use]
pub fn holder(record: &ClusterRecord) -> Option<&str> {
    let known = Some(record.credential.key.as_str()).filter(|key| !key.is_empty());
    record.pending.as_deref().or(known)
}

/// Most uses that are remembered; the store has had the oldest of them for long.
const MAX_USES: usize = 4096;

/// What became of tokens a moment ago. Who asks has read the token before it is judged, and somebody
/// else's attempt may have come in between.
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
    /// A token let somebody in.
    pub fn redeemed(&mut self, id: &str, by: Redeemer) {
        self.note(id, Use::Redeemed(by));
    }

    /// A person revoked a token.
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

    /// A token as it was read, and as it is now.
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
