//! The tutorial's own commands, from built programs to a hub, an agent in a cluster and the first healthy application.
//! The cluster is a real kube-apiserver if there is one. It has no nodes, so the test stands in for the kubelet: the
//! manifest's pod runs as a process, with its arguments, files and account.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use flotilla_apiserver::{Config, User};
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::ports::free_address;
use flotilla_tests::repository::Repository;
use flotilla_tests::{eventually, programs};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::applied::{ACCOUNT, aggregate, apply};
use crate::book::{Line, block, lines, page};
use crate::pods::{arguments, containers, list};
use crate::reader::Reader;
use crate::rendered::{Objects, objects};

const PAGE: &str = "deploy/docs/src/tutorials/own-clusters.md";
/// Longest wait between commands.
const LIMIT: Duration = Duration::from_secs(120);

const GUESTBOOK: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: guestbook, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: guestbook}}
  template:
    metadata: {labels: {app: guestbook}}
    spec:
      containers:
      - {name: web, image: 'example.com/guestbook:1'}
";

/// Stands in for the kubelet: runs the manifest's pod, with its files in a directory of the test.
struct Kubelet {
    agent: Child,
    log: std::path::PathBuf,
}

/// The files of a volume from a ConfigMap or Secret.
fn volume<'o>(objects: &'o Objects, volume: &Value) -> Option<&'o Value> {
    let (kind, name, data) = match volume.get("configMap") {
        Some(map) => ("ConfigMap", &map["name"], "data"),
        None => (
            "Secret",
            volume.pointer("/secret/secretName")?,
            "stringData",
        ),
    };
    let object = objects.get(&format!("{kind} flotilla-system/{}", name.as_str()?));
    object.map(|object| &object[data])
}

impl Kubelet {
    fn start(programs: &Path, root: &Path, objects: &Objects, kubeconfig: &Path) -> Self {
        let [(workload, container)] = containers(objects)[..] else {
            panic!("the agent's pod has one container");
        };
        let volumes = list(workload, "/spec/template/spec/volumes");
        for mount in list(container, "/volumeMounts") {
            let directory = root.join(mount["mountPath"].as_str().unwrap().trim_start_matches('/'));
            std::fs::create_dir_all(&directory).unwrap();
            let named = volumes
                .iter()
                .find(|volume| volume["name"] == mount["name"]);
            let files = named.and_then(|named| volume(objects, named));
            for (name, text) in files.and_then(Value::as_object).into_iter().flatten() {
                // The Git server of this test listens on loopback and has no certificate.
                let text = text.as_str().unwrap();
                let text = text.replace("allowHttp: false", "allowHttp: true");
                let path = directory.join(name);
                std::fs::write(&path, text).unwrap();
                let mode = std::fs::Permissions::from_mode(0o440);
                std::fs::set_permissions(path, mode).unwrap();
            }
        }
        let moved = |argument: String| match argument.as_str() {
            path if path.starts_with('/') => format!("{}{path}", root.display()),
            "0.0.0.0:8080" => "127.0.0.1:0".to_owned(),
            _ => argument,
        };
        let log = root.join("agent.log");
        let agent = Command::new(programs.join("flotilla-agent"))
            .args(arguments(container).into_iter().map(moved))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .env("POD_NAME", "flotilla-agent-a")
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { agent, log }
    }

    /// The fingerprint in the agent's log.
    async fn fingerprint(&self) -> String {
        let key = regex::Regex::new("[0-9a-f]{64}").unwrap();
        let look = async || {
            let text = std::fs::read_to_string(&self.log).unwrap();
            let line = text
                .lines()
                .find(|line| line.contains("flotilla cluster accept"));
            key.find(line?).map(|found| found.as_str().to_owned())
        };
        let found = eventually("the agent logs its fingerprint", LIMIT, look).await;
        found.unwrap_or_else(|error| {
            panic!("{error}: {}", std::fs::read_to_string(&self.log).unwrap())
        })
    }
}

/// `kubectl apply`, by kubectl if it is installed, otherwise by the same requests to the API server.
async fn kubectl(reader: &Reader, cluster: &TestCluster, line: &str, objects: &Objects) {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join("kubectl").is_file())
    });
    if found {
        let text = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
        let limits = flotilla_yaml::Limits::default();
        let mut config = flotilla_yaml::parse_documents(&text, &limits).unwrap();
        let mut config = config.remove(0).value;
        config["contexts"][0]["name"] = "dev-1".into();
        std::fs::create_dir_all(reader.home.join(".kube")).unwrap();
        let path = reader.home.join(".kube/config");
        flotilla_tests::write_private(&path, &config.to_string()).unwrap();
        let (code, told) = reader.types(line).await;
        assert_eq!(code, 0, "{line}: {told}");
        return;
    }
    flotilla_needs::substitute("kubectl", "what it asks of an API server");
    assert_eq!(line, "kubectl --context dev-1 apply -f join.yaml");
    let is_namespace = |key: &&String| key.starts_with("Namespace ");
    let (first, rest): (Vec<_>, Vec<_>) = objects.keys().partition(is_namespace);
    for key in first.into_iter().chain(rest) {
        apply(cluster, &objects[key]).await.unwrap();
    }
}

/// Replaces the placeholders of the page.
async fn reader(programs: &Path, home: &Path) -> (Reader, GitServer) {
    let repository = Repository::create(home, "fleet").unwrap();
    for environment in ["dev", "prod"] {
        let path = format!("apps/guestbook/{environment}/deployment.yaml");
        repository.write(&path, GUESTBOOK).unwrap();
    }
    repository.push("A guestbook", &["dev", "prod"]).unwrap();
    let git = GitServer::start(&home.join("served"), "127.0.0.1:0")
        .await
        .unwrap();
    let mut reader = Reader::new(programs, &home.join("home"));
    let hub = free_address().unwrap();
    let data = home.join("var/lib/flotilla").display().to_string();
    reader.means(
        "https://git.example.org/platform/fleet.git",
        &git.url("fleet.git"),
    );
    reader.means("hub.example.org:8443", &hub);
    reader.means("/var/lib/flotilla", &data);
    let fleet = block(
        &page(PAGE),
        "yaml",
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n",
    );
    std::fs::write(reader.work.join("fleet.yaml"), reader.fill(&fleet)).unwrap();
    (reader, git)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorial_takes_less_than_ten_commands_and_five_minutes() {
    let programs = programs::build().await.unwrap();
    let mut cluster = TestCluster::start(Config::default()).await.unwrap();
    cluster.play_controllers();
    let home = tempfile::tempdir().unwrap();
    let (mut reader, _git) = reader(&programs, home.path()).await;
    let typed: Vec<Line> = lines()
        .into_iter()
        .filter(|line| line.page == PAGE && line.exits.is_some())
        .collect();
    assert!((5..10).contains(&typed.len()), "{} commands", typed.len());

    let began = Instant::now();
    let (mut hub, mut kubelet) = (None, None);
    let healthy = regex::Regex::new("dev-1 .*Synced.* .*Current").unwrap();
    for line in &typed {
        let line = line.text.as_str();
        if line.starts_with("flotilla-hub run") {
            let here = format!("{line} --listen hub.example.org:8443");
            let mut following = reader.begins(&here);
            following
                .until(line, |text| text.contains("hub listens on"))
                .await;
            hub = Some(following);
        } else if line.starts_with("kubectl") {
            let text = std::fs::read_to_string(reader.work.join("join.yaml")).unwrap();
            let objects = objects(&text);
            kubectl(&reader, &cluster, line, &objects).await;
            // Stands in for the controller that aggregates the role, and the kubelet that starts the pod.
            aggregate(&cluster).await;
            let groups = [
                "system:serviceaccounts",
                "system:serviceaccounts:flotilla-system",
            ];
            let account = cluster.kubeconfig_of(&User::new(ACCOUNT, &groups)).unwrap();
            let root = home.path().join("pod");
            let started = Kubelet::start(&programs, &root, &objects, &account);
            reader.means("SHA256", &started.fingerprint().await);
            kubelet = Some(started);
        } else if line.contains("--pending") {
            eventually("the cluster waits", LIMIT, async || {
                let (code, told) = reader.types(line).await;
                (code == 0 && told.contains("dev-1")).then_some(())
            })
            .await
            .unwrap();
        } else if line.contains("--watch") {
            let mut following = reader.begins(line);
            following.until(line, |text| healthy.is_match(text)).await;
            following.end().await;
        } else {
            let (code, told) = reader.types(line).await;
            assert_eq!(code, 0, "{line}: {told}");
        }
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(300), "{took:?}");
    let real = if cluster.is_real() {
        "real"
    } else {
        "embedded"
    };
    eprintln!(
        "{} commands, {:.1} s, {real}",
        typed.len(),
        took.as_secs_f64()
    );
    let live = "/apis/apps/v1/namespaces/default/deployments/guestbook";
    assert!(cluster.live(live).await.is_some());
    kubelet.unwrap().agent.kill().await.unwrap();
    hub.unwrap().end().await;
}
