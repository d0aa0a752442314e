//! Enrolment: a token, a key, an operator's acceptance, a certificate.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::enrollment_service_server::EnrollmentService;
use flotilla_shared::id::ClusterName;
use flotilla_shared::identity::Identity;
use flotilla_shared::report::plain_line;
use flotilla_shared::wire::{MAX_TOKEN_BYTES, timestamp_to_wire};
use flotilla_shared::words::{CERTIFICATE_GOOD, STORE_FAILED};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{Context, not_stored, peer, rate, store_error};
use crate::authority::{self, AGENT_LIFE, CertificateChain, Request as KeyRequest};
use crate::enrolment::{self, Attempt, EnrolmentDecision, Refusal};
use crate::fleet::{ClusterRecord, Event, IssuedCertificate, Lock, former_message};

/// Interval at which a pending agent asks again, seconds.
const RETRY_SECONDS: u32 = 2;
/// Number of enrolments at once; a failed one keeps its slot for a while, which limits guessing (E3).
const AT_ONCE: usize = 16;
const FAILURE_DELAY: Duration = Duration::from_millis(250);
/// Time after its certificate expired for which a cluster may recover with its key alone; later, an operator has to
/// accept it again (E10).
const RECOVERY: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Allowance for an agent whose clock is ahead, which finds its certificate expired earlier than the hub does (E11).
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(10);

pub struct Enrollment {
    context: Arc<Context>,
    places: Semaphore,
}

impl Enrollment {
    /// Over a hub's context.
    #[must_use]
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            places: Semaphore::new(AT_ONCE),
        }
    }

    /// Issues a certificate for a key, which is recorded first. `holder` is the key that held the name when the request
    /// was judged.
    async fn issue(
        &self,
        name: &ClusterName,
        holder: &str,
        key: &KeyRequest,
    ) -> Result<CertificateChain, Status> {
        let identity = Identity::Cluster(name.clone());
        let now = Timestamp::now();
        let authority = self.context.certificates.authority();
        let certificate = IssuedCertificate {
            // The fleet assigns the counter.
            counter: 0,
            issuer: authority.fingerprint().to_owned(),
            key: key.fingerprint.clone(),
            expires_at: now.saturating_add(AGENT_LIFE).unwrap_or(now),
        };
        let (cluster, holder) = (name.clone(), holder.to_owned());
        let counter = self
            .context
            .handle
            .change(move |fleet, _| fleet.certify(&cluster, &holder, certificate))
            .await?
            .map_err(nothing_promised)?
            .map_err(|why| Status::permission_denied(why.to_string()))?;
        authority
            .sign(&identity, key, AGENT_LIFE, counter, now)
            .map_err(|error| match error {
                authority::Error::NoIssuer => Status::failed_precondition(error.to_string()),
                error => {
                    tracing::error!(%error, cluster = %name, "cannot issue a certificate");
                    Status::internal("the hub cannot issue a certificate; its log says why")
                }
            })
    }

    async fn record(&self, name: &ClusterName) -> Result<Option<ClusterRecord>, Status> {
        let lookup = name.clone();
        Ok(self
            .context
            .handle
            .query(move |fleet| {
                let cluster = fleet.clusters().get(&lookup);
                cluster.map(|cluster| ClusterRecord::clone(&cluster.record))
            })
            .await?)
    }

    /// Limits failed attempts of callers without a certificate.
    fn may_guess(&self, address: Option<IpAddr>) -> Result<(), Status> {
        let Some(address) = address else {
            return Ok(());
        };
        let allowed = self
            .context
            .rates
            .guesses
            .allow(&rate::source(address), Instant::now());
        if allowed {
            Ok(())
        } else {
            Err(too_many_guesses())
        }
    }

    async fn enroll_one(&self, request: v1::EnrollRequest) -> Result<v1::EnrollResponse, Status> {
        let name: ClusterName = request
            .cluster
            .parse()
            .map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let key = KeyRequest::from_der(&request.csr)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let token = self.context.store.token_of(&request.token).await;
        let token = token.map_err(|error| store_error(&error))?;
        let attempt = Attempt {
            name: name.clone(),
            key: key.fingerprint.clone(),
            uid: plain_line(&request.cluster_uid, MAX_TOKEN_BYTES),
        };
        // Judged and stored in one step, so that no other request comes in between and a failure uses up nothing.
        let decision = self
            .context
            .handle
            .change(move |fleet, now| fleet.enrol(&attempt, token, now))
            .await?
            .map_err(nothing_promised)?
            .map_err(|refusal| refused(&refusal))?;
        let waits = match &decision {
            EnrolmentDecision::Certificate => false,
            EnrolmentDecision::Wait => true,
            EnrolmentDecision::Join(record) => {
                let waits = record.pending.is_some();
                tracing::info!(cluster = %name, accepted = !waits, "enrolled");
                waits
            }
        };
        let trust_bundle = self
            .context
            .certificates
            .authority()
            .trust_bundle()
            .to_owned();
        if waits {
            return Ok(v1::EnrollResponse {
                state: v1::EnrollmentState::Pending.into(),
                cluster: name.to_string(),
                trust_bundle,
                retry_after_seconds: RETRY_SECONDS,
                ..v1::EnrollResponse::default()
            });
        }
        let issued = self.issue(&name, &key.fingerprint, &key).await?;
        Ok(v1::EnrollResponse {
            state: v1::EnrollmentState::Accepted.into(),
            cluster: name.to_string(),
            certificate_chain: issued.chain_pem,
            trust_bundle,
            retry_after_seconds: 0,
            expires_at: Some(timestamp_to_wire(issued.expires_at)),
        })
    }
}

#[tonic::async_trait]
impl EnrollmentService for Enrollment {
    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let address = peer::address(&request);
        if !self.context.certificates.authority().issues() {
            return Err(Status::failed_precondition(
                authority::Error::NoIssuer.to_string(),
            ));
        }
        self.slow(address, self.enroll_one(request.into_inner()))
            .await
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let name = peer::cluster(&request)?;
        let identity = Identity::Cluster(name.clone());
        if !self.context.rates.streams.allow(&identity, Instant::now()) {
            return Err(Status::resource_exhausted(format!(
                "{name} renews too often; are two agents using its identity?"
            )));
        }
        let counter = peer::counter(&request);
        let Some(record) = self.record(&name).await? else {
            return Err(Status::permission_denied(
                "the cluster was removed from the fleet",
            ));
        };
        if record.credential.is_former(counter) {
            let message = former_message(&name, &record, &peer::key(&request));
            return Err(Status::permission_denied(message));
        }
        if let Err(why) = record.credential.judge(counter, "", "") {
            let why = why.to_string();
            let event = Event::Cloned(name.clone(), why.clone());
            self.context.handle.event(event).await?;
            return Err(Status::permission_denied(why));
        }
        if let Some(lock) = &record.credential.locked {
            return Err(locked(&name, lock));
        }
        let key = KeyRequest::from_der(&request.into_inner().csr)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        // The presented certificate identifies the cluster; the next key may be a different one.
        let holder = enrolment::holder(&record).unwrap_or_default();
        let issued = self.issue(&name, holder, &key).await?;
        let authority = self.context.certificates.authority();
        Ok(Response::new(v1::RenewResponse {
            certificate_chain: issued.chain_pem,
            trust_bundle: authority.trust_bundle().to_owned(),
            expires_at: Some(timestamp_to_wire(issued.expires_at)),
            endorsements: authority.endorsements().to_owned(),
        }))
    }

    async fn recover(
        &self,
        request: Request<v1::RecoverRequest>,
    ) -> Result<Response<v1::RecoverResponse>, Status> {
        let address = peer::address(&request);
        self.slow(address, self.recover_one(request.into_inner()))
            .await
    }
}

impl Enrollment {
    /// Handles a request of a caller without a certificate: bounded, slow to fail, and refused to a source that failed
    /// often.
    async fn slow<T>(
        &self,
        address: Option<IpAddr>,
        answer: impl Future<Output = Result<T, Status>>,
    ) -> Result<Response<T>, Status> {
        if let Some(address) = address
            && self
                .context
                .rates
                .guesses
                .is_spent(&rate::source(address), Instant::now())
        {
            return Err(too_many_guesses());
        }
        let place = self
            .places
            .try_acquire()
            .map_err(|_| Status::resource_exhausted("too many enrolments at once; try again"))?;
        match answer.await {
            Ok(response) => Ok(Response::new(response)),
            Err(status) => {
                // Released before the delay, so that others need not wait for it.
                drop(place);
                self.may_guess(address)?;
                tokio::time::sleep(FAILURE_DELAY).await;
                Err(status)
            }
        }
    }

    async fn recover_one(
        &self,
        request: v1::RecoverRequest,
    ) -> Result<v1::RecoverResponse, Status> {
        // The request is signed with the key, and the certificate is of no use without it.
        let key = KeyRequest::from_der(&request.csr)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let now = Timestamp::now();
        let fingerprint = key.fingerprint.clone();
        let found = self
            .context
            .handle
            .query(move |fleet| {
                let name = fleet.cluster_of_key(&fingerprint)?.clone();
                let record = ClusterRecord::clone(&fleet.clusters().get(&name)?.record);
                let is_behind = record.credential.issuer != fleet.issuer();
                Some((name, record, is_behind))
            })
            .await?;
        let Some((name, record, is_behind)) = found else {
            return Err(Status::permission_denied(
                "no cluster of this fleet has that key: enrol with a token",
            ));
        };
        if let Some(lock) = &record.credential.locked {
            return Err(locked(&name, lock));
        }
        let expired = record
            .certificate_expires_at
            .is_some_and(|end| end <= now.saturating_add(CLOCK_SLACK).unwrap_or(now));
        if !expired && !is_behind {
            return Err(Status::failed_precondition(format!(
                "the certificate of {name} {CERTIFICATE_GOOD}"
            )));
        }
        let authority = self.context.certificates.authority();
        let answer = v1::RecoverResponse {
            trust_bundle: authority.trust_bundle().to_owned(),
            endorsements: authority.endorsements().to_owned(),
            ..v1::RecoverResponse::default()
        };
        let end = record.certificate_expires_at.unwrap_or(now);
        let too_late = now.duration_since(end) > RECOVERY;
        if too_late && record.pending.is_none() {
            tracing::warn!(cluster = %name, "was away for too long; it has to be accepted again");
            let waiting = ClusterRecord {
                pending: Some(key.fingerprint.clone()),
                ..record
            };
            let event = Event::ClusterPut(name.clone(), waiting);
            self.context.handle.event(event).await?;
        }
        // When an operator accepts it again, the expiry is moved to that moment: see `accept_cluster`.
        if too_late {
            return Ok(v1::RecoverResponse {
                state: v1::EnrollmentState::Pending.into(),
                retry_after_seconds: 30,
                ..answer
            });
        }
        let issued = self.issue(&name, &key.fingerprint, &key).await?;
        tracing::info!(cluster = %name, "recovered by its key");
        Ok(v1::RecoverResponse {
            state: v1::EnrollmentState::Accepted.into(),
            certificate_chain: issued.chain_pem,
            expires_at: Some(timestamp_to_wire(issued.expires_at)),
            ..answer
        })
    }
}

/// Returns the error for the agent, which its operator reads in the agent's log.
fn refused(refusal: &Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::NameTaken(_) | Refusal::SameCluster { .. } => Status::already_exists(text),
        Refusal::UnknownToken
        | Refusal::Revoked
        | Refusal::Expired { .. }
        | Refusal::Bound { .. }
        | Refusal::Used { .. }
        | Refusal::Removed
        | Refusal::Locked { .. } => Status::permission_denied(text),
    }
}

/// Makes the error for an unstored enrolment: the same key may try again with the same token.
fn nothing_promised(_: crate::driver::Rejection) -> Status {
    not_stored(format!(
        "{STORE_FAILED}, so nothing is confirmed; try again"
    ))
}

fn too_many_guesses() -> Status {
    Status::resource_exhausted("too many failed enrolments from your address; wait a minute")
}

fn locked(name: &ClusterName, lock: &Lock) -> Status {
    Status::permission_denied(lock.refusal(name))
}
