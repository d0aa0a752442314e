//! Kustomize, natively: the fields listed in [`FIELDS`]; every other field is refused by name.
//!
//! ```text
//! resources -> patches -> namespace -> prefix, suffix -> replicas -> images   per level
//!                                                            then references, at the top
//! ```

mod merge;
mod references;

use std::collections::BTreeSet;

use flotilla_shared::reason::Reason;
use serde_json::{Map, Value, json};

use crate::plain;
use crate::tree::{self, Entry, Tree};
use crate::{KUSTOMIZATION_FILES, Limits, Manifest, RenderError, Rendered};

/// What is rendered.
const FIELDS: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "patches",
    "images",
    "replicas",
    "patchesStrategicMerge",
];
/// Kinds without a namespace, as the Kubernetes API has them.
const CLUSTER_KINDS: [&str; 20] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ComponentStatus",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];
/// Kinds whose lists merge by the keys of `merge`.
const BUILTIN_GROUPS: [&str; 8] = [
    "",
    "apps",
    "batch",
    "autoscaling",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "scheduling.k8s.io",
];

/// An object on its way, with the names it had.
struct Item {
    manifest: Manifest,
    original: String,
    original_namespace: String,
    /// The overlays it came through, innermost first: patches match names as of any of them.
    names: BTreeSet<String>,
}

pub(crate) fn render(
    tree: &dyn Tree,
    path: &str,
    limits: &Limits,
) -> Result<Rendered, RenderError> {
    let mut build = Build {
        tree,
        limits,
        files_read: BTreeSet::new(),
        stack: Vec::new(),
        steps: 0,
    };
    let mut items = build.level(path)?;
    references::fix(&mut items)?;
    let mut seen = BTreeSet::new();
    for item in &items {
        let object = item.manifest.object();
        if !seen.insert(object.clone()) {
            return Err(refuse(
                &item.manifest.origin.file,
                Reason::DuplicateObject,
                format!("{object} is there twice after renaming; keep one"),
            ));
        }
    }
    Ok(Rendered {
        manifests: items.into_iter().map(|item| item.manifest).collect(),
        files_read: build.files_read,
    })
}

fn refuse(file: &str, reason: Reason, message: impl Into<String>) -> RenderError {
    RenderError::Kustomize {
        file: file.to_owned(),
        reason,
        message: message.into(),
    }
}

struct Build<'a> {
    tree: &'a dyn Tree,
    limits: &'a Limits,
    files_read: BTreeSet<String>,
    stack: Vec<String>,
    steps: usize,
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Build<'_> {
    fn level(&mut self, path: &str) -> Result<Vec<Item>, RenderError> {
        self.steps += 1;
        if self.steps > self.limits.files || self.stack.len() > self.limits.depth {
            return Err(RenderError::LimitExceeded {
                path: path.to_owned(),
                what: "kustomizations",
                limit: self.limits.files,
            });
        }
        let mut found = KUSTOMIZATION_FILES
            .iter()
            .map(|name| tree::join(path, name));
        let Some(file) = found.find(|file| self.tree.get(file).is_some()) else {
            return Err(refuse(
                path,
                Reason::PathNotFound,
                "no kustomization file in this directory",
            ));
        };
        if self.stack.iter().any(|open| open == path) {
            return Err(refuse(
                &file,
                Reason::Cycle,
                "this kustomization includes itself",
            ));
        }
        let resolved = tree::resolve(self.tree, &file)?;
        let spec = match self.documents(&resolved)?.as_slice() {
            [spec] if spec.is_object() => spec.clone(),
            _ => {
                return Err(refuse(
                    &file,
                    Reason::MalformedYaml,
                    "one mapping is expected",
                ));
            }
        };
        self.check(&file, &spec)?;
        self.stack.push(path.to_owned());
        let mut items = Vec::new();
        for field in ["resources", "bases"] {
            for entry in strings(&file, &spec, field)? {
                self.resource(&file, path, &entry, &mut items)?;
                if items.len() > self.limits.manifests {
                    return Err(RenderError::LimitExceeded {
                        path: file,
                        what: "objects",
                        limit: self.limits.manifests,
                    });
                }
            }
        }
        self.stack.pop();
        for entry in strings(&file, &spec, "patchesStrategicMerge")? {
            let patch = if entry.contains('\n') {
                json!({"patch": entry})
            } else {
                json!({"path": entry})
            };
            self.patch(&file, path, &patch, &mut items)?;
        }
        for patch in array(&file, &spec, "patches")? {
            self.patch(&file, path, patch, &mut items)?;
        }
        let namespace = text(&spec, "namespace");
        let (prefix, suffix) = (text(&spec, "namePrefix"), text(&spec, "nameSuffix"));
        for item in &mut items {
            let kind = item.manifest.kind().to_owned();
            let renames = !(namespace.is_empty() && prefix.is_empty() && suffix.is_empty());
            if renames && !references::known(&item.manifest) {
                return Err(refuse(
                    &file,
                    Reason::RenderFailed,
                    format!(
                        "namespace, namePrefix and nameSuffix over a {kind} are not supported by this version"
                    ),
                ));
            }
            let skip =
                ["CustomResourceDefinition", "APIService", "Namespace"].contains(&kind.as_str());
            if !skip && (!prefix.is_empty() || !suffix.is_empty()) {
                let name = format!("{prefix}{}{suffix}", item.manifest.name());
                item.manifest.value["metadata"]["name"] = Value::String(name.clone());
                item.names.insert(name);
            }
            if !namespace.is_empty() && !CLUSTER_KINDS.contains(&kind.as_str()) {
                item.manifest.value["metadata"]["namespace"] = Value::String(namespace.to_owned());
            }
        }
        for replica in array(&file, &spec, "replicas")? {
            let (name, count) = (
                text(replica, "name"),
                replica.get("count").cloned().unwrap_or(json!(0)),
            );
            let mut hit = false;
            for item in items.iter_mut().filter(|item| item.names.contains(name)) {
                let kinds = [
                    "Deployment",
                    "ReplicaSet",
                    "ReplicationController",
                    "StatefulSet",
                ];
                if kinds.contains(&item.manifest.kind()) && item.manifest.value["spec"].is_object()
                {
                    item.manifest.value["spec"]["replicas"] = count.clone();
                    hit = true;
                }
            }
            if !hit {
                return Err(refuse(
                    &file,
                    Reason::RenderFailed,
                    format!("replicas: no workload is named {name:?}"),
                ));
            }
        }
        for image in array(&file, &spec, "images")? {
            for item in &mut items {
                if item.manifest.kind() != "CustomResourceDefinition" {
                    set_image(&mut item.manifest.value, image);
                }
            }
        }
        Ok(items)
    }

    fn check(&self, file: &str, spec: &Value) -> Result<(), RenderError> {
        for (key, value) in spec.as_object().into_iter().flatten() {
            let reason = match key.as_str() {
                "helmCharts" | "helmChartInflationGenerator" | "helmGlobals" => Reason::HelmRefused,
                _ => Reason::UnknownField,
            };
            if !FIELDS.contains(&key.as_str()) && !value.is_null() {
                let known = FIELDS.join(", ");
                return Err(refuse(
                    file,
                    reason,
                    format!("the field {key} is not rendered by this version, which knows {known}"),
                ));
            }
        }
        for (field, known) in [
            ("patches", &["path", "patch", "target", "options"][..]),
            ("images", &["name", "newName", "newTag", "digest"][..]),
            ("replicas", &["name", "count"][..]),
        ] {
            for entry in array(file, spec, field)? {
                let mut keys = entry.as_object().into_iter().flatten().map(|(key, _)| key);
                if let Some(key) = keys.find(|key| !known.contains(&key.as_str())) {
                    return Err(refuse(
                        file,
                        Reason::UnknownField,
                        format!("{field}: the field {key} is not rendered by this version"),
                    ));
                }
            }
        }
        if !matches!(text(spec, "kind"), "" | "Kustomization") {
            return Err(refuse(
                file,
                Reason::RenderFailed,
                "only kind Kustomization is rendered by this version",
            ));
        }
        Ok(())
    }

    fn locate(&self, file: &str, base: &str, entry: &str) -> Result<String, RenderError> {
        if entry.contains("://")
            || entry.contains('?')
            || entry.starts_with("git@")
            || entry.starts_with("github.com")
        {
            return Err(refuse(
                file,
                Reason::RemoteReference,
                format!("{entry:?} is remote; copy it into this repository"),
            ));
        }
        let outside = || {
            refuse(
                file,
                Reason::OutsideRoot,
                format!("{entry:?} leaves the repository"),
            )
        };
        if entry.starts_with('/') {
            return Err(outside());
        }
        let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
        for part in entry.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop().ok_or_else(outside)?),
                part => parts.push(part),
            }
        }
        tree::resolve(self.tree, &parts.join("/"))
    }

    fn inside(&self, file: &str, base: &str, path: &str) -> Result<(), RenderError> {
        // kustomize's load restriction: files only from below the kustomization's own directory.
        if base.is_empty()
            || path
                .strip_prefix(base)
                .is_some_and(|rest| rest.starts_with('/'))
        {
            return Ok(());
        }
        Err(refuse(
            file,
            Reason::OutsideRoot,
            format!("{path} is not below {base}, the directory of this kustomization"),
        ))
    }

    fn resource(
        &mut self,
        file: &str,
        base: &str,
        entry: &str,
        items: &mut Vec<Item>,
    ) -> Result<(), RenderError> {
        let path = self.locate(file, base, entry)?;
        let fresh = if matches!(self.tree.get(&path), Some(Entry::Directory)) {
            self.level(&path)?
        } else {
            self.inside(file, base, &path)?;
            let read = plain::render(self.tree, &path, self.limits)?;
            self.files_read.extend(read.files_read);
            let items = read
                .manifests
                .into_iter()
                .map(stringify_annotations)
                .map(|manifest| Item {
                    original: manifest.name().to_owned(),
                    original_namespace: manifest.namespace().to_owned(),
                    names: BTreeSet::from([manifest.name().to_owned()]),
                    manifest,
                });
            items.collect()
        };
        for item in &fresh {
            if item
                .manifest
                .value
                .pointer("/metadata/annotations")
                .and_then(Value::as_object)
                .is_some_and(|all| {
                    all.keys().any(|key| {
                        key.contains("config.kubernetes.io/")
                            || key.contains("kustomize.config.k8s.io/")
                    })
                })
            {
                return Err(refuse(
                    file,
                    Reason::RenderFailed,
                    "kustomize's own annotations on a resource are not supported by this version",
                ));
            }
        }
        items.extend(fresh);
        Ok(())
    }

    fn documents(&mut self, path: &str) -> Result<Vec<Value>, RenderError> {
        let Some(Entry::File(content)) = self.tree.get(path) else {
            return Err(RenderError::PathNotFound {
                path: path.to_owned(),
                nearest: None,
            });
        };
        self.files_read.insert(path.to_owned());
        self.parse(path, content)
    }

    fn parse(&self, file: &str, content: &[u8]) -> Result<Vec<Value>, RenderError> {
        if content.len() > self.limits.file_bytes {
            return Err(RenderError::FileTooLarge {
                file: file.to_owned(),
                bytes: content.len() as u64,
                limit: self.limits.file_bytes,
            });
        }
        let documents =
            flotilla_yaml::parse_documents_bytes(content, &self.limits.yaml).map_err(|error| {
                RenderError::MalformedYaml {
                    file: file.to_owned(),
                    line: error.line,
                    message: error.message,
                }
            })?;
        Ok(documents
            .into_iter()
            .map(|document| document.value)
            .filter(|value| !value.is_null())
            .collect())
    }

    fn patch(
        &mut self,
        file: &str,
        base: &str,
        patch: &Value,
        items: &mut Vec<Item>,
    ) -> Result<(), RenderError> {
        let bad = |message: String| refuse(file, Reason::RenderFailed, message);
        if patch
            .get("options")
            .is_some_and(|options| !options.is_null())
        {
            return Err(bad(
                "options of a patch are not supported by this version".to_owned()
            ));
        }
        let documents = match (text(patch, "path"), text(patch, "patch")) {
            ("", inline) => self.parse(file, inline.as_bytes())?,
            (entry, "") => {
                let path = self.locate(file, base, entry)?;
                self.inside(file, base, &path)?;
                self.documents(&path)?
            }
            _ => return Err(bad("a patch has both path and patch; keep one".to_owned())),
        };
        let target = patch.get("target").filter(|target| !target.is_null());
        for document in documents {
            let selected = match (target, &document) {
                (Some(target), _) => select(target, items).map_err(bad)?,
                (None, Value::Object(_)) => {
                    let own = Manifest::new(
                        document.clone(),
                        crate::Origin {
                            file: file.to_owned(),
                            document: 0,
                            line: 1,
                        },
                    )?;
                    let hits: Vec<usize> = (0..items.len())
                        .filter(|&at| {
                            let item = &items[at];
                            item.manifest.api_version() == own.api_version()
                                && item.manifest.kind() == own.kind()
                                && item.names.contains(own.name())
                                && (item.manifest.namespace() == own.namespace())
                        })
                        .collect();
                    if hits.len() != 1 {
                        return Err(bad(format!(
                            "a patch for {} matches {} objects instead of one",
                            own.object(),
                            hits.len()
                        )));
                    }
                    hits
                }
                _ => return Err(bad("a JSON 6902 patch needs a target".to_owned())),
            };
            let mut gone = BTreeSet::new();
            for at in selected {
                let Some(item) = items.get_mut(at) else {
                    continue;
                };
                let builtin = BUILTIN_GROUPS.contains(&item.manifest.group());
                let before = (
                    item.manifest.kind().to_owned(),
                    item.manifest.name().to_owned(),
                    item.manifest.namespace().to_owned(),
                );
                match &document {
                    Value::Array(operations) => {
                        merge::json6902(&mut item.manifest.value, operations).map_err(bad)?;
                    }
                    Value::Object(fields)
                        if text(&document, "$patch") == "delete"
                            && !fields.contains_key("spec") =>
                    {
                        gone.insert(at);
                        continue;
                    }
                    Value::Object(_) => {
                        let mut change = document.clone();
                        if let Some(fields) = change.as_object_mut() {
                            fields.retain(|key, _| key != "apiVersion" && key != "kind");
                        }
                        if let Some(metadata) =
                            change.get_mut("metadata").and_then(Value::as_object_mut)
                        {
                            metadata.retain(|key, _| key != "name" && key != "namespace");
                        }
                        merge::strategic(&mut item.manifest.value, &change, builtin)
                            .map_err(bad)?;
                    }
                    _ => {
                        return Err(bad(
                            "a patch is a mapping or a list of operations".to_owned()
                        ));
                    }
                }
                let after =
                    Manifest::new(item.manifest.value.clone(), item.manifest.origin.clone())?;
                if before
                    != (
                        after.kind().to_owned(),
                        after.name().to_owned(),
                        after.namespace().to_owned(),
                    )
                {
                    return Err(bad("patches that change kind, name or namespace are not supported by this version".to_owned()));
                }
            }
            let mut at = 0;
            items.retain(|_| {
                at += 1;
                !gone.contains(&(at - 1))
            });
        }
        Ok(())
    }
}

/// Objects a target names; selectors and regular expressions are refused.
fn select(target: &Value, items: &[Item]) -> Result<Vec<usize>, String> {
    let empty = Map::new();
    for (key, value) in target.as_object().unwrap_or(&empty) {
        let plain = value.as_str().is_some_and(|v| {
            v.chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || (c == '.' && key == "group"))
        });
        if !plain || !["group", "version", "kind", "name", "namespace"].contains(&key.as_str()) {
            return Err(format!(
                "target.{key}: only plain group, version, kind, name and namespace are supported by this version"
            ));
        }
    }
    let fits = |key: &str, value: &str| {
        let want = text(target, key);
        want.is_empty() || want == value
    };
    Ok((0..items.len())
        .filter(|&at| {
            let item = &items[at];
            let name = text(target, "name");
            fits("group", item.manifest.group())
                && fits("version", item.manifest.version())
                && fits("kind", item.manifest.kind())
                && fits("namespace", item.manifest.namespace())
                && (name.is_empty() || item.names.contains(name))
        })
        .collect())
}

fn array<'v>(file: &str, spec: &'v Value, field: &str) -> Result<&'v [Value], RenderError> {
    match spec.get(field) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => Err(refuse(
            file,
            Reason::RenderFailed,
            format!("{field} must be a list"),
        )),
    }
}

fn strings(file: &str, spec: &Value, field: &str) -> Result<Vec<String>, RenderError> {
    let items = array(file, spec, field)?
        .iter()
        .map(|item| item.as_str().map(str::to_owned));
    items.collect::<Option<_>>().ok_or_else(|| {
        refuse(
            file,
            Reason::RenderFailed,
            format!("{field} must list text"),
        )
    })
}

/// Changes `image` of every entry of every `containers` and `initContainers`, as kustomize does.
fn set_image(value: &mut Value, image: &Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| set_image(item, image)),
        Value::Object(fields) => {
            for (key, child) in fields.iter_mut() {
                if let (true, Value::Array(items)) =
                    (key == "containers" || key == "initContainers", &mut *child)
                {
                    for container in items {
                        if let Some(Value::String(current)) = container.get_mut("image") {
                            rename_image(current, image);
                        }
                    }
                }
                set_image(child, image);
            }
        }
        _ => {}
    }
}

fn rename_image(current: &mut String, image: &Value) {
    let (rest, mut digest) = current
        .split_once('@')
        .map_or((current.as_str(), String::new()), |(rest, digest)| {
            (rest, format!("@{digest}"))
        });
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, mut tag) = match rest[slash..].find(':') {
        Some(colon) => (&rest[..slash + colon], rest[slash + colon..].to_owned()),
        None => (rest, String::new()),
    };
    if name != text(image, "name") {
        return;
    }
    let name = match text(image, "newName") {
        "" => name,
        new => new,
    };
    let new_tag = image
        .get("newTag")
        .map(|t| t.as_str().map_or_else(|| t.to_string(), str::to_owned))
        .unwrap_or_default();
    match (new_tag.as_str(), text(image, "digest")) {
        ("", "") => {}
        (new, "") => {
            tag = format!(":{new}");
            digest = String::new();
        }
        (_, new) => {
            tag = String::new();
            digest = format!("@{new}");
        }
    }
    *current = format!("{name}{tag}{digest}");
}

/// kustomize writes annotations as text, whatever scalar they were written as.
fn stringify_annotations(mut manifest: Manifest) -> Manifest {
    let annotations = manifest.value.pointer_mut("/metadata/annotations");
    for (_, value) in annotations
        .and_then(Value::as_object_mut)
        .into_iter()
        .flatten()
    {
        if value.is_number() || value.is_boolean() {
            *value = Value::String(value.to_string());
        }
    }
    manifest
}
