//! A Fleet API over real mTLS, in this process.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_server::{FleetService, FleetServiceServer};
use futures::Stream;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::fixture;

/// Content of a stream of events, and its end.
type Events = (Vec<v1::AuditEntry>, Status);

/// Answers from the fixture, and configured answers about promotions.
#[derive(Default, Clone)]
pub(crate) struct Fake {
    pub(crate) promotion: v1::PreviewPromotionResponse,
    /// Answer about the hub itself; none: it fails.
    pub(crate) hub: Option<v1::GetHubResponse>,
    /// Earlier answers about promotions, one for each call.
    pub(crate) promotions: Arc<Mutex<VecDeque<v1::PreviewPromotionResponse>>>,
    /// Recorded requests about promotions.
    pub(crate) previewed: Arc<Mutex<Vec<v1::PreviewPromotionRequest>>>,
    pub(crate) repositories: Vec<v1::RepositoryStatus>,
    /// Its environments; none: those of the fixture.
    pub(crate) environments: Vec<v1::EnvironmentStatus>,
    /// Environments after it was asked to read branches; none: unchanged.
    pub(crate) read_again: Vec<v1::EnvironmentStatus>,
    /// Number of these requests.
    pub(crate) refreshes: Arc<AtomicUsize>,
    /// Error of these requests.
    pub(crate) unrefreshed: Option<Status>,
    /// Number of failures to list environments after that.
    pub(crate) restarts: Arc<AtomicUsize>,
    pub(crate) rollout: v1::GetRolloutResponse,
    /// Earlier answers about rollouts, one for each call.
    pub(crate) rollouts: Arc<Mutex<VecDeque<Result<v1::GetRolloutResponse, Status>>>>,
    /// Audit log, oldest first.
    pub(crate) audit: Vec<v1::AuditEntry>,
    /// Content of each stream of events, and its end.
    pub(crate) streams: Arc<Mutex<VecDeque<Events>>>,
    /// Answers about plans, one for each call; afterwards the plan does not exist.
    pub(crate) plans: Arc<Mutex<VecDeque<v1::FleetPlan>>>,
    /// Recorded requests for plans.
    pub(crate) planned: Arc<Mutex<Vec<v1::StartPlanRequest>>>,
    /// Whether watches stay open.
    pub(crate) watch_stays: bool,
    /// Recorded actions.
    pub(crate) steered: Arc<Mutex<Vec<v1::SteerRequest>>>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl FleetService for Fake {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;
    type FollowAuditStream = Pin<Box<dyn Stream<Item = Result<v1::AuditEntry, Status>> + Send>>;

    async fn list_environments(
        &self,
        _: Request<v1::ListEnvironmentsRequest>,
    ) -> Answer<v1::ListEnvironmentsResponse> {
        let was_asked = self.refreshes.load(Ordering::SeqCst) > 0;
        let restarts = self.restarts.load(Ordering::SeqCst);
        if was_asked && restarts > 0 {
            self.restarts.store(restarts - 1, Ordering::SeqCst);
            return Err(Status::internal("it is starting anew"));
        }
        let environments = match (self.environments.as_slice(), self.read_again.as_slice()) {
            (_, [_, ..]) if was_asked => self.read_again.clone(),
            ([], _) => fixture::environments(),
            (some, _) => some.to_vec(),
        };
        Ok(Response::new(v1::ListEnvironmentsResponse { environments }))
    }

    async fn list_applications(
        &self,
        _: Request<v1::ListApplicationsRequest>,
    ) -> Answer<v1::ListApplicationsResponse> {
        Ok(Response::new(v1::ListApplicationsResponse::default()))
    }

    /// A page of one, to test paging.
    async fn list_clusters(
        &self,
        request: Request<v1::ListClustersRequest>,
    ) -> Answer<v1::ListClustersResponse> {
        let all = fixture::clusters();
        let at: usize = request.into_inner().page_token.parse().unwrap_or(0);
        let next_page_token = match at + 1 {
            next if next < all.len() => next.to_string(),
            _ => String::new(),
        };
        Ok(Response::new(v1::ListClustersResponse {
            clusters: all.get(at).cloned().into_iter().collect(),
            next_page_token,
        }))
    }

    async fn get_cluster(
        &self,
        request: Request<v1::GetClusterRequest>,
    ) -> Answer<v1::GetClusterResponse> {
        let name = request.into_inner().name;
        let cluster = fixture::clusters()
            .into_iter()
            .find(|cluster| cluster.name == name);
        match cluster {
            None => Err(Status::not_found(format!("there is no cluster {name:?}"))),
            cluster => Ok(Response::new(v1::GetClusterResponse { cluster })),
        }
    }

    async fn diff(&self, request: Request<v1::DiffRequest>) -> Answer<v1::DiffResponse> {
        let applications = match request.into_inner().application.as_str() {
            "same" => Vec::new(),
            _ => fixture::plans(),
        };
        Ok(Response::new(v1::DiffResponse { applications }))
    }

    async fn explain(&self, _: Request<v1::ExplainRequest>) -> Answer<v1::ExplainResponse> {
        let steps = fixture::steps();
        Ok(Response::new(v1::ExplainResponse { steps }))
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        use v1::watch_response::Event;
        let events = fixture::clusters()
            .into_iter()
            .map(Event::Cluster)
            .chain([Event::Bookmark(true)])
            .map(|event| Ok(v1::WatchResponse { event: Some(event) }));
        let end = Err(Status::internal("the fixture ends here"));
        if self.watch_stays {
            let events = futures::stream::iter(events.collect::<Vec<_>>());
            let stays = futures::StreamExt::chain(events, futures::stream::pending());
            return Ok(Response::new(Box::pin(stays)));
        }
        let stream = futures::stream::iter(events.chain([end]).collect::<Vec<_>>());
        Ok(Response::new(Box::pin(stream)))
    }

    async fn compare_fleet_file(
        &self,
        request: Request<tonic::Streaming<v1::CompareFleetFileRequest>>,
    ) -> Answer<v1::CompareFleetFileResponse> {
        let mut parts = request.into_inner();
        let mut text = Vec::new();
        while let Some(part) = parts.message().await? {
            text.extend(part.part);
        }
        let same = String::from_utf8_lossy(&text).starts_with("# same");
        let environments = if same {
            Vec::new()
        } else {
            fixture::compared()
        };
        Ok(Response::new(v1::CompareFleetFileResponse { environments }))
    }

    async fn remove_operator(
        &self,
        request: Request<v1::RemoveOperatorRequest>,
    ) -> Answer<v1::RemoveOperatorResponse> {
        match request.into_inner().name.as_str() {
            "carl" => Ok(Response::new(v1::RemoveOperatorResponse {})),
            name => Err(Status::not_found(format!("there is no operator {name:?}"))),
        }
    }

    async fn preview_promotion(
        &self,
        request: Request<v1::PreviewPromotionRequest>,
    ) -> Answer<v1::PreviewPromotionResponse> {
        self.previewed.lock().push(request.into_inner());
        let next = self.promotions.lock().pop_front();
        Ok(Response::new(
            next.unwrap_or_else(|| self.promotion.clone()),
        ))
    }

    async fn move_branches(
        &self,
        _: Request<v1::MoveBranchesRequest>,
    ) -> Answer<v1::MoveBranchesResponse> {
        Err(Status::unimplemented("no command asks for it"))
    }

    async fn start_plan(
        &self,
        request: Request<v1::StartPlanRequest>,
    ) -> Answer<v1::StartPlanResponse> {
        self.planned.lock().push(request.into_inner());
        let plan = self.plans.lock().pop_front();
        Ok(Response::new(v1::StartPlanResponse { plan }))
    }

    async fn get_plan(&self, _: Request<v1::GetPlanRequest>) -> Answer<v1::GetPlanResponse> {
        match self.plans.lock().pop_front() {
            None => Err(Status::not_found("the hub keeps no such plan")),
            plan => Ok(Response::new(v1::GetPlanResponse { plan })),
        }
    }

    async fn refresh(&self, _: Request<v1::RefreshRequest>) -> Answer<v1::RefreshResponse> {
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        match self.unrefreshed.clone() {
            Some(why) => Err(why),
            None => Ok(Response::new(v1::RefreshResponse {})),
        }
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Answer<v1::CreateTokenResponse> {
        let request = request.into_inner();
        Ok(Response::new(v1::CreateTokenResponse {
            token: "flt_id_secret".to_owned(),
            status: Some(v1::TokenStatus {
                id: "id".to_owned(),
                cluster: request.cluster,
                ..v1::TokenStatus::default()
            }),
            trust_bundle: "-----BEGIN CERTIFICATE-----\n".to_owned(),
            hub_address: "hub.example.org:8443".to_owned(),
        }))
    }

    async fn list_tokens(
        &self,
        _: Request<v1::ListTokensRequest>,
    ) -> Answer<v1::ListTokensResponse> {
        Ok(Response::new(v1::ListTokensResponse::default()))
    }

    async fn revoke_token(
        &self,
        _: Request<v1::RevokeTokenRequest>,
    ) -> Answer<v1::RevokeTokenResponse> {
        Err(Status::not_found("there is no such token"))
    }

    async fn list_repositories(
        &self,
        _: Request<v1::ListRepositoriesRequest>,
    ) -> Answer<v1::ListRepositoriesResponse> {
        Ok(Response::new(v1::ListRepositoriesResponse {
            repositories: self.repositories.clone(),
        }))
    }

    async fn list_rollouts(
        &self,
        _: Request<v1::ListRolloutsRequest>,
    ) -> Answer<v1::ListRolloutsResponse> {
        Ok(Response::new(v1::ListRolloutsResponse::default()))
    }

    async fn get_rollout(
        &self,
        _: Request<v1::GetRolloutRequest>,
    ) -> Answer<v1::GetRolloutResponse> {
        match self.rollouts.lock().pop_front() {
            Some(answer) => answer.map(Response::new),
            None => Ok(Response::new(self.rollout.clone())),
        }
    }

    async fn steer(&self, request: Request<v1::SteerRequest>) -> Answer<v1::SteerResponse> {
        let request = request.into_inner();
        let detail = request.commit.chars().take(7).collect();
        self.steered.lock().push(request);
        Ok(Response::new(v1::SteerResponse { detail }))
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Answer<v1::ListAuditResponse> {
        let limit = request.into_inner().limit as usize;
        let older = self.audit.len().saturating_sub(limit);
        let entries = self.audit.iter().skip(older).cloned().collect();
        Ok(Response::new(v1::ListAuditResponse { entries }))
    }

    async fn follow_audit(
        &self,
        _: Request<v1::FollowAuditRequest>,
    ) -> Answer<Self::FollowAuditStream> {
        let (entries, end) = self
            .streams
            .lock()
            .pop_front()
            .ok_or(Status::internal("no further stream"))?;
        let events = entries.into_iter().map(Ok).chain([Err(end)]);
        Ok(Response::new(Box::pin(futures::stream::iter(
            events.collect::<Vec<_>>(),
        ))))
    }

    async fn verify_audit(
        &self,
        _: Request<v1::VerifyAuditRequest>,
    ) -> Answer<v1::VerifyAuditResponse> {
        Ok(Response::new(v1::VerifyAuditResponse::default()))
    }

    async fn list_operators(
        &self,
        _: Request<v1::ListOperatorsRequest>,
    ) -> Answer<v1::ListOperatorsResponse> {
        Ok(Response::new(v1::ListOperatorsResponse::default()))
    }

    async fn set_operator(
        &self,
        _: Request<v1::SetOperatorRequest>,
    ) -> Answer<v1::SetOperatorResponse> {
        Ok(Response::new(v1::SetOperatorResponse::default()))
    }

    async fn accept_cluster(
        &self,
        request: Request<v1::AcceptClusterRequest>,
    ) -> Answer<v1::AcceptClusterResponse> {
        let cluster = Some(fixture::good(&request.into_inner().name, "prod"));
        Ok(Response::new(v1::AcceptClusterResponse {
            cluster,
            detail: "its token was for dev".to_owned(),
        }))
    }

    async fn remove_cluster(
        &self,
        _: Request<v1::RemoveClusterRequest>,
    ) -> Answer<v1::RemoveClusterResponse> {
        Ok(Response::new(v1::RemoveClusterResponse {}))
    }

    async fn unlock_cluster(
        &self,
        _: Request<v1::UnlockClusterRequest>,
    ) -> Answer<v1::UnlockClusterResponse> {
        Ok(Response::new(v1::UnlockClusterResponse {}))
    }

    async fn renew_operator(
        &self,
        _: Request<v1::RenewOperatorRequest>,
    ) -> Answer<v1::RenewOperatorResponse> {
        Err(Status::internal("broken on purpose"))
    }

    async fn get_hub(&self, _: Request<v1::GetHubRequest>) -> Answer<v1::GetHubResponse> {
        let hub = self.hub.clone().map(Response::new);
        hub.ok_or(Status::internal("broken on purpose"))
    }
}

/// A running service with a context file for it.
pub(crate) struct Hub {
    directory: tempfile::TempDir,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Hub {
    pub(crate) fn start(fake: Fake) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let issue = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let pem = leaf.signed_by(&key, &issuer).unwrap().pem();
            (pem, key.serialize_pem())
        };
        let (chain, key) = issue("hub.flotilla.internal");
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(chain, key))
            .client_ca_root(Certificate::from_pem(&ca_pem));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let server = Server::builder()
            .tls_config(tls)
            .unwrap()
            .add_service(FleetServiceServer::new(fake));
        runtime.spawn(
            server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)),
        );
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) = issue("operator");
        let context = serde_json::json!({
            "apiVersion": "flotilla.dev/v1alpha1",
            "kind": "Context",
            "hub": address.to_string(),
            "trustBundle": ca_pem,
            "certificate": certificate,
            "key": key,
        });
        write_private(&directory.path().join("context.yaml"), &context.to_string());
        Self {
            directory,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.directory.path().join("context.yaml")
    }

    /// The program in an environment without variables that could change its output.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flotilla"));
        command
            .args(arguments)
            .env("FLOTILLA_CONFIG", self.context())
            .env_remove("NO_COLOR")
            .stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn write_private(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
