//! What a commit that is not assigned would change here: judged by the agent's own policy, rendered, and
//! tried by dry run, beside the workers and without a trace. One question at a time, and at a limited
//! rate.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_shared::health::SyncState;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::plan::{ApplicationChanges, ClusterPlan};
use flotilla_shared::rate::{Bucket, Rate};
use flotilla_shared::revision::Revision;
use flotilla_shared::wire::DecodedAssignment;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::shared::Shared;
use super::worker::{self, Task};
use crate::cluster::{DesiredState, PassInput, UpcomingObjects, WhenMissing};
use crate::plan::{Claims, Intent};
use crate::policy::{Policy, Refusal};
use crate::source::{DesiredApplication, Rendered};

/// Questions of this kind: each fetches and renders, and its dry runs reach the cluster's webhooks.
const PACE: Rate = Rate {
    per_second: 0.2,
    burst: 5.0,
};
/// Before a busy agent is asked again, seconds.
pub const AGAIN: u32 = 3;

/// Request for a plan of a commit.
#[derive(Debug)]
pub struct CommitRequest {
    /// The commit; its repository is one of the assignment.
    pub of: Revision,
    /// The application; none: all from the repository.
    pub application: Option<ApplicationName>,
    /// Channel of the answer; dropping it ends the work.
    pub reply: oneshot::Sender<Result<ClusterPlan, Busy>>,
}

/// Another question is being answered, or there were too many: ask again after this number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy(pub u32);

/// Answers such questions.
pub(super) struct Planner {
    shared: Arc<Shared>,
    at_work: Arc<Semaphore>,
    pace: Bucket,
}

/// An application that may be planned, as it would be assigned.
struct Candidate {
    desired: DesiredApplication,
    rendered: Rendered,
    desired_state: DesiredState,
}

impl Planner {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            at_work: Arc::new(Semaphore::new(1)),
            pace: Bucket::full(PACE, Instant::now()),
        }
    }

    /// Starts to answer a question.
    pub(super) fn begin(&mut self, assigned: Option<Arc<DecodedAssignment>>, asked: CommitRequest) {
        let slot = Arc::clone(&self.at_work).try_acquire_owned();
        let (Ok(slot), true) = (slot, self.pace.try_take(PACE, Instant::now())) else {
            // The requester may be gone.
            let _ = asked.reply.send(Err(Busy(AGAIN)));
            return;
        };
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let _slot = slot;
            let CommitRequest {
                of,
                application,
                mut reply,
            } = asked;
            let work = plan(&shared, assigned, &of, application.as_ref());
            let answer = tokio::select! {
                answer = work => answer,
                () = reply.closed() => return,
            };
            let _ = reply.send(Ok(answer));
        });
    }
}

/// The applications that a question is about, each as it would be assigned, or the reason why not.
fn asked(
    assigned: &DecodedAssignment,
    policy: &Policy,
    of: &Revision,
    only: Option<&ApplicationName>,
) -> Vec<(ApplicationName, Result<DesiredApplication, Refusal>)> {
    let tasks = super::tasks(&assigned.assignment).into_iter();
    let runs = tasks.filter_map(|(name, task)| match task {
        Task::Run { desired, .. } => Some((name, *desired)),
        Task::End { .. } => None,
    });
    runs.filter(|(name, desired)| {
        desired.application.revision.repository == of.repository
            && only.is_none_or(|only| only == name)
    })
    .map(|(name, mut desired)| {
        // Checked against the current assignment, which decides the URL and the paths.
        if let Some(refusal) = policy.plans(&desired.application, &of.branch) {
            return (name, Err(refusal));
        }
        desired.application.revision = of.clone();
        (name, Ok(desired))
    })
    .collect()
}

fn refused(refusal: &Refusal) -> ApplicationChanges {
    ApplicationChanges::refused(refusal.reason, refusal.message.clone())
}

async fn plan(
    shared: &Arc<Shared>,
    assigned: Option<Arc<DecodedAssignment>>,
    of: &Revision,
    only: Option<&ApplicationName>,
) -> ClusterPlan {
    let mut plan = ClusterPlan::default();
    let Some(assigned) = assigned else {
        return plan;
    };
    let mut candidates: BTreeMap<ApplicationName, Candidate> = BTreeMap::new();
    for (name, judged) in asked(&assigned, &shared.policy, of, only) {
        let candidate = match judged {
            Ok(desired) => candidate(shared, desired).await,
            Err(refusal) => Err(refusal),
        };
        match candidate {
            Ok(candidate) => {
                candidates.insert(name, candidate);
            }
            Err(refusal) => {
                plan.applications.insert(name, refused(&refusal));
            }
        }
    }
    let mut coming = UpcomingObjects::default();
    let mut wants = BTreeMap::new();
    for (name, candidate) in &candidates {
        coming.add(&candidate.desired_state.desired);
        wants.insert(
            Arc::from(name.as_str()),
            Arc::clone(&candidate.desired_state.desired),
        );
    }
    let claims = shared.registry.claims().borrow().as_if(&wants);
    for (name, candidate) in candidates {
        let known = shared.registry.reported(&name).filter(|report| {
            // Source and assignment are unchanged, and the live objects are in sync: no dry run is needed.
            claims.complete
                && report.source_digest == candidate.rendered.source_digest
                && report.sync == SyncState::Synced
                && report.reason.is_none()
        });
        let changes = match known {
            Some(report) => ApplicationChanges {
                unchanged: report.counts.total,
                ..ApplicationChanges::default()
            },
            None => {
                let input = input(
                    shared,
                    &candidate.desired,
                    &candidate.rendered,
                    claims.clone(),
                );
                let found = shared
                    .cluster
                    .foresee(&input, &candidate.desired_state, &coming);
                found.await.unwrap_or_else(|error| {
                    ApplicationChanges::refused(error.reason, error.message)
                })
            }
        };
        plan.applications.insert(name, changes);
    }
    plan.normalize();
    plan
}

async fn candidate(
    shared: &Arc<Shared>,
    desired: DesiredApplication,
) -> Result<Candidate, Refusal> {
    let rendered = {
        let _slot = shared.fetches.acquire().await;
        let ground = worker::ground(shared, &desired, WhenMissing::Leave).await;
        shared.source.foresee(&desired, ground).await?
    };
    let input = input(shared, &desired, &rendered, Claims::default());
    let desired_state = shared.cluster.desired_state(&input).await;
    let desired_state = desired_state.map_err(|error| Refusal {
        reason: error.reason,
        message: error.message,
    })?;
    Ok(Candidate {
        desired,
        rendered,
        desired_state,
    })
}

fn input(
    shared: &Shared,
    desired: &DesiredApplication,
    rendered: &Rendered,
    claims: Claims,
) -> PassInput {
    let application = &desired.application;
    PassInput {
        application: desired.name.clone(),
        manifests: Arc::clone(&rendered.manifests),
        content: rendered.content,
        sync_policy: application.sync_policy.clone(),
        policy: Arc::clone(&shared.policy),
        namespace: application.namespace.clone(),
        claims: PassInput::fixed(claims),
        frozen: true,
        intent: Intent::Run,
        waits_for: None,
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::assignment::{ApplicationAssignment, Assignment, Tombstone};
    use flotilla_shared::reason::Reason;

    use super::*;
    use crate::policy::samples::{self, application};

    fn sample(repository: &str) -> Box<ApplicationAssignment> {
        let mut application = application(&format!("https://h/{repository}"), "prod", "apps");
        application.revision.repository = repository.parse().unwrap();
        Box::new(application)
    }

    fn assigned() -> DecodedAssignment {
        let gone = Tombstone {
            delete_objects: true,
        };
        let assignment = Assignment {
            applications: [
                ("api".parse().unwrap(), sample("fleet")),
                ("base".parse().unwrap(), sample("platform")),
                ("web".parse().unwrap(), sample("fleet")),
            ]
            .into(),
            tombstones: [("old".parse().unwrap(), gone)].into(),
            ..samples::assignment(1, 1)
        };
        DecodedAssignment::of(assignment).unwrap()
    }

    fn of(repository: &str, branch: &str) -> Revision {
        Revision {
            repository: repository.parse().unwrap(),
            branch: branch.parse().unwrap(),
            commit: "b".repeat(40).parse().unwrap(),
        }
    }

    #[test]
    fn c01_a_question_reaches_only_what_is_assigned_at_the_place_that_is_assigned() {
        let (assigned, policy) = (assigned(), Policy::default());
        let names = |of: &Revision, only: Option<&str>| -> Vec<String> {
            let only = only.map(|name| name.parse().unwrap());
            let found = super::asked(&assigned, &policy, of, only.as_ref());
            found.iter().map(|(name, _)| name.to_string()).collect()
        };
        assert_eq!(names(&of("fleet", "prod"), None), ["api", "web"]);
        assert_eq!(names(&of("fleet", "prod"), Some("web")), ["web"]);
        assert_eq!(names(&of("platform", "prod"), None), ["base"]);
        assert!(names(&of("other", "prod"), None).is_empty());
        assert!(names(&of("fleet", "prod"), Some("base")).is_empty());
        let asked = of("fleet", "prod");
        let (_, desired) = super::asked(&assigned, &policy, &asked, None).remove(0);
        let desired = desired.unwrap().application;
        assert_eq!(desired.revision, asked);
        assert_eq!(desired.url.as_str(), "https://h/fleet");
        assert_eq!(desired.path.as_str(), "apps");
    }

    #[test]
    fn c01_each_application_is_judged_by_the_policy() {
        let text = "repositories: ['https://h/fleet']\nplan: {branches: [main]}\n";
        let policy: Policy = flotilla_yaml::config::from_str("p", text).unwrap();
        let assigned = assigned();
        let reasons = |of: &Revision| -> Vec<Option<Reason>> {
            let found = super::asked(&assigned, &policy, of, None).into_iter();
            found
                .map(|(_, judged)| judged.err().map(|no| no.reason))
                .collect()
        };
        assert_eq!(reasons(&of("fleet", "main")), [None, None]);
        let branch = Some(Reason::BranchNotAllowed);
        assert_eq!(reasons(&of("fleet", "stage")), [branch, branch]);
        let repository = Some(Reason::RepositoryNotAllowed);
        assert_eq!(reasons(&of("platform", "main")), [repository]);
    }
}
