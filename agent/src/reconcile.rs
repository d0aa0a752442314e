//! The reconcile loop: one worker for each application of the accepted assignment.
//!
//! Level-triggered: each assignment is compared with the workers there are; a worker whose part did not
//! change notices nothing.

mod board;
mod lookout;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_render::Facts;
use flotilla_shared::approval::{RollbackApproval, SignedApproval};
use flotilla_shared::id::ApplicationName;
use flotilla_shared::report::Report;
use flotilla_shared::wire::DecodedAssignment;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::source::{Source, Wanted};

use board::Board;
use worker::{Preview, Shared, Task, Worker};

/// Applications whose turns are taken at once; each has its own concurrency towards the API server.
const TURNS: usize = 4;
/// Repositories that are fetched and rendered at once.
const FETCHES: usize = 4;

/// What the loop works with.
pub struct Reconciler {
    /// The API server.
    pub cluster: Cluster,
    /// Git.
    pub source: Source,
    /// The agent's own rules.
    pub policy: Arc<Policy>,
    /// Time between two turns when nothing happens.
    pub interval: Duration,
    /// The newest accepted assignment.
    pub accepted: watch::Receiver<Option<Arc<DecodedAssignment>>>,
    /// The newest report.
    pub reports: watch::Sender<Option<Arc<Report>>>,
    /// Questions for what a turn would do.
    pub previews: mpsc::Receiver<PreviewRequest>,
    /// What is counted.
    pub metrics: Metrics,
}

/// Somebody wants to know what turns would do now.
#[derive(Debug)]
pub struct PreviewRequest {
    /// Of which application; empty: of all.
    pub application: String,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Vec<v1::ApplicationPlan>>,
}

struct Running {
    task: watch::Sender<Task>,
    previews: mpsc::Sender<Preview>,
    stop: CancellationToken,
    handle: JoinHandle<()>,
}

impl Reconciler {
    /// Works until cancelled; then waits for what is between two requests.
    pub async fn run(self, stop: CancellationToken) {
        let mut accepted = self.accepted;
        let mut previews = self.previews;
        let shared = Arc::new(Shared {
            cluster: self.cluster,
            source: self.source,
            policy: self.policy,
            interval: self.interval,
            board: Board::new(self.reports, self.metrics.clone()),
            metrics: self.metrics,
            turns: Semaphore::new(TURNS),
            fetches: Semaphore::new(FETCHES),
        });
        let mut workers: BTreeMap<ApplicationName, Running> = BTreeMap::new();
        loop {
            let assignment = accepted.borrow_and_update().clone();
            if let Some(assignment) = assignment {
                shared.metrics.generation(assignment.reference.generation.0);
                fit(&shared, &mut workers, &assignment, &stop);
            }
            tokio::select! {
                changed = accepted.changed() => if changed.is_err() { break },
                Some(request) = previews.recv() => ask(&workers, request),
                () = stop.cancelled() => break,
            }
        }
        for (name, worker) in workers {
            worker.stop.cancel();
            let ended = tokio::time::timeout(Duration::from_secs(8), worker.handle).await;
            if ended.is_err() {
                tracing::warn!(application = %name, "did not stop in time");
            }
        }
    }
}

/// Passes a question on to those it is for, and their answers back.
fn ask(workers: &BTreeMap<ApplicationName, Running>, request: PreviewRequest) {
    let asked: Vec<oneshot::Receiver<v1::ApplicationPlan>> = workers
        .iter()
        .filter(|(name, _)| request.application.is_empty() || name.as_str() == request.application)
        .filter_map(|(_, worker)| {
            let (reply, answer) = oneshot::channel();
            worker.previews.try_send(reply).ok()?;
            Some(answer)
        })
        .collect();
    tokio::spawn(async move {
        let mut plans = Vec::with_capacity(asked.len());
        for answer in asked {
            plans.extend(answer.await.ok());
        }
        // Who asked may have gone.
        let _ = request.reply.send(plans);
    });
}

/// Starts, changes and stops workers until they are those of the assignment.
fn fit(
    shared: &Arc<Shared>,
    workers: &mut BTreeMap<ApplicationName, Running>,
    assignment: &DecodedAssignment,
    stop: &CancellationToken,
) {
    let content = &assignment.assignment;
    let suspended = content.suspended;
    let mut tasks: BTreeMap<ApplicationName, Task> = content
        .applications
        .iter()
        .map(|(name, application)| {
            let facts = application.substitute.then(|| {
                let (cluster, environment) = (&content.cluster, &content.environment);
                Facts::of_cluster(cluster.as_str(), environment.as_str(), &content.labels)
            });
            let is_for_it = |approval: &&SignedApproval| {
                RollbackApproval::parse(&approval.content)
                    .is_ok_and(|said| said.repository == application.url)
            };
            let wanted = Wanted {
                name: name.clone(),
                cluster: content.cluster.clone(),
                application: (**application).clone(),
                approvals: content
                    .approvals
                    .iter()
                    .filter(is_for_it)
                    .cloned()
                    .collect(),
                facts,
            };
            let task = Task::Run {
                wanted: Box::new(wanted),
                suspended,
            };
            (name.clone(), task)
        })
        .collect();
    for (name, tombstone) in &content.tombstones {
        if tombstone.delete_objects {
            tasks.insert(name.clone(), Task::Remove { suspended });
        }
    }
    let names: BTreeSet<ApplicationName> = tasks.keys().cloned().collect();
    let changed = tasks
        .iter()
        .filter(|(name, task)| {
            let known = workers
                .get(*name)
                .map(|worker| worker.task.borrow().clone());
            known.as_ref() != Some(*task)
        })
        .map(|(name, _)| name.clone())
        .collect();
    shared.board.assign(assignment.reference, &names, &changed);
    workers.retain(|name, worker| {
        let is_assigned = tasks.contains_key(name);
        if !is_assigned {
            // Its objects stay as they are; nobody looks after them any more.
            worker.stop.cancel();
            shared.cluster.forget(name);
        }
        is_assigned
    });
    for (name, task) in tasks {
        match workers.get(&name) {
            Some(worker) if !worker.handle.is_finished() => {
                worker.task.send_if_modified(|current| {
                    let is_new = *current != task;
                    if is_new {
                        *current = task;
                    }
                    is_new
                });
            }
            _ => {
                // A worker that ended had nothing left to do; a removed application stays removed.
                if matches!(task, Task::Remove { .. }) && workers.contains_key(&name) {
                    continue;
                }
                let (sender, receiver) = watch::channel(task);
                let (previews, asked) = mpsc::channel(1);
                let child = stop.child_token();
                let worker = Worker::new(Arc::clone(shared), name.clone(), receiver, asked);
                let running = Running {
                    task: sender,
                    previews,
                    handle: tokio::spawn(worker.run(child.clone())),
                    stop: child,
                };
                workers.insert(name, running);
            }
        }
    }
}
