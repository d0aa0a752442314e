//! The reconcile loop: one worker for each application of the accepted assignment.
//!
//! Level-triggered: each assignment is compared with the running workers; a worker whose task did not change is not
//! disturbed.

mod ahead;
mod freeze;
mod gate_jobs;
mod registry;
mod shared;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_render::Facts;
use flotilla_shared::approval::{RollbackApproval, SignedApproval};
use flotilla_shared::assignment::{ApplicationAssignment, Assignment};
use flotilla_shared::backoff::Backoff;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::preview::ApplicationPlan;
use flotilla_shared::report::{Report, SUSPENDED_BY_HUB};
use flotilla_shared::wire::{DecodedAssignment, specified};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::metrics::Metrics;
use crate::plan::Intent;
use crate::policy::Policy;
use crate::source::{DesiredApplication, Source};

pub use ahead::{AGAIN, Busy, CommitRequest};

pub use gate_jobs::RequestedJobs;

use ahead::Planner;
use gate_jobs::GateJobs;
use registry::{Names, Registry};
use shared::Shared;
use worker::{AssignedTask, Preview, Task, Worker};

/// Number of applications whose passes run at the same time; each has its own concurrency towards the API server.
const PASSES: usize = 4;
/// Repositories that are fetched and rendered at once.
const FETCHES: usize = 4;
/// Pause before records are looked for again, where that broke off.
const SEARCH_AGAIN: Duration = Duration::from_secs(60);

/// The reconcile loop.
pub struct Reconciler {
    /// The API server.
    pub cluster: Cluster,
    pub source: Source,
    /// The agent's own rules.
    pub policy: Arc<Policy>,
    /// Time between two passes when nothing happens.
    pub interval: Duration,
    /// The newest accepted assignment.
    pub accepted: watch::Receiver<Option<Arc<DecodedAssignment>>>,
    /// The newest report.
    pub reports: watch::Sender<Option<Arc<Report>>>,
    pub questions: mpsc::Receiver<Question>,
    /// Jobs of gates that the hub asks for.
    pub gate_jobs: watch::Receiver<RequestedJobs>,
    /// The agent's metrics.
    pub metrics: Metrics,
}

/// Requests to the loop.
#[derive(Debug)]
pub enum Question {
    /// A preview of the next passes.
    Now(PreviewRequest),
    /// A plan for a commit that is not assigned.
    Ahead(CommitRequest),
}

/// Request for a preview of the next passes.
#[derive(Debug)]
pub struct PreviewRequest {
    /// The application; empty: all.
    pub application: String,
    /// Whether to preview its removal with its objects; only for a named application.
    pub removal: bool,
    /// Channel of the answer.
    pub reply: oneshot::Sender<Vec<ApplicationPlan>>,
}

struct Running {
    /// Number that distinguishes this worker from an earlier one of the same name.
    number: u64,
    given: watch::Sender<AssignedTask>,
    previews: mpsc::Sender<Preview>,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

/// Reports that a worker ended, even by a panic.
struct ExitNotice {
    name: ApplicationName,
    number: u64,
    ended: mpsc::UnboundedSender<(ApplicationName, u64)>,
}

impl Drop for ExitNotice {
    fn drop(&mut self) {
        // The receiver may have ended as well.
        let _ = self.ended.send((self.name.clone(), self.number));
    }
}

/// The workers, one for each application that is assigned or still has objects in an inventory. A name has one worker
/// at a time, and the next one starts when it has ended, because only the earlier one may hand over what it owned.
struct Workers {
    shared: Arc<Shared>,
    stop: CancellationToken,
    running: BTreeMap<ApplicationName, Running>,
    /// Applications that are not assigned but have an inventory.
    recorded: BTreeSet<ApplicationName>,
    /// Applications that were not to run and of which nothing is left.
    over: BTreeMap<ApplicationName, Intent>,
    /// Whether `recorded` was read from the cluster.
    is_recorded: bool,
    started: u64,
    ended: mpsc::UnboundedSender<(ApplicationName, u64)>,
}

impl Reconciler {
    /// Works until cancelled; then waits for requests under way.
    pub async fn run(self, stop: CancellationToken) {
        let mut accepted = self.accepted;
        let mut questions = self.questions;
        let shared = Arc::new(Shared {
            cluster: self.cluster,
            source: self.source,
            policy: self.policy,
            interval: self.interval,
            registry: Registry::new(self.reports, self.metrics.clone()),
            metrics: self.metrics,
            passes: Semaphore::new(PASSES),
            fetches: Semaphore::new(FETCHES),
        });
        let mut planner = Planner::new(Arc::clone(&shared));
        let gate_jobs = GateJobs {
            shared: Arc::clone(&shared),
            asked: self.gate_jobs,
            accepted: accepted.clone(),
        };
        let gate_jobs = tokio::spawn(gate_jobs.run(stop.clone()));
        let (ended, mut endings) = mpsc::unbounded_channel();
        let mut records = tokio::spawn(find_records(shared.cluster.clone(), Duration::ZERO));
        let mut known = Records::Listed;
        let mut workers = Workers {
            shared: Arc::clone(&shared),
            stop: stop.clone(),
            running: BTreeMap::new(),
            recorded: BTreeSet::new(),
            over: BTreeMap::new(),
            is_recorded: false,
            started: 0,
            ended,
        };
        loop {
            let assignment = accepted.borrow_and_update().clone();
            if let Some(assignment) = &assignment {
                shared.metrics.generation(assignment.reference.generation.0);
                workers.fit(assignment);
            }
            tokio::select! {
                changed = accepted.changed() => if changed.is_err() { break },
                Some((name, number)) = endings.recv() => workers.ended(&name, number),
                found = &mut records, if known == Records::Listed => match found {
                    Ok(found) => {
                        known = Records::Known;
                        workers.is_recorded = true;
                        workers.recorded.extend(found);
                    }
                    Err(error) => {
                        tracing::error!(%error, "the search for records of what was applied broke off");
                        let search = find_records(shared.cluster.clone(), SEARCH_AGAIN);
                        records = tokio::spawn(search);
                    }
                },
                Some(question) = questions.recv() => match question {
                    Question::Now(request) => {
                        let records = assignment.as_ref().map_or(Records::Unassigned, |_| known);
                        ask(&workers.running, records, request);
                    }
                    Question::Ahead(request) => {
                        let assigned = accepted.borrow().clone();
                        planner.begin(assigned, request);
                    }
                },
                () = stop.cancelled() => break,
            }
        }
        records.abort();
        gate_jobs.abort();
        for (name, worker) in workers.running {
            worker.stop.cancel();
            let mut handle = worker.handle;
            let ended = tokio::time::timeout(Duration::from_secs(8), &mut handle).await;
            if ended.is_err() {
                tracing::warn!(application = %name, "the worker did not stop in time");
                // It would otherwise run beside the next worker of its name.
                handle.abort();
            }
        }
    }
}

/// Lists the applications that have an inventory, with retries.
async fn find_records(cluster: Cluster, after: Duration) -> BTreeSet<ApplicationName> {
    tokio::time::sleep(after).await;
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        match cluster.recorded().await {
            Ok(names) => return names,
            Err(error) => tracing::warn!(%error, "cannot list the inventories"),
        }
        let delay = backoff.next_delay(&mut rand::rng());
        tokio::time::sleep(delay).await;
    }
}

/// Whether the applications with an inventory are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Records {
    /// No assignment was accepted yet, so that none of these applications has a worker.
    Unassigned,
    /// They are being listed, since the agent has just started.
    Listed,
    /// Each has a worker, unless none of its objects are left.
    Known,
}

/// Answer of one application.
enum Answer {
    Coming(ApplicationName, oneshot::Receiver<ApplicationPlan>),
    Here(ApplicationPlan),
}

impl Answer {
    fn none(name: ApplicationName, why: &str) -> Self {
        Self::Here(unanswered(name, why))
    }
}

/// Returns a plan without changes, with an error.
fn unanswered(name: ApplicationName, why: &str) -> ApplicationPlan {
    ApplicationPlan {
        error: why.to_owned(),
        ..ApplicationPlan::of(name)
    }
}

/// Passes a question on to the workers concerned, and their answers back. A worker that did not answer is listed with
/// the reason: its absence would be read as "nothing changes".
fn ask(workers: &BTreeMap<ApplicationName, Running>, records: Records, request: PreviewRequest) {
    let PreviewRequest {
        application,
        removal,
        reply,
    } = request;
    let is_for_all = application.is_empty() && !removal;
    let mut answers: Vec<Answer> = workers
        .iter()
        .filter(|(name, _)| is_for_all || name.as_str() == application)
        .map(|(name, worker)| {
            let (reply, answer) = oneshot::channel();
            match worker.previews.try_send(Preview { removal, reply }) {
                Ok(()) => Answer::Coming(name.clone(), answer),
                Err(_) => Answer::none(
                    name.clone(),
                    "the agent is still answering an earlier request for it: try again",
                ),
            }
        })
        .collect();
    if removal
        && answers.is_empty()
        && let Ok(name) = application.parse()
    {
        answers.push(match records {
            Records::Unassigned => Answer::none(
                name,
                "the agent has accepted no assignment yet: ask again once it has one",
            ),
            Records::Listed => Answer::none(name, "the agent has just started: try again"),
            Records::Known => Answer::Here(ApplicationPlan::of(name)),
        });
    }
    tokio::spawn(async move {
        let mut plans = Vec::with_capacity(answers.len());
        for answer in answers {
            plans.push(match answer {
                Answer::Here(plan) => plan,
                Answer::Coming(name, answer) => answer.await.unwrap_or_else(|_| {
                    unanswered(name, "its assignment changed meanwhile: try again")
                }),
            });
        }
        // The requester may be gone.
        let _ = reply.send(plans);
    });
}

/// Returns the approvals for an application's repository.
fn approvals_for(content: &Assignment, application: &ApplicationAssignment) -> Vec<SignedApproval> {
    let is_for_it = |approval: &&SignedApproval| {
        RollbackApproval::parse(&approval.content)
            .is_ok_and(|approved| approved.repository == application.url)
    };
    content
        .approvals
        .iter()
        .filter(is_for_it)
        .cloned()
        .collect()
}

/// Returns the task of each application of an assignment.
fn tasks(content: &Assignment) -> BTreeMap<ApplicationName, Task> {
    let suspended = content.suspended;
    let runs = content.applications.iter().map(|(name, application)| {
        let facts = application.substitute.then(|| {
            let (cluster, environment) = (&content.cluster, &content.environment);
            Facts::of_cluster(cluster.as_str(), environment.as_str(), &content.labels)
        });
        let desired = DesiredApplication {
            name: name.clone(),
            cluster: content.cluster.clone(),
            application: (**application).clone(),
            approvals: approvals_for(content, application),
            facts,
        };
        let task = Task::Run {
            desired: Box::new(desired),
            suspended,
        };
        (name.clone(), task)
    });
    let ends = content.tombstones.iter().map(|(name, tombstone)| {
        let intent = match tombstone.delete_objects {
            true => Intent::Remove,
            false => Intent::Release,
        };
        (name.clone(), Task::End { intent, suspended })
    });
    ends.chain(runs).collect()
}

impl Workers {
    /// A worker ended: it has nothing left to do, or it broke.
    fn ended(&mut self, name: &ApplicationName, number: u64) {
        if self
            .running
            .get(name)
            .is_none_or(|own| own.number != number)
        {
            return;
        }
        let Some(worker) = self.running.remove(name) else {
            return;
        };
        // Assignments that came while it ended were not carried out: `fit` starts a new worker for them.
        let intent = worker.given.borrow().task.intent();
        let is_over = match intent {
            Intent::Run => false,
            Intent::Orphan => true,
            Intent::Remove | Intent::Release => self.shared.registry.is_removed(name),
        };
        if is_over {
            self.over.insert(name.clone(), intent);
            self.recorded.remove(name);
        }
    }

    /// Starts and changes workers until they are those of the assignment.
    fn fit(&mut self, assignment: &DecodedAssignment) {
        let content = &assignment.assignment;
        let mut tasks = tasks(content);
        // An application that the assignment no longer names is kept and reported, and its objects are handed over to
        // applications that desire them (P7, P10).
        let orphaned = self.running.keys().chain(&self.recorded);
        for name in orphaned {
            tasks.entry(name.clone()).or_insert_with(|| Task::End {
                intent: Intent::Orphan,
                suspended: content.suspended,
            });
        }
        self.over.retain(|name, intent| {
            let task = tasks.get(name);
            task.is_some_and(|task| task.intent() == *intent)
        });
        tasks.retain(|name, _| !self.over.contains_key(name));
        let names: BTreeSet<ApplicationName> = tasks.keys().cloned().collect();
        let is_new = |name: &ApplicationName, task: &Task| {
            let known = self.running.get(name);
            known.is_none_or(|worker| worker.given.borrow().task != *task)
        };
        let changed: BTreeMap<ApplicationName, Task> = tasks
            .into_iter()
            .filter(|(name, task)| is_new(name, task))
            .collect();
        // The order matters: cancel the work under way, mark what is desired as unknown, then start the next work.
        for name in changed.keys() {
            if let Some(worker) = self.running.get(name) {
                worker.given.borrow().standing.cancel();
            }
        }
        let moved: BTreeSet<ApplicationName> = changed.keys().cloned().collect();
        let removes: BTreeSet<ApplicationName> = content.tombstones.keys().cloned().collect();
        let assigned = (
            assignment.reference,
            specified(&content.applications, &content.labels),
        );
        let all = Names {
            names: &names,
            changed: &moved,
            removes: &removes,
            unresolved: &content.unresolved,
            suspended: content.suspended.then_some(SUSPENDED_BY_HUB),
            is_recorded: self.is_recorded,
        };
        self.shared.registry.assign(assigned, all);
        for (name, task) in changed {
            match self.running.get(&name) {
                Some(worker) => {
                    worker.given.send_replace(AssignedTask {
                        task,
                        standing: worker.stop.child_token(),
                    });
                }
                None => self.start(name, task),
            }
        }
    }

    fn start(&mut self, name: ApplicationName, task: Task) {
        self.started += 1;
        let stop = self.stop.child_token();
        let standing = stop.child_token();
        let (given, receiver) = watch::channel(AssignedTask { task, standing });
        let (previews, asked) = mpsc::channel(1);
        let farewell = ExitNotice {
            name: name.clone(),
            number: self.started,
            ended: self.ended.clone(),
        };
        let worker = Worker::new(Arc::clone(&self.shared), name.clone(), receiver, asked);
        let until = stop.clone();
        let handle = tokio::spawn(async move {
            // Dropped last, after everything that the worker owned.
            let _farewell = farewell;
            worker.run(until).await;
        });
        let running = Running {
            number: self.started,
            given,
            previews,
            stop,
            handle,
        };
        self.running.insert(name, running);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn removal(records: Records) -> String {
        let (reply, answer) = oneshot::channel();
        let request = PreviewRequest {
            application: "web".to_owned(),
            removal: true,
            reply,
        };
        ask(&BTreeMap::new(), records, request);
        let plans = answer.await.unwrap();
        assert_eq!(plans.len(), 1, "{plans:?}");
        plans.into_iter().map(|plan| plan.error).collect()
    }

    /// Otherwise an application with objects would be reported as having none left.
    #[tokio::test]
    async fn a_removal_is_not_foreseen_before_each_record_has_a_worker() {
        let early = removal(Records::Unassigned).await;
        assert!(early.contains("no assignment yet"), "{early}");
        let early = removal(Records::Listed).await;
        assert!(early.contains("just started"), "{early}");
        assert_eq!(removal(Records::Known).await, "");
    }
}
