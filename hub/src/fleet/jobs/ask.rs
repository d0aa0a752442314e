//! Which cluster is asked to run which Jobs: this follows from the fleet's state at each advance, as a whole for each
//! cluster, and is repeated on each new stream.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_shared::gate_job::{GateJob, GateJobReport, GateJobState};
use flotilla_shared::id::{ClusterName, EnvironmentName, RepositoryName};
use flotilla_shared::words::counted;
use flotilla_status::{AuditAction, HUB_ACTOR};
use jiff::Timestamp;

use super::super::Fleet;
use super::super::environment::{EnvironmentState, Pin};
use super::super::event::{AuditEntry, Effect, SessionId};
use super::super::gate::Gate;
use super::super::job_note::{JobNote, JobResult};
use super::super::rollout::Commits;
use crate::spec::Environment;

/// The last request to a cluster.
#[derive(Debug, Clone)]
struct JobRequest {
    /// The environment's name.
    environment: EnvironmentName,
    /// The stream; none: not known.
    session: Option<SessionId>,
    jobs: Arc<Vec<GateJob>>,
}

/// The last requests to clusters; those that were asked for nothing are not in it.
#[derive(Debug, Clone, Default)]
pub(in crate::fleet) struct JobRequests(BTreeMap<ClusterName, JobRequest>);

impl JobRequests {
    /// Notes that a cluster reports to have been asked for something.
    fn suspect(&mut self, name: &ClusterName, environment: EnvironmentName) {
        self.0.entry(name.clone()).or_insert_with(|| JobRequest {
            environment,
            session: None,
            jobs: Arc::default(),
        });
    }
}

/// A Job to run now.
struct DueJob {
    cluster: ClusterName,
    repository: RepositoryName,
    job: GateJob,
}

impl Fleet {
    /// Returns the commits that wait only for their Jobs: those of a rollout that has not begun, and those that wait by
    /// themselves beside one.
    fn waiting_for_jobs(&self, environment: &Environment, now: Timestamp) -> Commits {
        let mut waiting = Commits::new();
        let Some(rollout) = self.rollouts.running(&environment.name) else {
            return waiting;
        };
        let empty = EnvironmentState::default();
        let state = self.environments().get(&environment.name).unwrap_or(&empty);
        let is_pinned = |pin: &Pin| pin.holds(now) && !pin.unproven;
        if state.paused.is_some() || state.pin.as_ref().is_some_and(is_pinned) {
            return waiting;
        }
        // A Job runs only once every other gate of its commit is open.
        let is_other = |gate: &Gate| !gate.runs_last() && gate.holds_back();
        if rollout.started_at.is_none() {
            let gates = self.enforced_gates(environment, &rollout.target, now);
            if !gates.iter().any(is_other) {
                waiting = state.not_overridden(&rollout.changed());
            }
        }
        if !self.is_shut(environment, now) {
            let apart = self.apart(environment, now).into_iter();
            let apart = apart.filter(|apart| !apart.gates.iter().any(is_other));
            waiting.extend(apart.map(|apart| (apart.repository, apart.commit)));
        }
        waiting
    }

    /// Returns the Jobs to run now.
    fn due_jobs(&self, environment: &Environment, now: Timestamp) -> Vec<DueJob> {
        let mut due = Vec::new();
        if environment.gates.jobs.is_empty() {
            return due;
        }
        let empty = EnvironmentState::default();
        let state = self.environments().get(&environment.name).unwrap_or(&empty);
        let waiting = self.waiting_for_jobs(environment, now);
        for rule in &environment.gates.jobs {
            for (repository, commit) in &waiting {
                let Some(job) = self.gate_job(environment, rule, (repository, commit)) else {
                    continue;
                };
                let cluster = self.job_cluster(environment, rule);
                let cluster = cluster
                    .filter(|name| self.environment_of(name).as_ref() == Some(&environment.name));
                if state.job_result(repository, &job).is_none()
                    && let Some(cluster) = cluster
                {
                    due.push(DueJob {
                        cluster,
                        repository: repository.clone(),
                        job,
                    });
                }
            }
        }
        due
    }

    /// Records the results of an environment's Jobs, and asks its clusters for the Jobs to run now.
    pub(in crate::fleet) fn run_jobs(
        &mut self,
        environment: &Environment,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let mut due = self.due_jobs(environment, now);
        due.retain(|job| !self.take_result(environment, job, now, effects));
        let mut by_cluster: BTreeMap<ClusterName, Vec<GateJob>> = BTreeMap::new();
        for job in due {
            by_cluster.entry(job.cluster).or_default().push(job.job);
        }
        let asked = self.gate_jobs.0.iter();
        let asked = asked.filter(|(_, asked)| asked.environment == environment.name);
        for name in asked.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            by_cluster.entry(name).or_default();
        }
        for (name, jobs) in by_cluster {
            self.ask_jobs(environment, name, jobs, effects);
        }
    }

    /// Notes the result of a Job, if its cluster reported it.
    fn take_result(
        &mut self,
        environment: &Environment,
        job: &DueJob,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let DueJob {
            cluster,
            repository,
            job,
        } = job;
        let known = self.clusters().get(cluster);
        let report = known.and_then(|cluster| cluster.report_of(job)).cloned();
        let Some(report) = report.filter(|report| report.state.is_over()) else {
            return false;
        };
        let good = report.state == GateJobState::Succeeded;
        let text = ended(cluster, &report);
        let commit = job.application.revision.commit.clone();
        let audit = AuditEntry {
            at: now,
            actor: HUB_ACTOR.to_owned(),
            action: match good {
                true => AuditAction::GateJobSucceeded,
                false => AuditAction::GateJobFailed,
            },
            environment: environment.name.to_string(),
            clusters: vec![cluster.to_string()],
            commit: commit.to_string(),
            reason: report
                .reason
                .map(|reason| reason.to_string())
                .unwrap_or_default(),
            detail: format!("{}: {text}", job.gate),
            rollout: None,
        };
        let note = JobNote {
            gate: job.gate.clone(),
            repository: repository.clone(),
            commit,
            attempt: job.attempt,
            result: Some(JobResult {
                id: job.id().to_string(),
                good,
                text,
                at: now,
            }),
        };
        let (name, versions) = (&environment.name, &mut self.versions);
        self.environments
            .change(name, versions, effects, |state| state.note_job(note));
        effects.push(Effect::Audit(audit));
        true
    }

    /// Sends a cluster its request, unless that was sent on its present stream.
    fn ask_jobs(
        &mut self,
        environment: &Environment,
        name: ClusterName,
        jobs: Vec<GateJob>,
        effects: &mut Vec<Effect>,
    ) {
        let cluster = self.clusters().get(&name);
        let Some((session, _)) = cluster.and_then(|cluster| cluster.session) else {
            // It is told on its next stream; until then it continues with its last request.
            self.gate_jobs.0.remove(&name);
            return;
        };
        let before = self.gate_jobs.0.get(&name);
        let is_same =
            before.is_some_and(|asked| asked.session == Some(session) && *asked.jobs == jobs);
        if is_same {
            return;
        }
        let jobs = Arc::new(jobs);
        effects.push(Effect::AskJobs(name.clone(), session, Arc::clone(&jobs)));
        if jobs.is_empty() {
            self.gate_jobs.0.remove(&name);
            return;
        }
        let asked = JobRequest {
            environment: environment.name.clone(),
            session: Some(session),
            jobs,
        };
        self.gate_jobs.0.insert(name, asked);
    }

    /// Handles a report on gate Jobs: a cluster whose Jobs are no longer requested is told so.
    pub(in crate::fleet) fn hear_jobs(&mut self, name: &ClusterName) {
        let cluster = self.clusters().get(name);
        let report = cluster.and_then(|cluster| cluster.report.as_ref());
        if report.is_some_and(|report| !report.gate_jobs.is_empty())
            && let Some(environment) = self.environment_of(name)
        {
            self.gate_jobs.suspect(name, environment);
        }
    }
}

/// Describes the result of a Job.
fn ended(cluster: &ClusterName, report: &GateJobReport) -> String {
    let seconds = counted(report.ran_seconds as usize, "second");
    let why = match report.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    match report.state {
        GateJobState::Succeeded => format!("succeeded in cluster {cluster} after {seconds}"),
        GateJobState::TimedOut => {
            format!("timed out in cluster {cluster} after {seconds}{why}")
        }
        _ => format!("failed in cluster {cluster} after {seconds}{why}"),
    }
}
