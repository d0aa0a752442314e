//! Plans in progress: asks agents as [`crate::plans`] determines, and passes it their answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::id::{ApplicationName, ClusterName};
use flotilla_shared::plan::ApplicationChanges;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::wire::{plan_from_wire, revision_to_wire};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Context;
use super::relay::RelayError;
use crate::plans::{Answer, Group, Limits, PlanInquiry, Question, Shelf, ShelfFull};

/// Delay before an agent is asked again that does not report one.
const BUSY: Duration = Duration::from_secs(2);

/// A question with the clusters that it concerns.
#[derive(Debug)]
pub struct PlanSubject {
    /// The question.
    pub question: Question,
    /// The clusters, with the applications that each of them should answer about.
    pub clusters: BTreeMap<ClusterName, BTreeSet<ApplicationName>>,
    /// Number of clusters of the environment that it does not concern.
    pub unconcerned: u32,
}

/// A plan, in progress or complete.
#[derive(Debug)]
pub struct PlanRun {
    /// The question, with its clusters.
    pub asked: PlanSubject,
    /// When the plan was requested.
    pub started_at: Timestamp,
    began: Instant,
    plan: Mutex<PlanInquiry>,
    whole: watch::Sender<bool>,
}

impl PlanRun {
    /// Returns the answers so far, and the number of clusters without one.
    #[must_use]
    pub fn state(&self) -> (Vec<Group>, usize) {
        let plan = self.plan.lock();
        (plan.groups().shown(), plan.waiting())
    }

    /// Waits until it is complete, at most for `longest`.
    pub async fn whole(&self, longest: Duration) {
        let mut whole = self.whole.subscribe();
        let _ = tokio::time::timeout(longest, whole.wait_for(|whole| *whole)).await;
    }
}

/// All plans of this process.
#[derive(Debug)]
pub struct Plans {
    began: Instant,
    shelf: Mutex<Shelf<Arc<PlanRun>>>,
}

impl Default for Plans {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            shelf: Mutex::default(),
        }
    }
}

impl Plans {
    /// Returns a plan in progress for the same question.
    #[must_use]
    pub fn under_way(
        &self,
        question: &Question,
        patience: Duration,
    ) -> Option<(String, Arc<PlanRun>)> {
        self.shelf.lock().under_way(question, patience)
    }

    /// Returns a kept plan.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<PlanRun>> {
        let now = self.began.elapsed();
        self.shelf.lock().get(id, now).map(|(_, running)| running)
    }

    /// Begins a plan.
    ///
    /// # Errors
    /// When too many are in progress.
    pub fn begin(
        &self,
        context: &Arc<Context>,
        asked: PlanSubject,
        patience: Duration,
    ) -> Result<(String, Arc<PlanRun>), ShelfFull> {
        let question = asked.question.clone();
        let running = Arc::new(PlanRun {
            plan: Mutex::new(PlanInquiry::new(
                asked.clusters.keys().cloned(),
                patience,
                Limits::default(),
            )),
            asked,
            started_at: Timestamp::now(),
            began: Instant::now(),
            whole: watch::Sender::new(false),
        });
        let id = format!("{:016x}", rand::random::<u64>());
        let now = self.began.elapsed();
        let kept = Arc::clone(&running);
        self.shelf
            .lock()
            .begin(id.clone(), question, patience, kept, now)?;
        let (context, plan, name) = (Arc::clone(context), Arc::clone(&running), id.clone());
        tokio::spawn(async move {
            drive(&context, &plan).await;
            let plans = &context.plans;
            let now = plans.began.elapsed();
            plans.shelf.lock().end(&name, now);
            plan.whole.send_replace(true);
        });
        Ok((id, running))
    }
}

async fn drive(context: &Context, running: &PlanRun) {
    let mut answers = FuturesUnordered::new();
    loop {
        let (ask, wake) = {
            let mut plan = running.plan.lock();
            let ask = plan.next(running.began.elapsed());
            (ask, plan.wake_at())
        };
        for cluster in ask {
            answers.push(async move {
                let heard = ask_one(context, running, &cluster).await;
                (cluster, heard)
            });
        }
        let Some(wake) = wake else {
            return;
        };
        tokio::select! {
            Some((cluster, heard)) = answers.next() => {
                let now = running.began.elapsed();
                running.plan.lock().heard(&cluster, heard, now);
            }
            () = tokio::time::sleep_until(running.began + wake) => {}
            () = context.stop.cancelled() => return,
        }
    }
}

async fn ask_one(context: &Context, running: &PlanRun, cluster: &ClusterName) -> Answer {
    let question = &running.asked.question;
    let of = revision_to_wire(&question.revision);
    let application = question.application.as_ref();
    let request = v1::PlanRequest {
        application: application.map(ToString::to_string).unwrap_or_default(),
        of: Some(of.clone()),
        ..v1::PlanRequest::default()
    };
    let longest = Limits::default().answer;
    match context.relay.question(cluster, request, longest).await {
        Ok(result) => {
            let concerned = running.asked.clusters.get(cluster);
            heard(&result, &of, concerned.into_iter().flatten())
        }
        Err(RelayError::Away) => Answer::Away,
        Err(RelayError::Full) => Answer::Busy(BUSY),
        // Its stream ended: it comes back, or counts as away when it is asked again.
        Err(RelayError::Lost | RelayError::Late) => Answer::Busy(BUSY),
        Err(RelayError::Older) => older(),
    }
}

fn older() -> Answer {
    let words = "the agent is too old for plans: upgrade it";
    Answer::Failed(Some(Reason::UpgradeRequired), words.to_owned())
}

/// Reads an answer. An application that the agent should have planned and did not is not assigned to it yet.
fn heard<'a>(
    result: &v1::PlanResult,
    of: &v1::Revision,
    concerned: impl Iterator<Item = &'a ApplicationName>,
) -> Answer {
    if result.of.as_ref() != Some(of) {
        return older();
    }
    if result.retry_after_seconds > 0 {
        return Answer::Busy(Duration::from_secs(result.retry_after_seconds.into()));
    }
    if !result.error.is_empty() {
        return Answer::Failed(None, plain_line(&result.error, MAX_MESSAGE_BYTES));
    }
    match plan_from_wire(result) {
        Ok(mut plan) => {
            for name in concerned {
                plan.applications.entry(name.clone()).or_insert_with(|| {
                    let words = "it is not assigned to this cluster yet";
                    ApplicationChanges::refused(Reason::WaitsForRollout, words)
                });
            }
            Answer::Plan(plan)
        }
        Err(error) => {
            let words = format!("the agent's answer is invalid: {error}");
            Answer::Failed(Some(Reason::Other), words)
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_shared::plan::{ClusterPlan, Outcome};
    use flotilla_shared::wire::plan_result;

    use super::*;

    fn of() -> v1::Revision {
        v1::Revision {
            repository: "fleet".to_owned(),
            branch: "main".to_owned(),
            commit: "a".repeat(40),
        }
    }

    #[test]
    fn an_agent_that_answers_another_question_is_too_old() {
        let ordinary = v1::PlanResult::default();
        let other = plan_result(1, v1::Revision::default(), &ClusterPlan::default());
        for result in [ordinary, other] {
            let answer = heard(&result, &of(), std::iter::empty());
            assert!(
                matches!(answer, Answer::Failed(Some(Reason::UpgradeRequired), _)),
                "{answer:?}"
            );
        }
    }

    #[test]
    fn what_is_not_spoken_of_is_not_called_unchanged() {
        let names: Vec<ApplicationName> = vec!["web".parse().unwrap()];
        let result = plan_result(1, of(), &ClusterPlan::default());
        let Answer::Plan(plan) = heard(&result, &of(), names.iter()) else {
            panic!("an answer");
        };
        assert_eq!(plan.outcome(), Outcome::Refused(Reason::WaitsForRollout));
        let Answer::Plan(plan) = heard(&result, &of(), std::iter::empty()) else {
            panic!("an answer");
        };
        assert_eq!(plan.outcome(), Outcome::Nothing);
    }

    #[test]
    fn who_is_busy_says_for_how_long_and_who_fails_says_why() {
        let base = plan_result(1, of(), &ClusterPlan::default());
        let busy = v1::PlanResult {
            retry_after_seconds: 7,
            ..base.clone()
        };
        assert_eq!(
            heard(&busy, &of(), std::iter::empty()),
            Answer::Busy(Duration::from_secs(7))
        );
        let failed = v1::PlanResult {
            error: "no\nway".to_owned(),
            ..base.clone()
        };
        assert_eq!(
            heard(&failed, &of(), std::iter::empty()),
            Answer::Failed(None, "no way".to_owned())
        );
        let forged = v1::PlanResult {
            digest: vec![1; 32],
            ..base
        };
        let answer = heard(&forged, &of(), std::iter::empty());
        assert!(matches!(answer, Answer::Failed(Some(_), _)), "{answer:?}");
    }
}
