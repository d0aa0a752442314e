//! A client that acts between two requests of the agent: right before it deletes a certain object.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use flotilla_tests::kubeconfig;
use kube::client::Body;
use serde_json::Value;

type Action = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A client that interferes with the agent.
pub(crate) struct Meddler;

impl Meddler {
    /// Acts whenever the object at a path is about to be deleted through this client.
    pub(crate) fn before_delete(
        client: kube::Client,
        path: String,
        act: impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static,
    ) -> kube::Client {
        let act: Action = Arc::new(act);
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (client, act) = (client.clone(), Arc::clone(&act));
            let is_it = request.method() == http::Method::DELETE && request.uri().path() == path;
            async move {
                if is_it {
                    act().await;
                }
                Ok::<_, Infallible>(client.send(request).await.unwrap())
            }
        });
        kube::Client::new(service, "default")
    }
}

/// Sends a request; returns the status of its answer.
pub(crate) async fn request(client: &kube::Client, method: &str, path: &str, body: &Value) -> u16 {
    let request = kubeconfig::request::<Body>(method, path, "application/json", body);
    client
        .send(request.unwrap())
        .await
        .unwrap()
        .status()
        .as_u16()
}
