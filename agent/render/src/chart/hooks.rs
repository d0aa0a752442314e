//! Turns Helm's hooks and policies into annotations that the agent's own plan follows.
//!
//! | Helm | here |
//! |---|---|
//! | Job with `pre-install`, `pre-upgrade` | `flotilla.dev/hook: pre-sync`, where the release is that |
//! | Job with `post-install`, `post-upgrade` | `flotilla.dev/hook: post-sync` |
//! | other kinds with these | `flotilla.dev/hook-helper`: comes with the Jobs of its phase |
//! | `helm.sh/hook-weight` | `flotilla.dev/wave` within the phase |
//! | `hook-succeeded` | `flotilla.dev/hook-delete: succeeded` |
//! | `helm.sh/resource-policy: keep` | `flotilla.dev/prune: disabled` |
//! | `crds/` | `flotilla.dev/hook-helper: first`, never pruned |

use flotilla_helm::release::Hook;
use flotilla_shared::chart::Crds;
use serde_json::{Map, Value, json};

use super::Release;

const HOOK: &str = "flotilla.dev/hook";
const HELPER: &str = "flotilla.dev/hook-helper";
const DELETE: &str = "flotilla.dev/hook-delete";
const WAVE: &str = "flotilla.dev/wave";
const PRUNE: &str = "flotilla.dev/prune";
const CREATE_ONLY: &str = "flotilla.dev/create-only";

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before or after the rest of the release; the value of the agent's annotation.
    Runs(&'static str),
    /// Not with this release, and not worth a message: the other way of installing, or a test.
    None,
    /// It would run in Helm, and does not here.
    NotRun(&'static str),
}

/// When a hook runs with a release.
pub(super) fn phase(hook: &Hook, release: &Release) -> Phase {
    let has = |event: &str| hook.events.iter().any(|known| known == event);
    let (pre, post) = if release.is_upgrade {
        ("pre-upgrade", "post-upgrade")
    } else {
        ("pre-install", "post-install")
    };
    if has(pre) || has(post) {
        if hook.manifest.kind == "Pod" {
            return Phase::NotRun("is a hook, and only Jobs are run as hooks: make it a Job");
        }
        return match (has(pre), has(post)) {
            (true, true) if hook.manifest.kind == "Job" => {
                Phase::NotRun("would run both before and after the release: use one Job for each")
            }
            (true, true) => Phase::Runs("both"),
            (true, false) => Phase::Runs("pre-sync"),
            (false, _) => Phase::Runs("post-sync"),
        };
    }
    // Other events of a hook are reported as not run only if none of its events is ever run.
    let known = ["pre-install", "post-install", "pre-upgrade", "post-upgrade"];
    if hook.is_test() || known.iter().any(|event| has(event)) {
        return Phase::None;
    }
    if has("pre-rollback") || has("post-rollback") {
        return Phase::NotRun(
            "is a rollback hook, which is not run: a rollback is an upgrade here",
        );
    }
    Phase::NotRun("is a delete hook, which is not run")
}

fn annotations(value: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = value.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations.as_object_mut()
}

/// An annotation of the chart itself takes precedence.
fn set(annotations: &mut Map<String, Value>, key: &str, value: &str) {
    annotations
        .entry(key)
        .or_insert_with(|| Value::String(value.to_owned()));
}

/// Marks an object of a hook.
pub(super) fn mark(value: &mut Value, hook: &Hook, phase: &str) {
    let is_job = hook.manifest.kind == "Job";
    let has = |policy: &str| hook.delete_policies.iter().any(|known| known == policy);
    let Some(annotations) = annotations(value) else {
        return;
    };
    set(annotations, if is_job { HOOK } else { HELPER }, phase);
    let bound = i64::from(i32::MAX / 2);
    let weight = hook.weight.clamp(-bound, bound);
    set(annotations, WAVE, &weight.to_string());
    if has("hook-succeeded") {
        set(annotations, DELETE, "succeeded");
    } else if !is_job {
        // Helm does not track what its hooks created: a Secret that only an installation creates
        // outlives every upgrade.
        set(annotations, PRUNE, "disabled");
    }
    keep(value);
}

/// `helm.sh/resource-policy: keep`
pub(super) fn keep(value: &mut Value) {
    let is_kept = value
        .pointer("/metadata/annotations/helm.sh~1resource-policy")
        .and_then(Value::as_str)
        .is_some_and(|word| word.trim().eq_ignore_ascii_case("keep"));
    if !is_kept {
        return;
    }
    if let Some(annotations) = annotations(value) {
        set(annotations, PRUNE, "disabled");
    }
}

/// An object of `crds/`: there before everything else, and never deleted.
pub(super) fn definition(value: &mut Value, crds: Crds) {
    let Some(annotations) = annotations(value) else {
        return;
    };
    set(annotations, HELPER, "first");
    set(annotations, PRUNE, "disabled");
    if crds == Crds::Create {
        set(annotations, CREATE_ONLY, "true");
    }
}
