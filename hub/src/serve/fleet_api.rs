//! What operators see and steer.

use std::pin::Pin;
use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_server::FleetService;
use flotilla_shared::id::{ClusterName, EnvironmentName, NameError, OperatorName};
use flotilla_shared::identity::Identity;
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::wire::{labels_from_wire, timestamp_to_wire};
use futures::Stream;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::access::Need;
use super::{Context, store_error};
use crate::authority::{OPERATOR_LIFE, Request as KeyRequest};
use crate::driver::Refused;
use crate::fleet::rollout::Rollout;
use crate::fleet::{ActionError, AuditEntry, ClusterRecord, Event, Fleet};
use crate::status::{self, Filter};
use crate::store::{Grant, NewToken, Role, Token};

mod log;
mod promotion;
mod steer;

/// Clusters of one page, unless asked otherwise, and at most.
const PAGE: usize = 500;
const MAX_PAGE: usize = 1000;
/// Longest life of a join token.
const MAX_TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The service.
pub struct Operators(pub Arc<Context>);

fn bad_name(error: &NameError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn refused_status(refused: &Refused) -> Status {
    match refused {
        Refused::Action(error @ (ActionError::NoCluster(_) | ActionError::NoEnvironment(_))) => {
            Status::not_found(error.to_string())
        }
        Refused::Action(error) => Status::failed_precondition(error.to_string()),
        Refused::Store => Status::unavailable(refused.to_string()),
    }
}

fn entry(operator: &OperatorName, action: &str) -> AuditEntry {
    AuditEntry {
        at: Timestamp::now(),
        actor: operator.to_string(),
        action: action.to_owned(),
        ..AuditEntry::default()
    }
}

fn no_cluster(name: &str) -> Status {
    Status::not_found(format!(
        "there is no cluster {name:?}; `flotilla get clusters` lists them"
    ))
}

impl Operators {
    /// The caller, where it may do this everywhere.
    fn allow<T>(&self, request: &Request<T>, need: Need) -> Result<OperatorName, Status> {
        self.0.access.allow(request, need, None)
    }

    /// The caller, where it may see; what more is needed depends on what is asked.
    fn allow_anywhere<T>(&self, request: &Request<T>) -> Result<OperatorName, Status> {
        self.allow(request, Need::See)
    }

    /// Takes an event of a person's making, with its audit entry.
    async fn commit(&self, event: Event, entry: AuditEntry) -> Result<(), Status> {
        self.0
            .handle
            .commit(event, entry)
            .await?
            .map_err(|refused| refused_status(&refused))
    }

    /// Adds an audit entry about what was done to the store directly.
    async fn record(&self, entry: AuditEntry) -> Result<(), Status> {
        let recorded = self.0.store.record(&entry).await;
        recorded.map_err(|error| store_error(&error))
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Fleet, Timestamp) -> T + Send + 'static,
    ) -> Result<T, Status> {
        Ok(self
            .0
            .handle
            .query(move |fleet| question(fleet, Timestamp::now()))
            .await?)
    }
}

#[tonic::async_trait]
impl FleetService for Operators {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;
    type FollowAuditStream = Pin<Box<dyn Stream<Item = Result<v1::AuditEntry, Status>> + Send>>;

    async fn list_repositories(
        &self,
        request: Request<v1::ListRepositoriesRequest>,
    ) -> Result<Response<v1::ListRepositoriesResponse>, Status> {
        self.allow(&request, Need::See)?;
        let repositories = self
            .ask(|fleet, _| {
                let all = fleet.spec().repositories.iter();
                all.map(|(name, repository)| v1::RepositoryStatus {
                    name: name.to_string(),
                    url: repository.url.to_string(),
                })
                .collect()
            })
            .await?;
        Ok(Response::new(v1::ListRepositoriesResponse { repositories }))
    }

    async fn list_rollouts(
        &self,
        request: Request<v1::ListRolloutsRequest>,
    ) -> Result<Response<v1::ListRolloutsResponse>, Status> {
        self.allow(&request, Need::See)?;
        let request = request.into_inner();
        let limit = match request.limit {
            0 => 20,
            limit => i64::from(limit.min(200)),
        };
        let rows = self.0.store.rollouts(&request.environment, limit).await;
        let rows = rows.map_err(|error| store_error(&error))?;
        let rollouts = rows.iter().map(|row| status::rollout(row, false)).collect();
        Ok(Response::new(v1::ListRolloutsResponse { rollouts }))
    }

    async fn get_rollout(
        &self,
        request: Request<v1::GetRolloutRequest>,
    ) -> Result<Response<v1::GetRolloutResponse>, Status> {
        self.allow(&request, Need::See)?;
        let subject = request.into_inner().subject;
        let asked = subject.clone();
        let found = self
            .ask(move |fleet, _| {
                let present = |one: &Rollout| one.environment.as_str() == asked || one.id == asked;
                let rollout = fleet.rollouts().values().find(|one| present(one));
                let environment = match rollout {
                    Some(rollout) => fleet.spec().environment(&rollout.environment),
                    None => asked
                        .parse()
                        .ok()
                        .and_then(|name| fleet.spec().environment(&name)),
                };
                (
                    rollout.map(|one| status::rollout(one, true)),
                    environment.map(|one| status::decisions(fleet, one)),
                )
            })
            .await?;
        if let (rollout, Some(decisions)) = found {
            return Ok(Response::new(v1::GetRolloutResponse {
                rollout,
                decisions: Some(decisions),
            }));
        }
        let past = self.0.store.rollout(&subject).await;
        let past = past.map_err(|error| store_error(&error))?.ok_or_else(|| {
            Status::not_found(format!(
                "there is no rollout or environment {subject:?}; `flotilla rollout list` lists them"
            ))
        })?;
        Ok(Response::new(v1::GetRolloutResponse {
            rollout: Some(status::rollout(&past, true)),
            decisions: None,
        }))
    }

    async fn steer(
        &self,
        request: Request<v1::SteerRequest>,
    ) -> Result<Response<v1::SteerResponse>, Status> {
        let operator = self.allow_anywhere(&request)?;
        let steer = steer::read(request.get_ref(), Timestamp::now())?;
        let action = steer.action.clone();
        let environment = self
            .ask(move |fleet, _| fleet.environment_of_action(&action))
            .await?;
        self.0
            .access
            .check(&operator, steer.need, environment.as_ref())?;
        self.0
            .handle
            .act(steer.action, operator.as_str(), &steer.reason)
            .await?
            .map_err(|refused| refused_status(&refused))?;
        Ok(Response::new(v1::SteerResponse {}))
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        self.allow(&request, Need::See)?;
        let request = request.into_inner();
        let limit = match request.limit {
            0 => 50,
            limit => i64::from(limit.min(1000)),
        };
        let rows = match i64::try_from(request.after).unwrap_or(i64::MAX) {
            0 => self.0.store.audit_newest(&request.environment, limit).await,
            after => {
                self.0
                    .store
                    .audit_after(after, &request.environment, limit)
                    .await
            }
        };
        let rows = rows.map_err(|error| store_error(&error))?;
        let entries = rows.into_iter().map(log::to_wire).collect();
        Ok(Response::new(v1::ListAuditResponse { entries }))
    }

    async fn follow_audit(
        &self,
        request: Request<v1::FollowAuditRequest>,
    ) -> Result<Response<Self::FollowAuditStream>, Status> {
        self.allow(&request, Need::See)?;
        let request = request.into_inner();
        let (sender, receiver) = mpsc::channel(16);
        let context = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Err(status) = log::follow(&context, request, &sender).await {
                let _ = sender.try_send(Err(status));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn verify_audit(
        &self,
        request: Request<v1::VerifyAuditRequest>,
    ) -> Result<Response<v1::VerifyAuditResponse>, Status> {
        self.allow(&request, Need::See)?;
        let verified = self.0.store.verify_audit().await;
        let response = match verified.map_err(|error| store_error(&error))? {
            Ok((entries, last_hash)) => v1::VerifyAuditResponse {
                entries: u64::try_from(entries).unwrap_or_default(),
                last_hash,
                broken: String::new(),
            },
            Err(broken) => v1::VerifyAuditResponse {
                entries: u64::try_from(broken.seq - 1).unwrap_or_default(),
                last_hash: String::new(),
                broken: broken.to_string(),
            },
        };
        Ok(Response::new(response))
    }

    async fn list_operators(
        &self,
        request: Request<v1::ListOperatorsRequest>,
    ) -> Result<Response<v1::ListOperatorsResponse>, Status> {
        self.allow(&request, Need::See)?;
        let grants = self.0.access.grants();
        let operators = grants.iter().map(grant_to_wire).collect();
        Ok(Response::new(v1::ListOperatorsResponse { operators }))
    }

    async fn set_operator(
        &self,
        request: Request<v1::SetOperatorRequest>,
    ) -> Result<Response<v1::SetOperatorResponse>, Status> {
        let caller = self.allow(&request, Need::Administer)?;
        let request = request.into_inner();
        let now = Timestamp::now();
        let grant = Grant {
            name: request.name.parse().map_err(|e| bad_name(&e))?,
            role: request.role.parse().map_err(Status::invalid_argument)?,
            environments: request
                .environments
                .iter()
                .map(|name| name.parse().map_err(|e| bad_name(&e)))
                .collect::<Result<_, _>>()?,
            changed_by: caller.to_string(),
            changed_at: now,
        };
        if grant.name == caller && grant.role != Role::Admin {
            return Err(Status::failed_precondition(
                "you cannot take your own admin role: let another admin do it",
            ));
        }
        let key = match request.csr.as_slice() {
            [] => None,
            csr => Some(
                KeyRequest::from_der(csr)
                    .map_err(|error| Status::invalid_argument(error.to_string()))?,
            ),
        };
        let mut grants = vec![grant.clone()];
        // The first grant ends the rule that everyone is an admin; who gives it stays one.
        if self.0.access.grants().is_empty() && grant.name != caller {
            grants.push(Grant::admin(&caller, now));
        }
        for one in grants {
            let kept = self.0.store.grant(&one).await;
            kept.map_err(|error| store_error(&error))?;
            self.record(AuditEntry {
                detail: format!("{} is {}", one.name, one.role.as_str()),
                ..entry(&caller, "operator set")
            })
            .await?;
            self.0.access.put(one);
        }
        let certificate_chain = match key {
            Some(key) => {
                let identity = Identity::Operator(grant.name.clone());
                let signed = self.0.authority.sign(&identity, &key, OPERATOR_LIFE, now);
                signed
                    .map_err(|error| {
                        tracing::error!(%error, "cannot sign");
                        Status::internal("cannot make the certificate; the hub's log says why")
                    })?
                    .chain_pem
            }
            None => String::new(),
        };
        Ok(Response::new(v1::SetOperatorResponse {
            operator: Some(grant_to_wire(&grant)),
            certificate_chain,
            trust_bundle: self.0.authority.trust_bundle().to_owned(),
        }))
    }

    async fn list_environments(
        &self,
        request: Request<v1::ListEnvironmentsRequest>,
    ) -> Result<Response<v1::ListEnvironmentsResponse>, Status> {
        self.allow(&request, Need::See)?;
        let environments = self.ask(status::environments).await?;
        Ok(Response::new(v1::ListEnvironmentsResponse { environments }))
    }

    async fn list_applications(
        &self,
        request: Request<v1::ListApplicationsRequest>,
    ) -> Result<Response<v1::ListApplicationsResponse>, Status> {
        self.allow(&request, Need::See)?;
        let only = request.into_inner().name;
        let applications = self
            .ask(move |fleet, now| status::applications(fleet, &only, now))
            .await?;
        Ok(Response::new(v1::ListApplicationsResponse { applications }))
    }

    async fn list_clusters(
        &self,
        request: Request<v1::ListClustersRequest>,
    ) -> Result<Response<v1::ListClustersResponse>, Status> {
        self.allow(&request, Need::See)?;
        let request = request.into_inner();
        let filter = Filter::parse(request.filter)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let size = match request.page_size as usize {
            0 => PAGE,
            size => size.min(MAX_PAGE),
        };
        let (after, summary) = (request.page_token, request.summary);
        let response = self
            .ask(move |fleet, now| {
                let mut names = fleet
                    .clusters()
                    .keys()
                    .filter(|name| after.is_empty() || name.as_str() > after.as_str())
                    .filter(|name| filter.matches(fleet, name, now));
                let page: Vec<&ClusterName> = names.by_ref().take(size).collect();
                let more = names.next().is_some();
                v1::ListClustersResponse {
                    clusters: page
                        .iter()
                        .filter_map(|name| status::cluster(fleet, name, now, summary))
                        .collect(),
                    next_page_token: match page.last() {
                        Some(last) if more => last.to_string(),
                        _ => String::new(),
                    },
                }
            })
            .await?;
        Ok(Response::new(response))
    }

    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterResponse>, Status> {
        self.allow(&request, Need::See)?;
        let text = request.into_inner().name;
        let name: ClusterName = text.parse().map_err(|e| bad_name(&e))?;
        let cluster = self
            .ask(move |fleet, now| status::cluster(fleet, &name, now, false))
            .await?
            .ok_or_else(|| no_cluster(&text))?;
        Ok(Response::new(v1::GetClusterResponse {
            cluster: Some(cluster),
        }))
    }

    async fn diff(
        &self,
        request: Request<v1::DiffRequest>,
    ) -> Result<Response<v1::DiffResponse>, Status> {
        self.allow(&request, Need::See)?;
        let request = request.into_inner();
        let cluster: ClusterName = request.cluster.parse().map_err(|e| bad_name(&e))?;
        if !request.application.is_empty() {
            let parsed = request
                .application
                .parse::<flotilla_shared::id::ApplicationName>();
            parsed.map_err(|e| bad_name(&e))?;
        }
        let name = cluster.clone();
        let is_known = self
            .ask(move |fleet, _| fleet.clusters().contains_key(&name))
            .await?;
        if !is_known {
            return Err(no_cluster(&request.cluster));
        }
        let result = self.0.relay.ask(&cluster, request.application).await?;
        Ok(Response::new(v1::DiffResponse {
            applications: result.applications,
        }))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        self.allow(&request, Need::See)?;
        let subject = request.into_inner().subject;
        let text = subject.clone();
        let steps = self
            .ask(move |fleet, now| status::explain(fleet, &subject, now))
            .await?
            .ok_or_else(|| {
                Status::not_found(format!("there is no cluster or environment {text:?}"))
            })?;
        Ok(Response::new(v1::ExplainResponse { steps }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        self.allow(&request, Need::See)?;
        let request = request.into_inner();
        let filter = Filter::parse(request.filter)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (sender, receiver) = mpsc::channel(16);
        let context = Arc::clone(&self.0);
        tokio::spawn(async move {
            // Ends when the watcher goes or the hub stops; neither is news to anyone.
            let _ = watch(&context, filter, request.summary, &sender).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn preview_promotion(
        &self,
        request: Request<v1::PreviewPromotionRequest>,
    ) -> Result<Response<v1::PreviewPromotionResponse>, Status> {
        self.allow(&request, Need::See)?;
        let request = request.into_inner();
        let response = self
            .ask(move |fleet, now| promotion::preview(fleet, &request, now))
            .await?
            .map_err(Status::failed_precondition)?;
        Ok(Response::new(response))
    }

    async fn refresh(
        &self,
        request: Request<v1::RefreshRequest>,
    ) -> Result<Response<v1::RefreshResponse>, Status> {
        self.allow(&request, Need::See)?;
        self.0.refresh.notify_one();
        Ok(Response::new(v1::RefreshResponse {}))
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let operator = self.allow(&request, Need::Administer)?;
        let request = request.into_inner();
        let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let life = match request.lifetime_seconds {
            0 => SignedDuration::from_hours(1),
            seconds => SignedDuration::from_secs(i64::from(seconds)).min(MAX_TOKEN_LIFE),
        };
        let now = Timestamp::now();
        let new = NewToken {
            cluster: optional(&request.cluster)
                .map(|name| name.parse())
                .transpose()
                .map_err(|e| bad_name(&e))?,
            environment: self.environment(&request.environment).await?,
            labels: labels_from_wire(request.labels)
                .map_err(|error| Status::invalid_argument(error.to_string()))?,
            expires_at: now.saturating_add(life).unwrap_or(now),
            auto_accept: request.auto_accept,
            created_by: operator.to_string(),
        };
        let (token, kept) = self
            .0
            .store
            .create_token(&new)
            .await
            .map_err(|error| store_error(&error))?;
        self.record(AuditEntry {
            environment: request.environment.clone(),
            detail: format!("token {} for {:?}", kept.id, request.cluster),
            ..entry(&operator, "token create")
        })
        .await?;
        Ok(Response::new(v1::CreateTokenResponse {
            token,
            status: Some(token_to_wire(&kept)),
            trust_bundle: self.0.authority.trust_bundle().to_owned(),
            hub_address: self.0.address.clone(),
        }))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        self.allow(&request, Need::See)?;
        let tokens = self
            .0
            .store
            .tokens()
            .await
            .map_err(|error| store_error(&error))?;
        let tokens = tokens.iter().map(token_to_wire).collect();
        Ok(Response::new(v1::ListTokensResponse { tokens }))
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let operator = self.allow(&request, Need::Administer)?;
        let id = request.into_inner().id;
        let found = self
            .0
            .store
            .revoke_token(&id)
            .await
            .map_err(|error| store_error(&error))?;
        if !found {
            return Err(Status::not_found("there is no such token"));
        }
        self.record(AuditEntry {
            detail: format!("token {id}"),
            ..entry(&operator, "token revoke")
        })
        .await?;
        Ok(Response::new(v1::RevokeTokenResponse {}))
    }

    async fn accept_cluster(
        &self,
        request: Request<v1::AcceptClusterRequest>,
    ) -> Result<Response<v1::AcceptClusterResponse>, Status> {
        let operator = self.allow(&request, Need::Administer)?;
        let request = request.into_inner();
        let name: ClusterName = request.name.parse().map_err(|e| bad_name(&e))?;
        let environment = self.environment(&request.environment).await?;
        let labels = labels_from_wire(request.labels)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let lookup = name.clone();
        let (record, declared) = self
            .ask(move |fleet, _| {
                let record = fleet
                    .clusters()
                    .get(&lookup)
                    .map(|cluster| cluster.record.clone());
                (record, fleet.spec().clusters.contains_key(&lookup))
            })
            .await?;
        let record = record.ok_or_else(|| no_cluster(&request.name))?;
        let Some(pending) = record.pending.clone() else {
            return Err(Status::failed_precondition(format!(
                "{name} was accepted before"
            )));
        };
        if !request.fingerprint.is_empty() && request.fingerprint != pending {
            return Err(Status::failed_precondition(format!(
                "{name} waits with key {pending}, not with the one you named: somebody else may have \
                 used its token"
            )));
        }
        let record = ClusterRecord {
            environment: environment.or(record.environment),
            labels: record.labels.into_iter().chain(labels).collect(),
            pending: None,
            ..record
        };
        if record.environment.is_none() && !declared {
            return Err(Status::failed_precondition(format!(
                "{name} belongs to no environment yet: give --env, or list it in the fleet file"
            )));
        }
        let accepted = AuditEntry {
            environment: record
                .environment
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            clusters: vec![name.to_string()],
            detail: format!("key {pending}"),
            ..entry(&operator, "cluster accept")
        };
        self.commit(Event::ClusterPut(name.clone(), record), accepted)
            .await?;
        let cluster = self
            .ask(move |fleet, now| status::cluster(fleet, &name, now, true))
            .await?;
        Ok(Response::new(v1::AcceptClusterResponse { cluster }))
    }

    async fn remove_cluster(
        &self,
        request: Request<v1::RemoveClusterRequest>,
    ) -> Result<Response<v1::RemoveClusterResponse>, Status> {
        let operator = self.allow(&request, Need::Administer)?;
        let request = request.into_inner();
        let name: ClusterName = request.name.parse().map_err(|e| bad_name(&e))?;
        let lookup = name.clone();
        if !self
            .ask(move |fleet, _| fleet.clusters().contains_key(&lookup))
            .await?
        {
            return Err(no_cluster(&request.name));
        }
        let removed = AuditEntry {
            clusters: vec![name.to_string()],
            reason: plain_line(&request.reason, MAX_MESSAGE_BYTES),
            ..entry(&operator, "cluster remove")
        };
        self.commit(Event::ClusterRemoved(name), removed).await?;
        Ok(Response::new(v1::RemoveClusterResponse {}))
    }

    async fn get_hub(
        &self,
        request: Request<v1::GetHubRequest>,
    ) -> Result<Response<v1::GetHubResponse>, Status> {
        let operator = self.allow(&request, Need::See)?;
        let file = self.0.fleet_file.read().clone();
        Ok(Response::new(v1::GetHubResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.0.epoch.0,
            operator: operator.to_string(),
            address: self.0.address.clone(),
            trust_bundle: self.0.authority.trust_bundle().to_owned(),
            started_at: Some(timestamp_to_wire(self.0.started_at)),
            fleet_digest: file.digest,
            fleet_loaded_at: file.loaded_at.map(timestamp_to_wire),
            fleet_error: file.error,
        }))
    }
}

impl Operators {
    async fn environment(&self, text: &str) -> Result<Option<EnvironmentName>, Status> {
        if text.is_empty() {
            return Ok(None);
        }
        let name: EnvironmentName = text.parse().map_err(|e| bad_name(&e))?;
        let lookup = name.clone();
        if !self
            .ask(move |fleet, _| fleet.spec().environment(&lookup).is_some())
            .await?
        {
            return Err(Status::not_found(format!("there is no environment {name}")));
        }
        Ok(Some(name))
    }
}

fn grant_to_wire(grant: &Grant) -> v1::OperatorStatus {
    v1::OperatorStatus {
        name: grant.name.to_string(),
        role: grant.role.as_str().to_owned(),
        environments: grant.environments.iter().map(ToString::to_string).collect(),
        changed_by: grant.changed_by.clone(),
        changed_at: Some(timestamp_to_wire(grant.changed_at)),
    }
}

fn token_to_wire(token: &Token) -> v1::TokenStatus {
    let new = &token.token;
    v1::TokenStatus {
        id: token.id.clone(),
        cluster: new
            .cluster
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        environment: new
            .environment
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        labels: new
            .labels
            .iter()
            .map(|(key, value)| v1::Label {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
        expires_at: Some(timestamp_to_wire(new.expires_at)),
        redeemed_at: token.redeemed_at.map(timestamp_to_wire),
        redeemed_by: token.redeemed_by.clone().unwrap_or_default(),
        created_by: new.created_by.clone(),
        auto_accept: new.auto_accept,
    }
}

/// Sends what changed since the last round, newest state only: a slow watcher sees fewer rounds, not
/// a longer queue.
async fn watch(
    context: &Context,
    filter: Filter,
    summary: bool,
    sender: &mpsc::Sender<Result<v1::WatchResponse, Status>>,
) -> Result<(), Status> {
    use v1::watch_response::Event as Change;
    let mut version = context.handle.version();
    let mut seen = 0u64;
    let mut shown = std::collections::BTreeSet::<ClusterName>::new();
    let mut first = true;
    let gone = |_| Status::cancelled("the watcher is gone");
    loop {
        version.borrow_and_update();
        let (filter, before) = (filter.clone(), shown.clone());
        let (changes, now_shown, at) = context
            .handle
            .query(move |fleet| {
                let now = Timestamp::now();
                let mut changes = Vec::new();
                if fleet.environments_version() > seen || seen == 0 {
                    let all = status::environments(fleet, now);
                    changes.extend(all.into_iter().map(Change::Environment));
                }
                let mut shown = std::collections::BTreeSet::new();
                for (name, cluster) in fleet.clusters() {
                    if !filter.matches(fleet, name, now) {
                        continue;
                    }
                    shown.insert(name.clone());
                    if (cluster.version > seen || !before.contains(name))
                        && let Some(status) = status::cluster(fleet, name, now, summary)
                    {
                        changes.push(Change::Cluster(status));
                    }
                }
                for name in before.difference(&shown) {
                    changes.push(Change::ClusterRemoved(name.to_string()));
                }
                (changes, shown, fleet.version())
            })
            .await?;
        seen = at;
        shown = now_shown;
        for event in changes {
            sender
                .send(Ok(v1::WatchResponse { event: Some(event) }))
                .await
                .map_err(gone)?;
        }
        if std::mem::take(&mut first) {
            let event = Some(Change::Bookmark(true));
            sender
                .send(Ok(v1::WatchResponse { event }))
                .await
                .map_err(gone)?;
        }
        tokio::select! {
            changed = version.changed() => changed.map_err(|_| Status::unavailable("stopping"))?,
            () = sender.closed() => return Ok(()),
            () = context.stop.cancelled() => return Ok(()),
        }
    }
}
