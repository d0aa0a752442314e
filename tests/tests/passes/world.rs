//! One application on one API server, without hub and Git.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_agent::cluster::{Cluster, Memory, Options, PassInput, PassOutcome};
use flotilla_agent::observe::managers::Managers;
use flotilla_agent::plan::{Claims, Intent};
use flotilla_agent::policy::Policy;
use flotilla_apiserver::AuditEvent;
use flotilla_render::{MemoryTree, render};
use flotilla_shared::assignment::SyncPolicy;
use flotilla_shared::digest::Digest;
use flotilla_shared::health::{Health, SyncState};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::ObjectStatus;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::kubeconfig::request;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// The agent's namespace.
const OWN: &str = "flotilla-system";

pub(crate) struct World<'c> {
    pub(crate) server: &'c TestCluster,
    pub(crate) client: kube::Client,
    /// The scenario's own namespace.
    pub(crate) namespace: String,
    pub(crate) policy: Policy,
    pub(crate) sync_policy: SyncPolicy,
    pub(crate) agent: Cluster,
    pub(crate) memory: Memory,
    application: String,
    audited: usize,
}

impl<'c> World<'c> {
    pub(crate) async fn new(server: &'c TestCluster, name: &str) -> Self {
        let client = server.client();
        let mut short: String = name.replace('_', "-");
        short.truncate(40);
        let short = short.trim_end_matches('-').to_owned();
        let mut world = Self {
            agent: Cluster::new(client.clone(), Options::default()),
            server,
            client,
            namespace: short.clone(),
            policy: Policy::default(),
            sync_policy: SyncPolicy::default(),
            memory: Memory::default(),
            application: short.clone(),
            audited: 0,
        };
        for namespace in [OWN, &short] {
            let body =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            let code = world.send("POST", "/api/v1/namespaces", &body).await.0;
            assert!(code == 201 || code == 409, "{code}");
        }
        world.writes();
        world
    }

    /// The name of the application.
    pub(crate) fn application(&self) -> ApplicationName {
        self.application.parse().unwrap()
    }

    /// Any request as the cluster's administrator.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.send_as(method, path, "application/json", body).await
    }

    pub(crate) async fn send_as(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> (u16, Value) {
        let request = request(method, path, kind, body).unwrap();
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = http_body_util::BodyExt::collect(response.into_body())
            .await
            .unwrap()
            .to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// A path below this scenario's namespace, such as `configmaps/a`.
    pub(crate) fn path(&self, rest: &str) -> String {
        let (root, rest) = match rest.split_once(':') {
            Some((group, rest)) => (format!("/apis/{group}"), rest),
            None => ("/api/v1".to_owned(), rest),
        };
        format!("{root}/namespaces/{}/{rest}", self.namespace)
    }

    /// A live object; none: it does not exist.
    pub(crate) async fn live(&self, rest: &str) -> Option<Value> {
        let (code, value) = self.send("GET", &self.path(rest), &Value::Null).await;
        (code == 200).then_some(value)
    }

    /// A merge patch by another client, which the agent then observes: it restarts, so that no test depends on the
    /// speed of a watch.
    pub(crate) async fn edit(&mut self, manager: &str, rest: &str, patch: Value) {
        let path = format!("{}?fieldManager={manager}", self.path(rest));
        let kind = "application/merge-patch+json";
        let (code, value) = self.send_as("PATCH", &path, kind, &patch).await;
        assert_eq!(code, 200, "{value}");
        self.restart();
    }

    /// The same with a JSON patch.
    pub(crate) async fn patch(&mut self, manager: &str, rest: &str, patch: &Value) {
        let (code, value) = self.try_patch(manager, rest, patch).await;
        assert_eq!(code, 200, "{value}");
    }

    /// The same if the API server may refuse it.
    pub(crate) async fn try_patch(
        &mut self,
        manager: &str,
        rest: &str,
        patch: &Value,
    ) -> (u16, Value) {
        let path = format!("{}?fieldManager={manager}", self.path(rest));
        let answer = self
            .send_as("PATCH", &path, "application/json-patch+json", patch)
            .await;
        self.restart();
        answer
    }

    /// Replaces the agent by one without memory, as after a restart.
    pub(crate) fn restart(&mut self) {
        self.restart_with(Managers::default());
    }

    /// An agent whose policy names field managers.
    pub(crate) fn restart_with(&mut self, managers: Managers) {
        let options = Options {
            managers: Arc::new(managers),
            ..Options::default()
        };
        self.agent = Cluster::new(self.client.clone(), options);
        self.memory = Memory::default();
    }

    /// An agent without memory that uses another client.
    pub(crate) fn agent_over(&mut self, client: kube::Client) {
        self.agent = Cluster::new(client, Options::default());
        self.memory = Memory::default();
    }

    /// The statuses of all answers to such writes of an object of this scenario.
    pub(crate) fn answers(&self, verb: &str, name: &str) -> Vec<u16> {
        let audit = self.server.audit().unwrap();
        audit
            .iter()
            .filter(|event| event.namespace == self.namespace)
            .filter(|event| event.verb == verb && event.name == name && !event.dry_run)
            .map(|event| event.code)
            .collect()
    }

    /// A pass for a commit with this file only.
    pub(crate) async fn pass(&mut self, yaml: &str) -> PassOutcome {
        self.turn_for(yaml, Intent::Run).await
    }

    /// A pass for an application that was removed with its objects.
    pub(crate) async fn remove(&mut self) -> PassOutcome {
        self.turn_for("", Intent::Remove).await
    }

    pub(crate) async fn turn_for(&mut self, yaml: &str, intent: Intent) -> PassOutcome {
        self.try_turn(yaml, intent).await.unwrap()
    }

    /// A pass on a server that may be unavailable; none: it could not even start.
    pub(crate) async fn try_pass(&mut self, yaml: &str) -> Option<PassOutcome> {
        self.try_turn(yaml, Intent::Run).await.ok()
    }

    /// The input of a pass; nothing is known of other applications.
    pub(crate) fn input(&self, yaml: &str, intent: Intent) -> PassInput {
        let mut tree = MemoryTree::new();
        tree.insert_file("app/all.yaml", yaml.as_bytes().to_vec())
            .unwrap();
        let manifests = if intent != Intent::Run {
            Vec::new()
        } else {
            render(&tree, "app", &flotilla_render::Options::default())
                .unwrap()
                .manifests
        };
        PassInput {
            application: self.application(),
            manifests: Arc::new(manifests),
            content: Digest::of(yaml.as_bytes()),
            sync_policy: self.sync_policy.clone(),
            policy: Arc::new(self.policy.clone()),
            namespace: self.namespace.clone(),
            claims: PassInput::fixed(Claims::default()),
            frozen: false,
            intent,
            waits_for: None,
        }
    }

    async fn try_turn(&mut self, yaml: &str, intent: Intent) -> Result<PassOutcome, String> {
        let mut input = self.input(yaml, intent);
        let mut desired_state = self
            .agent
            .desired_state(&input)
            .await
            .map_err(|error| format!("{error:?}"))?;
        input.claims = PassInput::fixed(Claims::of_one(&self.application, &desired_state.desired));
        let cancel = CancellationToken::new();
        let outcome = self
            .agent
            .reconcile(&input, &mut desired_state, &mut self.memory, &cancel)
            .await;
        Ok(outcome)
    }

    /// A pass that must end in sync and healthy.
    pub(crate) async fn synced(&mut self, yaml: &str) -> PassOutcome {
        let outcome = self.pass(yaml).await;
        assert_eq!(outcome.sync, SyncState::Synced, "{outcome:#?}");
        outcome
    }

    /// Takes passes until one ends in sync and healthy.
    pub(crate) async fn healed(&mut self, yaml: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let outcome = self.pass(yaml).await;
            if outcome.sync == SyncState::Synced {
                return;
            }
            assert!(Instant::now() < deadline, "{outcome:#?}");
        }
    }

    /// Successful writes since the last call, without the agent's own records.
    pub(crate) fn writes(&mut self) -> Vec<String> {
        let audit = self.server.audit().unwrap();
        let new: Vec<AuditEvent> = audit.iter().skip(self.audited).cloned().collect();
        self.audited = audit.len();
        new.into_iter()
            .filter(|event| event.namespace != OWN && !event.dry_run && event.code < 300)
            .map(|event| format!("{} {}/{}", event.verb, event.resource, event.name))
            .collect()
    }

    /// The deletes among them.
    pub(crate) fn deletes(&mut self) -> Vec<String> {
        let writes = self.writes();
        writes
            .into_iter()
            .filter(|write| write.starts_with("delete"))
            .collect()
    }
}

/// The reported status of an object.
pub(crate) fn status<'o>(outcome: &'o PassOutcome, name: &str) -> &'o ObjectStatus {
    let found = outcome
        .objects
        .iter()
        .find(|status| status.object.name == name);
    found.unwrap_or_else(|| panic!("nothing is said of {name}: {outcome:#?}"))
}

pub(crate) fn reason(outcome: &PassOutcome, name: &str) -> Option<Reason> {
    status(outcome, name).reason
}

pub(crate) fn health(outcome: &PassOutcome, name: &str) -> Health {
    status(outcome, name).health
}

pub(crate) fn config_map(name: &str, value: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{value: '{value}'}}\n"
    )
}

pub(crate) fn annotated(name: &str, value: &str, annotations: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
         data: {{value: '{value}'}}\n"
    )
}

pub(crate) fn deployment(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec: {{containers: [{{name: main, image: 'example.com/main:1', resources: {{requests: {{cpu: 1000m}}}}}}]}}\n"
    )
}

pub(crate) fn job(name: &str, annotations: &str) -> String {
    format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n\
         spec: {{template: {{spec: {{restartPolicy: Never, containers: [{{name: main, image: 'example.com/job:1'}}]}}}}}}\n"
    )
}
