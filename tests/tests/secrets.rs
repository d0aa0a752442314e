//! No secret reaches logs, status, stores, Events or metrics: real processes at the most verbose log level, and a
//! search for canaries in everything that they leave behind (I11, R12).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::installation::Installation;
use flotilla_tests::ports::free_address;
use flotilla_tests::repository::Repository;
use http_body_util::BodyExt as _;
use prost::Message as _;

/// Made by sops 3.10.2; published test data of the Flux project, see `agent/sops/tests/vectors.rs`.
const SEALED: &str = include_str!("secrets/sealed.yaml");
const AGE_KEY: &str = "AGE-SECRET-KEY-10U7MAELH09KZU63F65P2TYLN7TQM5X6GSDDCQ4YMUGDS3DS6XZMSTYY2PN";
const LIMIT: Duration = Duration::from_secs(60);

/// A chart with encrypted values, and a Secret made from them.
const CHART: &str = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";
const TEMPLATE: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData:\n  \
                        key: {{ required \"a key\" .Values.stringData.key | quote }}\n";

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn private(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// The first line of a key in the file of this name.
fn key_line(root: &Path, directory: &str, name: &str) -> String {
    let path = root.join(directory).join(name);
    let key = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    key.lines().nth(1).unwrap().to_owned()
}

async fn get(address: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

/// An installation with secrets in Git (plain, encrypted, and in a chart), and with credentials of the agent.
async fn installed() -> Installation {
    let plain = "apiVersion: v1\nkind: Secret\nmetadata: {name: plain, namespace: default}\n\
                 stringData: {password: canary-in-git}\n";
    let files_of_git = [
        ("app/plain.yaml", plain),
        ("app/sealed.yaml", SEALED),
        ("chart/Chart.yaml", CHART),
        ("chart/templates/secret.yaml", TEMPLATE),
        ("chart/values-dev.yaml", SEALED),
    ];
    let installation = Installation::new(&files_of_git).await.unwrap();
    let root = installation.root();
    let fleet = std::fs::read_to_string(root.join("fleet.yaml")).unwrap();
    let with_chart = fleet.replace(
        "path: app}",
        "path: app}, {name: shop, repository: fleet, path: chart, namespace: default, \
         helm: {valuesFiles: ['values-{environment}.yaml']}}",
    );
    assert_ne!(fleet, with_chart);
    std::fs::write(root.join("fleet.yaml"), with_chart).unwrap();
    let host = installation.git.address.to_string().replace(':', "_");
    private(
        &root.join(format!("git-secret/{host}.token")),
        "canary-git-token",
    );
    private(
        &root.join("age/key.agekey"),
        &format!("# canary-comment\n{AGE_KEY}\n"),
    );
    installation
}

/// An agent with all of the credentials, at the most verbose log level.
fn talkative_agent(installation: &Installation, metrics: &str) -> tokio::process::Child {
    let arguments = [
        "--log",
        "trace",
        "--git-credentials",
        "git-secret",
        "--sops-age-keys",
        "age",
        "--share-identity",
        "--listen",
        metrics,
    ];
    installation.agent("agent", &arguments).unwrap()
}

/// The cluster's status once both applications are in sync.
async fn synced(root: &Path, operator: &Operator) -> v1::ClusterStatus {
    let synced = |report: &v1::ApplicationReport| report.sync() == v1::Sync::Synced;
    eventually("all is applied", LIMIT, || {
        let mut operator = operator.clone();
        async move {
            let cluster = operator.cluster("c1").await?;
            application(&cluster, "app").filter(|report| synced(report))?;
            application(&cluster, "shop").filter(|report| synced(report))?;
            Some(cluster)
        }
    })
    .await
    .unwrap_or_else(|error| {
        let log = std::fs::read_to_string(root.join("flotilla-agent.log")).unwrap();
        let tail: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
        panic!("{error}: {tail:#?}")
    })
}

/// The cluster's status once both applications are refused.
async fn refused(operator: &Operator) -> v1::ClusterStatus {
    eventually("the broken one is refused", LIMIT, || {
        let mut operator = operator.clone();
        async move {
            let cluster = operator.cluster("c1").await?;
            for name in ["app", "shop"] {
                let is_refused =
                    |report: &v1::ApplicationReport| report.sync() == v1::Sync::Refused;
                application(&cluster, name).filter(|report| is_refused(report))?;
            }
            Some(cluster)
        }
    })
    .await
    .unwrap()
}

/// The cluster's answer at a path.
async fn of_cluster(installation: &Installation, path: &str) -> bytes::Bytes {
    let request = axum::http::Request::get(path).body(axum::body::Body::empty());
    let response = installation.cluster.handle(request.unwrap()).await;
    response.into_body().collect().await.unwrap().to_bytes()
}

/// A live Secret.
async fn live(installation: &Installation, name: &str) -> serde_json::Value {
    let path = format!("/api/v1/namespaces/default/secrets/{name}");
    let bytes = of_cluster(installation, &path).await;
    serde_json::from_slice(&bytes).unwrap()
}

/// A decrypted value.
struct DecryptedValue {
    value: String,
    /// Base64, as in a Secret.
    encoded: String,
}

/// The Secrets were applied, with the decrypted value.
async fn arrived(installation: &Installation) -> DecryptedValue {
    let live_chart = live(installation, "shop").await;
    let live = live(installation, "global-age-secret").await;
    let encoded = live["data"]["key"].as_str().unwrap().to_owned();
    let decode = base64::engine::general_purpose::STANDARD;
    let value = String::from_utf8(decode.decode(&encoded).unwrap()).unwrap();
    assert_eq!(value.len(), 12);
    assert_eq!(live_chart["data"]["key"], encoded, "by way of a chart");
    DecryptedValue { value, encoded }
}

/// Pushes files that cannot be decrypted or parsed: they cause many messages, which must not contain the files'
/// content.
fn push_broken(repository: &Repository) {
    let broken = SEALED.replacen("data:5d9W", "data:5d9X", 1);
    repository.write("app/sealed.yaml", &broken).unwrap();
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: [canary-in-git]\n";
    repository.write("app/plain.yaml", text).unwrap();
    // `fail` makes Helm's error message the secret value itself.
    let told = TEMPLATE.replace(
        "required \"a key\" .Values.stringData.key",
        "fail .Values.stringData.key",
    );
    assert_ne!(told, TEMPLATE);
    repository
        .write("chart/templates/secret.yaml", &told)
        .unwrap();
    repository.push("broken", &["dev"]).unwrap();
}

/// Values that must not occur outside of their own files.
struct Canaries(Vec<String>);

impl Canaries {
    /// Every secret of the installation: keys, tokens, and values of Secrets.
    fn of(root: &Path, token: &str, opened: &DecryptedValue) -> Self {
        let agent_key = key_line(root, "agent/identity", "tls.key");
        let authority_key = key_line(root, "hub", "ca.key");
        let operator = std::fs::read_to_string(root.join("hub/operator/admin.yaml")).unwrap();
        let operator_key = operator
            .lines()
            .skip_while(|line| !line.contains("BEGIN PRIVATE KEY"))
            .nth(1)
            .unwrap()
            .trim();
        let canaries = [
            agent_key.as_str(),
            authority_key.as_str(),
            operator_key,
            "canary-git-token",
            "Y2FuYXJ5LWdpdC10b2tlbg",
            "canary-comment",
            AGE_KEY,
            token.trim(),
            opened.value.as_str(),
            opened.encoded.trim_end_matches('='),
            "canary-in-git",
            "Y2FuYXJ5LWluLWdpd",
        ];
        Self(canaries.map(str::to_owned).into())
    }

    /// A canary that occurs in the content.
    fn find(&self, content: &[u8]) -> Option<&str> {
        self.0.iter().map(String::as_str).find(|canary| {
            content
                .windows(canary.len())
                .any(|window| window == canary.as_bytes())
        })
    }

    fn assert_not_in_status(&self, cluster: &v1::ClusterStatus) {
        assert_eq!(self.find(&cluster.encode_to_vec()), None, "in status");
        assert_eq!(
            self.find(format!("{cluster:?}").as_bytes()),
            None,
            "in status"
        );
    }

    async fn assert_not_in_metrics(&self, address: &str) {
        let metrics = get(address, "/metrics").await;
        assert!(metrics.contains("flotilla_"), "{address}: {metrics}");
        assert_eq!(self.find(metrics.as_bytes()), None, "in metrics");
    }

    /// All output for people and programs; the diff is of Secrets.
    async fn assert_not_shown(&self, installation: &Installation) {
        for arguments in [
            &["status", "-o", "json"][..],
            &["describe", "cluster", "c1"],
            &["explain", "c1", "-o", "json"],
            &["diff", "c1", "app"],
            &["diff", "c1", "app", "-o", "json"],
            &["history"],
            &["events", "-o", "json"],
            &["audit", "-o", "json"],
            &["token", "list", "-o", "json"],
        ] {
            let (code, text) = installation.cli(arguments).await.unwrap();
            assert!(
                (0..=1).contains(&code) && !text.is_empty(),
                "{arguments:?}: {code} {text}"
            );
            assert_eq!(self.find(text.as_bytes()), None, "in {arguments:?}: {text}");
        }
    }

    async fn assert_not_in_events(&self, installation: &Installation) {
        let path = "/apis/events.k8s.io/v1/namespaces/flotilla-system/events";
        let events = of_cluster(installation, path).await;
        assert!(!events.is_empty());
        assert_eq!(self.find(&events), None, "in Events");
    }

    /// Logs, stores and whatever else processes have left behind.
    fn assert_not_left_behind(&self, root: &Path) {
        let mut left = Vec::new();
        files(root, &mut left);
        let mut searched = 0;
        for path in left {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            // Where the secrets belong: Git, the mounted Secrets, the key, the token.
            let belongs = [
                "work/",
                "served/",
                "git-secret/",
                "age/",
                "token",
                "agent/identity/",
                "agent/git/",
                "hub/ca.key",
                "hub/operator/",
                "context.yaml",
            ];
            if belongs.iter().any(|place| name.starts_with(place)) {
                continue;
            }
            searched += 1;
            let content = std::fs::read(&path).unwrap_or_default();
            assert_eq!(self.find(&content), None, "in {name}");
        }
        assert!(searched > 4, "{searched} files");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i11_no_byte_of_a_secret_is_told() {
    let installation = installed().await;
    let root = installation.root();
    let (hub_metrics, agent_metrics) = (free_address().unwrap(), free_address().unwrap());
    let more = ["--log", "trace", "--metrics-listen", &hub_metrics];
    let _hub = installation.hub_with(&more).unwrap();
    let mut operator = installation.operator().await.unwrap();
    installation.invite(&mut operator).await.unwrap();
    let token = std::fs::read_to_string(root.join("token")).unwrap();
    let _agent = talkative_agent(&installation, &agent_metrics);
    let status = synced(root, &operator).await;
    let opened = arrived(&installation).await;
    push_broken(&installation.repository);
    let refused = refused(&operator).await;

    let canaries = Canaries::of(root, &token, &opened);
    for cluster in [status, refused] {
        canaries.assert_not_in_status(&cluster);
    }
    for address in [&hub_metrics, &agent_metrics] {
        canaries.assert_not_in_metrics(address).await;
    }
    canaries.assert_not_shown(&installation).await;
    canaries.assert_not_in_events(&installation).await;
    canaries.assert_not_left_behind(root);
    for log in ["flotilla-agent.log", "flotilla-hub.log"] {
        let bytes = std::fs::metadata(root.join(log)).unwrap().len();
        assert!(bytes > 10_000, "{log} is not talkative: {bytes} bytes");
    }
}
