//! References between objects by name, after renaming.

use flotilla_shared::reason::Reason;
use serde_json::Value;

use super::{Item, refuse, text};
use crate::{Manifest, RenderError};

/// Kinds without references to others beyond those [`walk`] knows.
pub(super) fn known(manifest: &Manifest) -> bool {
    [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "Pod",
        "Job",
        "CronJob",
        "Service",
        "ConfigMap",
        "Secret",
        "ServiceAccount",
        "Namespace",
        "PersistentVolumeClaim",
        "Ingress",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "Role",
        "ClusterRole",
    ]
    .contains(&manifest.kind())
}

/// Points every reference at the new name of what it named before.
pub(super) fn fix(items: &mut [Item]) -> Result<(), RenderError> {
    let moved = |item: &Item| {
        item.original != item.manifest.name()
            || item.original_namespace != item.manifest.namespace()
    };
    if !items.iter().any(moved) {
        return Ok(());
    }
    // Everything, renamed or not: two objects that once had one name make a reference ambiguous.
    let renamed: Vec<(String, String, String, String)> = items
        .iter()
        .map(|item| {
            let manifest = &item.manifest;
            (
                manifest.kind().to_owned(),
                item.original.clone(),
                manifest.name().to_owned(),
                manifest.namespace().to_owned(),
            )
        })
        .collect();
    for item in items {
        let manifest = &mut item.manifest;
        if !known(manifest) {
            return Err(refuse(
                &manifest.origin.file,
                Reason::RenderFailed,
                format!(
                    "a {} beside renamed objects is not supported by this version",
                    manifest.kind()
                ),
            ));
        }
        if ["Role", "ClusterRole"].contains(&manifest.kind())
            && manifest.value.to_string().contains("\"resourceNames\"")
        {
            return Err(refuse(
                &manifest.origin.file,
                Reason::RenderFailed,
                "resourceNames beside renamed objects are not supported by this version",
            ));
        }
        let (file, namespace) = (
            manifest.origin.file.clone(),
            manifest.namespace().to_owned(),
        );
        let new = |kind: &str, old: &str| -> Result<Option<String>, RenderError> {
            let mut names: Vec<&String> = renamed
                .iter()
                .filter(|(k, o, _, space)| k == kind && o == old && *space == namespace)
                .map(|(_, _, name, _)| name)
                .collect();
            names.dedup();
            match names.as_slice() {
                [] => Ok(None),
                [name] => Ok(Some((*name).clone())),
                _ => Err(refuse(
                    &file,
                    Reason::RenderFailed,
                    format!("{old:?} may be any of several {kind} objects after renaming"),
                )),
            }
        };
        if ["ConfigMap", "Secret", "NetworkPolicy", "Service"].contains(&manifest.kind()) {
            continue;
        }
        walk(&mut manifest.value, "", &new)?;
    }
    Ok(())
}

type New<'a> = dyn Fn(&str, &str) -> Result<Option<String>, RenderError> + 'a;

fn walk(value: &mut Value, above: &str, new: &New<'_>) -> Result<(), RenderError> {
    match value {
        Value::Array(items) => {
            for item in items {
                walk(item, above, new)?;
            }
        }
        Value::Object(_) => {
            let target = match above {
                "configMapRef" | "configMapKeyRef" | "configMap" => Some(("ConfigMap", "name")),
                "secretRef" | "secretKeyRef" | "imagePullSecrets" | "secrets" => {
                    Some(("Secret", "name"))
                }
                "secret" if value.get("secretName").is_some() => Some(("Secret", "secretName")),
                "secret" => Some(("Secret", "name")),
                "tls" => Some(("Secret", "secretName")),
                "service" => Some(("Service", "name")),
                "persistentVolumeClaim" => Some(("PersistentVolumeClaim", "claimName")),
                _ => None,
            };
            let named = [
                ("ServiceAccount", "serviceAccountName"),
                ("Service", "serviceName"),
            ];
            for (kind, key) in target.into_iter().chain(named) {
                if let Some(name) = new(kind, text(value, key))? {
                    value[key] = Value::String(name);
                }
            }
            for (key, child) in value.as_object_mut().into_iter().flatten() {
                if !matches!(
                    key.as_str(),
                    "labels" | "annotations" | "matchLabels" | "metadata"
                ) {
                    walk(child, key, new)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}
