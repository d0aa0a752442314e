//! A connection to a hub's Fleet API.

use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::tls::TlsIdentity;
use flotilla_shared::{dial, tls};
use flotilla_status::{Cluster, Environment};
use jiff::Timestamp;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::context::Context;
use crate::error::Error;
use crate::patient::Patient;

/// Largest accepted answer, bytes: many times a page of 100 clusters with their objects.
const MAX_MESSAGE: usize = 64 << 20;
/// Clusters of one page.
const PAGE: u32 = 100;
/// Highest number of pages: a hub whose pages never end is broken.
const MAX_PAGES: usize = 1000;

/// Credential of a caller without a certificate.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// The generated client.
pub(crate) type Api = FleetServiceClient<InterceptedService<Patient, Bearer>>;

/// Connects to a hub whose certificate is issued by `trust_bundle`.
pub(crate) async fn channel(
    hub: &str,
    trust_bundle: &str,
    identity: Option<&TlsIdentity>,
) -> Result<Channel, Error> {
    tls::install_provider();
    let config = tls::client_config(trust_bundle, identity)?;
    Ok(dial::dial(hub, Arc::new(config)).await?)
}

/// Amount of detail of each cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Clusters and applications without their objects.
    Summary,
    /// Everything, including objects.
    Full,
}

/// The Fleet API with a time-out on each call.
#[derive(Clone)]
pub(crate) struct Client {
    api: Api,
    service: InterceptedService<Patient, Bearer>,
    timeout: Duration,
}

impl Client {
    /// Connects with the context's address and credential.
    pub(crate) async fn connect(context: &Context, timeout: Duration) -> Result<Self, Error> {
        if let Some(end) = context.ended(Timestamp::now()) {
            return Err(Error::Expired {
                context: context.name.clone(),
                end: end.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            });
        }
        let identity = context.identity();
        let channel = channel(&context.hub, &context.trust_bundle, identity.as_ref()).await?;
        let bearer = match &context.login {
            Some(login) => {
                let value: MetadataValue<_> = format!("Bearer {}", login.id_token)
                    .parse()
                    .map_err(|_| Error::Context("the login is not a token".to_owned()))?;
                Some(value)
            }
            None => None,
        };
        let service = InterceptedService::new(Patient::new(channel, timeout), Bearer(bearer));
        Ok(Self {
            api: FleetServiceClient::new(service.clone()).max_decoding_message_size(MAX_MESSAGE),
            service,
            timeout,
        })
    }

    /// Makes a request with the time limit.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    /// Returns the same connection in the form that pages need.
    pub(crate) fn pages(&self) -> flotilla_web::Api {
        let service = ServiceBuilder::new()
            .map_response(|answer: http::Response<_>| answer.map(tonic::body::Body::new))
            .map_err(|error: tonic::transport::Error| Status::from_error(Box::new(error)))
            .service(self.service.clone());
        FleetServiceClient::new(BoxCloneSyncService::new(service))
            .max_decoding_message_size(MAX_MESSAGE)
    }

    /// Returns the generated client for one call.
    pub(crate) fn api(&self) -> Api {
        self.api.clone()
    }

    /// Returns all environments, in the order of the fleet file.
    pub(crate) async fn environments(&self) -> Result<Vec<Environment>, Error> {
        let request = self.request(v1::ListEnvironmentsRequest {});
        let answer = self.api().list_environments(request).await?.into_inner();
        Ok(answer.environments.iter().map(Environment::from).collect())
    }

    /// Returns all clusters of a filter, page by page.
    pub(crate) async fn clusters(
        &self,
        filter: &v1::ClusterFilter,
        detail: Detail,
    ) -> Result<Vec<Cluster>, Error> {
        let mut clusters = Vec::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let request = self.request(v1::ListClustersRequest {
                filter: Some(filter.clone()),
                page_size: PAGE,
                page_token,
                summary: detail == Detail::Summary,
            });
            let page = self.api().list_clusters(request).await?.into_inner();
            clusters.extend(page.clusters.iter().map(Cluster::from));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(clusters);
            }
        }
        Err(Error::Answer("an end of its pages"))
    }

    /// Starts a watch. Its stream has no time-out; HTTP/2 pings find a peer that is gone.
    pub(crate) async fn watch(
        &self,
        filter: &v1::ClusterFilter,
    ) -> Result<tonic::Streaming<v1::WatchResponse>, Error> {
        let request = v1::WatchRequest {
            filter: Some(filter.clone()),
            summary: true,
        };
        Ok(self.api().watch(request).await?.into_inner())
    }
}
