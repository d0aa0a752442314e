//! Asks the outside what gates want to know: HTTP and Prometheus. One task, one question at a time;
//! answers are events like any other.

use std::time::Duration;

use flotilla_shared::report::plain_line;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::driver::Handle;
use crate::fleet::Event;
use crate::spec::{Check, Question};

/// Time between two rounds.
const INTERVAL: Duration = Duration::from_secs(15);
/// Longest wait for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer read.
const MAX_ANSWER: usize = 1 << 20;

/// Asks until stopped.
pub async fn run(handle: Handle, stop: CancellationToken) {
    let client = match reqwest::Client::builder()
        .timeout(TIMEOUT)
        // An answer counts only from where the fleet file points to.
        .redirect(reqwest::redirect::Policy::none())
        .build()
    {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "checks cannot be asked; their gates stay closed");
            return;
        }
    };
    loop {
        let Ok(checks) = handle
            .query(|fleet| {
                let all = fleet.spec().environments.iter();
                all.flat_map(|environment| {
                    let checks = environment.gates.checks.iter();
                    checks.map(|check| (environment.name.clone(), check.clone()))
                })
                .collect::<Vec<_>>()
            })
            .await
        else {
            return;
        };
        for (environment, check) in checks {
            let asked = tokio::select! {
                asked = ask(&client, &check) => asked,
                () = stop.cancelled() => return,
            };
            let (good, text) = match asked {
                Ok((good, text)) => (good, text),
                Err(error) => (false, format!("no answer: {error}")),
            };
            let event = Event::Checked {
                environment,
                check: check.name,
                good,
                text: plain_line(&text, 500),
            };
            if handle.event(event).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn ask(client: &reqwest::Client, check: &Check) -> Result<(bool, String), String> {
    match &check.question {
        Question::Http { url, status } => {
            let answer = client.get(url).send().await;
            let answer = answer.map_err(|error| error.without_url().to_string())?;
            let found = answer.status().as_u16();
            Ok((found == *status, format!("HTTP {found}, wanted {status}")))
        }
        Question::Prometheus {
            url,
            query,
            min,
            max,
        } => {
            let mut place: reqwest::Url = format!("{}/api/v1/query", url.trim_end_matches('/'))
                .parse()
                .map_err(|_| "the URL is not valid".to_owned())?;
            place.query_pairs_mut().append_pair("query", query);
            let answer = client.get(place).send().await;
            let mut answer = answer.map_err(|error| error.without_url().to_string())?;
            let mut body = Vec::new();
            while let Some(chunk) = answer
                .chunk()
                .await
                .map_err(|error| error.without_url().to_string())?
            {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER {
                    return Err("the answer is too large".to_owned());
                }
            }
            samples(&body).map(|samples| within(&samples, *min, *max))
        }
    }
}

/// The values of an instant query's answer
/// (<https://prometheus.io/docs/prometheus/latest/querying/api/#expression-query-result-formats>).
fn samples(body: &[u8]) -> Result<Vec<f64>, String> {
    let answer: Value =
        serde_json::from_slice(body).map_err(|_| "the answer is not JSON".to_owned())?;
    if answer.pointer("/status").and_then(Value::as_str) != Some("success") {
        let error = answer.pointer("/error").and_then(Value::as_str);
        return Err(error.unwrap_or("the query failed").to_owned());
    }
    let result = answer.pointer("/data/result").unwrap_or(&Value::Null);
    let number = |sample: &Value| -> Option<f64> { sample.get(1)?.as_str()?.parse().ok() };
    let all: Option<Vec<f64>> = match answer.pointer("/data/resultType").and_then(Value::as_str) {
        Some("scalar") => number(result).map(|value| vec![value]),
        Some("vector") => result
            .as_array()
            .and_then(|all| all.iter().map(|one| number(one.get("value")?)).collect()),
        _ => None,
    };
    all.ok_or_else(|| "the answer is neither a vector nor a scalar".to_owned())
}

/// Judges samples. None at all proves nothing, and what is not a number is within no bounds.
fn within(samples: &[f64], min: Option<f64>, max: Option<f64>) -> (bool, String) {
    let bounds = match (min, max) {
        (Some(min), Some(max)) => format!("wanted {min} to {max}"),
        (Some(min), None) => format!("wanted at least {min}"),
        (None, Some(max)) => format!("wanted at most {max}"),
        (None, None) => "wanted a sample".to_owned(),
    };
    let bad = samples.iter().find(|sample| {
        let sample = **sample;
        sample.is_nan()
            || min.is_some_and(|min| sample < min)
            || max.is_some_and(|max| sample > max)
    });
    match (samples, bad) {
        ([], _) => (false, format!("no sample, {bounds}")),
        (_, Some(bad)) => (false, format!("{bad}, {bounds}")),
        (samples, None) => {
            let worst = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (
                true,
                format!("{} samples up to {worst}, {bounds}", samples.len()),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(body: &str) -> Result<bool, String> {
        samples(body.as_bytes()).map(|samples| within(&samples, Some(0.0), Some(0.01)).0)
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
