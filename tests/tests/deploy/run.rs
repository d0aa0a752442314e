//! The hub starts with exactly the arguments of its pods, over files as their volumes have them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use clap::Parser as _;
use flotilla_hub::args::Args;
use flotilla_hub::command;
use flotilla_tests::eventually;
use flotilla_tests::postgres::Postgres;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::pods::{arguments, containers};
use crate::rendered::{Objects, ours};

/// A pod's arguments below a directory of ours, on free ports of loopback.
fn moved(container: &Value, root: &Path, metrics: u16) -> Vec<String> {
    let all = arguments(container).into_iter();
    all.map(|argument| match argument.as_str() {
        path if path.starts_with('/') => format!("{}{path}", root.display()),
        "0.0.0.0:8443" => "127.0.0.1:0".to_owned(),
        "0.0.0.0:9090" => format!("127.0.0.1:{metrics}"),
        other => other.to_owned(),
    })
    .collect()
}

/// A file as a Secret's volume has it with a file-system group.
fn secret(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    let mode = std::fs::Permissions::from_mode(0o440);
    std::fs::set_permissions(path, mode).unwrap();
}

fn prepare(root: &Path, objects: &Objects) {
    let fleet = &objects["ConfigMap flotilla-hub/flotilla-fleet"]["data"]["fleet.yaml"];
    let directory = root.join("etc/flotilla");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::create_dir_all(root.join("etc/flotilla-git")).unwrap();
    std::fs::create_dir_all(root.join("var/lib/flotilla")).unwrap();
    std::fs::write(directory.join("fleet.yaml"), fleet.as_str().unwrap()).unwrap();
}

/// A port that nobody listens on now.
fn port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
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

/// Runs a hub until it is ready.
async fn serves(container: &Value, root: &Path) {
    let port = port();
    let args = parse(moved(container, root, port));
    let mut hub = tokio::spawn(async move { command::run(args).await.map(|_| ()) });
    let ready = eventually("the hub is ready", Duration::from_secs(90), async || {
        is_ready(port).await
    });
    tokio::select! {
        ended = &mut hub => panic!("the hub ended: {ended:?}"),
        ready = ready => ready.unwrap(),
    }
    hub.abort();
}

#[tokio::test]
async fn the_hub_starts_as_its_pod_does_and_as_a_replica_on_postgresql() {
    let directory = tempfile::tempdir().unwrap();
    let single = directory.path().join("single");
    let objects = ours("hub");
    prepare(&single, &objects);
    let all = containers(&objects);
    let (_, init) = all[0];
    command::run(parse(moved(init, &single, 0))).await.unwrap();
    let (_, hub) = all[1];
    serves(hub, &single).await;

    let Some(database) = Postgres::start().unwrap() else {
        return;
    };
    let replica = directory.path().join("replica");
    let objects = ours("hub-whole");
    prepare(&replica, &objects);
    secret(&replica.join("etc/flotilla-store/url"), &database.url());
    for name in ["ca.crt", "ca.key"] {
        let made = std::fs::read_to_string(single.join("var/lib/flotilla/hub").join(name)).unwrap();
        secret(&replica.join("etc/flotilla-authority").join(name), &made);
    }
    let all = containers(&objects);
    let [(_, hub)] = all[..] else {
        panic!("a replica has one container");
    };
    serves(hub, &replica).await;
}
