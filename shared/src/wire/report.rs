//! Agents' reports about their clusters, cut and bounded before anything relies on them.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use prost::Message as _;

use super::gate_job::{gate_job_report_from_wire, gate_job_report_to_wire};
use super::{
    MAX_APPLICATIONS, MAX_TOKEN_BYTES, WireError, assignment_ref_from_wire, assignment_ref_to_wire,
    bounded, digest_from_wire, digest_to_wire, health_from_wire, health_to_wire, reason_from_wire,
    reason_to_wire, revision_from_wire, revision_to_wire, sync_from_wire, sync_to_wire,
    timestamp_from_wire, timestamp_to_wire,
};
use crate::digest::Digest;
use crate::gate_job::MAX_GATE_JOBS;
use crate::object::{Action, ObjectRef};
use crate::report::{
    ApplicationReport, MAX_MESSAGE_BYTES, MAX_OBJECTS_SHOWN, ObjectCounts, ObjectStatus, Report,
    plain_line, plain_object,
};
use crate::source::SourcePaths;

/// Encodes a report.
#[must_use]
pub fn encode_report(report: &Report) -> v1::Report {
    v1::Report {
        sequence: report.sequence,
        assignment: Some(assignment_ref_to_wire(report.assignment)),
        observed_at: Some(timestamp_to_wire(report.observed_at)),
        applications: report
            .applications
            .iter()
            .map(|(name, application)| application_report_to_wire(name.as_str(), application))
            .collect(),
        suspended: report.suspended.clone(),
        gate_jobs: report
            .gate_jobs
            .iter()
            .map(gate_job_report_to_wire)
            .collect(),
        specified: digest_to_wire(report.specified),
    }
}

/// Returns the digest of a report, as its agent computes it.
#[must_use]
pub fn report_digest(report: &Report) -> Digest {
    Digest::of(&encode_report(report).encode_to_vec())
}

/// Decodes a report; cuts texts, and refuses invalid content.
///
/// # Errors
/// When a name does not parse or a list is over its limit.
pub fn decode_report(wire: &v1::Report) -> Result<Report, WireError> {
    bounded("applications", wire.applications.len(), MAX_APPLICATIONS)?;
    bounded("gate_jobs", wire.gate_jobs.len(), MAX_GATE_JOBS)?;
    let mut applications = BTreeMap::new();
    for application in &wire.applications {
        applications.insert(
            application.application.parse()?,
            Box::new(application_report_from_wire(application)?),
        );
    }
    Ok(Report {
        sequence: wire.sequence,
        assignment: assignment_ref_from_wire(wire.assignment.as_ref())?,
        observed_at: timestamp_from_wire(wire.observed_at.as_ref())
            .ok_or(WireError::Missing("observed_at"))?,
        applications,
        suspended: plain_line(&wire.suspended, MAX_TOKEN_BYTES),
        gate_jobs: wire
            .gate_jobs
            .iter()
            .map(gate_job_report_from_wire)
            .collect::<Result<_, _>>()?,
        specified: digest_from_wire("specified", &wire.specified)?,
    })
}

/// Encodes the report of one application, in the form that the fleet API also has.
#[must_use]
pub fn application_report_to_wire(name: &str, report: &ApplicationReport) -> v1::ApplicationReport {
    v1::ApplicationReport {
        application: name.to_owned(),
        revision: report.revision.as_ref().map(revision_to_wire),
        sync: sync_to_wire(report.sync).into(),
        health: health_to_wire(report.health).into(),
        reason: reason_to_wire(report.reason),
        message: plain_line(&report.message, MAX_MESSAGE_BYTES),
        counts: Some(report.counts.into()),
        objects: report
            .objects
            .iter()
            .take(MAX_OBJECTS_SHOWN)
            .map(status_to_wire)
            .collect(),
        applied_at: report.applied_at.map(timestamp_to_wire),
        changed_at: report.changed_at.map(timestamp_to_wire),
        observed_tip: report
            .observed_tip
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        written: report.written,
        pruned: report.pruned,
        source_digest: digest_to_wire(report.source_digest),
        source_paths: report.source_paths.iter().map(str::to_owned).collect(),
        attempted_commit: report
            .attempted
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
    }
}

fn application_report_from_wire(
    wire: &v1::ApplicationReport,
) -> Result<ApplicationReport, WireError> {
    bounded("objects", wire.objects.len(), MAX_OBJECTS_SHOWN)?;
    Ok(ApplicationReport {
        revision: wire.revision.as_ref().map(revision_from_wire).transpose()?,
        sync: sync_from_wire(wire.sync()),
        health: health_from_wire(wire.health()),
        reason: reason_from_wire(&wire.reason),
        message: plain_line(&wire.message, MAX_MESSAGE_BYTES),
        counts: wire.counts.unwrap_or_default().into(),
        objects: wire
            .objects
            .iter()
            .map(status_from_wire)
            .collect::<Result<_, _>>()?,
        applied_at: timestamp_from_wire(wire.applied_at.as_ref()),
        changed_at: timestamp_from_wire(wire.changed_at.as_ref()),
        observed_tip: match wire.observed_tip.as_str() {
            "" => None,
            tip => Some(tip.parse()?),
        },
        written: wire.written,
        pruned: wire.pruned,
        source_digest: digest_from_wire("source_digest", &wire.source_digest)?,
        // Only a hint that saves time, so a malformed one is dropped.
        source_paths: SourcePaths::from_wire(&wire.source_paths),
        attempted: match wire.attempted_commit.as_str() {
            "" => None,
            commit => Some(commit.parse()?),
        },
    })
}

impl From<ObjectCounts> for v1::ObjectCounts {
    fn from(counts: ObjectCounts) -> Self {
        Self {
            total: counts.total,
            current: counts.current,
            suspended: counts.suspended,
            in_progress: counts.in_progress,
            failed: counts.failed,
            terminating: counts.terminating,
            not_found: counts.not_found,
            unknown: counts.unknown,
        }
    }
}

impl From<v1::ObjectCounts> for ObjectCounts {
    fn from(wire: v1::ObjectCounts) -> Self {
        Self {
            total: wire.total,
            current: wire.current,
            suspended: wire.suspended,
            in_progress: wire.in_progress,
            failed: wire.failed,
            terminating: wire.terminating,
            not_found: wire.not_found,
            unknown: wire.unknown,
        }
    }
}

/// Encodes a reference to an object.
#[must_use]
pub fn object_to_wire(object: &ObjectRef) -> v1::ObjectRef {
    v1::ObjectRef {
        group: object.group.clone(),
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
    }
}

pub(super) fn action_to_wire(action: Action) -> v1::Action {
    match action {
        Action::Created => v1::Action::Created,
        Action::Updated => v1::Action::Updated,
        Action::Unchanged => v1::Action::Unchanged,
        Action::Pruned => v1::Action::Pruned,
        Action::Skipped => v1::Action::Skipped,
        Action::Held => v1::Action::Held,
        Action::Failed => v1::Action::Failed,
    }
}

pub(super) fn action_from_wire(action: v1::Action) -> Action {
    match action {
        v1::Action::Created => Action::Created,
        v1::Action::Updated => Action::Updated,
        v1::Action::Unchanged => Action::Unchanged,
        v1::Action::Pruned => Action::Pruned,
        v1::Action::Unspecified | v1::Action::Skipped => Action::Skipped,
        v1::Action::Held => Action::Held,
        v1::Action::Failed => Action::Failed,
    }
}

fn status_to_wire(status: &ObjectStatus) -> v1::ObjectStatus {
    v1::ObjectStatus {
        object: Some(object_to_wire(&status.object)),
        action: action_to_wire(status.action).into(),
        health: health_to_wire(status.health).into(),
        reason: reason_to_wire(status.reason),
        message: plain_line(&status.message, MAX_MESSAGE_BYTES),
    }
}

/// Decodes a reference to an object, with texts cut to the lengths of Kubernetes; a missing reference has empty names.
#[must_use]
pub fn object_from_wire(wire: Option<&v1::ObjectRef>) -> ObjectRef {
    plain_object(wire.map_or([""; 4], |object| {
        [
            object.group.as_str(),
            object.kind.as_str(),
            object.namespace.as_str(),
            object.name.as_str(),
        ]
    }))
}

/// Returns the action's name in a plan.
#[must_use]
pub fn planned_word(action: v1::Action) -> &'static str {
    match action {
        v1::Action::Unspecified => "unknown",
        known => action_from_wire(known).planned(),
    }
}

fn status_from_wire(wire: &v1::ObjectStatus) -> Result<ObjectStatus, WireError> {
    let object = wire.object.as_ref().ok_or(WireError::Missing("object"))?;
    Ok(ObjectStatus {
        object: object_from_wire(Some(object)),
        action: action_from_wire(wire.action()),
        health: health_from_wire(wire.health()),
        reason: reason_from_wire(&wire.reason),
        message: plain_line(&wire.message, MAX_MESSAGE_BYTES),
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::health::{Health, SyncState};
    use crate::object::ObjectNames;
    use crate::reason::Reason;

    fn report() -> Report {
        let application = ApplicationReport {
            revision: None,
            sync: SyncState::OutOfSync,
            health: Health::Failed,
            reason: Some(Reason::Unhealthy),
            message: "Deployment.apps web: no".to_owned(),
            counts: ObjectCounts {
                total: 1,
                failed: 1,
                ..ObjectCounts::default()
            },
            objects: vec![ObjectStatus {
                object: ObjectRef::from(ObjectNames {
                    group: "apps".to_owned(),
                    kind: "Deployment".to_owned(),
                    namespace: "web".to_owned(),
                    name: "web".to_owned(),
                }),
                action: Action::Updated,
                health: Health::Failed,
                reason: Some(Reason::Unhealthy),
                message: "no".to_owned(),
            }],
            applied_at: Some(Timestamp::new(1_790_000_001, 5).unwrap()),
            source_paths: SourcePaths::new(["apps/web", "bases/web"]),
            ..ApplicationReport::default()
        };
        Report {
            sequence: 3,
            specified: Digest::of(b"specified"),
            observed_at: Timestamp::new(1_790_000_002, 0).unwrap(),
            applications: [("web".parse().unwrap(), application.into())].into(),
            ..Report::default()
        }
    }

    #[test]
    fn reports_go_round() {
        assert_eq!(decode_report(&encode_report(&report())), Ok(report()));
    }

    #[test]
    fn h11_hostile_text_is_cut_and_escaped() {
        let mut wire = encode_report(&report());
        wire.applications[0].message = format!("\u{1b}[2J{}", "x".repeat(10 << 20));
        wire.applications[0].reason = "<script>".to_owned();
        let decoded = decode_report(&wire).unwrap();
        let application = decoded.applications.values().next().unwrap();
        assert_eq!(application.message.len(), MAX_MESSAGE_BYTES);
        assert!(!application.message.contains('\u{1b}'));
        assert_eq!(application.reason, Some(Reason::Other));
    }

    #[test]
    fn h11_hostile_source_paths_are_not_known() {
        let mut wire = encode_report(&report());
        wire.applications[0].source_paths = vec!["../etc".to_owned(); 1000];
        let decoded = decode_report(&wire).unwrap();
        let application = decoded.applications.values().next().unwrap();
        assert!(!application.source_paths.is_known());
    }

    #[test]
    fn h12_unknown_enum_values_read_as_unknown() {
        let mut wire = encode_report(&report());
        wire.applications[0].health = 99;
        wire.applications[0].sync = 99;
        wire.applications[0].objects[0].action = 99;
        let decoded = decode_report(&wire).unwrap();
        let application = decoded.applications.values().next().unwrap();
        assert_eq!(
            (application.health, application.sync),
            (Health::Unknown, SyncState::Unknown)
        );
    }

    proptest::proptest! {
        #[test]
        fn h13_random_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(wire) = v1::Report::decode(bytes.as_slice()) {
                let _ = decode_report(&wire);
            }
        }
    }
}
