//! Every method of the Fleet API against every role, over real mTLS, generated from the API's own descriptor: a method
//! without an entry here fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_hub::serve::access::Need;
use flotilla_hub::store::Role;
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_tests::eventually;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::raw_codec::Raw;
use flotilla_tests::test_hub::TestHub;
use jiff::Timestamp;
use prost::Message as _;
use tonic::Code;
use tonic::transport::Channel;

/// The right that each method requires. That of Steer depends on its action, and is tested below.
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

/// Two environments without applications.
const FLEET: &str = "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nenvironments: [{name: prod, branch: prod, strategy: {}}, {name: dev, branch: dev, strategy: {}}]\n";

/// A connection with a certificate.
async fn connect(hub: &TestHub, uri: &str) -> Channel {
    hub.channel(Some(uri)).await.unwrap()
}

/// An operator to whom the administrator has granted this role everywhere.
async fn operator(hub: &TestHub, admin: &Channel, role: Role) -> Channel {
    let name = format!("as-{}", role.as_str());
    let request = v1::SetOperatorRequest {
        name: name.clone(),
        role: role.as_str().to_owned(),
        ..v1::SetOperatorRequest::default()
    };
    let mut api = FleetServiceClient::new(admin.clone());
    api.set_operator(request).await.unwrap();
    connect(hub, &format!("spiffe://flotilla/operator/{name}")).await
}

/// A group for each role, and a person with a role in one environment.
fn grants() -> String {
    let mut grants = "grants:\n".to_owned();
    for role in Role::ALL {
        let role = role.as_str();
        grants.push_str(&format!("- {{group: as-{role}, role: {role}}}\n"));
    }
    grants + "- {user: bob@example.org, role: promoter, environments: [dev]}"
}

/// The status that a method returns; for streams, that of the first message.
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
            // A stream that stays silent was admitted.
            match tokio::time::timeout(first, stream.message()).await {
                Ok(Err(status)) => status.code(),
                _ => Code::Ok,
            }
        }
    }
}

/// The list of methods matches the API's descriptor.
fn assert_every_method_is_listed() {
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
}

/// An action with valid parameters, so that only the role can be missing.
fn whole(action: v1::SteerAction) -> v1::SteerRequest {
    v1::SteerRequest {
        action: action.into(),
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
    }
}

/// The pause of an environment.
fn pause(environment: &str) -> v1::SteerRequest {
    v1::SteerRequest {
        action: v1::SteerAction::Pause.into(),
        environment: environment.to_owned(),
        reason: "a test".to_owned(),
        ..v1::SteerRequest::default()
    }
}

/// Each method and each action, called by an operator with this role.
async fn assert_only_what_is_for_it(role: Role, channel: &Channel) {
    for (method, need) in METHODS {
        let code = call(channel, method, "").await;
        let denied = code == Code::PermissionDenied;
        assert_eq!(denied, !need.is_met_by(role), "{role:?} {method}: {code:?}");
    }
    for (action, need) in ACTIONS {
        let answer = FleetServiceClient::new(channel.clone())
            .steer(whole(*action))
            .await;
        let code = answer.err().map_or(Code::Ok, |status| status.code());
        let denied = code == Code::PermissionDenied;
        assert_eq!(
            denied,
            !need.is_met_by(role),
            "{role:?} {action:?}: {code:?}"
        );
    }
}

/// A role in one environment gives no rights in another.
async fn assert_role_ends_with_its_environment(admin: &Channel, promoter: &Channel) {
    let request = v1::SetOperatorRequest {
        name: "as-promoter".to_owned(),
        role: "promoter".to_owned(),
        environments: vec!["dev".to_owned()],
        ..v1::SetOperatorRequest::default()
    };
    let mut api = FleetServiceClient::new(admin.clone());
    api.set_operator(request).await.unwrap();
    for (environment, allowed) in [("dev", true), ("prod", false)] {
        let answer = FleetServiceClient::new(promoter.clone())
            .steer(pause(environment))
            .await;
        assert_eq!(answer.is_ok(), allowed, "{environment}: {answer:?}");
    }
}

/// With an agent's certificate or none, every method is refused.
async fn assert_agents_and_nobody_get_nowhere(hub: &TestHub) {
    let agent = connect(hub, "spiffe://flotilla/cluster/c0").await;
    let nobody = hub.channel(None).await.unwrap();
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
}

/// Without any grant everyone with a certificate is an admin, so the last one must not be removed by a race.
#[tokio::test(flavor = "multi_thread")]
async fn e13_two_admins_who_remove_each_other_at_once_leave_one() {
    let mut hub = TestHub::builder().fleet(FLEET).start().await.unwrap();
    let names = ["admin", "second"];
    let uri = |name: &str| format!("spiffe://flotilla/operator/{name}");
    let mut channels = Vec::new();
    for name in names {
        channels.push(FleetServiceClient::new(connect(&hub, &uri(name)).await));
    }
    let set = |name: &str| v1::SetOperatorRequest {
        name: name.to_owned(),
        role: "admin".to_owned(),
        ..v1::SetOperatorRequest::default()
    };
    let remove = |name: &str| v1::RemoveOperatorRequest {
        name: name.to_owned(),
        ..v1::RemoveOperatorRequest::default()
    };
    channels[0].set_operator(set(names[1])).await.unwrap();
    for turn in 0..20 {
        let (mut first, mut second) = (channels[0].clone(), channels[1].clone());
        let (first, second) = tokio::join!(
            first.remove_operator(remove(names[1])),
            second.remove_operator(remove(names[0])),
        );
        assert_ne!(
            first.is_ok(),
            second.is_ok(),
            "{turn}: {first:?} {second:?}"
        );
        let left = usize::from(second.is_ok());
        let refused = first.err().or(second.err()).unwrap();
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
        channels[left]
            .set_operator(set(names[1 - left]))
            .await
            .unwrap();
    }
    channels[0].remove_operator(remove(names[1])).await.unwrap();
    hub.stop().await.unwrap();
    hub.start().await.unwrap();
    let stranger = connect(&hub, &uri("stranger")).await;
    let mut stranger = FleetServiceClient::new(stranger);
    let denied = stranger.set_operator(set("stranger")).await;
    assert_eq!(denied.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn e13_each_method_and_action_is_for_the_roles_it_is_for() {
    let mut hub = TestHub::builder().fleet(FLEET).start().await.unwrap();
    let admin = connect(&hub, "spiffe://flotilla/operator/admin").await;
    let mut roles = BTreeMap::new();
    for role in Role::ALL {
        roles.insert(role, operator(&hub, &admin, role).await);
    }
    assert_every_method_is_listed();
    for (role, channel) in &roles {
        assert_only_what_is_for_it(*role, channel).await;
    }
    assert_role_ends_with_its_environment(&admin, &roles[&Role::Promoter]).await;
    assert_agents_and_nobody_get_nowhere(&hub).await;

    // I2: every call is in the audit log, whose hash chain is intact.
    let mut api = FleetServiceClient::new(admin);
    let verified = api.verify_audit(v1::VerifyAuditRequest {}).await.unwrap();
    let verified = verified.into_inner();
    assert_eq!(verified.broken, "");
    assert!(verified.entries > 5, "{verified:?}");
    hub.stop().await.unwrap();
}

/// A request with a token.
fn with_token<T>(request: T, token: &str) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// Users of an issuer, without certificates.
struct People {
    issuer: Issuer,
    nobody: Channel,
}

impl People {
    /// Waits until the hub has the issuer's keys.
    async fn are_known(&self) {
        let ready = self.issuer.token("ada@example.org", &["as-viewer"], &[]);
        eventually(
            "keys are fetched",
            std::time::Duration::from_secs(20),
            || async { (call(&self.nobody, "GetHub", &ready).await == Code::Ok).then_some(()) },
        )
        .await
        .unwrap();
    }

    /// Each method, called by a user whose group has this role.
    async fn assert_only_what_is_for(&self, role: Role) {
        let group = format!("as-{}", role.as_str());
        let groups = [group.as_str(), "everybody"];
        let token = self.issuer.token("ada@example.org", &groups, &[]);
        for (method, need) in METHODS {
            let code = call(&self.nobody, method, &token).await;
            let denied = code == Code::PermissionDenied;
            // Without a certificate there is none to renew.
            let want = need.is_met_by(role) && *method != "RenewOperator";
            assert_eq!(!denied, want, "{role:?} {method}: {code:?}");
            assert_ne!(code, Code::Unauthenticated, "{role:?} {method}");
        }
    }

    /// Users without a role have no rights, even if no operator was ever named.
    async fn assert_no_role_is_nothing(&self) {
        let token = self.issuer.token("eve@example.org", &["everybody"], &[]);
        assert_eq!(
            call(&self.nobody, "GetHub", &token).await,
            Code::PermissionDenied
        );
    }

    /// Invalid tokens are refused.
    async fn assert_bad_tokens_are_none(&self) {
        let now = Timestamp::now().as_second();
        for changes in [
            ("exp", serde_json::json!(now - 3600)),
            ("aud", serde_json::json!("another")),
            ("iss", serde_json::json!("https://elsewhere.example.org")),
            ("email_verified", serde_json::json!(false)),
        ] {
            let token = self
                .issuer
                .token("ada@example.org", &["as-admin"], &[changes]);
            assert_eq!(
                call(&self.nobody, "GetHub", &token).await,
                Code::Unauthenticated
            );
        }
        let other = Issuer::start().await.unwrap();
        let claim = [("iss", serde_json::json!(self.issuer.url))];
        let forged = other.token("ada@example.org", &["as-admin"], &claim);
        assert_eq!(
            call(&self.nobody, "GetHub", &forged).await,
            Code::Unauthenticated
        );
    }

    /// A role in one environment gives no rights in another, and the audit log names the user.
    async fn assert_role_ends_with_its_environment(&self, admin: &str) {
        let token = self.issuer.token("bob@example.org", &[], &[]);
        for (environment, allowed) in [("dev", true), ("prod", false)] {
            let request = with_token(pause(environment), &token);
            let answer = FleetServiceClient::new(self.nobody.clone())
                .steer(request)
                .await;
            assert_eq!(answer.is_ok(), allowed, "{environment}: {answer:?}");
        }
        let request = with_token(v1::ListAuditRequest::default(), admin);
        let audit = FleetServiceClient::new(self.nobody.clone())
            .list_audit(request)
            .await
            .unwrap()
            .into_inner();
        let paused = audit.entries.iter().find(|entry| entry.action == "pause");
        assert_eq!(paused.unwrap().actor, "oidc:bob@example.org");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn e13_each_method_is_for_the_roles_of_people_who_log_in_too() {
    let issuer = Issuer::start().await.unwrap();
    let hub = TestHub::builder().fleet(FLEET).issuer(&issuer, &grants());
    let hub = hub.start().await.unwrap();
    let nobody = hub.channel(None).await.unwrap();
    let people = People { issuer, nobody };
    people.are_known().await;
    for role in Role::ALL {
        people.assert_only_what_is_for(role).await;
    }
    people.assert_no_role_is_nothing().await;
    people.assert_bad_tokens_are_none().await;
    // A certificate decides who the caller is, even if a token is sent as well.
    let agent = connect(&hub, "spiffe://flotilla/cluster/c0").await;
    let admin = people.issuer.token("ada@example.org", &["as-admin"], &[]);
    assert_eq!(call(&agent, "GetHub", &admin).await, Code::PermissionDenied);
    people.assert_role_ends_with_its_environment(&admin).await;
}
