//! The API for operators.

use std::pin::Pin;
use std::sync::Arc;

use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_server::FleetService;
use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName, NameError};
use flotilla_status::AuditAction;
use futures::Stream;
use jiff::Timestamp;
use tonic::{Request, Response, Status, Streaming};

use super::access::{Need, Principal};
use super::{Context, not_stored, store_error};
use crate::driver::Rejection;
use crate::fleet::{ActionError, AuditEntry, Event, Fleet};
use crate::notify::OutboxPosition;
use crate::status::{self, Filter, FilterRequest, PromotionError};
use crate::suggestion::missing;

mod clusters;
mod compare;
mod log;
mod moving;
mod operators;
pub(super) mod plans;
mod promotion;
mod rollouts;
mod steer;
mod tokens;
mod watch;

pub struct Operators(pub Arc<Context>);

fn bad_name(error: &NameError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn refused_status(refused: &Rejection) -> Status {
    match refused {
        Rejection::Action(error @ (ActionError::NoCluster(_) | ActionError::NoEnvironment(_))) => {
            Status::not_found(error.to_string())
        }
        Rejection::Action(error @ ActionError::NeedsAdmin(_)) => {
            Status::permission_denied(error.to_string())
        }
        Rejection::Action(error) => Status::failed_precondition(error.to_string()),
        Rejection::Store | Rejection::Undecided => not_stored(refused.to_string()),
    }
}

fn unpromotable(why: PromotionError) -> Status {
    match why {
        PromotionError::Missing(text) => Status::not_found(text),
        PromotionError::FromNone(text) => Status::failed_precondition(text),
    }
}

/// Reads a filter of clusters.
fn filter(wire: Option<v1::ClusterFilter>) -> Result<Filter, Status> {
    let wire = wire.unwrap_or_default();
    let requested = FilterRequest {
        environments: wire.environments,
        clusters: wire.clusters,
        applications: wire.applications,
        selector: wire.selector,
        not_ready: wire.not_ready,
    };
    Filter::parse(requested).map_err(|error| Status::invalid_argument(error.to_string()))
}

fn entry(operator: &Principal, action: AuditAction) -> AuditEntry {
    AuditEntry {
        at: Timestamp::now(),
        actor: operator.to_string(),
        action,
        ..AuditEntry::default()
    }
}

/// Returns the error for a cluster that does not exist.
fn no_cluster(fleet: &Fleet, name: &str) -> String {
    missing(
        "cluster",
        name,
        fleet.clusters().keys().map(ClusterName::as_str),
    )
}

/// Returns the error for an environment that does not exist.
fn no_environment(fleet: &Fleet, name: &str) -> String {
    missing("environment", name, fleet.spec().environment_names())
}

impl Operators {
    /// Returns the caller, if it has the right everywhere.
    fn allow<T>(&self, request: &Request<T>, need: Need) -> Result<Principal, Status> {
        self.0.access.allow(request, &self.0.rates, need, None)
    }

    /// Returns the caller, if it may read; further rights depend on the request.
    fn allow_anywhere<T>(&self, request: &Request<T>) -> Result<Principal, Status> {
        self.allow(request, Need::See)
    }

    /// Commits an operator's event with its audit entry.
    async fn commit(&self, event: Event, entry: AuditEntry) -> Result<(), Status> {
        self.0
            .handle
            .commit(event, entry)
            .await?
            .map_err(|refused| refused_status(&refused))
    }

    /// Adds an audit entry about a change that was made in the store directly.
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
        rollouts::list_rollouts(self, request).await
    }

    async fn get_rollout(
        &self,
        request: Request<v1::GetRolloutRequest>,
    ) -> Result<Response<v1::GetRolloutResponse>, Status> {
        rollouts::get_rollout(self, request).await
    }

    async fn steer(
        &self,
        request: Request<v1::SteerRequest>,
    ) -> Result<Response<v1::SteerResponse>, Status> {
        rollouts::steer(self, request).await
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        log::list_audit(self, request).await
    }

    async fn follow_audit(
        &self,
        request: Request<v1::FollowAuditRequest>,
    ) -> Result<Response<Self::FollowAuditStream>, Status> {
        log::follow_audit(self, request).await
    }

    async fn verify_audit(
        &self,
        request: Request<v1::VerifyAuditRequest>,
    ) -> Result<Response<v1::VerifyAuditResponse>, Status> {
        log::verify_audit(self, request).await
    }

    async fn list_operators(
        &self,
        request: Request<v1::ListOperatorsRequest>,
    ) -> Result<Response<v1::ListOperatorsResponse>, Status> {
        operators::list_operators(self, request).await
    }

    async fn set_operator(
        &self,
        request: Request<v1::SetOperatorRequest>,
    ) -> Result<Response<v1::SetOperatorResponse>, Status> {
        operators::set_operator(self, request).await
    }

    async fn remove_operator(
        &self,
        request: Request<v1::RemoveOperatorRequest>,
    ) -> Result<Response<v1::RemoveOperatorResponse>, Status> {
        operators::remove_operator(self, request).await
    }

    async fn list_environments(
        &self,
        request: Request<v1::ListEnvironmentsRequest>,
    ) -> Result<Response<v1::ListEnvironmentsResponse>, Status> {
        self.allow(&request, Need::See)?;
        let environments = self.ask(status::environments).await?;
        let environments = environments.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListEnvironmentsResponse { environments }))
    }

    async fn list_applications(
        &self,
        request: Request<v1::ListApplicationsRequest>,
    ) -> Result<Response<v1::ListApplicationsResponse>, Status> {
        self.allow(&request, Need::See)?;
        let only = request.into_inner().name;
        let applications = self
            .ask(move |fleet, now| {
                let found = status::applications(fleet, &only, now);
                if found.is_empty() && !only.is_empty() {
                    let names = fleet.spec().applications.keys();
                    let names = names.map(ApplicationName::as_str);
                    return Err(Status::not_found(missing("application", &only, names)));
                }
                Ok(found)
            })
            .await??;
        let applications = applications.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListApplicationsResponse { applications }))
    }

    async fn list_clusters(
        &self,
        request: Request<v1::ListClustersRequest>,
    ) -> Result<Response<v1::ListClustersResponse>, Status> {
        clusters::list_clusters(self, request).await
    }

    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Result<Response<v1::GetClusterResponse>, Status> {
        clusters::get_cluster(self, request).await
    }

    async fn diff(
        &self,
        request: Request<v1::DiffRequest>,
    ) -> Result<Response<v1::DiffResponse>, Status> {
        clusters::diff(self, request).await
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        self.allow(&request, Need::See)?;
        let subject = request.into_inner().subject;
        let steps = self
            .ask(move |fleet, now| {
                status::explain(fleet, &subject, now).ok_or_else(|| {
                    let clusters = fleet.clusters().keys().map(ClusterName::as_str);
                    let names = fleet.spec().environment_names().chain(clusters);
                    Status::not_found(missing("cluster or environment", &subject, names))
                })
            })
            .await??;
        let steps = steps.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ExplainResponse { steps }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        watch::watch(self, request).await
    }

    async fn preview_promotion(
        &self,
        request: Request<v1::PreviewPromotionRequest>,
    ) -> Result<Response<v1::PreviewPromotionResponse>, Status> {
        promotion::preview_promotion(self, request).await
    }

    async fn move_branches(
        &self,
        request: Request<v1::MoveBranchesRequest>,
    ) -> Result<Response<v1::MoveBranchesResponse>, Status> {
        moving::move_branches(self, request).await
    }

    async fn start_plan(
        &self,
        request: Request<v1::StartPlanRequest>,
    ) -> Result<Response<v1::StartPlanResponse>, Status> {
        plans::start(self, request).await
    }

    async fn get_plan(
        &self,
        request: Request<v1::GetPlanRequest>,
    ) -> Result<Response<v1::GetPlanResponse>, Status> {
        plans::get(self, request).await
    }

    async fn compare_fleet_file(
        &self,
        request: Request<Streaming<v1::CompareFleetFileRequest>>,
    ) -> Result<Response<v1::CompareFleetFileResponse>, Status> {
        compare::compare_fleet_file(self, request).await
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
        tokens::create_token(self, request).await
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        tokens::list_tokens(self, request).await
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        tokens::revoke_token(self, request).await
    }

    async fn accept_cluster(
        &self,
        request: Request<v1::AcceptClusterRequest>,
    ) -> Result<Response<v1::AcceptClusterResponse>, Status> {
        clusters::accept_cluster(self, request).await
    }

    async fn remove_cluster(
        &self,
        request: Request<v1::RemoveClusterRequest>,
    ) -> Result<Response<v1::RemoveClusterResponse>, Status> {
        clusters::remove_cluster(self, request).await
    }

    async fn unlock_cluster(
        &self,
        request: Request<v1::UnlockClusterRequest>,
    ) -> Result<Response<v1::UnlockClusterResponse>, Status> {
        clusters::unlock_cluster(self, request).await
    }

    async fn renew_operator(
        &self,
        request: Request<v1::RenewOperatorRequest>,
    ) -> Result<Response<v1::RenewOperatorResponse>, Status> {
        operators::renew_operator(self, request).await
    }

    async fn get_hub(
        &self,
        request: Request<v1::GetHubRequest>,
    ) -> Result<Response<v1::GetHubResponse>, Status> {
        let operator = self.allow(&request, Need::See)?;
        let file = self.0.fleet_file.read().clone();
        // A failure is not an error of the request: a replica without its store loses the lease soon, and still shows
        // what it knows.
        let standing = self.0.store.standing().await.ok();
        let places = self.0.store.places().await.unwrap_or_default();
        let hub = flotilla_status::Hub {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.0.epoch.0,
            operator: operator.to_string(),
            address: self.0.address.clone(),
            trust_bundle: self.0.certificates.authority().trust_bundle().to_owned(),
            started_at: Some(self.0.started_at),
            fleet_digest: file.digest,
            fleet_loaded_at: file.loaded_at,
            fleet_errors: file.error.lines().map(str::to_owned).collect(),
            rights: self.0.access.rights(&operator),
            now: Some(Timestamp::now()),
            store: self.0.store.engine_name().to_owned(),
            store_failing: self.0.health.is_failing() || standing.is_none(),
            term: standing.as_ref().map_or(0, |standing| {
                u64::try_from(standing.term).unwrap_or_default()
            }),
            decider: standing
                .map(|standing| standing.address)
                .unwrap_or_default(),
            moves_branches: self.0.mover.is_some(),
            given_up_total: places.iter().map(|(_, place)| place.dead).sum(),
            given_up: given_up(places),
        };
        Ok(Response::new(hub.into()))
    }
}

/// Highest number of given-up messages in one answer.
const MAX_GIVEN_UP: usize = 50;

/// Returns the given-up messages of all targets, newest first.
fn given_up(places: Vec<(String, OutboxPosition)>) -> Vec<flotilla_status::GivenUp> {
    let of_one = |(target, place): (String, OutboxPosition)| {
        let all = place.given_up.into_iter();
        all.map(move |dead| (target.clone(), dead))
    };
    let mut all: Vec<_> = places.into_iter().flat_map(of_one).collect();
    all.sort_by_key(|(_, dead)| std::cmp::Reverse(dead.at));
    all.truncate(MAX_GIVEN_UP);
    all.into_iter()
        .map(|(target, dead)| flotilla_status::GivenUp {
            target,
            event: dead.event,
            environment: dead.environment,
            rollout: dead.rollout,
            at: Some(dead.at),
            why: dead.why,
        })
        .collect()
}

impl Operators {
    async fn environment(&self, text: &str) -> Result<Option<EnvironmentName>, Status> {
        if text.is_empty() {
            return Ok(None);
        }
        let name: EnvironmentName = text.parse().map_err(|e| bad_name(&e))?;
        self.known_environment(text).await?;
        Ok(Some(name))
    }

    /// Refuses a name that no environment has; an empty one means all.
    async fn known_environment(&self, text: &str) -> Result<(), Status> {
        let asked = text.to_owned();
        let unknown = self
            .ask(move |fleet, _| {
                let known =
                    asked.is_empty() || fleet.spec().environment_names().any(|name| name == asked);
                (!known).then(|| no_environment(fleet, &asked))
            })
            .await?;
        unknown.map_or(Ok(()), |text| Err(Status::not_found(text)))
    }
}
