//! Defaults of workload kinds: the groups apps and batch.

use serde_json::{Value, json};

use super::{Fields, inner, items, set, text};

pub(super) fn apps(name: &str, fields: &mut Fields) {
    let kind = name.rsplit('.').next().unwrap_or_default();
    if !matches!(
        kind,
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet"
    ) {
        return;
    }
    let Some(spec) = inner(fields, "spec") else {
        return;
    };
    if kind != "DaemonSet" {
        set(spec, "replicas", json!(1));
    }
    if kind != "ReplicaSet" {
        set(spec, "revisionHistoryLimit", json!(10));
    }
    match kind {
        "Deployment" => {
            set(spec, "progressDeadlineSeconds", json!(600));
            rolling(
                spec,
                "strategy",
                &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))],
            );
        }
        "DaemonSet" => {
            rolling(
                spec,
                "updateStrategy",
                &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))],
            );
        }
        "StatefulSet" => {
            set(spec, "podManagementPolicy", json!("OrderedReady"));
            rolling(spec, "updateStrategy", &[("partition", json!(0))]);
            set(spec, "persistentVolumeClaimRetentionPolicy", json!({}));
            if let Some(policy) = inner(spec, "persistentVolumeClaimRetentionPolicy") {
                set(policy, "whenDeleted", json!("Retain"));
                set(policy, "whenScaled", json!("Retain"));
            }
            for claim in items(spec, "volumeClaimTemplates") {
                set(claim, "apiVersion", json!("v1"));
                set(claim, "kind", json!("PersistentVolumeClaim"));
            }
        }
        _ => {}
    }
}

fn rolling(spec: &mut Fields, field: &str, defaults: &[(&str, Value)]) {
    let Some(strategy) = inner(spec, field) else {
        return;
    };
    set(strategy, "type", json!("RollingUpdate"));
    if text(strategy, "type") != "RollingUpdate" {
        return;
    }
    set(strategy, "rollingUpdate", json!({}));
    if let Some(update) = inner(strategy, "rollingUpdate") {
        for (name, value) in defaults {
            set(update, name, value.clone());
        }
    }
}

pub(super) fn batch(name: &str, fields: &mut Fields) {
    match name {
        "batch.v1.Job" => {
            let labels = fields
                .get("spec")
                .and_then(|spec| spec.pointer("/template/metadata/labels"))
                .cloned();
            if let (Some(labels), Some(metadata)) = (labels, inner(fields, "metadata")) {
                set(metadata, "labels", labels);
            }
            job(fields);
        }
        "batch.v1.CronJob" => {
            if let Some(spec) = inner(fields, "spec") {
                set(spec, "concurrencyPolicy", json!("Allow"));
                set(spec, "suspend", json!(false));
                set(spec, "successfulJobsHistoryLimit", json!(3));
                set(spec, "failedJobsHistoryLimit", json!(1));
            }
        }
        "batch.v1.PodFailurePolicyOnPodConditionsPattern" => set(fields, "status", json!("True")),
        _ => {}
    }
}

fn job(fields: &mut Fields) {
    let Some(spec) = inner(fields, "spec") else {
        return;
    };
    if !spec.contains_key("parallelism") {
        set(spec, "completions", json!(1));
    }
    set(spec, "parallelism", json!(1));
    let limit = if spec.contains_key("backoffLimitPerIndex") {
        i32::MAX
    } else {
        6
    };
    set(spec, "backoffLimit", json!(limit));
    set(spec, "completionMode", json!("NonIndexed"));
    set(spec, "suspend", json!(false));
    set(spec, "manualSelector", json!(false));
    let replacement = if spec.contains_key("podFailurePolicy") {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    set(spec, "podReplacementPolicy", json!(replacement));
}
