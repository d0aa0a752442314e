//! Every method of the Fleet API against every role, over real mTLS, generated from the API's own
//! descriptor: a method that is added without an entry here fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_hub::app::{self, Config};
use flotilla_hub::authority::Authority;
use flotilla_hub::serve::access::Need;
use flotilla_hub::serve::oidc;
use flotilla_hub::store::Role;
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::tls;
use flotilla_tests::eventually;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::raw_codec::Raw;
use flotilla_tests::simulated::Enrolled;
use jiff::Timestamp;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;

/// What each method asks for. Steer depends on its action and is tested below.
const METHODS: &[(&str, Need)] = &[
    ("ListEnvironments", Need::See),
    ("ListApplications", Need::See),
    ("ListClusters", Need::See),
    ("GetCluster", Need::See),
    ("Explain", Need::See),
    ("Watch", Need::See),
    ("PreviewPromotion", Need::See),
    ("Diff", Need::See),
    ("MoveBranches", Need::Promote),
    ("StartPlan", Need::Plan),
    ("GetPlan", Need::See),
    ("Refresh", Need::See),
    ("CreateToken", Need::Administer),
    ("ListTokens", Need::See),
    ("RevokeToken", Need::Administer),
    ("AcceptCluster", Need::Administer),
    ("RemoveCluster", Need::Administer),
    ("UnlockCluster", Need::Administer),
    ("RenewOperator", Need::See),
    ("GetHub", Need::See),
    ("ListRepositories", Need::See),
    ("ListRollouts", Need::See),
    ("GetRollout", Need::See),
    ("Steer", Need::See),
    ("ListAudit", Need::See),
    ("FollowAudit", Need::See),
    ("VerifyAudit", Need::See),
    ("ListOperators", Need::See),
    ("SetOperator", Need::Administer),
    ("RemoveOperator", Need::Administer),
    ("CompareFleetFile", Need::See),
];

const ACTIONS: &[(v1::SteerAction, Need)] = &[
    (v1::SteerAction::Pause, Need::Promote),
    (v1::SteerAction::Resume, Need::Promote),
    (v1::SteerAction::Retry, Need::Promote),
    (v1::SteerAction::Abort, Need::Promote),
    (v1::SteerAction::Pin, Need::Promote),
    (v1::SteerAction::Unpin, Need::Promote),
    (v1::SteerAction::Approve, Need::Approve),
    (v1::SteerAction::Override, Need::Administer),
    (v1::SteerAction::Rollback, Need::Promote),
    (v1::SteerAction::Promote, Need::Promote),
    (v1::SteerAction::Suspend, Need::Promote),
    (v1::SteerAction::RemoveApplication, Need::Promote),
];

/// The status that a method answers with; for streams, the first one.
async fn call(channel: &Channel, method: &str, token: &str) -> Code {
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = format!("/flotilla.v1.FleetService/{method}")
        .parse()
        .unwrap();
    let mut request = tonic::Request::new(Bytes::new());
    if !token.is_empty() {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    match grpc.server_streaming(request, path, Raw).await {
        Err(status) => status.code(),
        Ok(stream) => {
            let mut stream = stream.into_inner();
            let first = std::time::Duration::from_millis(200);
            // A stream that says nothing was let in.
            match tokio::time::timeout(first, stream.message()).await {
                Ok(Err(status)) => status.code(),
                _ => Code::Ok,
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e13_each_method_and_action_is_for_the_roles_it_is_for() {
    tls::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::init(directory.path(), Timestamp::now()).unwrap();
    let enrolled = Enrolled::with(authority).unwrap();
    let fleet = directory.path().join("fleet.yaml");
    std::fs::write(
        &fleet,
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{name: prod, branch: prod, strategy: {}}, {name: dev, branch: dev, strategy: {}}]\n",
    )
    .unwrap();
    let hub = app::start(Config {
        data_dir: directory.path().to_owned(),
        fleet,
        listen: "127.0.0.1:0".to_owned(),
        ..Config::default()
    })
    .await
    .unwrap();
    let address = hub.address.to_string();
    let connect = async |uri: &str| {
        let identity = enrolled.identity(&uri.parse().unwrap()).unwrap();
        let tls = tls::client_config(enrolled.trust_bundle(), Some(&identity)).unwrap();
        dial(&address, Arc::new(tls)).await.unwrap()
    };
    let admin = connect("spiffe://flotilla/operator/admin").await;
    let mut roles = BTreeMap::new();
    for role in Role::ALL {
        let name = format!("as-{}", role.as_str());
        let request = v1::SetOperatorRequest {
            name: name.clone(),
            role: role.as_str().to_owned(),
            ..v1::SetOperatorRequest::default()
        };
        let mut api = FleetServiceClient::new(admin.clone());
        api.set_operator(request).await.unwrap();
        let channel = connect(&format!("spiffe://flotilla/operator/{name}")).await;
        roles.insert(role, channel);
    }

    // The list above is complete.
    let set = prost_types::FileDescriptorSet::decode(flotilla_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut declared: Vec<String> = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .filter(|service| service.name() == "FleetService")
        .flat_map(|service| &service.method)
        .map(|method| method.name().to_owned())
        .collect();
    let mut listed: Vec<String> = METHODS.iter().map(|(name, _)| (*name).to_owned()).collect();
    declared.sort();
    listed.sort();
    assert_eq!(declared, listed);

    for (role, channel) in &roles {
        for (method, need) in METHODS {
            let code = call(channel, method, "").await;
            let denied = code == Code::PermissionDenied;
            assert_eq!(
                denied,
                !need.is_met_by(*role),
                "{role:?} {method}: {code:?}"
            );
        }
        for (action, need) in ACTIONS {
            let request = v1::SteerRequest {
                action: (*action).into(),
                environment: "prod".to_owned(),
                commit: "3f2a9c1b".repeat(5),
                reason: "a test".to_owned(),
                cluster: match action {
                    v1::SteerAction::Suspend => "c1".to_owned(),
                    _ => String::new(),
                },
                application: match action {
                    v1::SteerAction::RemoveApplication => "shop".to_owned(),
                    _ => String::new(),
                },
                ..v1::SteerRequest::default()
            };
            let answer = FleetServiceClient::new(channel.clone())
                .steer(request)
                .await;
            let code = answer.err().map_or(Code::Ok, |status| status.code());
            let denied = code == Code::PermissionDenied;
            assert_eq!(
                denied,
                !need.is_met_by(*role),
                "{role:?} {action:?}: {code:?}"
            );
        }
    }

    // A role for one environment is none for another.
    let request = v1::SetOperatorRequest {
        name: "as-promoter".to_owned(),
        role: "promoter".to_owned(),
        environments: vec!["dev".to_owned()],
        ..v1::SetOperatorRequest::default()
    };
    let mut api = FleetServiceClient::new(admin.clone());
    api.set_operator(request).await.unwrap();
    for (environment, allowed) in [("dev", true), ("prod", false)] {
        let request = v1::SteerRequest {
            action: v1::SteerAction::Pause.into(),
            environment: environment.to_owned(),
            reason: "a test".to_owned(),
            ..v1::SteerRequest::default()
        };
        let channel = roles[&Role::Promoter].clone();
        let answer = FleetServiceClient::new(channel).steer(request).await;
        assert_eq!(answer.is_ok(), allowed, "{environment}: {answer:?}");
    }

    // An agent's certificate and none at all get nowhere, whatever the method.
    let agent = connect("spiffe://flotilla/cluster/c0").await;
    let tls = tls::client_config(enrolled.trust_bundle(), None).unwrap();
    let nobody = dial(&address, Arc::new(tls)).await.unwrap();
    for (method, _) in METHODS {
        assert_eq!(
            call(&agent, method, "").await,
            Code::PermissionDenied,
            "{method}"
        );
        assert_eq!(
            call(&nobody, method, "").await,
            Code::Unauthenticated,
            "{method}"
        );
    }

    // I2: all of it is in the audit log, whose chain holds.
    let verified = api.verify_audit(v1::VerifyAuditRequest {}).await.unwrap();
    let verified = verified.into_inner();
    assert_eq!(verified.broken, "");
    assert!(verified.entries > 5, "{verified:?}");
    hub.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e13_each_method_is_for_the_roles_of_people_who_log_in_too() {
    tls::install_provider();
    let issuer = Issuer::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::init(directory.path(), Timestamp::now()).unwrap();
    let enrolled = Enrolled::with(authority).unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(
        path("fleet.yaml"),
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{name: prod, branch: prod, strategy: {}}, {name: dev, branch: dev, strategy: {}}]\n",
    )
    .unwrap();
    let mut grants = String::new();
    for role in Role::ALL {
        let role = role.as_str();
        grants.push_str(&format!("- {{group: as-{role}, role: {role}}}\n"));
    }
    grants.push_str("- {user: bob@example.org, role: promoter, environments: [dev]}\n");
    std::fs::write(
        path("oidc.yaml"),
        format!(
            "issuer: {}\nclientId: flotilla\ngrants:\n{grants}",
            issuer.url
        ),
    )
    .unwrap();
    let hub = app::start(Config {
        data_dir: directory.path().to_owned(),
        fleet: path("fleet.yaml"),
        listen: "127.0.0.1:0".to_owned(),
        oidc: Some(oidc::Config::read(&path("oidc.yaml")).unwrap()),
        ..Config::default()
    })
    .await
    .unwrap();
    let address = hub.address.to_string();
    let tls = tls::client_config(enrolled.trust_bundle(), None).unwrap();
    let nobody = dial(&address, Arc::new(tls)).await.unwrap();
    let ready = issuer.token("ada@example.org", &["as-viewer"], &[]);
    eventually(
        "keys are fetched",
        std::time::Duration::from_secs(20),
        || async { (call(&nobody, "GetHub", &ready).await == Code::Ok).then_some(()) },
    )
    .await
    .unwrap();
    for role in Role::ALL {
        let group = format!("as-{}", role.as_str());
        let token = issuer.token("ada@example.org", &[&group, "everybody"], &[]);
        for (method, need) in METHODS {
            let code = call(&nobody, method, &token).await;
            let denied = code == Code::PermissionDenied;
            // Without a certificate there is none to renew.
            let want = need.is_met_by(role) && *method != "RenewOperator";
            assert_eq!(!denied, want, "{role:?} {method}: {code:?}");
            assert_ne!(code, Code::Unauthenticated, "{role:?} {method}");
        }
    }
    // In no group that has a role: nothing, though no operator was ever named.
    let token = issuer.token("eve@example.org", &["everybody"], &[]);
    assert_eq!(
        call(&nobody, "GetHub", &token).await,
        Code::PermissionDenied
    );
    // Tokens that are not good are no tokens.
    let now = Timestamp::now().as_second();
    for changes in [
        ("exp", serde_json::json!(now - 3600)),
        ("aud", serde_json::json!("another")),
        ("iss", serde_json::json!("https://elsewhere.example.org")),
        ("email_verified", serde_json::json!(false)),
    ] {
        let token = issuer.token("ada@example.org", &["as-admin"], &[changes]);
        assert_eq!(call(&nobody, "GetHub", &token).await, Code::Unauthenticated);
    }
    let other = Issuer::start().await.unwrap();
    let claim = [("iss", serde_json::json!(issuer.url))];
    let forged = other.token("ada@example.org", &["as-admin"], &claim);
    assert_eq!(
        call(&nobody, "GetHub", &forged).await,
        Code::Unauthenticated
    );
    // A certificate says who calls, whatever token comes with it.
    let identity = enrolled
        .identity(&"spiffe://flotilla/cluster/c0".parse().unwrap())
        .unwrap();
    let tls = tls::client_config(enrolled.trust_bundle(), Some(&identity)).unwrap();
    let agent = dial(&address, Arc::new(tls)).await.unwrap();
    let admin = issuer.token("ada@example.org", &["as-admin"], &[]);
    assert_eq!(call(&agent, "GetHub", &admin).await, Code::PermissionDenied);
    // A role for one environment is none for another, and the audit log names the person.
    let token = issuer.token("bob@example.org", &[], &[]);
    for (environment, allowed) in [("dev", true), ("prod", false)] {
        let mut request = tonic::Request::new(v1::SteerRequest {
            action: v1::SteerAction::Pause.into(),
            environment: environment.to_owned(),
            reason: "a test".to_owned(),
            ..v1::SteerRequest::default()
        });
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        let answer = FleetServiceClient::new(nobody.clone()).steer(request).await;
        assert_eq!(answer.is_ok(), allowed, "{environment}: {answer:?}");
    }
    let mut request = tonic::Request::new(v1::ListAuditRequest::default());
    let value = format!("Bearer {admin}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    let audit = FleetServiceClient::new(nobody)
        .list_audit(request)
        .await
        .unwrap()
        .into_inner();
    let paused = audit.entries.iter().find(|one| one.action == "pause");
    assert_eq!(paused.unwrap().actor, "oidc:bob@example.org");
}
