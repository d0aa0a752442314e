//! Limits of an assignment.

use super::super::{
    MAX_APPLICATIONS, MAX_LABELS, MAX_SMALL_LIST, MAX_TOKEN_BYTES, WireError, bounded,
};
use super::assigned_and_removed;
use super::chart::chart_within_limits;
use crate::approval;
use crate::assignment::{Assignment, IgnoreRule};

/// Checks every limit of decoding that the types themselves do not ensure.
pub(super) fn within_limits(assignment: &Assignment) -> Result<(), WireError> {
    let lists = [
        (
            "applications",
            assignment.applications.len(),
            MAX_APPLICATIONS,
        ),
        ("tombstones", assignment.tombstones.len(), MAX_APPLICATIONS),
        ("unresolved", assignment.unresolved.len(), MAX_APPLICATIONS),
        ("removed_by", assignment.removed_by.len(), MAX_TOKEN_BYTES),
        (
            "required_features",
            assignment.required_features.len(),
            MAX_SMALL_LIST,
        ),
        ("approvals", assignment.approvals.len(), MAX_SMALL_LIST),
        ("labels", assignment.labels.len(), MAX_LABELS),
    ];
    for (field, length, limit) in lists {
        bounded(field, length, limit)?;
    }
    for (key, value) in &assignment.labels {
        label_within_limits(key, value)?;
    }
    for approval in &assignment.approvals {
        approval_within_limits(approval.content.len(), approval.signature.len())?;
    }
    if let Some(name) = assignment
        .tombstones
        .keys()
        .find(|name| assignment.applications.contains_key(*name))
    {
        return Err(assigned_and_removed(name));
    }
    for application in assignment.applications.values() {
        application_within_limits(
            application.depends_on.len(),
            &application.rollout,
            &application.namespace,
        )?;
        let ignore = &application.sync_policy.ignore;
        bounded("ignore", ignore.len(), MAX_SMALL_LIST)?;
        ignore.iter().try_for_each(rule_within_limits)?;
        application
            .helm
            .as_deref()
            .map_or(Ok(()), chart_within_limits)?;
    }
    Ok(())
}

pub(super) fn label_within_limits(key: &str, value: &str) -> Result<(), WireError> {
    // 253 for the prefix, a slash, 63 for the name; 63 for the value (Kubernetes' own limits).
    bounded("labels.key", key.len(), 317)?;
    bounded("labels.value", value.len(), 63)
}

pub(super) fn approval_within_limits(content: usize, signature: usize) -> Result<(), WireError> {
    bounded("approvals.content", content, approval::MAX_BYTES)?;
    bounded("approvals.signature", signature, 32 << 10)
}

pub(super) fn application_within_limits(
    dependencies: usize,
    rollout: &str,
    namespace: &str,
) -> Result<(), WireError> {
    bounded("depends_on", dependencies, MAX_SMALL_LIST)?;
    bounded("rollout", rollout.len(), MAX_TOKEN_BYTES)?;
    bounded("namespace", namespace.len(), 63)
}

pub(super) fn rule_within_limits(rule: &IgnoreRule) -> Result<(), WireError> {
    bounded("json_pointers", rule.json_pointers.len(), MAX_SMALL_LIST)?;
    bounded("field_managers", rule.field_managers.len(), MAX_SMALL_LIST)?;
    [&rule.group, &rule.kind, &rule.namespace, &rule.name]
        .into_iter()
        .chain(&rule.json_pointers)
        .chain(&rule.field_managers)
        .try_for_each(|text| bounded("ignore", text.len(), MAX_TOKEN_BYTES))
}
