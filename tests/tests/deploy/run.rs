//! The hub starts with exactly the arguments of its pods, and files as in their volumes. It is not a `TestHub`, which
//! has its own arguments.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use clap::Parser as _;
use flotilla_hub::args::Args;
use flotilla_hub::command;
use flotilla_tests::eventually;
use flotilla_tests::ports::free_port;
use flotilla_tests::postgres::Postgres;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::pods::{arguments, containers};
use crate::rendered::{Objects, ours};

/// Free ports of loopback.
#[derive(Clone, Copy)]
struct Ports {
    metrics: u16,
    web: u16,
}

impl Ports {
    fn free() -> Self {
        Self {
            metrics: free_port().unwrap(),
            web: free_port().unwrap(),
        }
    }
}

/// A pod's arguments, with paths in a directory of the test and with these ports.
fn moved(container: &Value, root: &Path, ports: Ports) -> Vec<String> {
    let all = arguments(container).into_iter();
    all.map(|argument| match argument.as_str() {
        path if path.starts_with('/') => format!("{}{path}", root.display()),
        "0.0.0.0:8443" => "127.0.0.1:0".to_owned(),
        "0.0.0.0:9090" => format!("127.0.0.1:{}", ports.metrics),
        "0.0.0.0:8444" => format!("127.0.0.1:{}", ports.web),
        other => other.to_owned(),
    })
    .collect()
}

/// A file as in a Secret's volume with fsGroup.
fn secret(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    let mode = std::fs::Permissions::from_mode(0o440);
    std::fs::set_permissions(path, mode).unwrap();
}

fn prepare(root: &Path, objects: &Objects) {
    std::fs::create_dir_all(root.join("etc/flotilla-git")).unwrap();
    std::fs::create_dir_all(root.join("var/lib/flotilla")).unwrap();
    for (name, directory) in [("fleet", "etc/flotilla"), ("oidc", "etc/flotilla-oidc")] {
        let map = format!("ConfigMap flotilla-hub/flotilla-{name}");
        let Some(map) = objects.get(&map) else {
            continue;
        };
        let directory = root.join(directory);
        std::fs::create_dir_all(&directory).unwrap();
        let file = format!("{name}.yaml");
        let text = map["data"][&file].as_str().unwrap();
        std::fs::write(directory.join(file), text).unwrap();
    }
}

/// The certificate of the pages, as in cert-manager's Secret; it is self-signed, and returned as the root to trust.
fn certificate(root: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec![PAGES.to_owned()]).unwrap();
    secret(&root.join("etc/flotilla-web/tls.crt"), &made.cert.pem());
    let key = made.signing_key.serialize_pem();
    secret(&root.join("etc/flotilla-web/tls.key"), &key);
    made.cert.pem()
}

/// The host in the component's `--web-url`.
const PAGES: &str = "flotilla.example.org";

/// Requests the first page like a browser, or like a proxy that terminates TLS; returns the answer, and the target of
/// its redirect.
async fn page(ports: Ports, trusted: Option<&str>) -> (u16, String) {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], ports.web));
    let mut client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .http1_only()
        .timeout(Duration::from_secs(30))
        .resolve(PAGES, address);
    let scheme = match trusted {
        Some(pem) => {
            let root = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
            client = client.tls_certs_only([root]);
            "https"
        }
        None => "http",
    };
    let url = format!("{scheme}://{PAGES}:{}/", ports.web);
    let request = client.build().unwrap().get(url).header("host", PAGES);
    let answer = request.send().await.unwrap();
    let location = answer.headers().get("location");
    let location = location.map_or("", |value| value.to_str().unwrap());
    (answer.status().as_u16(), location.to_owned())
}

async fn is_ready(port: u16) -> Option<()> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .ok()?;
    let request = "GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(())
}

fn parse(arguments: Vec<String>) -> Args {
    let program = std::iter::once("flotilla-hub".to_owned());
    Args::try_parse_from(program.chain(arguments)).unwrap()
}

/// Runs a hub until it is ready, then requests its pages: over TLS if there is a root, otherwise over plain HTTP as
/// behind a proxy.
async fn serves(container: &Value, root: &Path, pages: Option<Option<&str>>) {
    let ports = Ports::free();
    let args = parse(moved(container, root, ports));
    let mut hub = tokio::spawn(async move { command::run(args).await.map(|_| ()) });
    let looked = async {
        eventually("the hub is ready", Duration::from_secs(90), async || {
            is_ready(ports.metrics).await
        })
        .await
        .unwrap();
        if let Some(trusted) = pages {
            let (code, to) = page(ports, trusted).await;
            assert!(code == 303 && to.starts_with("/login?"), "{code} {to}");
        }
    };
    tokio::select! {
        ended = &mut hub => panic!("the hub ended: {ended:?}"),
        () = looked => {}
    }
    hub.abort();
}

/// A hub's volume after its init container, with the files of an overlay; returns the hub's container.
async fn installed(root: &Path, overlay: &str) -> Value {
    let objects = ours(overlay);
    prepare(root, &objects);
    let all = containers(&objects);
    let [(_, init), (_, hub)] = all[..] else {
        panic!("{overlay}: init and hub");
    };
    let init = moved(init, root, Ports::free());
    command::run(parse(init)).await.unwrap();
    hub.clone()
}

#[tokio::test]
async fn the_hub_starts_as_its_pod_does_and_as_a_replica_on_postgresql() {
    flotilla_shared::tls::install_provider();
    let directory = tempfile::tempdir().unwrap();
    let single = directory.path().join("single");
    let hub = installed(&single, "hub").await;
    serves(&hub, &single, None).await;

    // With pages. The issuer is unreachable, which only delays logins.
    let root = directory.path().join("behind-proxy");
    let hub = installed(&root, "hub-web-behind-proxy").await;
    serves(&hub, &root, Some(None)).await;
    let root = directory.path().join("web");
    let hub = installed(&root, "hub-web").await;
    let trusted = certificate(&root);
    serves(&hub, &root, Some(Some(&trusted))).await;

    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let replica = directory.path().join("replica");
    let objects = ours("hub-whole");
    prepare(&replica, &objects);
    let trusted = certificate(&replica);
    secret(&replica.join("etc/flotilla-store/url"), &database.url());
    for name in ["ca.crt", "ca.key"] {
        let made = std::fs::read_to_string(single.join("var/lib/flotilla/hub").join(name)).unwrap();
        secret(&replica.join("etc/flotilla-authority").join(name), &made);
    }
    let all = containers(&objects);
    let [(_, hub)] = all[..] else {
        panic!("a replica has one container");
    };
    serves(hub, &replica, Some(Some(&trusted))).await;
}
