//! Gate Jobs: requested by the hub, reported by agents.

use flotilla_proto::v1;

use super::assignment::{application_from_wire, application_to_wire};
use super::{
    WireError, bounded, digest_from_wire, digest_to_wire, reason_from_wire, reason_to_wire,
};
use crate::gate_job::{GateJob, GateJobReport, GateJobState, MAX_GATE_JOBS, MAX_TIMEOUT_SECONDS};
use crate::report::{MAX_MESSAGE_BYTES, plain_line};

/// Encodes all gate Jobs that a cluster is asked to run.
#[must_use]
pub fn gate_jobs_to_wire(jobs: &[GateJob]) -> v1::GateJobs {
    v1::GateJobs {
        jobs: jobs
            .iter()
            .map(|job| v1::GateJob {
                gate: job.gate.to_string(),
                attempt: job.attempt,
                timeout_seconds: job.timeout_seconds,
                application: Some(application_to_wire(job.name.as_str(), &job.application)),
            })
            .collect(),
    }
}

/// Reads a gate Job of the wire.
///
/// # Errors
/// When a name does not parse or something is over its limit; then nothing of it is used.
pub fn gate_jobs_from_wire(wire: v1::GateJobs) -> Result<Vec<GateJob>, WireError> {
    bounded("jobs", wire.jobs.len(), MAX_GATE_JOBS)?;
    let jobs = wire.jobs.into_iter().map(|job| {
        let application = job.application;
        let application = application.ok_or(WireError::Missing("application"))?;
        bounded(
            "timeout_seconds",
            job.timeout_seconds as usize,
            MAX_TIMEOUT_SECONDS as usize,
        )?;
        Ok(GateJob {
            gate: job.gate.parse()?,
            attempt: job.attempt,
            timeout_seconds: job.timeout_seconds.max(1),
            name: application.name.parse()?,
            application: application_from_wire(application)?,
        })
    });
    jobs.collect()
}

pub(super) fn gate_job_report_to_wire(report: &GateJobReport) -> v1::GateJobReport {
    v1::GateJobReport {
        id: digest_to_wire(report.id),
        gate: report.gate.to_string(),
        state: match report.state {
            GateJobState::Waiting => v1::GateJobState::Waiting,
            GateJobState::Running => v1::GateJobState::Running,
            GateJobState::Succeeded => v1::GateJobState::Succeeded,
            GateJobState::Failed => v1::GateJobState::Failed,
            GateJobState::TimedOut => v1::GateJobState::TimedOut,
            GateJobState::Refused => v1::GateJobState::Refused,
        }
        .into(),
        reason: reason_to_wire(report.reason),
        message: plain_line(&report.message, MAX_MESSAGE_BYTES),
        ran_seconds: report.ran_seconds,
    }
}

/// Reads a report; an unknown state opens no gate.
pub(super) fn gate_job_report_from_wire(
    wire: &v1::GateJobReport,
) -> Result<GateJobReport, WireError> {
    Ok(GateJobReport {
        id: digest_from_wire("id", &wire.id)?,
        gate: wire.gate.parse()?,
        state: match wire.state() {
            v1::GateJobState::Unspecified | v1::GateJobState::Waiting => GateJobState::Waiting,
            v1::GateJobState::Running => GateJobState::Running,
            v1::GateJobState::Succeeded => GateJobState::Succeeded,
            v1::GateJobState::Failed => GateJobState::Failed,
            v1::GateJobState::TimedOut => GateJobState::TimedOut,
            v1::GateJobState::Refused => GateJobState::Refused,
        },
        reason: reason_from_wire(&wire.reason),
        message: plain_line(&wire.message, MAX_MESSAGE_BYTES),
        ran_seconds: wire.ran_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assignment::ApplicationAssignment;
    use crate::digest::Digest;
    use crate::revision::Revision;

    fn job() -> GateJob {
        GateJob {
            gate: "smoke".parse().unwrap(),
            attempt: 2,
            timeout_seconds: 60,
            name: "shop".parse().unwrap(),
            application: ApplicationAssignment {
                namespace: "shop".to_owned(),
                ..ApplicationAssignment::new(
                    Revision {
                        repository: "fleet".parse().unwrap(),
                        branch: "prod".parse().unwrap(),
                        commit: "a".repeat(40).parse().unwrap(),
                    },
                    "https://h/r".parse().unwrap(),
                    "gates/smoke".parse().unwrap(),
                )
            },
        }
    }

    #[test]
    fn what_is_asked_goes_round_and_is_bounded() {
        let wire = gate_jobs_to_wire(&[job()]);
        assert_eq!(gate_jobs_from_wire(wire.clone()), Ok(vec![job()]));
        let many = v1::GateJobs {
            jobs: vec![wire.jobs[0].clone(); MAX_GATE_JOBS + 1],
        };
        assert!(gate_jobs_from_wire(many).is_err());
        let broken: [fn(&mut v1::GateJob); 4] = [
            |job| job.application = None,
            |job| job.gate = "a/../b".to_owned(),
            |job| job.timeout_seconds = u32::MAX,
            |job| {
                if let Some(application) = &mut job.application {
                    application.path = "../secret".to_owned();
                }
            },
        ];
        for breaks in broken {
            let mut wire = wire.clone();
            breaks(&mut wire.jobs[0]);
            assert!(gate_jobs_from_wire(wire).is_err());
        }
    }

    #[test]
    fn each_commit_path_and_retry_is_a_job_of_its_own() {
        let changes: [fn(&mut GateJob); 7] = [
            |job| job.attempt += 1,
            |job| job.gate = "other".parse().unwrap(),
            |job| job.name = "other".parse().unwrap(),
            |job| job.application.revision.commit = "b".repeat(40).parse().unwrap(),
            |job| job.application.path = "gates/other".parse().unwrap(),
            |job| job.application.url = "https://h/other".parse().unwrap(),
            |job| job.application.namespace = "other".to_owned(),
        ];
        let mut ids = std::collections::BTreeSet::from([job().id()]);
        for change in changes {
            let mut other = job();
            change(&mut other);
            assert!(ids.insert(other.id()), "{other:?}");
        }
        let mut patient = job();
        patient.timeout_seconds += 1;
        assert_eq!(patient.id(), job().id(), "more time begins nothing anew");
    }

    #[test]
    fn a_state_of_a_newer_agent_is_no_success() {
        let report = GateJobReport {
            id: Digest::of(b"x"),
            gate: "smoke".parse().unwrap(),
            state: GateJobState::Succeeded,
            reason: None,
            message: String::new(),
            ran_seconds: 7,
        };
        let mut wire = gate_job_report_to_wire(&report);
        assert_eq!(gate_job_report_from_wire(&wire), Ok(report));
        wire.state = 99;
        let read = gate_job_report_from_wire(&wire).unwrap();
        assert_eq!(read.state, GateJobState::Waiting);
    }
}
