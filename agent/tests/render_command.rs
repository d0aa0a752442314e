//! `flotilla-agent render`: the binary on a repository of this machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::{Command, Output};

use flotilla_needs::git;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flotilla-agent"))
        .args(["--log", "error", "render"])
        .args(arguments)
        .output()
        .unwrap()
}

fn out(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_commit_renders_as_the_agent_would_apply_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    git(root, &["init", "-q", "-b", "main", "."]);
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let commit = |message: &str| {
        git(root, &["add", "-A"]);
        git(root, &["commit", "-q", "-m", message]);
        git(root, &["rev-parse", "HEAD"])
    };
    write("base/kustomization.yaml", "resources: [x.yaml]\n");
    write(
        "base/x.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {at: '${cluster.name}'}\n",
    );
    write(
        "prod/kustomization.yaml",
        "resources: [../base]\nnamePrefix: one-\n",
    );
    let first = commit("one");
    write(
        "prod/kustomization.yaml",
        "resources: [../base]\nnamePrefix: two-\n",
    );
    commit("two");

    let repo = root.to_str().unwrap();
    let base = ["--repo", repo, "--path", "prod"];
    let with = |more: &[&str]| -> Vec<String> {
        base.iter()
            .chain(more)
            .map(|text| (*text).to_owned())
            .collect()
    };
    let rendered = |more: &[&str]| {
        let arguments = with(more);
        out(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(rendered(&[]).contains("name: two-web\n"));
    assert!(rendered(&["--commit", &first]).contains("name: one-web\n"));
    assert_eq!(
        rendered(&["-o", "files-read"]),
        "base/kustomization.yaml\nbase/x.yaml\nprod/kustomization.yaml\n"
    );
    assert!(rendered(&["--cluster", "eu-1", "--environment", "prod"]).contains("at: eu-1\n"));
    assert!(rendered(&["-o", "json"]).contains("\"kind\": \"List\""));

    write(
        "prod/kustomization.yaml",
        "resources: ['https://example.com/x?ref=1']\n",
    );
    commit("three");
    let arguments = with(&[]);
    let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(
        errors.contains("refused (RemoteReference): prod/kustomization.yaml"),
        "{errors}"
    );
    // A commit that is not on the given branch is not rendered.
    let output = run(&["--repo", repo, "--branch", "other", "--commit", &first]);
    assert!(!output.status.success());
}
