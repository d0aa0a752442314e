//! A client of the hub's Fleet API.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::tls::{self, TlsIdentity};
use serde_json::Value;
use tonic::transport::Channel;

/// An operator's connection.
#[derive(Clone)]
pub struct Operator {
    pub api: FleetServiceClient<Channel>,
    /// Roots of the hub, PEM.
    pub trust_bundle: String,
}

impl Operator {
    /// Connects with a context file that `flotilla-hub init` wrote.
    ///
    /// # Errors
    /// When the file cannot be used or the hub not be reached.
    pub async fn connect(context: &Path, address: &str) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(context)?;
        let file: Value = flotilla_yaml::config::from_str(&context.display().to_string(), &text)?;
        let field = |name: &str| {
            file.get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .context(name.to_owned())
        };
        let identity = TlsIdentity {
            chain_pem: field("certificate")?,
            key_pem: field("key")?,
        };
        let trust_bundle = field("trustBundle")?;
        let config = tls::client_config(&trust_bundle, Some(&identity))?;
        let channel = dial(address, Arc::new(config)).await?;
        Ok(Self::over(channel, &trust_bundle))
    }

    /// Over an existing connection with an operator's certificate.
    #[must_use]
    pub fn over(channel: Channel, trust_bundle: &str) -> Self {
        Self {
            api: FleetServiceClient::new(channel).max_decoding_message_size(64 << 20),
            trust_bundle: trust_bundle.to_owned(),
        }
    }

    /// A join token for a cluster that is accepted in advance.
    ///
    /// # Errors
    /// When the hub refuses.
    pub async fn token(&mut self, cluster: &str, environment: &str) -> anyhow::Result<String> {
        let request = v1::CreateTokenRequest {
            cluster: cluster.to_owned(),
            environment: environment.to_owned(),
            lifetime_seconds: 3600,
            auto_accept: true,
            ..v1::CreateTokenRequest::default()
        };
        Ok(self.api.create_token(request).await?.into_inner().token)
    }

    /// The status of a cluster; none if the hub does not know it.
    pub async fn cluster(&mut self, name: &str) -> Option<v1::ClusterStatus> {
        let request = v1::GetClusterRequest {
            name: name.to_owned(),
        };
        self.api
            .get_cluster(request)
            .await
            .ok()?
            .into_inner()
            .cluster
    }
}

/// The report of an application in a cluster's status.
#[must_use]
pub fn application<'c>(
    cluster: &'c v1::ClusterStatus,
    name: &str,
) -> Option<&'c v1::ApplicationReport> {
    cluster
        .applications
        .iter()
        .filter_map(|placement| placement.report.as_ref())
        .find(|report| report.application == name)
}
