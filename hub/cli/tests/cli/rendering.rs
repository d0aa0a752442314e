//! `flotilla render`: the binary on work trees.

use std::path::Path;
use std::process::{Command, Output};

use crate::real_git;
use crate::schema;

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flotilla"))
        .arg("render")
        .args(arguments)
        .current_dir(directory)
        .env_remove("GIT_DIR")
        .output()
        .unwrap()
}

fn out(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn work_tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let config_map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {at: \
                      '${cluster.labels.region}'}\n";
    for (path, text) in [
        (".gitignore", "ignored.yaml\n"),
        ("base/kustomization.yaml", "resources: [x.yaml]\n"),
        ("base/x.yaml", config_map),
        (
            "prod/kustomization.yaml",
            "resources: [../base]\nnamePrefix: prod-\n",
        ),
        ("broken/kustomization.yaml", "resources: [ignored.yaml]\n"),
        ("broken/ignored.yaml", config_map),
    ] {
        write(root.path(), path, text);
    }
    root
}

#[test]
fn a_work_tree_renders_as_it_would_be_committed() {
    let root = work_tree();
    let git = Command::new("git")
        .args(["init", "-q"])
        .current_dir(root.path())
        .status()
        .unwrap();
    assert!(git.success());
    let expected = "apiVersion: v1\ndata:\n  at: ${cluster.labels.region}\nkind: \
                    ConfigMap\nmetadata:\n  name: prod-web\n";
    assert_eq!(out(root.path(), &["prod"]), expected);
    assert_eq!(out(&root.path().join("prod"), &[]), expected);
    assert_eq!(
        out(root.path(), &["prod", "-o", "files-read"]),
        "base/kustomization.yaml\nbase/x.yaml\nprod/kustomization.yaml\n"
    );
    let json = out(root.path(), &["prod", "-o", "json"]);
    assert!(json.contains("\"kind\": \"List\""), "{json}");
    let facts = ["--cluster", "eu-1", "--env", "prod"];
    let with = |more: &[&'static str]| -> Vec<&'static str> {
        ["prod"].iter().chain(&facts).chain(more).copied().collect()
    };
    let text = out(root.path(), &with(&["--label", "region=eu"]));
    assert!(text.contains("at: eu\n"), "{text}");
    assert_eq!(out(root.path(), &with(&["--lenient"])), expected);
    // The agent's refusals are refused here too, with exit code 2.
    for (arguments, reason) in [
        (with(&[]), "SubstitutionFailed"),
        (vec!["broken"], "PathNotFound"),
    ] {
        let output = run(root.path(), &arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(&format!("refused ({reason})")), "{errors}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn what_git_leaves_out_is_told_from_what_is_not_there() {
    let root = work_tree();
    let root = root.path();
    git(root, &["init", "-q"]);
    write(root, ".gitignore", "made/\n");
    write(
        root,
        "made/a.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
    );
    let output = run(root, &["made"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains(".gitignore excludes"), "{message}");
}

#[test]
fn a_folder_in_no_repository_renders_alone() {
    let root = work_tree();
    let output = run(&root.path().join("base"), &[]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not in a Git work tree"));
    let output = run(&root.path().join("prod"), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("OutsideRoot"));
}

const FLEET: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://github.com/acme/fleet'}]
environments: [{name: dev, branch: dev}, {name: prod, branch: prod, promotesFrom: dev}]
clusters: [{name: eu-1, environment: prod, labels: {region: eu}}]
applications:
- {name: web, repository: fleet, path: prod}
- {name: base, repository: fleet, path: base, substitute: true, placement: {environments: [prod]}}
";

fn git(root: &Path, arguments: &[&str]) {
    let identity = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgSign=false",
    ];
    real_git::git(root, &[&identity[..], arguments].concat());
}

fn diff(root: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flotilla"))
        .arg("diff")
        .args(arguments)
        .current_dir(root)
        .env_remove("GIT_DIR")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_change_is_shown_for_the_whole_fleet_without_a_hub() {
    let root = work_tree();
    let root = root.path();
    write(root, "fleet.yaml", FLEET);
    // Rendered as by agents: a broken directory without a placement does not matter.
    git(root, &["init", "-q", "-b", "main"]);
    git(root, &["add", "-A"]);
    git(root, &["commit", "-q", "-m", "one"]);
    let (code, out, errors) = diff(root, &["--base", "main"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{out}");
    assert_eq!(out, "nothing differs (2 renders the same)\n");

    // Later commits of the base are not part of this change.
    git(root, &["checkout", "-q", "-b", "topic"]);
    git(root, &["checkout", "-q", "main"]);
    write(
        root,
        "prod/kustomization.yaml",
        "resources: [../base]\nnamePrefix: other-\n",
    );
    git(root, &["commit", "-q", "-a", "-m", "other"]);
    git(root, &["checkout", "-q", "topic"]);
    let text = std::fs::read_to_string(root.join("base/x.yaml")).unwrap();
    write(
        root,
        "base/x.yaml",
        &text.replace("{at:", "{more: '1', at:"),
    );
    let (code, out, errors) = diff(root, &["--base", "main"]);
    assert_eq!((code, errors.as_str()), (Some(1), ""), "{out}");
    assert!(
        out.contains("web in dev: every cluster\nweb in prod: eu-1\n  ~ update ConfigMap prod-web"),
        "{out}"
    );
    assert!(
        out.contains("base in prod: eu-1\n  ~ update ConfigMap web"),
        "{out}"
    );
    assert!(
        out.contains("+   more: '1'") && !out.contains("other-"),
        "{out}"
    );
    // From a subfolder, of a commit, as JSON.
    git(root, &["commit", "-q", "-a", "-m", "two"]);
    let (code, out, _) = diff(
        &root.join("base"),
        &["--base", "main", "--head", "topic", "-o", "json"],
    );
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    schema::hold("diffBase", &json);
    assert_eq!(
        (code, json["changes"].as_array().unwrap().len()),
        (Some(1), 2),
        "{out}"
    );
    let (code, out, _) = diff(root, &["--base", "main", "-o", "markdown"]);
    assert!(
        code == Some(1) && out.starts_with("<!-- flotilla:diff -->\n"),
        "{out}"
    );

    // A change of the fleet file itself.
    write(
        root,
        "fleet.yaml",
        &FLEET.replace("name: eu-1", "name: eu-9"),
    );
    let (code, out, _) = diff(root, &["--base", "main"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("+ web in prod comes to eu-9") && out.contains("no longer placed on eu-1"),
        "{out}"
    );

    // A difference that cannot be rendered is an error, not an empty one.
    write(root, "base/x.yaml", "kind: [");
    let (code, out, errors) = diff(root, &["--base", "main"]);
    assert_eq!(code, Some(2), "{out}{errors}");
    assert!(out.contains("does not render: ") && errors.contains("parts of it do not render"));
    for (arguments, expected) in [
        (vec!["--base", "nowhere"], "there is no commit nowhere"),
        (vec!["--base=--output=x"], "there is no commit --output=x"),
        (vec!["--base", "main", "--fleet", "none.yaml"], "none.yaml"),
        (vec![], "required"),
    ] {
        let (code, _, errors) = diff(root, &arguments);
        assert!(
            code == Some(2) && errors.contains(expected),
            "{arguments:?}: {errors}"
        );
    }
}
