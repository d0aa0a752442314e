//! Admission webhooks: they deny, change fields, do not answer, or belong to the application that they judge.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use flotilla_shared::health::SyncState;
use flotilla_shared::reason::Reason;
use flotilla_tests::eventually;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{World, config_map, reason, status};

const ENGINE: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

/// A webhook over HTTPS. It ends when dropped.
struct Webhook {
    url: String,
    bundle: String,
    asked: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Webhook {
    /// Answers each review with what `judge` returns for its request; none: it does not answer.
    async fn start(judge: fn(&Value) -> Option<Value>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let private = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/judge", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.ok()?;
                    serve(stream, judge, &count).await
                });
            }
        });
        Self {
            url,
            bundle: ENGINE.encode(certificate.pem()),
            asked,
            task,
        }
    }

    /// Its configuration, for ConfigMaps of a namespace.
    fn configuration(&self, world: &World<'_>, kind: &str) -> Value {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": format!("{kind}WebhookConfiguration"),
            "metadata": {"name": world.namespace},
            "webhooks": [{
                "name": "judge.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 1,
                "clientConfig": {"url": self.url, "caBundle": self.bundle},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                    "operations": ["CREATE", "UPDATE"]}],
            }],
        })
    }
}

/// Handles the one request of a connection.
async fn serve(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    judge: fn(&Value) -> Option<Value>,
    count: &AtomicU64,
) -> Option<()> {
    let mut read = Vec::new();
    let body = loop {
        let mut chunk = vec![0; 64 << 10];
        let size = stream
            .read(&mut chunk)
            .await
            .ok()
            .filter(|size| *size > 0)?;
        read.extend_from_slice(chunk.get(..size)?);
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && let Ok(review) = serde_json::from_str::<Value>(body)
        {
            break review;
        }
    };
    count.fetch_add(1, Ordering::Relaxed);
    let request = body.get("request")?;
    let Some(mut response) = judge(request) else {
        std::future::pending::<()>().await;
        return None;
    };
    response["uid"] = request["uid"].clone();
    let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
        .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(answer.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

async fn remove(world: &World<'_>, kind: &str) {
    let plural = format!("{}webhookconfigurations", kind.to_lowercase());
    let path = format!(
        "/apis/admissionregistration.k8s.io/v1/{plural}/{}",
        world.namespace
    );
    assert_eq!(world.send("DELETE", &path, &Value::Null).await.0, 200);
}

/// Registers a webhook, and waits until it is called: an API server needs a moment to notice it.
async fn set_up(world: &World<'_>, kind: &str, webhook: &Webhook) {
    let plural = format!("{}webhookconfigurations", kind.to_lowercase());
    let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
    let configuration = webhook.configuration(world, kind);
    let (code, answer) = world.send("POST", &path, &configuration).await;
    assert_eq!(code, 201, "{answer}");
    let path = world.path("configmaps?dryRun=All");
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}});
    let limit = std::time::Duration::from_secs(20);
    eventually("the webhook is asked", limit, || async {
        world.send("POST", &path, &body).await;
        (webhook.asked.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await
    .unwrap();
}

pub(crate) async fn a02_a_webhook_that_denies_stops_one_object_and_is_named(mut world: World<'_>) {
    let webhook = Webhook::start(|request| {
        let bad = request["name"] == "bad";
        Some(json!({"allowed": !bad, "status": {"code": 403, "message": "not on a Friday"}}))
    })
    .await;
    set_up(&world, "Validating", &webhook).await;
    let yaml = config_map("bad", "1") + &config_map("good", "1");
    let outcome = world.pass(&yaml).await;
    assert_eq!(outcome.sync, SyncState::OutOfSync, "{outcome:#?}");
    assert_eq!(reason(&outcome, "bad"), Some(Reason::AdmissionDenied));
    let message = &status(&outcome, "bad").message;
    assert!(message.contains("judge.example.com"), "{message}");
    assert!(message.contains("not on a Friday"), "{message}");
    assert!(world.live("configmaps/good").await.is_some());
    assert_eq!(world.deletes(), Vec::<String>::new());
    remove(&world, "Validating").await;
    let limit = std::time::Duration::from_secs(20);
    let path = world.path("configmaps?dryRun=All");
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}});
    eventually("the webhook is gone", limit, || async {
        (world.send("POST", &path, &body).await.0 == 201).then_some(())
    })
    .await
    .unwrap();
    world.synced(&yaml).await;
}

pub(crate) async fn a02_a_webhook_that_does_not_answer_stops_what_it_judges_and_nothing_else(
    mut world: World<'_>,
) {
    let webhook = Webhook::start(|_| None).await;
    set_up(&world, "Validating", &webhook).await;
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: free}\nstringData: {a: b}\n";
    let before = webhook.asked.load(Ordering::Relaxed);
    let outcome = world.pass(&(config_map("held", "1") + secret)).await;
    assert_eq!(outcome.sync, SyncState::OutOfSync, "{outcome:#?}");
    assert_eq!(reason(&outcome, "held"), Some(Reason::WebhookUnavailable));
    assert!(
        world.live("secrets/free").await.is_some(),
        "the rest goes on"
    );
    let tries = webhook.asked.load(Ordering::Relaxed) - before;
    assert!((1..=4).contains(&tries), "{tries} tries of one pass");
    remove(&world, "Validating").await;
}

pub(crate) async fn a02_a_webhook_in_the_same_set_is_set_up_after_what_it_would_judge(
    mut world: World<'_>,
) {
    // The webhook's service is in the same commit and has no endpoints yet: if the webhook came first, nothing could
    // be applied.
    let namespace = world.namespace.clone();
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [{
            "name": "judge.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 1,
            "clientConfig": {"service": {"namespace": namespace, "name": "judge"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{"apiGroups": ["", "apps"], "apiVersions": ["v1"],
                "resources": ["configmaps", "services", "deployments"], "operations": ["CREATE"]}],
        }],
    });
    let yaml = [
        format!("---\n{configuration}\n"),
        config_map("a", "1"),
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: judge}\nspec: {ports: [{port: 443}]}\n"
            .to_owned(),
        super::world::deployment("judge", "replicas: 1"),
    ]
    .concat();
    let outcome = world.synced(&yaml).await;
    assert_eq!(outcome.written, 4, "{outcome:#?}");
    remove(&world, "Validating").await;
}

pub(crate) async fn a12_a_webhook_that_changes_fields_makes_no_endless_drift(mut world: World<'_>) {
    let webhook = Webhook::start(|_| {
        let patch = json!([
            {"op": "add", "path": "/data/value", "value": "the webhook's"},
            {"op": "add", "path": "/data/more", "value": "too"},
        ]);
        Some(json!({"allowed": true, "patchType": "JSONPatch",
            "patch": ENGINE.encode(patch.to_string())}))
    })
    .await;
    set_up(&world, "Mutating", &webhook).await;
    let yaml = config_map("a", "git");
    world.synced(&yaml).await;
    let live = world.live("configmaps/a").await.unwrap();
    assert_eq!(
        live["data"],
        json!({"value": "the webhook's", "more": "too"})
    );
    world.writes();
    for _ in 0..5 {
        world.synced(&yaml).await;
    }
    assert_eq!(
        world.writes(),
        Vec::<String>::new(),
        "it is as near as it gets"
    );
    remove(&world, "Mutating").await;
}
