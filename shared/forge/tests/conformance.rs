//! Checks every request against the forge's published description, and every reader against its example answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use flotilla_forge::{Answer, Call, CommitStatus, Kind, NewPull, Repository, Right, State};
use flotilla_shared::revision::{BranchName, Commit};
use serde_json::{Value, json};

#[path = "forges/bitbucket.rs"]
mod bitbucket;
#[path = "forges/gitea.rs"]
mod gitea;
#[path = "forges/github.rs"]
mod github;
#[path = "forges/gitlab.rs"]
mod gitlab;

/// A forge's description, and the calls that were checked against it.
struct Description {
    operations: Vec<Value>,
    seen: BTreeSet<usize>,
    base: &'static str,
}

/// Refuses members that the description lacks.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), json!(false));
            }
            map.values_mut().for_each(strict);
        }
        Value::Array(all) => all.iter_mut().for_each(strict),
        _ => {}
    }
}

fn fits(what: &str, schema: &Value, value: &Value) {
    let mut schema = schema.clone();
    strict(&mut schema);
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("mem:x", schema).unwrap();
    let index = compiler.compile("mem:x", &mut schemas).unwrap();
    if let Err(error) = schemas.validate(value, index) {
        panic!("{what}: {error:#}\n{value:#}");
    }
}

impl Description {
    fn read(name: &str, base: &'static str) -> Self {
        let path = format!(
            "{}/../../tests/conformance/forges/{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let whole: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        Self {
            operations: whole["operations"].as_array().unwrap().clone(),
            seen: BTreeSet::new(),
            base,
        }
    }

    /// Finds the operation of a request, and checks the request against it.
    fn operation<T>(&mut self, call: &Call<T>) -> Value {
        let request = &call.request;
        let rest = request.url.strip_prefix(self.base).unwrap();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let method = request.method.as_str().to_ascii_lowercase();
        let same = |template: &str| {
            // There the reference itself contains a slash.
            let path = path.replace("/heads/prod", "/heads%2Fprod");
            let (mut expected, mut other) = (template.split('/'), path.split('/'));
            loop {
                match (expected.next(), other.next()) {
                    (None, None) => return true,
                    (Some(expected), Some(other))
                        if expected == other || expected.starts_with('{') => {}
                    _ => return false,
                }
            }
        };
        let path_of = |entry: &Value| entry["path"].as_str().unwrap().to_owned();
        let all = self.operations.iter().enumerate();
        // Of several matches, the one with the fewest placeholders.
        let (index, operation) = all
            .filter(|(_, entry)| same(&path_of(entry)) && entry["method"] == *method)
            .min_by_key(|(_, entry)| path_of(entry).matches('{').count())
            .unwrap_or_else(|| panic!("{}: {method} {path} is not described", call.name));
        let known = operation["query"].as_array().unwrap();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let name = part.split('=').next().unwrap();
            // Bitbucket describes paging and filtering once, for all lists.
            let general =
                ["pagelen", "page", "q", "sort"].contains(&name) && self.base.contains("bitbucket");
            assert!(
                general || known.contains(&json!(name)),
                "{}: {name}",
                call.name
            );
        }
        match (&request.body, operation.get("request")) {
            (Some(body), Some(schema)) => {
                let mut body = body.clone();
                if self.base.contains("bitbucket") && call.name.ends_with("Pull") {
                    // The API accepts and returns this field, but its description lacks it.
                    assert!(
                        body.as_object_mut()
                            .unwrap()
                            .remove("description")
                            .is_some()
                    );
                }
                fits(call.name, schema, &body);
            }
            (None, None) => {}
            (body, _) => panic!("{}: {body:?}", call.name),
        }
        let operation = operation.clone();
        self.seen.insert(index);
        operation
    }

    /// Checks a call, and reads `answer`, or else the description's own example.
    fn check<T>(&mut self, call: &Call<T>, answer: Option<Value>) -> T {
        let operation = self.operation(call);
        let status = operation["status"].as_u64().unwrap_or(204);
        let body = answer
            .inspect(|answer| fits(call.name, &operation["response"], answer))
            .or_else(|| operation.get("example").cloned());
        let answer = Answer {
            status: u16::try_from(status).unwrap(),
            body: body
                .map(|body| body.to_string().into_bytes())
                .unwrap_or_default(),
            ..Answer::default()
        };
        match call.read(&answer) {
            Ok(value) => value,
            Err(error) => panic!("{}: {error}", call.name),
        }
    }

    fn all_seen(&self) {
        for (index, operation) in self.operations.iter().enumerate() {
            assert!(self.seen.contains(&index), "nobody calls {operation:#}");
        }
    }
}

struct World {
    at: Repository,
    commit: Commit,
    head: BranchName,
    base: BranchName,
    status: CommitStatus,
    new: NewPull,
}

fn world(url: &str) -> World {
    World {
        at: Repository::at(&url.parse().unwrap(), None, None).unwrap(),
        commit: "6dcb09b5b57875f334f61aebed695e2e4193db5e".parse().unwrap(),
        head: "flotilla/promote-prod".parse().unwrap(),
        base: "prod".parse().unwrap(),
        status: CommitStatus {
            context: "flotilla/prod".to_owned(),
            state: State::Pending,
            description: "wave 2 of 3, 118 of 312".to_owned(),
            link: "https://hub.example.org/env/prod".to_owned(),
        },
        new: NewPull {
            head: "flotilla/promote-prod".to_owned(),
            base: "prod".to_owned(),
            title: "Promote to prod".to_owned(),
            body: "text".to_owned(),
        },
    }
}
