//! From rendered files to documents: split, classified, and sorted in the order of installation.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::failed;
use crate::fields::{Fields, Mismatch};
use crate::template::Error;
use crate::value::{Str, Value};
use crate::yaml;

/// Kinds in the order in which Helm installs them; all others come after, by name.
const INSTALL_ORDER: [&str; 38] = [
    "PriorityClass",
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// Events that a hook may wait for. `test-success` is Helm 2's name of `test`.
const EVENTS: [&str; 10] = [
    "pre-install",
    "post-install",
    "pre-delete",
    "post-delete",
    "pre-upgrade",
    "post-upgrade",
    "pre-rollback",
    "post-rollback",
    "test",
    "test-success",
];

/// One document of a rendered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The file: `chart/templates/x.yaml`.
    pub path: String,
    /// Its text, trimmed.
    pub text: Str,
    /// `kind`, or nothing.
    pub kind: String,
}

/// A document that runs at an event of a release's life instead of being part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The file that it comes from, with its text and kind.
    pub manifest: Manifest,
    /// `metadata.name`
    pub name: String,
    /// `helm.sh/hook`, with Helm 2's names translated.
    pub events: Vec<String>,
    /// `helm.sh/hook-weight`; what is no number is 0.
    pub weight: i64,
    /// `helm.sh/hook-delete-policy`
    pub delete_policies: Vec<String>,
}

impl Hook {
    /// Whether it belongs to `helm test`.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.events.iter().any(|event| event == "test")
    }
}

/// The documents of a file, as Helm's own regular expression parts them: `(?:^|\s*\n)---\s*`.
pub(super) fn split(text: &[u8]) -> Vec<&[u8]> {
    let space = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | b' ');
    let text = trim(text);
    let mut documents = Vec::new();
    let mut start = 0;
    let mut from = 0;
    loop {
        let found = if from == 0 && text.starts_with(b"---") {
            Some((0, 3))
        } else {
            find(text, b"\n---", from).map(|at| {
                let blank = text[from..at]
                    .iter()
                    .rev()
                    .take_while(|byte| space(byte))
                    .count();
                (at - blank, at + 4)
            })
        };
        let Some((end, after)) = found else {
            documents.push(&text[start..]);
            break;
        };
        documents.push(&text[start..end]);
        let blank = text[after..].iter().take_while(|byte| space(byte)).count();
        start = after + blank;
        from = start;
    }
    documents
        .into_iter()
        .filter(|document| !document.is_empty())
        .map(trim)
        .collect()
}

fn find(text: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    rest.windows(what.len())
        .position(|window| window == what)
        .map(|at| from + at)
}

/// Go's `strings.TrimSpace`, which knows Unicode's spaces.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => text.trim_ascii(),
    }
}

/// The fields of a document that Helm reads.
#[derive(Default)]
struct Head {
    kind: String,
    name: String,
    annotations: BTreeMap<String, String>,
}

impl Head {
    fn read(document: &Value) -> Result<Self, Mismatch> {
        let mut head = Self::default();
        let map = match document {
            Value::Nil => return Ok(head),
            Value::Map(map) => map,
            other => return Err(Mismatch::new(other, "value of type util.SimpleHead")),
        };
        let fields = Fields::new(map, "SimpleHead");
        fields.text("apiVersion", &mut String::new())?;
        fields.text("kind", &mut head.kind)?;
        match fields.get("metadata") {
            None => {}
            Some(Value::Map(metadata)) => {
                let fields = Fields::new(&metadata, "SimpleHead.metadata");
                fields.text("name", &mut head.name)?;
                fields.text_map("annotations", &mut head.annotations)?;
            }
            Some(other) => {
                return Err(Mismatch::new(
                    &other,
                    "struct field SimpleHead.metadata of type struct { Name string \"json:\\\"name\\\"\"; \
                     Annotations map[string]string \"json:\\\"annotations\\\"\" }",
                ));
            }
        }
        Ok(head)
    }
}

/// Documents and hooks of all files, in the order of installation.
pub(super) fn sort(files: &BTreeMap<String, Str>) -> Result<(Vec<Manifest>, Vec<Hook>), Error> {
    let mut manifests = Vec::new();
    let mut hooks = Vec::new();
    for (path, text) in files {
        if trim(text.as_bytes()).is_empty() {
            continue;
        }
        let unread = |error: &dyn Display| failed(format!("YAML parse error on {path}: {error}"));
        for document in split(text.as_bytes()) {
            let value = yaml::parse_typed(document).map_err(|error| unread(&error))?;
            let head = Head::read(&value).map_err(|error| unread(&error))?;
            let manifest = Manifest {
                path: path.clone(),
                text: Str::from(document),
                kind: head.kind.clone(),
            };
            match head.annotations.get("helm.sh/hook") {
                None => manifests.push(manifest),
                Some(events) => hooks.extend(hook(manifest, events, &head)),
            }
        }
    }
    manifests.sort_by_cached_key(|manifest| rank(&manifest.kind));
    hooks.sort_by_cached_key(|hook| rank(&hook.manifest.kind));
    Ok((manifests, hooks))
}

/// Returns a hook; none: it names an event that Helm does not know.
fn hook(manifest: Manifest, events: &str, head: &Head) -> Option<Hook> {
    let words = |text: &str| -> Vec<String> {
        text.split(',')
            .map(|word| word.trim().to_lowercase())
            .collect()
    };
    let events = words(events)
        .into_iter()
        .map(|event| match event.as_str() {
            "test-success" => Some("test".to_owned()),
            known if EVENTS.contains(&known) => Some(event),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    let weight = head.annotations.get("helm.sh/hook-weight");
    let policies = head.annotations.get("helm.sh/hook-delete-policy");
    Some(Hook {
        manifest,
        name: head.name.clone(),
        events,
        weight: weight.and_then(|text| text.parse().ok()).unwrap_or(0),
        delete_policies: policies.map(|text| words(text)).unwrap_or_default(),
    })
}

/// Sort key of a kind: known kinds by their position, unknown ones after them by name.
fn rank(kind: &str) -> (usize, String) {
    match INSTALL_ORDER.iter().position(|known| *known == kind) {
        Some(place) => (place, String::new()),
        None => (INSTALL_ORDER.len(), kind.to_owned()),
    }
}
