//! A cluster for a test: a real kube-apiserver if the envtest variables name one, otherwise, or on request, the
//! embedded one. Both are accessed over TLS with client certificates.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_apiserver::{ApiServer, AuditEvent, Config, ServerHandle, User};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::envtest::{Envtest, Programs};
use crate::kubeconfig::client;
use crate::proxy::Proxy;

/// A running cluster; it stops when dropped.
pub struct TestCluster {
    server: Server,
    directory: tempfile::TempDir,
    client: kube::Client,
    controllers: Option<JoinHandle<()>>,
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        if let Some(controllers) = &self.controllers {
            controllers.abort();
        }
    }
}

enum Server {
    Embedded(ApiServer, ServerHandle),
    Real(Box<Envtest>),
}

impl TestCluster {
    /// The embedded one.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn embedded(config: Config) -> anyhow::Result<Self> {
        flotilla_shared::tls::install_provider();
        let directory = tempfile::tempdir()?;
        let server = ApiServer::new(config);
        let serving = server.serve_tls("127.0.0.1:0").await?;
        let kubeconfig = directory.path().join("kubeconfig");
        std::fs::write(&kubeconfig, serving.kubeconfig())?;
        Ok(Self {
            client: client(&kubeconfig).await?,
            server: Server::Embedded(server, serving),
            directory,
            controllers: None,
        })
    }

    /// The real one; none if the environment names none.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn real() -> anyhow::Result<Option<Self>> {
        flotilla_shared::tls::install_provider();
        let Some(programs) = Programs::find() else {
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        let envtest = Envtest::start(&programs, directory.path()).await?;
        Ok(Some(Self {
            client: client(&directory.path().join("kubeconfig")).await?,
            server: Server::Real(Box::new(envtest)),
            directory,
            controllers: None,
        }))
    }

    /// The real one if there is one, otherwise the embedded one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        match Self::real().await? {
            Some(real) => Ok(real),
            None => Self::embedded(config).await,
        }
    }

    /// Whether it is a real one: without controllers and fault injection.
    #[must_use]
    pub fn is_real(&self) -> bool {
        matches!(self.server, Server::Real(_))
    }

    /// The embedded server, for fault injection and counters.
    #[must_use]
    pub fn server(&self) -> Option<&ApiServer> {
        match &self.server {
            Server::Embedded(server, _) => Some(server),
            Server::Real(_) => None,
        }
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// A proxy in front of the API server, and the administrator's kubeconfig through it.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn proxied(&self) -> anyhow::Result<(Proxy, PathBuf)> {
        let text = std::fs::read_to_string(self.kubeconfig())?;
        let server = text
            .split_once("127.0.0.1:")
            .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next())
            .context("the kubeconfig names no port on loopback")?;
        let target = format!("127.0.0.1:{server}");
        let proxy = Proxy::start(target.parse()?).await?;
        let path = self.directory.path().join("proxied.kubeconfig");
        std::fs::write(&path, text.replace(&target, &proxy.address.to_string()))?;
        Ok((proxy, path))
    }

    /// The administrator's client.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Stands in for the controllers of a real API server: Deployments become ready. The embedded server has its own.
    pub fn play_controllers(&mut self) {
        if self.is_real() && self.controllers.is_none() {
            let client = self.client.clone();
            self.controllers = Some(tokio::spawn(async move {
                loop {
                    // A failed write is repeated in the next round.
                    let _ = write_deployment_status(&client).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }));
        }
    }

    /// A request of the administrator.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(u16, Value)> {
        send(&self.client, method, path, content, body).await
    }

    /// Creates a namespace.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_namespace(&self, name: &str) -> anyhow::Result<()> {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let path = "/api/v1/namespaces";
        let (code, answer) = self
            .request("POST", path, "application/json", Some(&body))
            .await?;
        anyhow::ensure!(code == 201, "{name}: {code} {answer}");
        Ok(())
    }

    /// The live object; none if it does not exist.
    pub async fn live(&self, path: &str) -> Option<Value> {
        let (code, value) = self
            .request("GET", path, "application/json", None)
            .await
            .ok()?;
        (code == 200).then_some(value)
    }

    /// A kubeconfig of a user with fewer rights.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig_of(&self, user: &User) -> anyhow::Result<PathBuf> {
        let text = match &self.server {
            Server::Real(envtest) => envtest.kubeconfig(user)?,
            Server::Embedded(_, serving) => serving.kubeconfig_for(user)?,
        };
        let file = user.name.replace([':', '/'], "-");
        let path = self.directory.path().join(format!("{file}.kubeconfig"));
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// A client of a user with fewer rights.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn client_of(&self, user: &User) -> anyhow::Result<kube::Client> {
        client(&self.kubeconfig_of(user)?).await
    }

    /// Every write that was requested so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit(&self) -> anyhow::Result<Vec<AuditEvent>> {
        match &self.server {
            Server::Embedded(server, _) => Ok(server.audit()),
            Server::Real(envtest) => envtest.audit(),
        }
    }
}

async fn send(
    client: &kube::Client,
    method: &str,
    path: &str,
    content: &str,
    body: Option<&Value>,
) -> anyhow::Result<(u16, Value)> {
    use http_body_util::BodyExt as _;
    let bytes = body.map(Value::to_string).unwrap_or_default();
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(kube::client::Body::from(bytes.into_bytes()))?;
    let response = client.send(request).await?;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok((code, serde_json::from_slice(&bytes).unwrap_or_default()))
}

/// Writes the status of ready Deployments, in place of their controllers.
async fn write_deployment_status(client: &kube::Client) -> anyhow::Result<()> {
    let path = "/apis/apps/v1/deployments";
    let (_, list) = send(client, "GET", path, "application/json", None).await?;
    let items = list.get("items").and_then(Value::as_array);
    for item in items.into_iter().flatten() {
        let number = |pointer: &str| item.pointer(pointer).and_then(Value::as_i64);
        let generation = number("/metadata/generation");
        if number("/status/observedGeneration") == generation {
            continue;
        }
        let replicas = number("/spec/replicas").unwrap_or(1);
        let condition =
            |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason});
        let status = json!({"status": {
            "observedGeneration": generation,
            "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
            "conditions": [
                condition("Available", "MinimumReplicasAvailable"),
                condition("Progressing", "NewReplicaSetAvailable"),
            ],
        }});
        let text = |pointer: &str| {
            item.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let path = format!(
            "/apis/apps/v1/namespaces/{}/deployments/{}/status",
            text("/metadata/namespace"),
            text("/metadata/name")
        );
        let patch = "application/merge-patch+json";
        send(client, "PATCH", &path, patch, Some(&status)).await?;
    }
    Ok(())
}
