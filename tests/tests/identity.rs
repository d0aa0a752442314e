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
use flotilla_hub::authority::{Authority, Rotation};
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
        let answer = self.try_enroll(token, cluster, key).await;
        answer.map_err(|status| status.code())
    }

    async fn try_enroll(
        &self,
        token: &str,
        cluster: &str,
        key: &rcgen::KeyPair,
    ) -> Result<v1::EnrollResponse, tonic::Status> {
        let csr = rcgen::CertificateParams::default()
            .serialize_request(key)
            .unwrap();
        let request = v1::EnrollRequest {
            token: token.to_owned(),
            csr: csr.der().to_vec(),
            cluster: cluster.to_owned(),
            cluster_uid: format!("uid of {}", cluster.trim_end_matches("-copy")),
            ..v1::EnrollRequest::default()
        };
        EnrollmentServiceClient::new(self.channel(None).await)
            .enroll(request)
            .await
            .map(tonic::Response::into_inner)
    }
}

fn csr(key: &rcgen::KeyPair) -> Vec<u8> {
    let csr = rcgen::CertificateParams::default();
    csr.serialize_request(key).unwrap().der().to_vec()
}

fn identity(chain: &str, key: &rcgen::KeyPair) -> TlsIdentity {
    TlsIdentity {
        chain_pem: chain.to_owned(),
        key_pem: key.serialize_pem(),
    }
}

impl Hub {
    /// An accepted cluster.
    async fn joined(&self, cluster: &str, key: &rcgen::KeyPair) -> TlsIdentity {
        let request = v1::CreateTokenRequest {
            environment: "prod".to_owned(),
            auto_accept: true,
            ..v1::CreateTokenRequest::default()
        };
        let token = self.token(request).await;
        let response = self.enroll(&token, cluster, key).await.unwrap();
        identity(&response.certificate_chain, key)
    }

    async fn renew(&self, with: &TlsIdentity, key: &rcgen::KeyPair) -> Result<TlsIdentity, Code> {
        EnrollmentServiceClient::new(self.channel(Some(with)).await)
            .renew(v1::RenewRequest { csr: csr(key) })
            .await
            .map(|response| identity(&response.into_inner().certificate_chain, key))
            .map_err(|status| status.code())
    }

    async fn recover(&self, key: &rcgen::KeyPair) -> Result<v1::RecoverResponse, Code> {
        EnrollmentServiceClient::new(self.channel(None).await)
            .recover(v1::RecoverRequest { csr: csr(key) })
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| status.code())
    }

    async fn cluster(&self, name: &str) -> v1::ClusterStatus {
        let request = v1::GetClusterRequest {
            name: name.to_owned(),
        };
        let answer = self.operator().await.get_cluster(request).await.unwrap();
        answer.into_inner().cluster.unwrap()
    }

    /// What the hub says on a stream first, or why it says nothing.
    async fn first_word(&self, with: &TlsIdentity) -> Result<v1::hub_message::Body, Code> {
        let stream = connect(self.channel(Some(with)).await).await;
        let mut stream = stream.map_err(|status| status.code())?;
        let message = stream.message().await.map_err(|status| status.code())?;
        Ok(message.unwrap().body.unwrap())
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e06_one_kubernetes_cluster_does_not_join_under_two_names() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    hub.joined("c1", &key).await;
    let token = hub.token(v1::CreateTokenRequest::default()).await;
    let other = rcgen::KeyPair::generate().unwrap();
    assert_eq!(
        hub.enroll(&token, "c1-copy", &other).await,
        Err(Code::AlreadyExists)
    );
    let audit = hub
        .operator()
        .await
        .list_audit(v1::ListAuditRequest::default())
        .await
        .unwrap()
        .into_inner();
    let refused = audit.entries.iter().find(|e| e.action == "cluster refuse");
    assert_eq!(refused.unwrap().clusters, ["c1-copy", "c1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e07_a_copied_identity_is_noticed_within_one_renewal_and_locked() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let first = hub.joined("c1", &key).await;
    assert!(hub.first_word(&first).await.is_ok());
    // An answer that was lost: the agent renews again with what it has. No clone.
    hub.renew(&first, &key).await.unwrap();
    let second = hub.renew(&first, &key).await.unwrap();
    assert!(hub.first_word(&first).await.is_ok(), "not shown yet");
    // Other pods of the DaemonSet come with the certificate they share.
    for _ in 0..3 {
        assert!(hub.first_word(&second).await.is_ok());
    }
    assert_eq!(hub.cluster("c1").await.locked, "");
    // Now somebody comes with the copy.
    let word = hub.first_word(&first).await;
    let body = v1::hub_message::Body::Welcome(v1::Welcome::default());
    if let Ok(first) = &word {
        assert_eq!(std::mem::discriminant(first), std::mem::discriminant(&body));
    }
    let locked = eventually("it is locked", Duration::from_secs(10), || async {
        Some(hub.cluster("c1").await.locked).filter(|text| !text.is_empty())
    });
    let why = locked.await.unwrap();
    assert!(why.contains("used twice"), "{why}");
    // Neither gets a new certificate, and nothing is removed.
    for with in [&first, &second] {
        assert_eq!(
            hub.renew(with, &key).await.err(),
            Some(Code::PermissionDenied)
        );
    }
    assert_eq!(hub.recover(&key).await.err(), Some(Code::PermissionDenied));
    let unlock = || v1::UnlockClusterRequest {
        name: "c1".to_owned(),
        reason: "the copy was switched off".to_owned(),
    };
    let mut operator = hub.operator().await;
    operator.unlock_cluster(unlock()).await.unwrap();
    assert_eq!(hub.cluster("c1").await.locked, "");
    assert!(hub.first_word(&second).await.is_ok());
    assert!(hub.renew(&second, &key).await.is_ok());
    assert_eq!(
        operator.unlock_cluster(unlock()).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    // A renewal shows it as well as a stream.
    assert!(hub.renew(&first, &key).await.is_err());
    assert!(!hub.cluster("c1").await.locked.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e07_an_identity_in_another_kubernetes_cluster_is_locked() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let identity = hub.joined("c1", &key).await;
    let hello = v1::Hello {
        protocol_min: 1,
        protocol_max: 1,
        cluster_uid: "another".to_owned(),
        ..v1::Hello::default()
    };
    let message = v1::AgentMessage {
        body: Some(v1::agent_message::Body::Hello(hello)),
    };
    let outbound =
        futures::StreamExt::chain(futures::stream::iter([message]), futures::stream::pending());
    let _stream = AgentServiceClient::new(hub.channel(Some(&identity)).await)
        .connect(outbound)
        .await
        .unwrap();
    let locked = eventually("it is locked", Duration::from_secs(10), || async {
        Some(hub.cluster("c1").await.locked).filter(|text| !text.is_empty())
    });
    assert!(locked.await.unwrap().contains("another"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e10_only_a_known_key_whose_certificate_is_no_good_recovers() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    hub.joined("c1", &key).await;
    // It is good still.
    assert_eq!(
        hub.recover(&key).await.err(),
        Some(Code::FailedPrecondition)
    );
    let stranger = rcgen::KeyPair::generate().unwrap();
    assert_eq!(
        hub.recover(&stranger).await.err(),
        Some(Code::PermissionDenied)
    );
    // Its authority is on its way out: the key is enough, also later when the old root is gone.
    let rotation = Rotation(hub.directory.path());
    rotation.begin(Timestamp::now()).unwrap();
    let recovered = eventually("it recovers", Duration::from_secs(10), || async {
        hub.recover(&key).await.ok()
    });
    let recovered = recovered.await.unwrap();
    assert_eq!(recovered.state(), v1::EnrollmentState::Accepted);
    assert!(!recovered.endorsements.is_empty());
    let identity = identity(&recovered.certificate_chain, &key);
    assert!(hub.first_word(&identity).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e03_guessing_tokens_is_cut_off_and_others_are_not() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut answers = std::collections::BTreeMap::<i32, usize>::new();
    for round in 0..40 {
        let token = format!("flt_{round:012x}_{round:064x}");
        let code = hub.enroll(&token, "c9", &key).await.unwrap_err();
        *answers.entry(code as i32).or_default() += 1;
    }
    assert!(
        answers[&(Code::PermissionDenied as i32)] <= 30,
        "{answers:?}"
    );
    assert!(
        answers[&(Code::ResourceExhausted as i32)] >= 10,
        "{answers:?}"
    );
    // Whoever has a certificate is not held up.
    let began = std::time::Instant::now();
    hub.operator()
        .await
        .get_hub(v1::GetHubRequest {})
        .await
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e01_every_bad_token_gets_one_and_the_same_answer() {
    let hub = Hub::new().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let bound = |cluster: &str, seconds: u32| v1::CreateTokenRequest {
        cluster: cluster.to_owned(),
        environment: "prod".to_owned(),
        lifetime_seconds: seconds,
        ..v1::CreateTokenRequest::default()
    };
    let short = hub.token(bound("c1", 1)).await;
    let foreign = hub.token(bound("c2", 600)).await;
    let revoked = hub.token(bound("c1", 600)).await;
    let id = revoked.split('_').nth(1).unwrap().to_owned();
    let revoke = v1::RevokeTokenRequest { id };
    hub.operator().await.revoke_token(revoke).await.unwrap();
    let spent = hub.token(bound("c3", 600)).await;
    let first = rcgen::KeyPair::generate().unwrap();
    hub.enroll(&spent, "c3", &first).await.unwrap();
    let good = hub.token(bound("c1", 600)).await;
    let guessed = format!(
        "{}{}",
        &good[..good.len() - 1],
        if good.ends_with('0') { '1' } else { '0' }
    );
    let mut answers = Vec::new();
    let mut times = Vec::new();
    for (what, token, cluster) in [
        ("unknown", "flt_000000000000_00", "c1"),
        ("malformed", "nonsense", "c1"),
        ("one digit off", guessed.as_str(), "c1"),
        ("for another cluster", &foreign, "c1"),
        ("revoked", &revoked, "c1"),
        ("redeemed by another key", &spent, "c3"),
    ] {
        let began = std::time::Instant::now();
        let status = hub.try_enroll(token, cluster, &key).await.unwrap_err();
        times.push(began.elapsed());
        answers.push((what, status.code(), status.message().to_owned()));
    }
    let expired = eventually("it ends", Duration::from_secs(10), || async {
        let status = hub.try_enroll(&short, "c1", &first).await.err()?;
        Some(("expired", status.code(), status.message().to_owned()))
    });
    answers.push(expired.await.unwrap());
    let (_, code, message) = answers[0].clone();
    assert_eq!(code, Code::PermissionDenied);
    for answer in &answers {
        assert_eq!((answer.1, &answer.2), (code, &message), "{}", answer.0);
    }
    // Each waits for the same time, beside which a lookup is nothing.
    let shortest = times.iter().min().unwrap();
    assert!(*shortest >= Duration::from_millis(250), "{times:?}");
    // None of this has used the good one up.
    assert!(hub.enroll(&good, "c1", &key).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_nothing_below_tls_1_3_is_spoken() {
    let hub = Hub::new().await;
    let mut roots = rustls::RootCertStore::empty();
    for root in tls::certificates("roots", hub.authority().trust_bundle()).unwrap() {
        roots.add(root).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    for (version, is_taken) in [
        (&rustls::version::TLS12, false),
        (&rustls::version::TLS13, true),
    ] {
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = tokio::net::TcpStream::connect(hub.running.address).await;
        let name = flotilla_shared::identity::HUB_SERVER_NAME
            .try_into()
            .unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let connected = connector.connect(name, tcp.unwrap()).await;
        assert_eq!(connected.is_ok(), is_taken, "{version:?}");
    }
}
