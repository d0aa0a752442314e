//! Runs the Jobs of gates that the hub requests, one at a time, beside the applications' workers. A Job is
//! identified by its name, so that it runs once, even across restarts; its result is reported for as long
//! as it is requested.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::SyncPolicy;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::digest::Digest;
use flotilla_shared::gate_job::{GateJob, GateJobReport, GateJobState};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{MAX_MESSAGE_BYTES, SUSPENDED_BY_HUB, plain_line};
use flotilla_shared::wire::DecodedAssignment;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::worker;
use crate::cluster::{GateJobRequest, PassInput, WhenMissing};
use crate::events::Event;
use crate::gate_job::{Verdict, judge, prepare};
use crate::plan::{Claims, Desired, Intent};
use crate::policy::Refusal;
use crate::source::DesiredApplication;

/// Between two looks at a Job that runs.
const LOOK: Duration = Duration::from_secs(2);
/// Interval if no Job is requested or all have finished.
const IDLE: Duration = Duration::from_secs(3600);

/// All Jobs that are asked for, as they come and go.
pub type RequestedJobs = Arc<Vec<GateJob>>;

/// Looks after them.
pub(super) struct GateJobs {
    pub(super) shared: Arc<Shared>,
    pub(super) asked: watch::Receiver<RequestedJobs>,
    pub(super) accepted: watch::Receiver<Option<Arc<DecodedAssignment>>>,
}

/// State of one gate Job.
struct ObservedJob {
    job: GateJob,
    /// The rendered Job; none: not rendered yet.
    desired: Option<Arc<Desired>>,
    verdict: Verdict,
    /// No new attempt before this.
    retry: Option<(Instant, Backoff)>,
}

impl ObservedJob {
    fn new(job: GateJob) -> Self {
        Self {
            job,
            desired: None,
            verdict: waiting(None, ""),
            retry: None,
        }
    }

    fn request<'a>(&'a self, shared: &'a Shared, desired: &'a Desired) -> GateJobRequest<'a> {
        GateJobRequest {
            desired,
            application: self.job.name.as_str(),
            account: shared.policy.account(&self.job.name),
        }
    }
}

fn waiting(reason: Option<Reason>, message: &str) -> Verdict {
    Verdict {
        state: GateJobState::Waiting,
        reason,
        message: message.to_owned(),
        ran_seconds: 0,
    }
}

/// Whether a refusal with this reason may pass without a change.
fn passes(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::RepositoryUnavailable
            | Reason::AuthenticationFailed
            | Reason::BranchNotFound
            | Reason::CommitNotFound
            | Reason::CommitNotOnBranch
            | Reason::LimitExceeded
            | Reason::ClusterUnavailable
            | Reason::WebhookUnavailable
            | Reason::Unauthorized
            | Reason::ChangedMeanwhile
            | Reason::QuotaExceeded
            | Reason::Throttled
            | Reason::NotLeader
            | Reason::NamespaceNotFound
            | Reason::NamespaceTerminating
    )
}

impl GateJobs {
    /// Runs until cancelled. Running Jobs continue: the next leader or process finds them.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Self {
            shared,
            mut asked,
            accepted,
        } = self;
        let mut known: BTreeMap<Digest, ObservedJob> = BTreeMap::new();
        loop {
            let jobs = Arc::clone(&asked.borrow_and_update());
            forget(&shared, &mut known, &jobs).await;
            for job in jobs.iter() {
                known
                    .entry(job.id())
                    .or_insert_with(|| ObservedJob::new(job.clone()));
            }
            let mut wait = IDLE;
            if let Some(next) = next(&jobs, &mut known, Instant::now()) {
                let assigned = accepted.borrow().clone();
                tokio::select! {
                    () = advance(&shared, assigned, next) => wait = LOOK,
                    changed = asked.changed() => {
                        if changed.is_err() { return }
                        continue;
                    }
                    () = stop.cancelled() => return,
                }
            } else if known.values().any(|entry| !entry.verdict.state.is_over()) {
                wait = LOOK;
            }
            shared.registry.gate_jobs(reports(&jobs, &known));
            tokio::select! {
                changed = asked.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Stops Jobs that are no longer requested.
async fn forget(shared: &Shared, known: &mut BTreeMap<Digest, ObservedJob>, jobs: &[GateJob]) {
    let kept: Vec<Digest> = jobs.iter().map(GateJob::id).collect();
    let gone: Vec<Digest> = known
        .keys()
        .copied()
        .filter(|id| !kept.contains(id))
        .collect();
    for id in gone {
        let Some(entry) = known.remove(&id) else {
            continue;
        };
        let Some(desired) = entry
            .desired
            .as_deref()
            .filter(|_| !entry.verdict.state.is_over())
        else {
            continue;
        };
        let stopped = shared
            .cluster
            .stop_gate_job(&entry.request(shared, desired))
            .await;
        if let Err(error) = stopped {
            // Its own deadline ends the Job anyway.
            tracing::warn!(gate = %entry.job.gate, %error,
                "cannot delete a gate's Job that is no longer requested");
        }
    }
}

/// The Job whose turn it is: one that runs is watched to its end before another one starts.
fn next<'k>(
    jobs: &[GateJob],
    known: &'k mut BTreeMap<Digest, ObservedJob>,
    now: Instant,
) -> Option<&'k mut ObservedJob> {
    let state = |id: &Digest| known.get(id).map(|entry| entry.verdict.state);
    let ids: Vec<Digest> = jobs.iter().map(GateJob::id).collect();
    let runs = ids
        .iter()
        .find(|id| state(id) == Some(GateJobState::Running));
    let is_due = |id: &&Digest| {
        known.get(*id).is_some_and(|entry| {
            let waits = entry.retry.as_ref().is_some_and(|(until, _)| *until > now);
            !entry.verdict.state.is_over() && !waits
        })
    };
    let id = *runs.or_else(|| ids.iter().find(is_due))?;
    known.get_mut(&id)
}

fn reports(jobs: &[GateJob], known: &BTreeMap<Digest, ObservedJob>) -> Vec<GateJobReport> {
    let runs = known
        .values()
        .find(|entry| entry.verdict.state == GateJobState::Running);
    let reports = jobs.iter().filter_map(|job| {
        let id = job.id();
        let mut verdict = known.get(&id)?.verdict.clone();
        let is_behind = verdict.state == GateJobState::Waiting && verdict.message.is_empty();
        if let (true, Some(other)) = (is_behind, runs) {
            verdict.message = format!("waiting for the Job of gate {}", other.job.gate);
        }
        Some(GateJobReport {
            id,
            gate: job.gate.clone(),
            state: verdict.state,
            reason: verdict.reason,
            message: plain_line(&verdict.message, MAX_MESSAGE_BYTES),
            ran_seconds: verdict.ran_seconds,
        })
    });
    reports.collect()
}

/// Checks a Job, or tries again to run it.
async fn advance(
    shared: &Shared,
    assigned: Option<Arc<DecodedAssignment>>,
    known: &mut ObservedJob,
) {
    let before = known.verdict.clone();
    match look(shared, assigned, known).await {
        Ok(verdict) => {
            known.verdict = verdict;
            known.retry = None;
        }
        Err(refusal) => {
            let state = match passes(refusal.reason) {
                true => GateJobState::Waiting,
                false => GateJobState::Refused,
            };
            known.verdict = Verdict {
                state,
                ..waiting(Some(refusal.reason), &refusal.message)
            };
            let mut backoff = match known.retry.take() {
                Some((_, backoff)) => backoff,
                None => Backoff::new(Duration::from_secs(2), Duration::from_secs(120)),
            };
            let delay = backoff.next_delay(&mut rand::rng());
            known.retry = Some((Instant::now() + delay, backoff));
        }
    }
    let verdict = &known.verdict;
    let is_bad = !matches!(
        verdict.state,
        GateJobState::Waiting | GateJobState::Running | GateJobState::Succeeded
    );
    if is_bad && *verdict != before {
        let reason = verdict.reason.unwrap_or(Reason::GateJobFailed);
        let message = format!("the Job of gate {}: {}", known.job.gate, verdict.message);
        tracing::warn!(application = %known.job.name, %reason, message);
        let event = Event::warning(reason, &message);
        shared.cluster.tell(known.job.name.as_str(), event);
    }
}

async fn look(
    shared: &Shared,
    assigned: Option<Arc<DecodedAssignment>>,
    known: &mut ObservedJob,
) -> Result<Verdict, Refusal> {
    let Some(assigned) = assigned else {
        return Ok(waiting(None, "this agent has accepted no assignment yet"));
    };
    let accepted = &assigned.assignment;
    if let Some(refusal) = shared.policy.gate_job(&known.job, Some(accepted)) {
        return Err(refusal);
    }
    let desired = match &known.desired {
        Some(desired) => Arc::clone(desired),
        None => {
            let rendered = rendered(shared, &assigned, &known.job).await?;
            Arc::clone(known.desired.insert(rendered))
        }
    };
    let held = match shared.cluster.frozen().await {
        Some(why) => Some(Problem::new(Reason::Frozen, why)),
        None if accepted.suspended => Some(Problem::new(Reason::SuspendedByHub, SUSPENDED_BY_HUB)),
        None => None,
    };
    let request = known.request(shared, &desired);
    let when_missing = match held {
        Some(_) => WhenMissing::Leave,
        None => WhenMissing::Make,
    };
    let live = shared.cluster.gate_job(&request, when_missing).await;
    let live = live.map_err(|error| Refusal::new(error.reason, error.message))?;
    Ok(match (live, held) {
        (Some(live), _) => {
            let health = shared.cluster.health_of(&live);
            judge(&live, health, known.job.timeout_seconds, Timestamp::now())
        }
        (None, Some(held)) => waiting(Some(held.reason), &held.message),
        (None, None) => waiting(None, ""),
    })
}

/// The Job, as the commit has it, judged like any commit and any object.
async fn rendered(
    shared: &Shared,
    assigned: &DecodedAssignment,
    job: &GateJob,
) -> Result<Arc<Desired>, Refusal> {
    let content = &assigned.assignment;
    let application = DesiredApplication {
        name: job.name.clone(),
        cluster: content.cluster.clone(),
        application: job.application.clone(),
        approvals: super::approvals_for(content, &job.application),
        facts: None,
    };
    let rendered = {
        let _slot = shared.fetches.acquire().await;
        let ground = worker::ground(shared, &application, WhenMissing::Leave).await;
        shared.source.foresee(&application, ground).await?
    };
    let input = PassInput {
        application: job.name.clone(),
        manifests: Arc::new(vec![prepare(&rendered.manifests, job)?]),
        content: job.id(),
        sync_policy: SyncPolicy::default(),
        policy: Arc::clone(&shared.policy),
        namespace: job.application.namespace.clone(),
        claims: PassInput::fixed(Claims::default()),
        frozen: true,
        intent: Intent::Run,
        waits_for: None,
    };
    let state = shared.cluster.desired_state(&input).await;
    let state = state.map_err(|error| Refusal::new(error.reason, error.message))?;
    let Some(desired) = state.desired.first().filter(|_| state.complete) else {
        let message = "the API server does not serve this version of Jobs";
        return Err(Refusal::new(Reason::UnknownKind, message));
    };
    let own = shared.cluster.own_namespace();
    match shared.policy.object(&desired.object, own) {
        Some(problem) => Err(problem),
        None => Ok(Arc::clone(desired)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::samples::application;

    fn job(gate: &str) -> GateJob {
        GateJob {
            gate: gate.parse().unwrap(),
            attempt: 0,
            timeout_seconds: 60,
            name: "shop".parse().unwrap(),
            application: application("https://h/r", "prod", "gates"),
        }
    }

    fn known(jobs: &[GateJob]) -> BTreeMap<Digest, ObservedJob> {
        let all = jobs.iter();
        all.map(|job| (job.id(), ObservedJob::new(job.clone())))
            .collect()
    }

    #[tokio::test]
    async fn one_job_at_a_time_is_seen_to_its_end() {
        let jobs = [job("a"), job("b"), job("c")];
        let mut all = known(&jobs);
        let now = Instant::now();
        let whose = |all: &mut BTreeMap<Digest, ObservedJob>| {
            next(&jobs, all, now).map(|entry| entry.job.gate.to_string())
        };
        assert_eq!(whose(&mut all).as_deref(), Some("a"));
        // A refused job does not hold up the others.
        let later = now + Duration::from_secs(5);
        let first = all.get_mut(&jobs[0].id()).unwrap();
        first.verdict.state = GateJobState::Refused;
        first.retry = Some((later, Backoff::new(LOOK, LOOK)));
        assert_eq!(whose(&mut all).as_deref(), Some("b"));
        all.get_mut(&jobs[1].id()).unwrap().verdict.state = GateJobState::Running;
        all.get_mut(&jobs[0].id()).unwrap().retry = None;
        assert_eq!(whose(&mut all).as_deref(), Some("b"), "it runs");
        let told = reports(&jobs, &all);
        let states: Vec<GateJobState> = told.iter().map(|report| report.state).collect();
        assert_eq!(
            states,
            [
                GateJobState::Refused,
                GateJobState::Running,
                GateJobState::Waiting
            ]
        );
        assert!(told[2].message.contains("gate b"), "{}", told[2].message);
        all.get_mut(&jobs[1].id()).unwrap().verdict.state = GateJobState::Failed;
        assert_eq!(whose(&mut all).as_deref(), Some("a"));
        for job in &jobs {
            all.get_mut(&job.id()).unwrap().verdict.state = GateJobState::Succeeded;
        }
        assert_eq!(whose(&mut all), None);
    }
}
