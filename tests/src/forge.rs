//! A forge in this process, as far as the hub uses one: GitHub's API over a real bare repository. A pull request
//! counts as merged when its target branch contains it, and a reference only moves forward.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::repository::git;

/// A pull request.
#[derive(Debug, Clone, Default)]
pub struct PullRequest {
    /// The source branch.
    pub head: String,
    /// The target branch.
    pub base: String,
    pub body: String,
    /// Who approved it, at which commit.
    pub approvals: Vec<(String, String)>,
    /// Its labels, and who added each.
    pub labels: Vec<(String, String)>,
    /// What was said about it.
    pub comments: Vec<String>,
}

/// The state of the forge; a pull request's number is its index plus one.
#[derive(Debug, Default)]
pub struct ForgeState {
    /// Pull requests.
    pub pulls: Vec<PullRequest>,
    /// Statuses: commit, context, state, description.
    pub statuses: Vec<(String, String, String, String)>,
    /// Who may push.
    pub writers: Vec<String>,
    /// How often a comment was created or edited.
    pub written: usize,
}

/// A running forge; it stops when dropped.
pub struct Forge {
    /// The base URL of its API.
    pub api: String,
    /// The state of the forge.
    pub state: Arc<Mutex<ForgeState>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    bare: PathBuf,
    state: Arc<Mutex<ForgeState>>,
}

impl Forge {
    /// For one repository, `acme/fleet`.
    ///
    /// # Errors
    /// When no address can be bound.
    pub async fn start(bare: &Path) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let api = format!("http://{}", listener.local_addr()?);
        let state = Arc::<Mutex<ForgeState>>::default();
        let shared = Shared {
            bare: bare.to_owned(),
            state: Arc::clone(&state),
        };
        let router = Router::new().fallback(answer).with_state(shared);
        let task = tokio::spawn(async move {
            // Ends when the task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { api, state, task })
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn at(&self, branch: &str) -> Option<String> {
        let reference = format!("refs/heads/{branch}");
        git(&self.bare, &["rev-parse", "--verify", "-q", &reference]).ok()
    }

    fn pull(&self, index: usize, pull: &PullRequest) -> Value {
        let end = |branch: &str| {
            let commit = self.at(branch).unwrap_or_default();
            json!({"ref": branch, "sha": commit, "repo": {"full_name": "acme/fleet"}})
        };
        let merged = self.at(&pull.base) == self.at(&pull.head);
        let labels = pull.labels.iter().map(|(name, _)| json!({"name": name}));
        json!({
            "number": index + 1,
            "html_url": format!("https://forge.example.org/acme/fleet/pull/{}", index + 1),
            "title": "A change", "body": pull.body, "mergeable": true,
            "state": if merged { "closed" } else { "open" },
            "merged_at": merged.then_some("2026-11-27T00:00:00Z"),
            "head": end(&pull.head), "base": end(&pull.base),
            "user": {"login": "bot"}, "labels": labels.collect::<Vec<_>>(),
        })
    }

    fn open(&self, query: &str) -> Value {
        let parameter = |name: &str| {
            let mut all = query.split('&').filter_map(|part| part.split_once('='));
            let found = all.find(|(key, _)| *key == name);
            found.map(|(_, value)| value.replace("%2F", "/").replace("%3A", ":"))
        };
        let (head, base) = (parameter("head"), parameter("base"));
        let state = self.state.lock();
        let all = state.pulls.iter().enumerate();
        let all = all.filter(|(_, pull)| {
            base.as_ref().is_none_or(|base| *base == pull.base)
                && head
                    .as_ref()
                    .is_none_or(|head| *head == format!("acme:{}", pull.head))
        });
        let all = all.map(|(index, pull)| self.pull(index, pull));
        Value::Array(all.filter(|pull| pull["state"] == "open").collect())
    }

    fn move_branch(&self, branch: &str, body: &Value) -> (StatusCode, Value) {
        let to = body["sha"].as_str().unwrap_or_default();
        let reference = format!("refs/heads/{branch}");
        let Some(from) = self.at(branch) else {
            return (
                StatusCode::UNPROCESSABLE_ENTITY,
                message("no such reference"),
            );
        };
        let forward = git(&self.bare, &["merge-base", "--is-ancestor", &from, to]).is_ok();
        if !forward || body["force"] != false {
            let text = message("Update is not a fast forward");
            return (StatusCode::UNPROCESSABLE_ENTITY, text);
        }
        match git(&self.bare, &["update-ref", &reference, to, &from]) {
            Ok(_) => (StatusCode::OK, json!({})),
            Err(_) => (StatusCode::CONFLICT, message("moved")),
        }
    }

    fn call(&self, method: &Method, path: &str, query: &str, body: &Value) -> (StatusCode, Value) {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let ["repos", "acme", "fleet", rest @ ..] = parts.as_slice() else {
            return missing();
        };
        match (method.as_str(), rest) {
            ("GET", ["pulls"]) => (StatusCode::OK, self.open(query)),
            (method, ["pulls", rest @ ..]) => self.of_pulls(method, rest, body),
            (method, ["issues", rest @ ..]) => self.state.lock().of_issues(method, rest, body),
            ("PATCH", ["git", "refs", "heads", branch @ ..]) => {
                self.move_branch(&branch.join("/"), body)
            }
            (method, rest) => self.state.lock().of_repository(method, rest, body),
        }
    }

    /// Requests about a pull request.
    fn of_pulls(&self, method: &str, rest: &[&str], body: &Value) -> (StatusCode, Value) {
        let mut state = self.state.lock();
        match (method, rest) {
            ("GET", [number]) => {
                let found = index(number).and_then(|at| Some((at, state.pulls.get(at)?.clone())));
                drop(state);
                found.map_or_else(missing, |(at, pull)| (StatusCode::OK, self.pull(at, &pull)))
            }
            ("PATCH", [number]) => {
                let at = index(number).unwrap_or_default();
                let text = body["body"].as_str().unwrap_or_default();
                let Some(pull) = state.pulls.get_mut(at) else {
                    return missing();
                };
                text.clone_into(&mut pull.body);
                let pull = pull.clone();
                drop(state);
                (StatusCode::OK, self.pull(at, &pull))
            }
            ("GET", [number, "reviews"]) => {
                let pull = index(number).and_then(|at| state.pulls.get(at));
                let all = pull.into_iter().flat_map(|pull| &pull.approvals);
                let all = all.map(|(by, commit)| {
                    json!({"user": {"login": by}, "state": "APPROVED", "commit_id": commit})
                });
                (StatusCode::OK, Value::Array(all.collect()))
            }
            _ => missing(),
        }
    }
}

impl ForgeState {
    /// Requests about comments and labels of pull requests.
    fn of_issues(&mut self, method: &str, rest: &[&str], body: &Value) -> (StatusCode, Value) {
        match (method, rest) {
            ("GET", [number, "comments"]) => {
                let at = index(number).unwrap_or_default();
                let all = self
                    .pulls
                    .get(at)
                    .into_iter()
                    .flat_map(|pull| &pull.comments);
                let all = all
                    .enumerate()
                    .map(|(place, text)| comment(at, place, text));
                (StatusCode::OK, Value::Array(all.collect()))
            }
            ("POST", [number, "comments"]) => {
                let at = index(number).unwrap_or_default();
                let text = body["body"].as_str().unwrap_or_default().to_owned();
                self.written += 1;
                let Some(pull) = self.pulls.get_mut(at) else {
                    return missing();
                };
                pull.comments.push(text.clone());
                let place = pull.comments.len().saturating_sub(1);
                (StatusCode::CREATED, comment(at, place, &text))
            }
            ("PATCH", ["comments", id]) => {
                let id: usize = id.parse().unwrap_or_default();
                let text = body["body"].as_str().unwrap_or_default().to_owned();
                self.written += 1;
                let pull = self.pulls.get_mut(id / 100);
                match pull.and_then(|pull| pull.comments.get_mut(id % 100)) {
                    Some(slot) => {
                        slot.clone_from(&text);
                        (StatusCode::OK, comment(id / 100, id % 100, &text))
                    }
                    None => missing(),
                }
            }
            ("GET", [number, "events"]) => {
                let pull = index(number).and_then(|at| self.pulls.get(at));
                let all = pull.into_iter().flat_map(|pull| &pull.labels);
                let all = all.map(|(label, by)| {
                    json!({"event": "labeled", "actor": {"login": by}, "label": {"name": label}})
                });
                (StatusCode::OK, Value::Array(all.collect()))
            }
            _ => missing(),
        }
    }

    /// Requests about users, branches and commits.
    fn of_repository(&mut self, method: &str, rest: &[&str], body: &Value) -> (StatusCode, Value) {
        match (method, rest) {
            ("GET", ["collaborators", login, "permission"]) => {
                let writes = self.writers.iter().any(|writer| writer == login);
                let word = if writes { "write" } else { "read" };
                let user = json!({"login": login});
                (StatusCode::OK, json!({"permission": word, "user": user}))
            }
            ("GET", ["rules", "branches", ..]) => (StatusCode::OK, json!([])),
            ("GET", ["branches", ..]) => (StatusCode::OK, json!({})),
            ("GET", ["commits", _, "status"]) => {
                (StatusCode::OK, json!({"total_count": 0, "statuses": []}))
            }
            ("GET", ["commits", _, "check-runs"]) => {
                (StatusCode::OK, json!({"total_count": 0, "check_runs": []}))
            }
            ("POST", ["statuses", commit]) => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                let status = (
                    (*commit).to_owned(),
                    text("context"),
                    text("state"),
                    text("description"),
                );
                self.statuses.push(status);
                (StatusCode::CREATED, json!({}))
            }
            _ => missing(),
        }
    }
}

/// The index of the pull request with that number.
fn index(number: &str) -> Option<usize> {
    number.parse::<usize>().ok()?.checked_sub(1)
}

fn comment(pull: usize, place: usize, text: &str) -> Value {
    json!({"id": pull * 100 + place, "body": text, "user": {"login": "bot"}})
}

fn message(text: &str) -> Value {
    json!({"message": text})
}

fn missing() -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, message("Not Found"))
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let query = uri.query().unwrap_or_default();
    let (status, value) = shared.call(&method, uri.path(), query, &body);
    (status, axum::Json(value)).into_response()
}
