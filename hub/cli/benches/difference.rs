//! Time of `flotilla diff --base` as a process over a whole fleet, compared with the usual way without it: two runs of
//! `kubectl kustomize`, one for each side, for every application and environment.
//!
//! `FLOTILLA_CLI=$PWD/target/release/flotilla cargo bench --workspace --bench difference`; uses the `kubectl` of the
//! search path, and without one measures only `flotilla`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const APPLICATIONS: usize = 200;
const ENVIRONMENTS: [&str; 3] = ["dev", "stage", "prod"];

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn git(root: &Path, arguments: &[&str]) {
    let status = Command::new("git")
        .current_dir(root)
        .args(["-c", "user.name=a", "-c", "user.email=a@example.com"])
        .args(arguments)
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "git {arguments:?}");
}

fn deployment(name: &str, image: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec:\n      containers:\n      - name: main\n        image: example.com/{name}:{image}\n        \
         ports: [{{containerPort: 8080}}]\n        resources: {{requests: {{cpu: 10m, memory: 32Mi}}}}\n"
    )
}

/// A base of four objects for each application, and an overlay for each environment.
fn tree(root: &Path) {
    for number in 0..APPLICATIONS {
        let name = format!("app-{number}");
        let base = format!("apps/{name}/base");
        write(
            root,
            &format!("{base}/kustomization.yaml"),
            "resources: [deployment.yaml, service.yaml, account.yaml]\n\
             configMapGenerator:\n- {name: settings, literals: [LEVEL=info, COLOUR=blue]}\n",
        );
        write(
            root,
            &format!("{base}/deployment.yaml"),
            &deployment(&name, "1"),
        );
        write(
            root,
            &format!("{base}/service.yaml"),
            &format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec:\n  \
                 selector: {{app: {name}}}\n  ports: [{{port: 80, targetPort: 8080}}]\n"
            ),
        );
        write(
            root,
            &format!("{base}/account.yaml"),
            &format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n"),
        );
        for (replicas, environment) in ENVIRONMENTS.iter().enumerate() {
            write(
                root,
                &format!("apps/{name}/overlays/{environment}/kustomization.yaml"),
                &format!(
                    "resources: [../../base]\nnamespace: {name}-{environment}\n\
                     labels: [{{pairs: {{environment: {environment}}}}}]\n\
                     replicas: [{{name: {name}, count: {}}}]\n",
                    replicas + 1
                ),
            );
        }
    }
    write(root, "fleet.yaml", &fleet());
}

fn fleet() -> String {
    let mut text = String::from(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n\
         - {name: fleet, url: 'https://git.example.com/fleet.git'}\nenvironments:\n",
    );
    for environment in ENVIRONMENTS {
        writeln!(text, "- {{name: {environment}, branch: {environment}}}").unwrap();
    }
    text.push_str("clusters:\n");
    for environment in ENVIRONMENTS {
        for number in 1..=2 {
            writeln!(
                text,
                "- {{name: {environment}-{number}, environment: {environment}}}"
            )
            .unwrap();
        }
    }
    text.push_str("applications:\n");
    for number in 0..APPLICATIONS {
        writeln!(
            text,
            "- {{name: app-{number}, repository: fleet, path: 'apps/app-{number}/overlays/{{environment}}'}}"
        )
        .unwrap();
    }
    text
}

fn ours(program: &str, root: &Path) -> (Duration, Output) {
    let start = Instant::now();
    let output = Command::new(program)
        .current_dir(root)
        .args(["diff", "--base", "main", "--repository", "fleet"])
        .output()
        .unwrap();
    (start.elapsed(), output)
}

fn has_kubectl() -> bool {
    Command::new("kubectl")
        .args(["version", "--client"])
        .stdout(Stdio::null())
        .status()
        .is_ok()
}

fn kustomize(root: &Path) -> Duration {
    let start = Instant::now();
    for number in 0..APPLICATIONS {
        for environment in ENVIRONMENTS {
            let path = root.join(format!("apps/app-{number}/overlays/{environment}"));
            let status = Command::new("kubectl")
                .arg("kustomize")
                .arg(path)
                .stdout(Stdio::null())
                .status();
            assert!(status.unwrap().success());
        }
    }
    start.elapsed()
}

fn main() {
    let Some(program) = std::env::var_os("FLOTILLA_CLI") else {
        println!("FLOTILLA_CLI names no release build of `flotilla`; nothing was measured");
        return;
    };
    let program = std::fs::canonicalize(program).unwrap();
    let program = program.to_str().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    tree(root);
    git(root, &["init", "-q", "-b", "main"]);
    git(root, &["add", "."]);
    git(root, &["commit", "-q", "-m", "base"]);
    git(root, &["checkout", "-q", "-b", "change"]);
    for (what, changed) in [("one application", 1), ("all applications", APPLICATIONS)] {
        for number in 0..changed {
            let name = format!("app-{number}");
            let path = format!("apps/{name}/base/deployment.yaml");
            write(root, &path, &deployment(&name, "2"));
        }
        let (_, output) = ours(program, root);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        let mut times: Vec<Duration> = (0..5).map(|_| ours(program, root).0).collect();
        times.sort();
        let [fastest, _, middle, _, slowest] = times[..] else {
            return;
        };
        println!(
            "flotilla diff --base, {APPLICATIONS} applications, {} environments, {what} changed: {:.2} s \
             ({:.2} to {:.2}), {} lines",
            ENVIRONMENTS.len(),
            middle.as_secs_f64(),
            fastest.as_secs_f64(),
            slowest.as_secs_f64(),
            String::from_utf8_lossy(&output.stdout).lines().count()
        );
        if changed == APPLICATIONS && has_kubectl() {
            // Both sides cost the same, so only one of them is run.
            let theirs = kustomize(root) * 2;
            println!(
                "kubectl kustomize for the same, both sides: {:.1} s, {:.0} times as long",
                theirs.as_secs_f64(),
                theirs.as_secs_f64() / middle.as_secs_f64()
            );
        }
    }
}
