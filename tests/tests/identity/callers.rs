//! Which callers are admitted, and to which methods.

use crate::*;

/// The code of a refusal; none: the call succeeded.
fn code<T>(answer: &Result<T, tonic::Status>) -> Option<Code> {
    answer.as_ref().err().map(tonic::Status::code)
}

/// Whether the connection fails, or a call over it.
async fn is_refused<E>(connected: Result<Channel, E>) -> bool {
    let Ok(channel) = connected else {
        return true;
    };
    let mut api = FleetServiceClient::new(channel);
    api.get_hub(v1::GetHubRequest {}).await.is_err()
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
            code(&api.get_hub(v1::GetHubRequest {}).await),
            code(&api.list_clusters(v1::ListClustersRequest::default()).await),
            code(&api.list_environments(v1::ListEnvironmentsRequest {}).await),
            code(
                &api.list_applications(v1::ListApplicationsRequest::default())
                    .await,
            ),
            code(&api.list_tokens(v1::ListTokensRequest {}).await),
            code(&api.watch(v1::WatchRequest::default()).await),
            code(&api.refresh(v1::RefreshRequest::default()).await),
        ];
        assert_eq!(codes, [want; 7]);
    }
    for (identity, want) in [
        (None, Code::Unauthenticated),
        (Some(&operator), Code::PermissionDenied),
    ] {
        assert_eq!(
            code(&connect(hub.channel(identity).await).await),
            Some(want)
        );
        let renew = EnrollmentServiceClient::new(hub.channel(identity).await)
            .renew(v1::RenewRequest::default())
            .await;
        assert_eq!(code(&renew), Some(want));
    }
    // An agent without a record at the hub receives nothing, even with a valid certificate.
    let unknown = connect(hub.channel(Some(&cluster)).await).await;
    assert_eq!(code(&unknown), Some(Code::PermissionDenied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e14_strangers_and_plaintext_get_no_connection() {
    let hub = Hub::new().await;
    let address = hub.0.address.to_string();
    let other = tempfile::tempdir().unwrap();
    let foreign = Authority::init(other.path(), Timestamp::now()).unwrap();
    // Agents refuse a hub with a certificate of another authority.
    let config = tls::client_config(foreign.trust_bundle(), None).unwrap();
    assert!(dial(&address, Arc::new(config)).await.is_err());
    // The hub refuses a client certificate of another authority.
    let identity: Identity = "spiffe://flotilla/operator/ada".parse().unwrap();
    let theirs = foreign.operator(&identity, Timestamp::now()).unwrap();
    let config = tls::client_config(hub.authority().trust_bundle(), Some(&theirs)).unwrap();
    assert!(is_refused(dial(&address, Arc::new(config)).await).await);
    let plain = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap();
    assert!(is_refused(plain.connect().await).await);
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
        let tcp = tokio::net::TcpStream::connect(hub.0.address).await;
        let name = flotilla_shared::identity::HUB_SERVER_NAME
            .try_into()
            .unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let connected = connector.connect(name, tcp.unwrap()).await;
        assert_eq!(connected.is_ok(), is_taken, "{version:?}");
    }
}
