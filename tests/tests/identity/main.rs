//! Authorisation over real mTLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod callers;
mod copies;
mod joining;

use std::sync::Arc;
use std::time::Duration;

use flotilla_hub::authority::{Authority, Rotation};
use flotilla_proto::v1;
use flotilla_proto::v1::agent_service_client::AgentServiceClient;
use flotilla_proto::v1::enrollment_service_client::EnrollmentServiceClient;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::identity::Identity;
use flotilla_shared::tls::{self, TlsIdentity};
use flotilla_tests::eventually;
use flotilla_tests::test_hub::TestHub;
use jiff::Timestamp;
use tonic::Code;
use tonic::transport::Channel;

/// A hub whose authority changes: callers have a certificate of the current one, and trust that.
struct Hub(TestHub);

impl Hub {
    async fn new() -> Self {
        Self(TestHub::builder().start().await.unwrap())
    }

    fn authority(&self) -> Authority {
        self.0.authority().unwrap()
    }

    fn identity(&self, uri: &str) -> TlsIdentity {
        let identity: Identity = uri.parse().unwrap();
        self.authority()
            .operator(&identity, Timestamp::now())
            .unwrap()
    }

    async fn channel(&self, identity: Option<&TlsIdentity>) -> Channel {
        let config = tls::client_config(self.authority().trust_bundle(), identity).unwrap();
        dial(&self.0.address.to_string(), Arc::new(config))
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

    /// The hub's first message on a stream, or why there is none.
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
