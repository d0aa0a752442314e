//! The order of the output (`SortOrderTransformer`).

use flotilla_shared::reason::Reason;

use super::failure::{Failure, Outcome};
use super::file::SortOptions;
use super::identity::{Gvk, ResId};
use super::resource::Resource;
use super::resources::Resources;

/// Kinds that the legacy order puts first.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
/// Kinds that the legacy order puts last.
const LAST: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];

/// The rank of a kind among those that come first or last; 0 for all others.
fn rank<S: AsRef<str>>(kind: &str, first: &[S], last: &[S]) -> i64 {
    let at = |list: &[S]| {
        list.iter()
            .rposition(|listed| listed.as_ref() == kind)
            .and_then(|at| i64::try_from(at).ok())
    };
    match (at(last), at(first)) {
        (Some(at), _) => 1 + at,
        (None, Some(at)) => at - i64::try_from(first.len()).unwrap_or(0),
        (None, None) => 0,
    }
}

fn written(gvk: &Gvk) -> String {
    let part = |text: &str, absent: &str| {
        if text.is_empty() {
            absent.to_owned()
        } else {
            text.to_owned()
        }
    };
    format!(
        "{}_{}_{}",
        part(&gvk.group, "~G"),
        part(&gvk.version, "~V"),
        part(&gvk.kind, "~K")
    )
}

/// The order of kinds in configurations (`Gvk.IsLessThan`).
pub(crate) fn stable_key(gvk: &Gvk) -> (i64, String) {
    (rank(&gvk.kind, &FIRST, &LAST), written(gvk))
}

/// Sorts resources in the order that a kustomization asks for; otherwise in the legacy order, as
/// `kustomize build` and `kubectl kustomize` do.
///
/// # Errors
/// When the request is malformed.
pub(crate) fn sort(resources: &mut Resources, options: Option<&SortOptions>) -> Outcome<()> {
    let Some(options) = options else {
        resources.sort_by_cached_key(|resource| key(resource, &FIRST, &LAST));
        return Ok(());
    };
    match (options.order.as_str(), &options.legacy_sort_options) {
        ("fifo", None) => Ok(()),
        ("fifo", Some(_)) => Err(Failure::render(
            "sortOptions: legacySortOptions is set, but the order is fifo",
        )),
        ("legacy", None) => {
            resources.sort_by_cached_key(|resource| key(resource, &FIRST, &LAST));
            Ok(())
        }
        ("legacy", Some(legacy)) => {
            resources.sort_by_cached_key(|resource| {
                key(resource, &legacy.order_first, &legacy.order_last)
            });
            Ok(())
        }
        (other, _) => Err(Failure::new(
            Reason::RenderFailed,
            format!("sortOptions: order {other:?} should be fifo or legacy"),
        )),
    }
}

type Key = (i64, bool, String, String);

fn key<S: AsRef<str>>(resource: &Resource, first: &[S], last: &[S]) -> Key {
    let id = resource.current_id();
    // A custom kind may also be called Namespace; the built-in one comes first.
    let is_other_namespace = id.gvk.kind == "Namespace" && !id.gvk.group.is_empty();
    (
        rank(&id.gvk.kind, first, last),
        is_other_namespace,
        written(&id.gvk),
        identity(&id),
    )
}

fn identity(id: &ResId) -> String {
    let part = |text: &str, absent: &str| {
        if text.is_empty() {
            absent.to_owned()
        } else {
            text.to_owned()
        }
    };
    format!("{}|{}", part(&id.namespace, "~X"), part(&id.name, "~N"))
}
