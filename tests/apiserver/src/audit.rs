//! The audit log: every write that was requested, in order. Tests judge deletes by it.

use std::io::Write as _;

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// create, update, patch, delete or deletecollection.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural name of the kind.
    pub resource: String,
    /// Sub-resource; empty: none.
    pub subresource: String,
    /// Namespace; empty: cluster-scoped.
    pub namespace: String,
    pub name: String,
    /// UID of the object before or after the write; empty if the log does not record it.
    pub uid: String,
    /// The user.
    pub user: String,
    /// `fieldManager` of the request.
    pub manager: String,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// HTTP status of the answer.
    pub code: u16,
    /// Whether it changed anything.
    pub changed: bool,
}

/// The log in memory, and in a file if one is configured.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<AuditEvent>,
    pub(crate) file: Option<std::fs::File>,
}

impl Log {
    pub(crate) fn note(&mut self, event: AuditEvent) {
        if let (Some(file), Ok(line)) = (&mut self.file, serde_json::to_string(&event)) {
            // A full disk must not stop the server that is being tested.
            let _ = writeln!(file, "{line}");
        }
        self.events.push(event);
    }
}
