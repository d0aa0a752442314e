//! The agent starts no programs for this: it fetches over HTTP and verifies signatures in its own process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_tests::eventually;
use flotilla_tests::fleet::{Operator, application};
use flotilla_tests::installation::Installation;
use flotilla_tests::repository::git;

const LIMIT: Duration = Duration::from_secs(60);
/// Programs that the agent might call for a commit or its signature, and those through which it might call them.
const PROGRAMS: [&str; 9] = [
    "git",
    "git-upload-pack",
    "git-remote-http",
    "ssh",
    "ssh-keygen",
    "gpg",
    "gpg2",
    "gpgsm",
    "sh",
];

/// A directory of programs with these names, each of which records that it was started.
fn that_tell(root: &Path) -> (PathBuf, PathBuf) {
    let (directory, told) = (root.join("programs"), root.join("started"));
    std::fs::create_dir(&directory).unwrap();
    let script = format!("#!/bin/sh\necho \"$0 $*\" >>'{}'\nexit 1\n", told.display());
    for name in PROGRAMS {
        let path = directory.join(name);
        std::fs::write(&path, &script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    (directory, told)
}

/// The fields of a process from its parent on (`proc_pid_stat(5)`); none: it does not exist.
fn stat(process: &str) -> Option<Vec<i64>> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    let fields = fields.split_whitespace().skip(1);
    Some(fields.map(|field| field.parse().unwrap_or(0)).collect())
}

/// Whether a process has or had children: one that exists, or page faults of children that have exited and were waited
/// for.
fn has_had_children(process: u32) -> bool {
    let own = stat(&process.to_string()).unwrap();
    let (minor, major) = (own[7], own[9]);
    let mut others = std::fs::read_dir("/proc").unwrap();
    let has_one = others.any(|other| {
        let name = other.unwrap().file_name();
        let parent = stat(&name.to_string_lossy()).and_then(|fields| fields.first().copied());
        parent == Some(i64::from(process))
    });
    has_one || minor > 0 || major > 0
}

/// Commits everything, signed if a key is given, and pushes.
fn push(world: &Installation, message: &str, key: Option<&str>) -> String {
    let work = &world.repository.work;
    let signing = key.map(|key| format!("user.signingkey={}", world.root().join(key).display()));
    let mut arguments = vec!["-c", "gpg.format=ssh"];
    if let Some(signing) = &signing {
        arguments.extend(["-c", signing.as_str()]);
    }
    arguments.extend(["commit", "-q", "--allow-empty", "-m", message]);
    if signing.is_some() {
        arguments.push("-S");
    }
    git(work, &arguments).unwrap();
    git(work, &["push", "-q", "origin", "HEAD:refs/heads/dev"]).unwrap();
    git(work, &["rev-parse", "HEAD"]).unwrap()
}

/// Waits until the agent reports that a commit runs, or why it does not.
async fn reported(operator: &Operator, commit: &str, reason: &str) {
    eventually(
        &format!("{commit} with the reason {reason:?}"),
        LIMIT,
        || {
            let mut operator = operator.clone();
            async move {
                let status = operator.cluster("c1").await?;
                let report = application(&status, "app")?.clone();
                let is_it = match reason {
                    "" => {
                        report.sync() == v1::Sync::Synced
                            && report.revision.as_ref()?.commit == commit
                    }
                    reason => report.sync() == v1::Sync::Refused && report.reason == reason,
                };
                is_it.then_some(())
            }
        },
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g14_signatures_are_judged_without_starting_a_program() {
    let Some(keygen) = flotilla_needs::program("ssh-keygen", None, &["ssh-keygen"]) else {
        return;
    };
    let object = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let world = Installation::new(&[("app/a.yaml", object)]).await.unwrap();
    for key in ["good", "other"] {
        let mut make = std::process::Command::new(&keygen);
        make.args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
            .arg(world.root().join(key));
        flotilla_needs::output(&mut make);
    }
    let good = std::fs::read_to_string(world.root().join("good.pub")).unwrap();
    let policy = format!(
        "keys:\n- {{name: good, ssh: '{}'}}\nsignatures: [{{mode: range, keys: [good]}}]\n",
        good.trim()
    );
    std::fs::write(world.root().join("policy.yaml"), policy).unwrap();
    let first = push(&world, "signed", Some("good"));
    let mut hub = world.hub().unwrap();
    let mut operator = world.operator().await.unwrap();
    world.invite(&mut operator).await.unwrap();
    let (programs, started) = that_tell(world.root());
    let path = programs.display().to_string();
    let policy = ["--policy", "policy.yaml"];
    let agent = world.agent_with("agent", &policy, &[("PATH", path.as_str())]);
    let mut agent = agent.unwrap();
    reported(&operator, &first, "").await;
    push(&world, "by nobody", None);
    reported(&operator, "the next one", "SignatureMissing").await;
    git(&world.repository.work, &["reset", "-q", "--hard", &first]).unwrap();
    git(
        &world.repository.work,
        &["push", "-q", "-f", "origin", "HEAD:refs/heads/dev"],
    )
    .unwrap();
    push(&world, "by somebody else", Some("other"));
    reported(&operator, "another one", "SignatureKeyUnknown").await;

    assert!(has_had_children(std::process::id()), "it sees those of git");
    let process = agent.id().unwrap();
    assert!(!has_had_children(process), "the agent started something");
    let started = std::fs::read_to_string(started).unwrap_or_default();
    assert_eq!(started, "");
    agent.kill().await.unwrap();
    hub.kill().await.unwrap();
}
