//! Jobs as gates. A result counts for exactly its own Job; the hub names a commit and a path, and the agent decides.

mod ask;

use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::gate_job::{GateJob, GateJobReport, GateJobState};
use flotilla_shared::id::{ClusterName, GateName, RepositoryName};
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{Commit, Revision};
use jiff::Timestamp;

use super::Fleet;
use super::cluster::{Cluster, Connectivity, OFFLINE_AFTER};
use super::environment::{EnvironmentState, push};
use super::gate::{Gate, GateKind, Open, OtherGates};
use super::job_note::{JobNote, JobResult};
use super::rollout::Commits;
use crate::spec::{Environment, JobGate};

pub(super) use ask::JobRequests;

/// Highest number of Jobs whose results are remembered.
const MAX_JOBS: usize = 64;

impl EnvironmentState {
    fn job(
        &self,
        gate: &GateName,
        repository: &RepositoryName,
        commit: &Commit,
    ) -> Option<&JobNote> {
        let mut all = self.jobs.iter();
        all.rfind(|note| {
            note.gate == *gate && note.repository == *repository && note.commit == *commit
        })
    }

    fn job_result(&self, repository: &RepositoryName, job: &GateJob) -> Option<&JobResult> {
        let note = self.job(&job.gate, repository, &job.application.revision.commit)?;
        let id = job.id().to_string();
        note.result.as_ref().filter(|result| result.id == id)
    }

    fn note_job(&mut self, note: JobNote) {
        self.jobs.retain(|known| {
            known.gate != note.gate
                || known.repository != note.repository
                || known.commit != note.commit
        });
        push(&mut self.jobs, MAX_JOBS, note);
    }

    /// Returns whether a Job failed for one of these commits.
    pub(super) fn has_failed_job(&self, target: &Commits) -> bool {
        self.jobs.iter().any(|note| note.has_failed_for(target))
    }

    /// Lets failed Jobs of these commits run again.
    pub(super) fn retry_jobs(&mut self, target: &Commits) {
        let failed = self.jobs.iter_mut();
        for note in failed.filter(|note| note.has_failed_for(target)) {
            note.attempt = note.attempt.saturating_add(1);
            note.result = None;
        }
    }
}

impl JobNote {
    fn has_failed_for(&self, target: &Commits) -> bool {
        target.get(&self.repository) == Some(&self.commit)
            && self.result.as_ref().is_some_and(|result| !result.good)
    }
}

impl Fleet {
    /// Returns the Job of a gate for a commit, as its cluster is asked to run it.
    fn gate_job(
        &self,
        environment: &Environment,
        rule: &JobGate,
        (repository, commit): (&RepositoryName, &Commit),
    ) -> Option<GateJob> {
        let application = self.spec().applications.get(&rule.application)?;
        if application.repository != *repository {
            return None;
        }
        let state = self.environments().get(&environment.name);
        let note = state.and_then(|state| state.job(&rule.name, repository, commit));
        Some(GateJob {
            gate: rule.name.clone(),
            attempt: note.map_or(0, |note| note.attempt),
            timeout_seconds: u32::try_from(rule.timeout.as_secs()).unwrap_or(u32::MAX),
            name: rule.application.clone(),
            application: ApplicationAssignment {
                namespace: application.namespace.clone(),
                ..ApplicationAssignment::new(
                    Revision {
                        repository: repository.clone(),
                        branch: environment.branch.clone(),
                        commit: commit.clone(),
                    },
                    self.spec().repositories.get(repository)?.url.clone(),
                    rule.path.clone(),
                )
            },
        })
    }

    /// Returns the cluster of a gate's Job: that of the fleet file, or the first cluster of the first wave.
    fn job_cluster(&self, environment: &Environment, rule: &JobGate) -> Option<ClusterName> {
        match &rule.cluster {
            Some(name) => Some(name.clone()),
            None => self.first_member(environment),
        }
    }

    /// Returns the gates of an environment's Jobs for these commits.
    pub(super) fn job_gates(
        &self,
        environment: &Environment,
        waiting: &Commits,
        others: OtherGates,
        now: Timestamp,
    ) -> Vec<Gate> {
        let mut gates = Vec::new();
        for rule in &environment.gates.jobs {
            for (repository, commit) in waiting {
                let Some(job) = self.gate_job(environment, rule, (repository, commit)) else {
                    continue;
                };
                let mut gate = self.job_gate(environment, rule, repository, &job, now);
                let has_begun = gate.at.is_some() || gate.lasting;
                if gate.open == Open::NotYet && others == OtherGates::Closed && !has_begun {
                    "it runs once the other gates are open".clone_into(&mut gate.text);
                }
                gate.commit = Some(commit.clone());
                gates.push(gate);
            }
        }
        gates
    }

    fn job_gate(
        &self,
        environment: &Environment,
        rule: &JobGate,
        repository: &RepositoryName,
        job: &GateJob,
        now: Timestamp,
    ) -> Gate {
        let gate = |open, text: String| Gate::new(GateKind::Job, rule.name.as_str(), open, text);
        let never = |text: String| Gate {
            lasting: true,
            ..gate(Open::No, text)
        };
        let state = self.environments().get(&environment.name);
        if let Some(result) = state.and_then(|state| state.job_result(repository, job)) {
            let open = if result.good { Open::Yes } else { Open::No };
            return Gate {
                at: Some(result.at),
                lasting: !result.good,
                ..gate(open, result.text.clone())
            };
        }
        if !self.is_to_come(environment, repository, &job.application.revision.commit) {
            let text = format!(
                "it runs in the environment once branch {} has the commit",
                environment.branch
            );
            return gate(Open::Skipped, text);
        }
        let Some(name) = self.job_cluster(environment, rule) else {
            let text = "the environment has no cluster to run it in".to_owned();
            return gate(Open::NotYet, text);
        };
        let here = self.environment_of(&name);
        let found = self.clusters().get(&name);
        let Some(cluster) = found.filter(|_| here.as_ref() == Some(&environment.name)) else {
            let text = format!(
                "cluster {name}, which has to run it, is not in {}",
                environment.name
            );
            return never(text);
        };
        if !is_online(cluster, now) {
            let text = format!("cluster {name}, which has to run it, is offline");
            return Gate {
                reason: Some(Reason::Offline),
                ..gate(Open::NotYet, text)
            };
        }
        let Some(report) = cluster.report_of(job) else {
            let text = format!("cluster {name}, which has to run it, has not reported on it yet");
            return gate(Open::NotYet, text);
        };
        let why = match report.message.as_str() {
            "" => String::new(),
            message => format!(": {message}"),
        };
        let at = cluster.reported_at;
        match report.state {
            GateJobState::Refused => Gate {
                reason: report.reason.or(Some(Reason::GateJobFailed)),
                at,
                ..never(format!("cluster {name} refused to run it{why}"))
            },
            GateJobState::Waiting => Gate {
                reason: report.reason.or(Some(Reason::GateJobPending)),
                at,
                ..gate(Open::NotYet, format!("waits in cluster {name}{why}"))
            },
            // A Job that has ended is recorded at the next advance.
            _ => Gate {
                at,
                ..gate(Open::NotYet, format!("runs in cluster {name}{why}"))
            },
        }
    }

    /// Returns whether a commit is on an environment's branch, as the hub read it, or on its way there: agents run only
    /// what is on the branch.
    fn is_to_come(
        &self,
        environment: &Environment,
        repository: &RepositoryName,
        commit: &Commit,
    ) -> bool {
        let head = self.head(repository, &environment.branch);
        let rollout = self.rollouts().get(&environment.name);
        head.is_some_and(|head| head.commit.as_ref() == Some(commit))
            || rollout.is_some_and(|rollout| {
                !rollout.state.is_over() && rollout.target.get(repository) == Some(commit)
            })
    }
}

fn is_online(cluster: &Cluster, now: Timestamp) -> bool {
    matches!(
        cluster.connection(now, OFFLINE_AFTER),
        Connectivity::Online { .. }
    )
}

impl Cluster {
    /// Returns the last report of its agent on a Job.
    fn report_of(&self, job: &GateJob) -> Option<&GateJobReport> {
        let id = job.id();
        let mut all = self.report.as_ref()?.gate_jobs.iter();
        all.find(|report| report.id == id)
    }
}
