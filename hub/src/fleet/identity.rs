//! Identities of clusters: issued and presented certificates, and the reaction to copies.

use flotilla_shared::id::ClusterName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;

use super::Fleet;
use super::credential::{IssuedCertificate, Lock};
use super::event::{AuditEntry, ClusterRecord, Effect, SessionId};

/// Number of renewals that a rotation of the authority requests in one second.
const RENEWALS_A_SECOND: usize = 100;

impl Fleet {
    /// Returns SHA-256 of the present signing certificate; empty: not known, or nothing is signed here.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.admissions.issuer()
    }

    /// Returns the cluster that has a key.
    #[must_use]
    pub fn cluster_of_key(&self, fingerprint: &str) -> Option<&ClusterName> {
        let mut all = self.clusters.iter();
        all.find(|(_, cluster)| cluster.record.credential.key == fingerprint)
            .map(|(name, _)| name)
    }

    /// Returns another accepted cluster that reports the same namespace kube-system (E6).
    #[must_use]
    pub fn namesake(&self, name: &ClusterName, uid: &str) -> Option<&ClusterName> {
        let mut all = self.clusters.iter();
        all.find(|(other, cluster)| {
            // A cluster that waits for acceptance has proven nothing, and blocks no other.
            let record = &cluster.record;
            !uid.is_empty()
                && *other != name
                && record.pending.is_none()
                && record.cluster_uid == uid
        })
        .map(|(other, _)| other)
    }

    pub(super) fn issued(
        &mut self,
        name: &ClusterName,
        certificate: IssuedCertificate,
        effects: &mut Vec<Effect>,
    ) {
        self.change_record(name, effects, |record| {
            let credential = &mut record.credential;
            credential.issued = credential.issued.max(certificate.counter);
            credential.issuer = certificate.issuer;
            credential.key = certificate.key;
            record.certificate_expires_at = Some(certificate.expires_at);
        });
    }

    /// Notes the certificate of a stream. False: the identity is in use twice.
    pub(super) fn shown(
        &mut self,
        name: &ClusterName,
        counter: u64,
        uid: &str,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(record) = self.record_of(name) else {
            return false;
        };
        let judged = record.credential.judge(counter, &record.cluster_uid, uid);
        if let Err(why) = judged {
            self.lock(name, why.to_string(), now, effects);
            return false;
        }
        let is_newer = counter > record.credential.shown;
        let is_found = record.cluster_uid.is_empty() && !uid.is_empty();
        if is_newer || is_found {
            self.change_record(name, effects, |record| {
                let credential = &mut record.credential;
                credential.shown = credential.shown.max(counter);
                // A restored hub does not know the certificates that it issued since the backup.
                credential.issued = credential.issued.max(credential.shown);
                if is_found {
                    uid.clone_into(&mut record.cluster_uid);
                }
            });
        }
        true
    }

    /// Locks a cluster for new assignments. What it runs continues.
    pub(super) fn lock(
        &mut self,
        name: &ClusterName,
        why: String,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let record = self.record_of(name);
        if record.is_none_or(|record| record.credential.locked.is_some()) {
            return;
        }
        let lock = Lock {
            at: now,
            why: why.clone(),
        };
        self.change_record(name, effects, |record| {
            record.credential.locked = Some(lock);
        });
        effects.push(Effect::Audit(AuditEntry {
            at: now,
            actor: HUB_ACTOR.to_owned(),
            action: AuditAction::ClusterLock,
            environment: self
                .environment_of(name)
                .map(|environment| environment.to_string())
                .unwrap_or_default(),
            clusters: vec![name.to_string()],
            detail: why,
            ..AuditEntry::default()
        }));
    }

    pub(super) fn unlock(&mut self, name: &ClusterName, now: Timestamp, effects: &mut Vec<Effect>) {
        let record = self.record_of(name);
        if record.is_some_and(|record| record.credential.locked.is_some()) {
            self.change_record(name, effects, |record| record.credential.locked = None);
            self.assign(name, now, effects);
        }
    }

    /// Handles a change of the signing certificate: every connected cluster is asked to renew.
    pub(super) fn authority_changed(&mut self, issuer: String, effects: &mut Vec<Effect>) {
        self.admissions.signed_by(issuer);
        let within = self.renewal_span();
        for (name, cluster) in &self.clusters {
            if let Some((session, _)) = cluster.session
                && self.is_behind(name)
            {
                effects.push(Effect::RequestRenewal(name.clone(), session, within));
            }
        }
    }

    /// Asks a cluster that has just connected for a renewal, if its certificate is from an authority that is being
    /// replaced.
    pub(super) fn catch_up(
        &self,
        name: &ClusterName,
        session: SessionId,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_behind(name) {
            let within = self.renewal_span();
            effects.push(Effect::RequestRenewal(name.clone(), session, within));
        }
    }

    fn is_behind(&self, name: &ClusterName) -> bool {
        self.clusters.get(name).is_some_and(|cluster| {
            let record = &cluster.record;
            let has_one = record.certificate_expires_at.is_some();
            let issuer = self.issuer();
            has_one && !issuer.is_empty() && record.credential.issuer != issuer
        })
    }

    fn renewal_span(&self) -> u32 {
        u32::try_from(self.clusters.len() / RENEWALS_A_SECOND).unwrap_or(u32::MAX)
    }
}

/// Returns the message for an agent that presents a certificate from before its name was removed. `key` is that of the
/// certificate, empty where it is not known: after a removal and a new token for the same agent, the same key is
/// waiting to be accepted, and the agent must not be told to leave.
#[must_use]
pub fn former_message(name: &ClusterName, record: &ClusterRecord, key: &str) -> String {
    let waits = record.pending.as_deref();
    if !key.is_empty() && waits == Some(key) {
        return format!(
            "{name} was removed, and this agent's key has to be accepted again: flotilla \
             cluster accept {name} --fingerprint {key}"
        );
    }
    if !key.is_empty() && record.credential.key == key {
        return format!(
            "{name} was removed and accepted again with this agent's key: the agent gets a new \
             certificate automatically"
        );
    }
    let before =
        format!("this certificate was issued before {name} was removed and enrolled again");
    if key.is_empty() {
        return format!("{before}: give this agent a new token");
    }
    format!("{before} with another key: give this agent a new token and another name")
}

/// Ends a stream that was opened with a certificate of the previous holder of the name.
pub(super) fn former(name: &ClusterName, record: &ClusterRecord, session: SessionId) -> Effect {
    let text = former_message(name, record, "");
    let problem = Problem::new(Reason::NotAssigned, text);
    Effect::Close(name.clone(), session, problem)
}

/// Ends a stream of a locked cluster, with the reason.
pub(super) fn cloned(name: &ClusterName, session: SessionId) -> Effect {
    let text = format!(
        "the identity of {name} is in use twice, so the cluster is locked: find out who has a \
         copy, then run `flotilla cluster unlock {name} --reason TEXT`, or remove the cluster \
         and enrol it again"
    );
    let problem = Problem::new(Reason::IdentityInUse, text);
    Effect::Close(name.clone(), session, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_is_for_another_key_only() {
        let name: ClusterName = "p1".parse().unwrap();
        let of = |pending: Option<&str>, key: &str| {
            let mut record = ClusterRecord {
                pending: pending.map(ToOwned::to_owned),
                ..ClusterRecord::default()
            };
            record.credential.key = key.to_owned();
            record
        };
        let waits = former_message(&name, &of(Some("k1"), ""), "k1");
        assert!(
            waits.contains("flotilla cluster accept p1 --fingerprint k1"),
            "{waits}"
        );
        let again = former_message(&name, &of(None, "k1"), "k1");
        assert!(again.contains("accepted again"), "{again}");
        let unknown = former_message(&name, &of(Some("k1"), ""), "");
        for text in [&waits, &again, &unknown] {
            assert!(!text.contains("another name"), "{text}");
        }
        for record in [of(Some("k2"), ""), of(None, "k2")] {
            let other = former_message(&name, &record, "k1");
            assert!(other.contains("another name"), "{other}");
        }
    }
}
