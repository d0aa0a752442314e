//! Enrolment: a token, a key, a person, a certificate.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::enrollment_service_server::EnrollmentService;
use flotilla_shared::id::ClusterName;
use flotilla_shared::identity::Identity;
use flotilla_shared::report::plain_line;
use flotilla_shared::wire::{MAX_TOKEN_BYTES, timestamp_to_wire};
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::{Context, peer, store_error};
use crate::authority::{AGENT_LIFE, Issued, Request as KeyRequest};
use crate::fleet::{ClusterRecord, Event};
use crate::store::TokenError;

/// How soon a pending agent asks again, seconds.
const RETRY_SECONDS: u32 = 2;
/// Enrolments at once; a failed one holds its place for a while, which bounds guessing (E3).
const AT_ONCE: usize = 16;
const FAILURE_DELAY: Duration = Duration::from_millis(250);

/// The service.
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

    async fn issue(&self, name: &ClusterName, key: &KeyRequest) -> Result<Issued, Status> {
        let identity = Identity::Cluster(name.clone());
        let now = Timestamp::now();
        self.context
            .authority
            .sign(&identity, key, AGENT_LIFE, now)
            .map_err(|error| {
                tracing::error!(%error, cluster = %name, "cannot issue a certificate");
                Status::internal("the hub cannot issue a certificate; its log says why")
            })
    }

    /// Remembers the end of the newest certificate, so that operators see who is about to drop out.
    async fn remember(&self, name: &ClusterName, issued: &Issued) -> Result<(), Status> {
        let key = name.clone();
        let record = self
            .context
            .handle
            .query(move |fleet| {
                fleet
                    .clusters()
                    .get(&key)
                    .map(|cluster| cluster.record.clone())
            })
            .await?;
        if let Some(mut record) = record {
            record.certificate_expires_at = Some(issued.expires_at);
            self.context
                .handle
                .event(Event::ClusterPut(name.clone(), record))
                .await?;
        }
        Ok(())
    }

    async fn enroll_one(&self, request: v1::EnrollRequest) -> Result<v1::EnrollResponse, Status> {
        let name: ClusterName = request
            .cluster
            .parse()
            .map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let key = KeyRequest::from_der(&request.csr)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let now = Timestamp::now();
        let redeemed = self
            .context
            .store
            .redeem(&request.token, &name, &key.fingerprint, now)
            .await
            .map_err(|error| match error {
                TokenError::Invalid => Status::permission_denied(error.to_string()),
                TokenError::Store(error) => store_error(&error),
            })?;
        let lookup = name.clone();
        let known = self
            .context
            .handle
            .query(move |fleet| {
                let declared = fleet.spec().clusters.contains_key(&lookup);
                (
                    fleet
                        .clusters()
                        .get(&lookup)
                        .map(|cluster| cluster.record.clone()),
                    declared,
                )
            })
            .await?;
        let record = match known {
            // A name that is taken is not given to a second key (E6), unless nobody holds it yet.
            (Some(record), _) if redeemed.first => {
                let same = record.pending.as_ref() == Some(&key.fingerprint);
                if !same && (record.pending.is_none() || redeemed.token.cluster.is_none()) {
                    return Err(Status::already_exists(format!(
                        "a cluster named {name} is already there; remove it first, or take another \
                         name"
                    )));
                }
                record
            }
            (Some(record), _) => record,
            (None, declared) => {
                if !redeemed.first {
                    return Err(Status::permission_denied(
                        "the cluster was removed after it enrolled; create a new token",
                    ));
                }
                // Automatic acceptance needs a place to belong to.
                let placed = redeemed.token.environment.is_some() || declared;
                let accepted = redeemed.token.auto_accept && placed;
                let record = ClusterRecord {
                    environment: redeemed.token.environment.clone(),
                    labels: redeemed.token.labels.clone(),
                    created_at: now,
                    cluster_uid: plain_line(&request.cluster_uid, MAX_TOKEN_BYTES),
                    pending: (!accepted).then(|| key.fingerprint.clone()),
                    certificate_expires_at: None,
                    pin: None,
                };
                tracing::info!(cluster = %name, accepted, "enrolled");
                self.context
                    .handle
                    .event(Event::ClusterPut(name.clone(), record.clone()))
                    .await?;
                record
            }
        };
        let trust_bundle = self.context.authority.trust_bundle().to_owned();
        if record.pending.is_some() {
            return Ok(v1::EnrollResponse {
                state: v1::EnrollmentState::Pending.into(),
                cluster: name.to_string(),
                trust_bundle,
                retry_after_seconds: RETRY_SECONDS,
                ..v1::EnrollResponse::default()
            });
        }
        let issued = self.issue(&name, &key).await?;
        self.remember(&name, &issued).await?;
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
        let _place = self
            .places
            .try_acquire()
            .map_err(|_| Status::resource_exhausted("too many enrolments at once; try again"))?;
        match self.enroll_one(request.into_inner()).await {
            Ok(response) => Ok(Response::new(response)),
            Err(status) => {
                tokio::time::sleep(FAILURE_DELAY).await;
                Err(status)
            }
        }
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let name = peer::cluster(&request)?;
        let lookup = name.clone();
        let known = self
            .context
            .handle
            .query(move |fleet| fleet.clusters().contains_key(&lookup))
            .await?;
        if !known {
            return Err(Status::permission_denied(
                "the cluster was removed from the fleet",
            ));
        }
        let key = KeyRequest::from_der(&request.into_inner().csr)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let issued = self.issue(&name, &key).await?;
        self.remember(&name, &issued).await?;
        Ok(Response::new(v1::RenewResponse {
            certificate_chain: issued.chain_pem,
            trust_bundle: self.context.authority.trust_bundle().to_owned(),
            expires_at: Some(timestamp_to_wire(issued.expires_at)),
        }))
    }
}
