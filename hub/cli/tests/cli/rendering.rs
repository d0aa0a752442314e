//! `flotilla render`: the binary on work trees.

use std::path::Path;
use std::process::{Command, Output};

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
    // What is refused is refused as the agent refuses it, with exit code 2.
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
fn a_folder_in_no_repository_renders_alone() {
    let root = work_tree();
    let output = run(&root.path().join("base"), &[]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("not in a Git work tree"));
    let output = run(&root.path().join("prod"), &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("OutsideRoot"));
}
