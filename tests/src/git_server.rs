//! Git over smart HTTP: the real `git http-backend`, behind a small CGI bridge on loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;

use crate::red_git::{Malice, ReceivedRequest};

/// Maximum size of a push.
const MAX_PUSH: usize = 64 << 20;

struct Shared {
    root: PathBuf,
    down: AtomicBool,
    malice: Mutex<Malice>,
    asked: Mutex<Vec<ReceivedRequest>>,
}

/// A server of all repositories below a directory; it stops when dropped.
pub struct GitServer {
    /// The address it listens on.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl GitServer {
    /// Serves `root` on loopback; port 0: any free port.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(root: &Path, address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            down: AtomicBool::new(false),
            malice: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            // Ends when the task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            shared,
            task,
        })
    }

    /// The URL of a repository below the root.
    #[must_use]
    pub fn url(&self, repository: &str) -> String {
        format!("http://{}/{repository}", self.address)
    }

    /// While down, it answers every request with 503.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }
}

impl GitServer {
    /// Makes it misbehave from now on; see [`crate::red_git`].
    pub fn set_malice(&self, malice: Malice) {
        *self.shared.malice.lock() = malice;
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<ReceivedRequest> {
        self.shared.asked.lock().clone()
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn plain(code: u16, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() =
        axum::http::StatusCode::from_u16(code).unwrap_or(axum::http::StatusCode::BAD_GATEWAY);
    response
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if shared.down.load(Ordering::SeqCst) {
        return plain(503, "down".to_owned());
    }
    shared.asked.lock().push(ReceivedRequest::of(&request));
    let malice = shared.malice.lock().clone();
    if let Some(response) = malice.before(&request) {
        return response;
    }
    match backend(&shared.root, request).await {
        Ok(response) => malice.after(response).await,
        Err(error) => plain(500, format!("{error:#}")),
    }
}

async fn backend(root: &Path, request: Request) -> anyhow::Result<Response> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_PUSH).await?;
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "http.receivepack")
        .env("GIT_CONFIG_VALUE_0", "true")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("git http-backend")?;
    let mut input = child.stdin.take().context("stdin")?;
    let feed = tokio::spawn(async move {
        // The backend may answer before it has read all input.
        let _ = input.write_all(&body).await;
    });
    let output = child.wait_with_output().await?;
    feed.abort();
    let split = output
        .stdout
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("git http-backend gave no header")?;
    let (head, content) = output.stdout.split_at(split);
    let mut response = Response::new(Body::from(content.get(4..).unwrap_or_default().to_vec()));
    for line in std::str::from_utf8(head)?.lines() {
        let Some((name, value)) = line.split_once(": ") else {
            continue;
        };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default().parse::<u16>()?;
            *response.status_mut() = axum::http::StatusCode::from_u16(code)?;
        } else {
            let name: axum::http::HeaderName = name.parse()?;
            response.headers_mut().insert(name, value.parse()?);
        }
    }
    Ok(response)
}
