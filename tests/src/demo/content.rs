//! The demo's content in Git and in files: the fleet file, the repository, the policy of its agents.

use flotilla_tests::git_server::GitServer;
use flotilla_tests::repository::{Repository, git};

pub(super) fn git_remote(repository: &Repository, server: &GitServer) -> anyhow::Result<()> {
    git(
        &repository.work,
        &["remote", "set-url", "origin", &server.url("fleet.git")],
    )?;
    git(&repository.work, &["config", "user.name", "Flotilla demo"])?;
    git(
        &repository.work,
        &["config", "user.email", "demo@example.com"],
    )?;
    Ok(())
}

pub(super) fn fleet_file(server: &GitServer) -> String {
    format!(
        "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories:
  - name: fleet
    url: {}
environments:
  - name: dev
    branch: dev
  - name: stage
    branch: stage
    promotesFrom: dev
  - name: prod
    branch: prod
    promotesFrom: stage
    strategy:
      waves:
        - name: canary
          selector: tier=canary
      soak: 5s
      progressDeadline: 2m
      onFailure: rollback
    gates:
      proof: {{soak: 5s}}
clusters:
  - name: prod-eu-1
    environment: prod
    labels: {{tier: canary}}
applications:
  - name: platform
    repository: fleet
    path: platform
  - name: guestbook
    repository: fleet
    path: apps/guestbook
    namespace: guestbook
    dependsOn: [platform]
  - name: cluster
    repository: fleet
    path: clusters/{{environment}}
",
        server.url("fleet.git")
    )
}

pub(super) fn config(greeting: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: greeting\ndata:\n  text: {greeting}\n"
    )
}

/// The policy of the demo's agents: anything from that Git server, without TLS, and plans of changes before they are
/// merged.
pub(super) const POLICY: &str = "allowHttp: true\nplan: {branches: ['feature/*']}\n";

/// A Deployment in the directory of each environment.
const PROBE: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: probe
  namespace: default
spec:
  selector:
    matchLabels: {app: probe}
  template:
    metadata:
      labels: {app: probe}
    spec:
      containers:
        - name: probe
          image: example.com/probe:1
";

pub(super) fn configuration(repository: &Repository) -> anyhow::Result<()> {
    let namespace =
        |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n");
    repository.write("platform/namespaces.yaml", &namespace("guestbook"))?;
    repository.write("apps/guestbook/config.yaml", &config("Hello"))?;
    repository.write(
        "apps/guestbook/deployment.yaml",
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: frontend
spec:
  replicas: 3
  selector:
    matchLabels:
      app: frontend
  template:
    metadata:
      labels:
        app: frontend
    spec:
      containers:
        - name: web
          image: example.com/guestbook/web:1
          ports:
            - containerPort: 80
---
apiVersion: v1
kind: Service
metadata:
  name: frontend
spec:
  selector:
    app: frontend
  ports:
    - port: 80
",
    )?;
    for environment in ["dev", "stage", "prod"] {
        let facts = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: environment\n  namespace: default\n\
             data:\n  name: {environment}\n"
        );
        repository.write(&format!("clusters/{environment}/facts.yaml"), &facts)?;
        repository.write(&format!("clusters/{environment}/probe.yaml"), PROBE)?;
    }
    Ok(())
}
