//! Enrolment, certificates and removal of clusters.

use flotilla_shared::id::ClusterName;
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;

use super::{AuditEntry, ClusterRecord, Effect, Fleet, IssuedCertificate, Lock};
use crate::enrolment::{self, Attempt, EnrolmentDecision, Redeemer, Refusal, Token};

/// Why a certificate is not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefusal {
    /// The cluster was removed.
    #[error("the cluster was removed from the fleet")]
    Removed,
    /// The name belongs to another key now.
    #[error("the name {0} belongs to another key")]
    AnotherKey(ClusterName),
    /// The cluster is locked.
    #[error("{}", lock.refusal(name))]
    Locked { name: ClusterName, lock: Lock },
}

impl Fleet {
    /// Judges an attempt to enrol, with a token that was read before.
    pub fn enrol(
        &mut self,
        attempt: &Attempt,
        token: Option<Token>,
        now: Timestamp,
    ) -> (Result<EnrolmentDecision, Refusal>, Vec<Effect>) {
        let token = token.map(|token| self.admissions.current(token));
        let name = &attempt.name;
        let holder = self.record_of(name);
        let namesake = self.namesake(name, &attempt.uid);
        let declared = self.spec().clusters.get(name);
        let judged = enrolment::judge(attempt, token.as_ref(), holder, namesake, declared, now);
        let mut effects = Vec::new();
        match (&judged, token) {
            (Ok(EnrolmentDecision::Join(record)), Some(token)) => {
                self.join(attempt, &token, record, now, &mut effects);
            }
            (Err(why @ (Refusal::NameTaken(_) | Refusal::SameCluster { .. })), Some(token)) => {
                self.note_refused(attempt, &token, why, now, &mut effects);
            }
            _ => {}
        }
        (judged, effects)
    }

    fn join(
        &mut self,
        attempt: &Attempt,
        token: &Token,
        record: &ClusterRecord,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let name = &attempt.name;
        let redeemer = Redeemer {
            at: now,
            cluster: name.clone(),
            key: attempt.key.clone(),
        };
        self.admissions.redeem(&token.id, redeemer, effects);
        let mut record = record.clone();
        // Certificates of a former cluster of that name are not its own.
        let former = self.admissions.former(name);
        record.credential.former = former;
        record.credential.issued = former;
        let environment = record.environment.as_ref().map(ToString::to_string);
        let waits = match &record.pending {
            Some(_) => "waits to be accepted",
            None => "was accepted by its token",
        };
        effects.push(Effect::Audit(AuditEntry {
            at: now,
            actor: HUB_ACTOR.to_owned(),
            action: AuditAction::ClusterEnrol,
            environment: environment.unwrap_or_default(),
            clusters: vec![name.to_string()],
            detail: format!("key {}, token {}: {waits}", attempt.key, token.id),
            ..AuditEntry::default()
        }));
        self.put_record(name, effects, |present| *present = record);
        self.assign(name, now, effects);
    }

    /// Adds an audit entry, once for each key.
    fn note_refused(
        &mut self,
        attempt: &Attempt,
        token: &Token,
        why: &Refusal,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        if !self.admissions.refuse(&attempt.name, &attempt.key) {
            return;
        }
        let mut clusters = vec![attempt.name.to_string()];
        if let Refusal::SameCluster { other, .. } = why {
            clusters.push(other.to_string());
        }
        effects.push(Effect::Audit(AuditEntry {
            at: now,
            actor: HUB_ACTOR.to_owned(),
            action: AuditAction::ClusterRefuse,
            clusters,
            detail: format!("key {}, token {}: {why}", attempt.key, token.id),
            ..AuditEntry::default()
        }));
    }

    /// Notes a certificate before it is issued, and returns its number. `key` is the requester's: it has to be the key
    /// that has the name.
    ///
    /// # Errors
    /// When the name no longer belongs to that key.
    pub fn certify(
        &mut self,
        name: &ClusterName,
        key: &str,
        certificate: IssuedCertificate,
    ) -> (Result<u64, CertificateRefusal>, Vec<Effect>) {
        let refused = |why| (Err(why), Vec::new());
        let Some(cluster) = self.clusters.get(name) else {
            return refused(CertificateRefusal::Removed);
        };
        let record = &cluster.record;
        if let Some(lock) = &record.credential.locked {
            let (name, lock) = (name.clone(), lock.clone());
            return refused(CertificateRefusal::Locked { name, lock });
        }
        if enrolment::holder(record).is_some_and(|holder| holder != key) {
            return refused(CertificateRefusal::AnotherKey(name.clone()));
        }
        let counter = record.credential.issued.saturating_add(1);
        let mut effects = Vec::new();
        let certificate = IssuedCertificate {
            counter,
            ..certificate
        };
        self.issued(name, certificate, &mut effects);
        (Ok(counter), effects)
    }

    /// Revokes a token.
    pub fn revoke_token(&mut self, id: &str, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.admissions.revoke(id, now, &mut effects);
        effects
    }

    /// Handles a cluster that was enrolled, accepted or changed.
    pub(super) fn cluster_put(
        &mut self,
        name: &ClusterName,
        mut record: ClusterRecord,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        self.put_record(name, effects, |present| {
            // Decisions of operators survive an enrolment.
            record.pin = present.pin.take();
            record.suspended = present.suspended.take();
            record.let_go = present.let_go;
            // So do certificates: the counters must not go back.
            record.credential = std::mem::take(&mut present.credential);
            if let (Some(key), None) = (present.pending.take(), &record.pending) {
                // The cluster was accepted: the name belongs to the key that waited.
                record.credential.key = key;
            }
            *present = record;
        });
        self.assign(name, now, effects);
    }

    /// Handles the removal of a cluster's record.
    pub(super) fn cluster_removed(&mut self, name: ClusterName, effects: &mut Vec<Effect>) {
        self.mark_dirty(&name);
        self.retire(&name, effects);
        let removed = self.clusters.remove(&name);
        self.declarations.clusters_changed(&self.clusters);
        let Some(cluster) = removed else { return };
        if let Some((session, _)) = cluster.session {
            let text = "the cluster was removed from the fleet; its objects stay";
            let problem = Problem::new(Reason::NotAssigned, text);
            effects.push(Effect::Close(name.clone(), session, problem));
        }
        effects.push(Effect::DeleteCluster(name));
        self.touch_environments();
    }

    /// Releases the name; certificates that were issued for it stay those of the previous holder.
    fn retire(&mut self, name: &ClusterName, effects: &mut Vec<Effect>) {
        let Some(cluster) = self.clusters.get(name) else {
            return;
        };
        let credential = &cluster.record.credential;
        let counter = credential.issued.max(credential.shown);
        self.admissions.retire(name, counter, effects);
    }
}
