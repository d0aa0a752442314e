//! How the agent reaches its own API server: a kubeconfig, or the pod's account. Certificates and tokens that
//! are rotated are picked up without a restart (A20).

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use flotilla_shared::digest::Digest;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use parking_lot::RwLock;

/// Interval between checks of the files.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// After this much silence, a connection is assumed to be broken.
const PATIENCE: Duration = Duration::from_secs(8);
/// The root certificates and the token in a pod.
const POD_FILES: [&str; 2] = [
    "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
];

/// Source of the configuration.
#[derive(Debug, Clone)]
struct Origin {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
}

impl Origin {
    fn read(&self) -> anyhow::Result<Option<Kubeconfig>> {
        let Some(path) = &self.kubeconfig else {
            return Ok(None);
        };
        super::kubeconfig::read(path).map(Some)
    }

    async fn client(&self) -> anyhow::Result<kube::Client> {
        let mut config = match self.read()? {
            Some(kubeconfig) => {
                let options = KubeConfigOptions {
                    context: self.context.clone(),
                    ..KubeConfigOptions::default()
                };
                kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?
            }
            None => kube::Config::incluster()
                .context("not in a pod; give --kubeconfig to work on another cluster")?,
        };
        // Watches can be silent for as long as their kinds do not change; each request has its own limit.
        config.read_timeout = None;
        // Retries are decided in one place only: `api`.
        config.default_retry = false;
        Ok(kube::Client::try_from(config)?)
    }

    /// A digest of every file that the client was built from.
    fn content(&self) -> Digest {
        let mut files = match &self.kubeconfig {
            Some(path) => vec![path.clone()],
            None => POD_FILES.map(PathBuf::from).to_vec(),
        };
        if let Ok(Some(kubeconfig)) = self.read() {
            let clusters = kubeconfig.clusters.iter().flat_map(|c| &c.cluster);
            files.extend(clusters.flat_map(|c| c.certificate_authority.as_ref().map(Into::into)));
            for user in kubeconfig.auth_infos.iter().flat_map(|u| &u.auth_info) {
                files.extend(user.client_certificate.as_ref().map(Into::into));
                files.extend(user.client_key.as_ref().map(Into::into));
                // The client reads this file again by itself as well, but up to a minute late.
                files.extend(user.token_file.as_ref().map(Into::into));
            }
        }
        let parts: Vec<Vec<u8>> = files
            .iter()
            .map(|path| std::fs::read(path).unwrap_or_default())
            .collect();
        Digest::of_parts(parts.iter().map(Vec::as_slice))
    }
}

/// A client for the cluster: a kubeconfig's context, or the pod's own account. Rotated certificates
/// and tokens are in use within `check`.
///
/// # Errors
/// When there is no usable configuration.
pub async fn client(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
    check: Duration,
) -> anyhow::Result<kube::Client> {
    let origin = Origin {
        kubeconfig: kubeconfig.map(Path::to_owned),
        context: context.map(str::to_owned),
    };
    let mut content = origin.content();
    let first = origin.client().await?;
    let namespace = first.default_namespace().to_owned();
    let shared = Arc::new(Shared {
        current: RwLock::new((0, first)),
        origin,
    });
    let kept = Arc::downgrade(&shared);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(check).await;
            let Some(shared) = kept.upgrade() else {
                return;
            };
            let next = shared.origin.content();
            if next == content {
                continue;
            }
            match shared.origin.client().await {
                Ok(client) => {
                    tracing::info!("the API server's configuration was rotated; using the new one");
                    shared.replace(client);
                    content = next;
                }
                // The file may be half written: the old configuration stays until the new one can be read as a
                // whole.
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "the API server's rotated configuration cannot be used yet; keeping the old one"
                ),
            }
        }
    });
    Ok(kube::Client::new(CurrentClient(shared), namespace))
}

struct Shared {
    /// The client, and how many there were before it.
    current: RwLock<(u64, kube::Client)>,
    origin: Origin,
}

impl Shared {
    fn replace(&self, client: kube::Client) {
        let mut current = self.current.write();
        *current = (current.0 + 1, client);
    }

    /// A request of the client with this number got no answer: its connections may be dead without a
    /// notice. The next requests open new ones.
    async fn doubt(&self, number: u64) {
        if self.current.read().0 != number {
            return;
        }
        if let Ok(client) = self.origin.client().await
            && self.current.read().0 == number
        {
            tracing::warn!("the API server does not respond; reconnecting");
            self.replace(client);
        }
    }
}

/// Sends each request through the client that is current at that moment.
struct CurrentClient(Arc<Shared>);

impl tower::Service<http::Request<Body>> for CurrentClient {
    type Response = http::Response<Body>;
    type Error = kube::Error;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, kube::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        let (number, client) = shared.current.read().clone();
        Box::pin(async move {
            let mut answer = Box::pin(client.send(request));
            if let Ok(answer) = tokio::time::timeout(PATIENCE, &mut answer).await {
                return answer;
            }
            shared.doubt(number).await;
            answer.await
        })
    }
}
