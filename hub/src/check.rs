//! External checks of gates: HTTP and Prometheus. One task, some questions in parallel; answers are events like any
//! other, each for the rollout that it was asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use flotilla_http::BodyError;
use flotilla_shared::id::EnvironmentName;
use flotilla_shared::report::plain_line;
use futures::{StreamExt as _, stream};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::driver::Handle;
use crate::fleet::{Event, Fleet};
use crate::spec::{Check, Question};

/// Interval of checks.
const INTERVAL: Duration = Duration::from_secs(15);
/// Time between two searches for rollouts that have just begun.
const LOOK: Duration = Duration::from_secs(1);
/// Highest number of parallel questions.
const AT_ONCE: usize = 8;
/// Time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 1 << 20;

/// Runs checks until stopped.
pub async fn run(handle: Handle, stop: CancellationToken) {
    // Redirects are not followed: only the address in the fleet file may answer.
    let client = match flotilla_http::client(TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "cannot run checks; their gates stay closed");
            return;
        }
    };
    let (mut asked, mut due) = (BTreeSet::new(), Instant::now());
    loop {
        let Ok(checks) = handle.query(questions).await else {
            return;
        };
        // A rollout that just began is checked at once, because earlier results do not apply to it.
        let all = due <= Instant::now();
        if all {
            due = Instant::now() + INTERVAL;
        }
        let round: BTreeSet<_> = checks
            .iter()
            .map(|(environment, rollout, _)| (environment.clone(), rollout.clone()))
            .collect();
        let new = |environment: &EnvironmentName, rollout: &String| {
            all || !asked.contains(&(environment.clone(), rollout.clone()))
        };
        let due_now: Vec<_> = checks
            .into_iter()
            .filter(|(environment, rollout, _)| new(environment, rollout))
            .collect();
        let mut wait = stream::iter(due_now)
            .map(|(environment, rollout, check)| {
                let client = client.clone();
                async move {
                    let Verdict { good, text } =
                        ask(&client, &check).await.unwrap_or_else(|error| Verdict {
                            good: false,
                            text: format!("no answer: {error}"),
                        });
                    Event::Checked {
                        environment,
                        check: check.name,
                        rollout,
                        good,
                        text: plain_line(&text, 500),
                    }
                }
            })
            // Concurrent, so that one hanging check does not delay the others.
            .buffer_unordered(AT_ONCE);
        loop {
            let event = tokio::select! {
                event = wait.next() => event,
                () = stop.cancelled() => return,
            };
            let Some(event) = event else { break };
            if handle.event(event).await.is_err() {
                return;
            }
        }
        asked = round;
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Returns the checks to run, with environment and rollout.
fn questions(fleet: &Fleet) -> Vec<(EnvironmentName, String, Check)> {
    let all = fleet.spec().environments.iter();
    all.flat_map(|environment| {
        let rollout = fleet.asking_for(&environment.name).to_owned();
        let checks = environment.gates.checks.iter();
        checks.map(move |check| (environment.name.clone(), rollout.clone(), check.clone()))
    })
    .collect()
}

/// Why a check has no result.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("the URL is not valid")]
    Url,
    #[error("{}", flotilla_http::why(.0))]
    Unreachable(reqwest::Error),
    #[error(transparent)]
    Body(BodyError),
    #[error("the answer is not JSON")]
    NotJson,
    /// Prometheus reports an error.
    #[error("{0}")]
    Query(String),
    #[error("the answer is neither a vector nor a scalar")]
    NoSamples,
}

/// Result of a check.
#[derive(Debug)]
struct Verdict {
    good: bool,
    /// Message for operators.
    text: String,
}

async fn ask(client: &reqwest::Client, check: &Check) -> Result<Verdict, CheckError> {
    match &check.question {
        Question::Http { url, status } => {
            let answer = client.get(url).send().await;
            let answer = answer.map_err(CheckError::Unreachable)?;
            let found = answer.status().as_u16();
            Ok(Verdict {
                good: found == *status,
                text: format!("HTTP {found}, expected {status}"),
            })
        }
        Question::Prometheus {
            url,
            query,
            min,
            max,
        } => {
            let mut place: reqwest::Url = format!("{}/api/v1/query", url.trim_end_matches('/'))
                .parse()
                .map_err(|_| CheckError::Url)?;
            place.query_pairs_mut().append_pair("query", query);
            let answer = client.get(place).send().await;
            let mut answer = answer.map_err(CheckError::Unreachable)?;
            let body = flotilla_http::body(&mut answer, MAX_ANSWER).await;
            let body = body.map_err(CheckError::Body)?;
            samples(&body).map(|samples| within(&samples, *min, *max))
        }
    }
}

/// Reads the values of an instant query's answer
/// (<https://prometheus.io/docs/prometheus/latest/querying/api/#expression-query-result-formats>).
fn samples(body: &[u8]) -> Result<Vec<f64>, CheckError> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| CheckError::NotJson)?;
    if answer.pointer("/status").and_then(Value::as_str) != Some("success") {
        let error = answer.pointer("/error").and_then(Value::as_str);
        let error = error.unwrap_or("the query failed");
        return Err(CheckError::Query(error.to_owned()));
    }
    let result = answer.pointer("/data/result").unwrap_or(&Value::Null);
    let number = |sample: &Value| -> Option<f64> { sample.get(1)?.as_str()?.parse().ok() };
    let all: Option<Vec<f64>> = match answer.pointer("/data/resultType").and_then(Value::as_str) {
        Some("scalar") => number(result).map(|value| vec![value]),
        Some("vector") => result.as_array().and_then(|all| {
            all.iter()
                .map(|sample| number(sample.get("value")?))
                .collect()
        }),
        _ => None,
    };
    all.ok_or(CheckError::NoSamples)
}

/// Judges samples. An empty result is not a pass, and NaN is outside all bounds.
fn within(samples: &[f64], min: Option<f64>, max: Option<f64>) -> Verdict {
    let bounds = match (min, max) {
        (Some(min), Some(max)) => format!("expected {min} to {max}"),
        (Some(min), None) => format!("expected at least {min}"),
        (None, Some(max)) => format!("expected at most {max}"),
        (None, None) => "expected a sample".to_owned(),
    };
    let bad = samples.iter().find(|sample| {
        let sample = **sample;
        sample.is_nan()
            || min.is_some_and(|min| sample < min)
            || max.is_some_and(|max| sample > max)
    });
    let text = match (samples, bad) {
        ([], _) => format!("no sample, {bounds}"),
        (_, Some(bad)) => format!("{bad}, {bounds}"),
        (samples, None) => {
            let worst = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("{} samples up to {worst}, {bounds}", samples.len())
        }
    };
    Verdict {
        good: !samples.is_empty() && bad.is_none(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(body: &str) -> Result<bool, String> {
        let samples = samples(body.as_bytes()).map_err(|error| error.to_string())?;
        Ok(within(&samples, Some(0.0), Some(0.01)).good)
    }

    #[tokio::test]
    async fn why_there_is_no_answer_is_told_without_the_url() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let client = flotilla_http::client(Duration::from_secs(30)).build();
        let check = Check {
            name: "errors".to_owned(),
            question: Question::Http {
                url: format!("http://{address}/secret"),
                status: 200,
            },
        };
        let error = ask(&client.unwrap(), &check).await.unwrap_err();
        assert_eq!(error.to_string(), "Connection refused");
    }

    #[test]
    fn answers_are_judged_and_no_answer_is_no_proof() {
        let vector = |value: &str| {
            format!(
                "{{\"status\":\"success\",\"data\":{{\"resultType\":\"vector\",\"result\":[\
                 {{\"metric\":{{}},\"value\":[1,\"{value}\"]}}]}}}}"
            )
        };
        assert_eq!(judge(&vector("0.005")), Ok(true));
        assert_eq!(judge(&vector("0.5")), Ok(false));
        assert_eq!(judge(&vector("NaN")), Ok(false));
        let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(judge(empty), Ok(false));
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"0"]}}"#;
        assert_eq!(judge(scalar), Ok(true));
        assert_eq!(
            judge(r#"{"status":"error","error":"parse error"}"#),
            Err("parse error".to_owned())
        );
        assert!(judge("<html>").is_err());
        assert!(judge(r#"{"status":"success","data":{"resultType":"string"}}"#).is_err());
    }
}
