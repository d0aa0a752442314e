//! Wire form of the audit log and of operators.

use flotilla_proto::v1;

use super::{moment, sent, texts};
use crate::{AuditAction, Entry, Operator, text};

impl From<&v1::AuditEntry> for Entry {
    fn from(wire: &v1::AuditEntry) -> Self {
        Self {
            seq: wire.seq,
            at: moment(wire.at.as_ref()),
            actor: text(&wire.actor),
            action: AuditAction::from(wire.action.as_str()),
            environment: text(&wire.environment),
            clusters: texts(&wire.clusters),
            commit: text(&wire.commit),
            reason: text(&wire.reason),
            detail: text(&wire.detail),
            hash: text(&wire.hash),
        }
    }
}

impl From<Entry> for v1::AuditEntry {
    fn from(entry: Entry) -> Self {
        Self {
            seq: entry.seq,
            at: sent(entry.at),
            actor: entry.actor,
            action: entry.action.as_str().to_owned(),
            environment: entry.environment,
            clusters: entry.clusters,
            commit: entry.commit,
            reason: entry.reason,
            detail: entry.detail,
            hash: entry.hash,
        }
    }
}

impl From<&v1::OperatorStatus> for Operator {
    fn from(wire: &v1::OperatorStatus) -> Self {
        Self {
            name: text(&wire.name),
            role: text(&wire.role),
            environments: texts(&wire.environments),
            changed_by: text(&wire.changed_by),
            changed_at: moment(wire.changed_at.as_ref()),
        }
    }
}

impl From<Operator> for v1::OperatorStatus {
    fn from(operator: Operator) -> Self {
        Self {
            name: operator.name,
            role: operator.role,
            environments: operator.environments,
            changed_by: operator.changed_by,
            changed_at: sent(operator.changed_at),
        }
    }
}
