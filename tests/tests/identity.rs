//! Who may do what, over real mTLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::time::Duration;

use flotilla_hub::app::{self, Config, Running};
use flotilla_hub::authority::Authority;
use flotilla_proto::v1;
use flotilla_proto::v1::agent_service_client::AgentServiceClient;
use flotilla_proto::v1::enrollment_service_client::EnrollmentServiceClient;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::identity::Identity;
use flotilla_shared::tls::{self, TlsIdentity};
use flotilla_tests::eventually;
use jiff::Timestamp;
use tonic::Code;
use tonic::transport::Channel;

struct Hub {
    directory: tempfile::TempDir,
    running: Running,
}

impl Hub {
    async fn new() -> Self {
        tls::install_provider();
        let directory = tempfile::tempdir().unwrap();
        Authority::init(directory.path(), Timestamp::now()).unwrap();
        let fleet = directory.path().join("fleet.yaml");
        std::fs::write(
            &fleet,
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{name: prod, branch: prod}]\n",
        )
        .unwrap();
        let running = app::start(Config {
            data_dir: directory.path().to_owned(),
            fleet,
            listen: "127.0.0.1:0".to_owned(),
            ..Config::default()
        })
        .await
        .unwrap();
        Self { directory, running }
    }

    fn authority(&self) -> Authority {
        Authority::open(self.directory.path()).unwrap()
    }

    fn identity(&self, uri: &str) -> TlsIdentity {
        let identity: Identity = uri.parse().unwrap();
        self.authority()
            .operator(&identity, Timestamp::now())
            .unwrap()
    }

    async fn channel(&self, identity: Option<&TlsIdentity>) -> Channel {
        let config = tls::client_config(self.authority().trust_bundle(), identity).unwrap();
        dial(&self.running.address.to_string(), Arc::new(config))
            .await
            .unwrap()
    }

    async fn operator(&self) -> FleetServiceClient<Channel> {
        let identity = self.identity("spiffe://flotilla/operator/ada");
        FleetServiceClient::new(self.channel(Some(&identity)).await)
    }

    async fn token(&self, request: v1::CreateTokenRequest) -> String {
        self.operator()
            .await
            .create_token(request)
            .await
            .unwrap()
            .into_inner()
            .token
    }

    async fn enroll(
        &self,
        token: &str,
        cluster: &str,
        key: &rcgen::KeyPair,
    ) -> Result<v1::EnrollResponse, Code> {
        let csr = rcgen::CertificateParams::default()
            .serialize_request(key)
            .unwrap();
        let request = v1::EnrollRequest {
            token: token.to_owned(),
            csr: csr.der().to_vec(),
            cluster: cluster.to_owned(),
            ..v1::EnrollRequest::default()
        };
        EnrollmentServiceClient::new(self.channel(None).await)
            .enroll(request)
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| status.code())
    }
}

async fn connect(channel: Channel) -> Result<tonic::Streaming<v1::HubMessage>, tonic::Status> {
    let hello = v1::Hello {
        protocol_min: 1,
        protocol_max: 1,
        ..v1::Hello::default()
    };
    let message = v1::AgentMessage {
        body: Some(v1::agent_message::Body::Hello(hello)),
    };
    let outbound =
        futures::StreamExt::chain(futures::stream::iter([message]), futures::stream::pending());
    AgentServiceClient::new(channel)
        .connect(outbound)
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e13_each_kind_of_method_takes_its_own_kind_of_caller() {
    let hub = Hub::new().await;
    let cluster = hub.identity("spiffe://flotilla/cluster/c1");
    let operator = hub.identity("spiffe://flotilla/operator/ada");
    for (identity, want) in [
        (None, Some(Code::Unauthenticated)),
        (Some(&cluster), Some(Code::PermissionDenied)),
        (Some(&operator), None),
    ] {
        let mut api = FleetServiceClient::new(hub.channel(identity).await);
        let codes = [
            api.get_hub(v1::GetHubRequest {})
                .await
                .err()
                .map(|s| s.code()),
            api.list_clusters(v1::ListClustersRequest::default())
                .await
                .err()
                .map(|s| s.code()),
            api.list_environments(v1::ListEnvironmentsRequest {})
                .await
                .err()
                .map(|s| s.code()),
            api.list_applications(v1::ListApplicationsRequest::default())
                .await
                .err()
                .map(|s| s.code()),
            api.list_tokens(v1::ListTokensRequest {})
                .await
                .err()
                .map(|s| s.code()),
            api.watch(v1::WatchRequest::default())
                .await
                .err()
                .map(|s| s.code()),
            api.refresh(v1::RefreshRequest::default())
                .await
                .err()
                .map(|s| s.code()),
        ];
        assert_eq!(codes, [want; 7]);
    }
    for (identity, want) in [
        (None, Code::Unauthenticated),
        (Some(&operator), Code::PermissionDenied),
    ] {
        assert_eq!(
            connect(hub.channel(identity).await)
                .await
                .err()
                .map(|s| s.code()),
            Some(want)
        );
        let renew = EnrollmentServiceClient::new(hub.channel(identity).await)
            .renew(v1::RenewRequest::default())
            .await;
        assert_eq!(renew.err().map(|s| s.code()), Some(want));
    }
    // An agent that the hub has no record of gets nothing, however good its certificate.
    let unknown = connect(hub.channel(Some(&cluster)).await).await;
    assert_eq!(
        unknown.err().map(|s| s.code()),
        Some(Code::PermissionDenied)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_strangers_and_plaintext_get_no_connection() {
    let hub = Hub::new().await;
    let address = hub.running.address.to_string();
    let other = tempfile::tempdir().unwrap();
    let foreign = Authority::init(other.path(), Timestamp::now()).unwrap();
    // A hub that our authority did not certify is not spoken to.
    let config = tls::client_config(foreign.trust_bundle(), None).unwrap();
    assert!(dial(&address, Arc::new(config)).await.is_err());
    // A client certificate of another authority does not get in.
    let identity: Identity = "spiffe://flotilla/operator/ada".parse().unwrap();
    let theirs = foreign.operator(&identity, Timestamp::now()).unwrap();
    let config = tls::client_config(hub.authority().trust_bundle(), Some(&theirs)).unwrap();
    let refused = match dial(&address, Arc::new(config)).await {
        Err(_) => true,
        Ok(channel) => FleetServiceClient::new(channel)
            .get_hub(v1::GetHubRequest {})
            .await
            .is_err(),
    };
    assert!(refused);
    let plain = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap();
    let refused = match plain.connect().await {
        Err(_) => true,
        Ok(channel) => FleetServiceClient::new(channel)
            .get_hub(v1::GetHubRequest {})
            .await
            .is_err(),
    };
    assert!(refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e05_a_token_alone_gives_no_assignment_and_a_person_accepts() {
    let hub = Hub::new().await;
    let token = hub.token(v1::CreateTokenRequest::default()).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let response = hub.enroll(&token, "c1", &key).await.unwrap();
    assert_eq!(response.state(), v1::EnrollmentState::Pending);
    assert!(response.certificate_chain.is_empty());
    let mut operator = hub.operator().await;
    let waiting = operator
        .get_cluster(v1::GetClusterRequest {
            name: "c1".to_owned(),
        })
        .await
        .unwrap();
    let waiting = waiting.into_inner().cluster.unwrap();
    assert_eq!(waiting.connection(), v1::Connection::Pending);
    let accept = |fingerprint: &str, environment: &str| v1::AcceptClusterRequest {
        name: "c1".to_owned(),
        fingerprint: fingerprint.to_owned(),
        environment: environment.to_owned(),
        labels: Vec::new(),
    };
    assert!(
        operator
            .accept_cluster(accept("another key", "prod"))
            .await
            .is_err()
    );
    assert!(
        operator.accept_cluster(accept("", "")).await.is_err(),
        "it belongs nowhere yet"
    );
    operator
        .accept_cluster(accept(&waiting.pending_fingerprint, "prod"))
        .await
        .unwrap();
    // Level-triggered: the agent's next, equal call gets the certificate.
    let response = hub.enroll(&token, "c1", &key).await.unwrap();
    assert_eq!(response.state(), v1::EnrollmentState::Accepted);
    // Another key with the same token, or a second cluster of that name, is refused.
    let other = rcgen::KeyPair::generate().unwrap();
    assert_eq!(
        hub.enroll(&token, "c1", &other).await,
        Err(Code::PermissionDenied)
    );
    let second = hub.token(v1::CreateTokenRequest::default()).await;
    assert_eq!(
        hub.enroll(&second, "c1", &other).await,
        Err(Code::AlreadyExists)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e09_removing_a_cluster_cuts_its_stream_at_once() {
    let hub = Hub::new().await;
    let request = v1::CreateTokenRequest {
        environment: "prod".to_owned(),
        auto_accept: true,
        ..v1::CreateTokenRequest::default()
    };
    let token = hub.token(request).await;
    let key = rcgen::KeyPair::generate().unwrap();
    let response = hub.enroll(&token, "c1", &key).await.unwrap();
    let identity = TlsIdentity {
        chain_pem: response.certificate_chain,
        key_pem: key.serialize_pem(),
    };
    let mut stream = connect(hub.channel(Some(&identity)).await).await.unwrap();
    let first = stream.message().await.unwrap().unwrap();
    assert!(matches!(
        first.body,
        Some(v1::hub_message::Body::Welcome(_))
    ));
    let mut operator = hub.operator().await;
    let remove = v1::RemoveClusterRequest {
        name: "c1".to_owned(),
        reason: "test".to_owned(),
    };
    operator.remove_cluster(remove).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    });
    ended.await.expect("the stream ends within ten seconds");
    let again = eventually(
        "new streams are refused",
        Duration::from_secs(10),
        || async {
            let again = connect(hub.channel(Some(&identity)).await).await;
            again.err().map(|status| status.code())
        },
    );
    assert_eq!(again.await.unwrap(), Code::PermissionDenied);
}
