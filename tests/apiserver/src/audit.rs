//! The audit log: every write that was asked for, in order. Tests judge deletes by it.

use serde::Serialize;

/// One write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// create, update, patch or delete.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Sub-resource; empty: none.
    pub subresource: String,
    /// Namespace; empty: cluster-scoped.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID of the object that was there before or is there after.
    pub uid: String,
    /// `fieldManager` of the request.
    pub manager: String,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// HTTP status of the answer.
    pub code: u16,
    /// Whether it changed anything.
    pub changed: bool,
}
