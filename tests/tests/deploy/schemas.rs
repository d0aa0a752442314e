//! The JSON Schemas for editors accept what the programs accept, refuse documents of the wrong shape, and know every
//! key.

use std::path::PathBuf;

use boon::{Compiler, SchemaIndex, Schemas};
use flotilla_agent::policy::Policy;
use serde_json::Value;

use crate::rendered::{charts, deploy, ours};

struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(deploy().join("schemas").join(name)).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        let value = serde_json::from_str(&text).unwrap();
        compiler.add_resource("schema.json", value).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn takes(&self, value: &Value) -> Result<(), String> {
        let judged = self.0.validate(value, self.1);
        judged.map_err(|error| format!("{error:#}"))
    }
}

fn yaml(text: &str) -> Value {
    let limits = flotilla_yaml::Limits::default();
    let documents = flotilla_yaml::parse_documents(text, &limits);
    documents.unwrap().remove(0).value
}

fn root() -> PathBuf {
    deploy().join("..")
}

/// Blocks of a page that start as given.
fn blocks(beginning: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![deploy().join("docs/src")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            if path.extension().is_none_or(|kind| kind != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let pieces = text.split("```yaml\n").skip(1);
            let pieces = pieces.filter_map(|piece| piece.split("```").next());
            let meant = pieces.filter(|piece| piece.starts_with(beginning));
            found.extend(meant.map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_example_of_a_fleet_file_fits_its_schema_and_the_hub() {
    let schema = Schema::read("fleet-file.schema.json");
    let mut texts = blocks("apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n");
    assert!(!texts.is_empty());
    texts.push(std::fs::read_to_string(root().join("hub/examples/fleet.yaml")).unwrap());
    for objects in [
        ours("hub"),
        charts("flotilla-hub", &serde_json::json!({})).unwrap(),
    ] {
        let fleet = &objects["ConfigMap flotilla-hub/flotilla-fleet"]["data"]["fleet.yaml"];
        texts.push(fleet.as_str().unwrap().to_owned());
    }
    for text in texts {
        schema
            .takes(&yaml(&text))
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        flotilla_hub::spec::parse("fleet.yaml", &text).unwrap();
    }
}

#[test]
fn every_example_of_a_policy_fits_its_schema_and_the_agent() {
    let schema = Schema::read("policy.schema.json");
    let policy =
        ours("agent")["ConfigMap flotilla-system/flotilla-agent"]["data"]["policy.yaml"].clone();
    let whole = "repositories: ['https://git.example.org/a.git']\nbranches: [prod]\npaths: [apps]\n\
         namespaces: [web]\nkinds: [Deployment.apps]\nallowHttp: true\nallowFile: true\n\
         deleteBudget: {count: 1, percent: 2}\nprotectedKinds: [Secret]\n\
         serviceAccounts: {'*': web/deployer}\nrequestsPerSecond: 5\n\
         healthRules: [{group: a.b, kind: C, current: 'true'}]\n\
         managers: {people: [ada], controllers: ['x*']}\nfreezeAlarmSeconds: 5\n\
         keys: [{name: ada, ssh: 'ssh-ed25519 AAAA', validUntil: '2030-01-01T00:00:00Z', revoked: true}]\n\
         signatures: [{branches: [prod], mode: range, keys: [ada]}]\nrollback: {mode: approve, keys: [ada]}\n\
         plan: {branches: [main]}\ngateJobs: {paths: [gates]}\n";
    for text in [policy.as_str().unwrap(), whole] {
        schema
            .takes(&yaml(text))
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let _: Policy = flotilla_yaml::config::from_str("policy", text).unwrap();
    }
}

#[test]
fn what_has_the_wrong_shape_is_refused_by_schema_and_program() {
    let schema = Schema::read("fleet-file.schema.json");
    for wrong in [
        "enviroments: []",
        "repositories: [{name: a}]",
        "repositories: [{name: a, url: 'https://h/r', pollInterval: soon}]",
        "repositories: [{name: A_b, url: 'https://h/r'}]",
        "repositories: [{name: a, url: 'ftp://h/r'}]",
        "environments: [{name: a, branch: a, strategy: {waves: [{selector: a=b}]}}]",
        "environments: [{name: a, branch: a, strategy: {maxConcurrent: 200%}}]",
        "environments: [{name: a, branch: a, strategy: {onFailure: explode}}]",
        "environments: [{name: a, branch: a, gates: {windows: [{days: [someday], from: '1:00', to: '2:00'}]}}]",
        "environments: [{name: a, branch: a, gates: {jobs: [{name: j, path: p}]}}]",
        "environments: [{name: a, branch: a, gates: {jobs: [{name: j, application: b, path: p, timeout: soon}]}}]",
        "applications: [{name: a, repository: r}]",
        "applications: [{name: a, repository: r, path: p, renderer: jsonnet}]",
        "applications: [{name: a, repository: r, path: p, syncPolicy: {prune: true}}]",
        "clusters: [{name: a, environment: b, labels: [a]}]",
        "environments: [{name: a, branch: a}, {name: b, branch: b, promotesFrom: a, merge: squash}]",
        "previews: [{environment: a, branch: a}]",
        "previews: [{environment: a, branch: a, role: owner}]",
    ] {
        let text = format!("apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n{wrong}\n");
        assert!(flotilla_hub::spec::parse("f", &text).is_err(), "{wrong}");
        assert!(schema.takes(&yaml(&text)).is_err(), "{wrong}");
    }
    let schema = Schema::read("policy.schema.json");
    for wrong in [
        "repository: []",
        "repositories: ['ftp://a/b']",
        "deleteBudget: {count: -1}",
        "allowHttp: sometimes",
        "signatures: [{mode: all}]",
        "rollback: {mode: ask}",
        "keys: [{ssh: a}]",
        "gateJobs: {path: gates}",
    ] {
        let read: Result<Policy, _> = flotilla_yaml::config::from_str("p", wrong);
        assert!(read.is_err(), "{wrong}");
        assert!(schema.takes(&yaml(wrong)).is_err(), "{wrong}");
    }
}

/// Serialised keys of structures that are read from files; of one source file, or of all in a directory.
fn keys(path: &str, structure: &str) -> Vec<String> {
    let path = root().join(path);
    let files: Vec<PathBuf> = match path.is_dir() {
        true => {
            let entries = std::fs::read_dir(&path).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        }
        false => vec![path],
    };
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap());
    let text: String = texts.collect();
    let body = regex::Regex::new(&format!(r"struct {structure} \{{([^}}]*)\n\}}")).unwrap();
    let field = regex::Regex::new(r"(?m)^    (?:pub(?:\([a-z]+\))? )?([a-z_]+):").unwrap();
    let mut found = Vec::new();
    for body in body.captures_iter(&text) {
        for name in field.captures_iter(&body[1]) {
            let mut words = name[1].split('_');
            let mut key = words.next().unwrap_or_default().to_owned();
            for word in words {
                let (first, rest) = word.split_at(1);
                key += &format!("{}{rest}", first.to_uppercase());
            }
            found.push(key);
        }
    }
    found
}

#[test]
fn the_schemas_know_every_key_that_the_programs_read() {
    for (schema, sources) in [
        (
            "fleet-file.schema.json",
            &[
                (
                    "shared/spec/src/file/entries.rs",
                    "(?:FleetFile|[A-Za-z]+Entry)",
                ),
                ("shared/spec/src/file/previews.rs", "PreviewEntry"),
                ("shared/spec/src/file/removed.rs", "RemovalEntry"),
                ("shared/spec/src/strategy.rs", "GatesEntry"),
                ("shared/spec/src/strategy", "[A-Za-z]+Entry"),
                ("shared/spec/src/helm.rs", "HelmEntry"),
                ("shared/src/assignment.rs", "IgnoreRule"),
            ][..],
        ),
        (
            "policy.schema.json",
            &[
                (
                    "agent/src/policy.rs",
                    "(?:Policy|ManagerNames|DeleteBudget)",
                ),
                (
                    "agent/src/policy/signing.rs",
                    "(?:SignatureRule|RollbackRule)",
                ),
                ("agent/src/health/rule.rs", "HealthRule"),
                ("agent/trust/src/key.rs", "PinnedKey"),
            ][..],
        ),
    ] {
        let text = std::fs::read_to_string(deploy().join("schemas").join(schema)).unwrap();
        for (path, structure) in sources {
            let keys = keys(path, structure);
            assert!(keys.len() >= 2, "{path}: nothing is found any more");
            for key in keys {
                assert!(
                    text.contains(&format!("\"{key}\":")),
                    "{schema} lacks {key} of {path}"
                );
            }
        }
    }
}
