//! Requests that the hub relays: each is answered beside the stream, which continues meanwhile.

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::agent_message::Body as Out;
use flotilla_shared::id::{ApplicationName, NameError};
use flotilla_shared::plan::ClusterPlan;
use flotilla_shared::wire::{MAX_MESSAGE_BYTES, plan_result, preview_to_wire, revision_from_wire};
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};

use super::{Connection, send};
use crate::reconcile::{AGAIN, Busy, CommitRequest, PreviewRequest, Question};

/// Longest time for a plan that the hub asks for.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(25);
/// The same for one of a commit, which has to be fetched; the hub waits a little longer.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(70);

impl Connection {
    /// Answers a preview request beside the stream, within its timeout; a busy agent refuses it.
    pub(super) fn preview(
        &self,
        request: v1::PlanRequest,
        outbound: &mpsc::Sender<v1::AgentMessage>,
    ) {
        let (reply, answer) = oneshot::channel();
        let asked = self.questions.try_send(Question::Now(PreviewRequest {
            application: request.application,
            removal: request.removal,
            reply,
        }));
        let outbound = outbound.clone();
        tokio::spawn(async move {
            let mut result = v1::PlanResult {
                request: request.request,
                ..v1::PlanResult::default()
            };
            if asked.is_err() {
                "the agent is busy with another request; try again".clone_into(&mut result.error);
            } else {
                match tokio::time::timeout(PREVIEW_TIMEOUT, answer).await {
                    Ok(Ok(plans)) => result.applications = preview_to_wire(plans),
                    Ok(Err(_)) | Err(_) => {
                        "the agent did not finish its plan in time".clone_into(&mut result.error);
                    }
                }
                cut(&mut result, MAX_MESSAGE_BYTES / 2);
            }
            let _ = send(&outbound, Out::PlanResult(result)).await;
        });
    }

    /// Has a question about a commit answered beside the stream. Nothing is done that the agent's own
    /// policy does not let everybody ask for, and nothing is written.
    pub(super) fn foresee(
        &self,
        request: &v1::PlanRequest,
        of: v1::Revision,
        outbound: &mpsc::Sender<v1::AgentMessage>,
    ) {
        let (reply, result) = oneshot::channel();
        let application: Result<Option<ApplicationName>, NameError> =
            match request.application.as_str() {
                "" => Ok(None),
                name => name.parse().map(Some),
            };
        let parts = revision_from_wire(&of).map_err(|error| error.to_string());
        let parts = parts.and_then(|of| {
            let application = application.map_err(|error| error.to_string())?;
            Ok((of, application))
        });
        let (number, outbound) = (request.request, outbound.clone());
        let asked = match parts {
            Ok((of, application)) => {
                let question = Question::Ahead(CommitRequest {
                    of,
                    application,
                    reply,
                });
                Ok(self.questions.try_send(question).is_ok())
            }
            Err(why) => Err(why),
        };
        tokio::spawn(async move {
            let message = match asked {
                Ok(true) => {
                    let result = tokio::time::timeout(COMMIT_TIMEOUT, result).await;
                    let result = result.ok().and_then(Result::ok);
                    answer(number, of, result)
                }
                Ok(false) => answer(number, of, Some(Err(Busy(AGAIN)))),
                Err(error) => v1::PlanResult {
                    error,
                    ..answer(number, of, None)
                },
            };
            let _ = send(&outbound, Out::PlanResult(message)).await;
        });
    }
}

/// Returns the answer to a request about a commit; no result: it took too long.
fn answer(
    request: u64,
    of: v1::Revision,
    result: Option<Result<ClusterPlan, Busy>>,
) -> v1::PlanResult {
    let empty = v1::PlanResult {
        request,
        of: Some(of.clone()),
        ..v1::PlanResult::default()
    };
    match result {
        Some(Ok(plan)) => plan_result(request, of, &plan),
        Some(Err(Busy(seconds))) => v1::PlanResult {
            error: "the agent is busy with another request".to_owned(),
            retry_after_seconds: seconds,
            ..empty
        },
        None => v1::PlanResult {
            error: "the agent did not finish its plan in time".to_owned(),
            ..empty
        },
    }
}

/// Shortens a result until it fits into one message. Every application stays, and says what it lacks.
fn cut(result: &mut v1::PlanResult, limit: usize) {
    while result.encoded_len() > limit {
        let longest = result.applications.iter_mut();
        let longest = longest.max_by_key(|application| application.changes.len());
        let Some(longest) = longest.filter(|application| !application.changes.is_empty()) else {
            result.applications.clear();
            "the plan does not fit into one message".clone_into(&mut result.error);
            return;
        };
        longest.changes.truncate(longest.changes.len() / 2);
        longest.truncated = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_agent_says_when_and_a_slow_one_that_it_was_slow() {
        let of = v1::Revision::default();
        let busy = answer(7, of.clone(), Some(Err(Busy(3))));
        assert_eq!((busy.request, busy.retry_after_seconds), (7, 3));
        let late = answer(7, of.clone(), None);
        assert!(late.retry_after_seconds == 0 && !late.error.is_empty());
        let done = answer(7, of, Some(Ok(ClusterPlan::default())));
        assert!(done.error.is_empty() && done.of.is_some());
    }

    fn plan(application: &str, changes: usize) -> v1::ApplicationPlan {
        let change = v1::ObjectChange {
            message: "x".repeat(100),
            ..v1::ObjectChange::default()
        };
        v1::ApplicationPlan {
            application: application.to_owned(),
            changes: vec![change; changes],
            ..v1::ApplicationPlan::default()
        }
    }

    #[test]
    fn c12_a_preview_that_is_too_long_names_every_application_and_says_where_it_was_cut() {
        let result = || v1::PlanResult {
            applications: vec![plan("small", 1), plan("large", 1000), plan("last", 2)],
            ..v1::PlanResult::default()
        };
        let mut whole = result();
        cut(&mut whole, 1 << 20);
        assert_eq!(whole, result());
        let mut short = result();
        cut(&mut short, 10_000);
        assert!(short.encoded_len() <= 10_000);
        let told = short.applications.iter();
        let told = told.map(|plan| (plan.application.as_str(), plan.truncated));
        let told: Vec<_> = told.collect();
        assert_eq!(told, [("small", false), ("large", true), ("last", false)]);
        // Where not even the names fit.
        cut(&mut short, 10);
        assert!(short.applications.is_empty() && !short.error.is_empty());
    }
}
