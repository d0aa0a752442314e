//! Scripts of requests to an API server, and its answers in a form that can be compared between two servers: random
//! values and times are replaced by a placeholder.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::eventually;

/// Longest wait for the condition of a step.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request, and which parts of its answer are compared.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What the step demonstrates.
    pub step: String,
    /// `GET /api/v1/namespaces/$ns/configmaps`
    pub request: String,
    /// apply, json (the default), json-patch, merge, strategic; or a content type.
    #[serde(default)]
    pub content: String,
    /// A user to impersonate: name and groups.
    #[serde(default, rename = "as")]
    pub user: Vec<String>,
    /// `Accept`, if it is not JSON.
    #[serde(default)]
    pub accept: String,
    #[serde(default)]
    pub body: Option<Value>,
    /// JSON pointers into the answer, and the variables that store their values for later steps.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
    /// Repeats the request until these JSON pointers have these values.
    #[serde(default)]
    pub until: BTreeMap<String, Value>,
    /// JSON pointers to compare; none: the whole answer.
    #[serde(default)]
    pub only: Vec<String>,
    /// JSON pointers to ignore.
    #[serde(default)]
    pub except: Vec<String>,
}

/// An answer in a comparable form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub step: String,
    /// HTTP status.
    pub code: u16,
    /// `Warning` headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The body; of a watch, the list of its events.
    pub body: Value,
}

/// Parses a script.
///
/// # Errors
/// When it is not a list of steps.
pub fn read(path: &Path) -> anyhow::Result<Vec<Step>> {
    let text = std::fs::read_to_string(path)?;
    flotilla_yaml::config::from_str(&path.display().to_string(), &text)
        .with_context(|| path.display().to_string())
}

/// Runs a script in its own namespace.
///
/// # Errors
/// When a request fails or a condition is not met in time.
pub async fn play(
    client: &kube::Client,
    name: &str,
    steps: &[Step],
) -> anyhow::Result<Vec<Answer>> {
    let mut known = BTreeMap::from([("ns".to_owned(), name.to_owned())]);
    let mut answers = Vec::new();
    for step in steps {
        let answer = eventually(&step.step, PATIENCE, || {
            let known = &known;
            async move {
                let answer = tokio::time::timeout(PATIENCE, send(client, step, known)).await;
                let answer = answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer")));
                let Ok((_, _, body)) = &answer else {
                    return Some(answer);
                };
                let fits = step
                    .until
                    .iter()
                    .all(|(pointer, value)| body.pointer(pointer).unwrap_or(&Value::Null) == value);
                fits.then_some(answer)
            }
        })
        .await?;
        let (code, warnings, body) = answer.with_context(|| step.step.clone())?;
        for (name, pointer) in &step.save {
            let value = match body.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => anyhow::bail!("{}: no {pointer} in {body}", step.step),
            };
            known.insert(name.clone(), value);
        }
        answers.push(Answer {
            step: step.step.clone(),
            code,
            warnings,
            body: comparable(step, body),
        });
    }
    Ok(answers)
}

fn filled(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in known {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

async fn send(
    client: &kube::Client,
    step: &Step,
    known: &BTreeMap<String, String>,
) -> anyhow::Result<(u16, Vec<String>, Value)> {
    use http_body_util::BodyExt as _;
    let (method, path) = step
        .request
        .split_once(' ')
        .context("a request is a method and a path")?;
    let content = match step.content.as_str() {
        "" | "json" => "application/json",
        "apply" => "application/apply-patch+yaml",
        "json-patch" => "application/json-patch+json",
        "merge" => "application/merge-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        other => other,
    };
    let mut request = http::Request::builder()
        .method(method)
        .uri(filled(path, known))
        .header("content-type", content)
        .header("user-agent", "script/1");
    if !step.accept.is_empty() {
        request = request.header("accept", &step.accept);
    }
    for (index, name) in step.user.iter().enumerate() {
        let header = if index == 0 {
            "impersonate-user"
        } else {
            "impersonate-group"
        };
        request = request.header(header, name);
    }
    let body = match &step.body {
        Some(Value::String(text)) => filled(text, known),
        Some(body) => filled(&body.to_string(), known),
        None => String::new(),
    };
    let request = request.body(kube::client::Body::from(body.into_bytes()))?;
    let response = client.send(request).await?;
    let code = response.status().as_u16();
    let warnings = response
        .headers()
        .get_all("warning")
        .iter()
        .filter_map(|value| value.to_str().ok().map(str::to_owned))
        .collect();
    let bytes = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&bytes);
    let body = match serde_json::from_str(&text) {
        Ok(value) => value,
        // A watch has one JSON object per line.
        Err(_) => match text.lines().map(serde_json::from_str).collect() {
            Ok(lines) => Value::Array(lines),
            Err(_) => json!(text.trim()),
        },
    };
    // A watch with a single event is a list as well.
    let body = match (path.contains("watch="), body) {
        (true, body @ Value::Object(_)) if code == 200 => Value::Array(vec![body]),
        (true, Value::String(text)) if text.is_empty() => json!([]),
        (_, body) => body,
    };
    Ok((code, warnings, body))
}

fn comparable(step: &Step, mut body: Value) -> Value {
    for pointer in &step.except {
        remove(&mut body, pointer);
    }
    if !step.only.is_empty() {
        let kept = step.only.iter().map(|pointer| {
            let value = body.pointer(pointer).cloned().unwrap_or_default();
            (pointer.clone(), value)
        });
        body = Value::Object(kept.collect());
    }
    replace("", &mut body);
    body
}

fn remove(body: &mut Value, pointer: &str) {
    if let Some((parent, last)) = pointer.rsplit_once('/') {
        match body.pointer_mut(parent) {
            Some(Value::Object(map)) => {
                map.remove(last);
            }
            Some(Value::Array(list)) if last == "*" => list.clear(),
            _ => {}
        }
    }
}

/// Replaces values that differ between any two servers.
fn replace(name: &str, value: &mut Value) {
    match value {
        Value::Object(map) => {
            // A hash of names and versions, which the embedded server does not compute.
            map.remove("storageVersionHash");
            for (name, mut value) in std::mem::take(map) {
                replace(&name, &mut value);
                map.insert(words("", &name), value);
            }
        }
        Value::Array(list) => {
            list.iter_mut().for_each(|value| replace(name, value));
            // Entries are sorted by time, with a resolution of one second.
            if name == "managedFields" {
                list.sort_by_key(|entry| {
                    ["operation", "manager", "subresource"].map(|field| {
                        let text = entry.get(field).and_then(Value::as_str);
                        text.unwrap_or_default().to_owned()
                    })
                });
            }
        }
        Value::String(text) => *text = words(name, text),
        Value::Number(number) if name == "nodePort" && number.as_i64() >= Some(30_000) => {
            *value = json!("PORT");
        }
        _ => {}
    }
}

fn words(name: &str, text: &str) -> String {
    type Patterns = Vec<(regex::Regex, &'static str)>;
    static READ: std::sync::LazyLock<Patterns> = std::sync::LazyLock::new(|| {
        let read = |(pattern, word): &(&str, &'static str)| {
            // The patterns are constants, and any test would show a wrong one.
            regex::Regex::new(pattern)
                .ok()
                .map(|pattern| (pattern, *word))
        };
        PATTERNS.iter().filter_map(read).collect()
    });
    const PATTERNS: [(&str, &str); 4] = [
        (
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "UID",
        ),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\b10\.\d+\.\d+\.\d+\b", "IP"),
        (r"(version: |current: )\d+( \(\d+\))?", "${1}RV"),
    ];
    match name {
        "resourceVersion" if !text.is_empty() => return "RV".to_owned(),
        "continue" if !text.is_empty() => return "TOKEN".to_owned(),
        _ => {}
    }
    let mut text = text.to_owned();
    for (pattern, word) in READ.iter() {
        text = pattern.replace_all(&text, *word).into_owned();
    }
    text
}

/// The differences of two answers, one per line: the pointer and both values.
#[must_use]
pub fn differences(first: &Answer, second: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if first.code != second.code {
        found.push(format!("code: {} / {}", first.code, second.code));
    }
    if first.warnings != second.warnings {
        found.push(format!(
            "warnings: {:?} / {:?}",
            first.warnings, second.warnings
        ));
    }
    differ("", Some(&first.body), Some(&second.body), &mut found);
    found
}

fn differ(path: &str, first: Option<&Value>, second: Option<&Value>, found: &mut Vec<String>) {
    match (first, second) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                differ(&format!("{path}/{name}"), a.get(name), b.get(name), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                differ(
                    &format!("{path}/{index}"),
                    a.get(index),
                    b.get(index),
                    found,
                );
            }
        }
        (a, b) if a != b => {
            let shown =
                |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            found.push(format!("{path}: {} / {}", shown(a), shown(b)));
        }
        _ => {}
    }
}
