//! Webhooks of Git servers. A hook only hints that a branch may have moved, or that a pull request may have changed:
//! the hub then reads the branch, or asks the forge, itself, so that a forged, replayed or doubled hook costs one poll
//! and changes nothing (E16).

mod verify;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use flotilla_shared::id::RepositoryName;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use verify::{Provider, Refusal, Verdict, names, same_repository, verify};

use crate::driver::{Handle, Stopped};
use crate::fleet::Event;
use crate::forge::Hints;
use crate::metrics::Metrics;

/// Largest body. A push of very many commits is larger; it is then found at the next poll.
const MAX_BODY: usize = 1 << 20;

/// Context of the listener.
pub struct Hooks {
    pub handle: Handle,
    /// Secret that the Git servers sign with.
    pub secret: Vec<u8>,
    /// Wakes the pollers.
    pub refresh: Arc<tokio::sync::Notify>,
    /// Wakes the tasks that poll pull requests.
    pub hints: Arc<Hints>,
    /// Metrics.
    pub metrics: Metrics,
}

/// What a valid hook is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Push,
    /// A pull request, or a check of a commit.
    Pull,
}

/// Serves `POST /webhook/<provider>` until stopped.
pub async fn serve(listener: TcpListener, hooks: Hooks, stop: CancellationToken) {
    let router = Router::new()
        .route("/webhook/{provider}", post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(refuse_giants))
        .with_state(Arc::new(hooks));
    super::http::serve(listener, router, stop).await;
}

/// Refuses a body by its declared size, without waiting for it.
async fn refuse_giants(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > MAX_BODY as u64) {
        return (StatusCode::PAYLOAD_TOO_LARGE, "too large\n").into_response();
    }
    next.run(request).await
}

async fn receive(
    State(hooks): State<Arc<Hooks>>,
    Path(provider): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let Ok(provider) = provider.parse::<Provider>() else {
        return (StatusCode::NOT_FOUND, "no such provider\n");
    };
    let word = provider.as_str();
    let (urls, about) = match verify(provider, &hooks.secret, &headers, &body) {
        Err(refusal) => {
            hooks.metrics.hooked(word, "refused");
            tracing::debug!(provider = word, %refusal, "webhook refused");
            return (StatusCode::UNAUTHORIZED, "refused\n");
        }
        Ok(Verdict::Ignored) => {
            hooks.metrics.hooked(word, "ignored");
            return (StatusCode::OK, "nothing to do\n");
        }
        Ok(Verdict::Push(urls)) => (urls, Subject::Push),
        Ok(Verdict::Pull(urls)) => (urls, Subject::Pull),
    };
    match hint(&hooks, urls, about).await {
        Ok(HookTarget::Ours) => {
            hooks.metrics.hooked(word, "hint");
            (
                StatusCode::ACCEPTED,
                "accepted: the repository is polled soon\n",
            )
        }
        Ok(HookTarget::None) => {
            hooks.metrics.hooked(word, "unknown");
            (StatusCode::OK, "not a repository of this fleet\n")
        }
        Err(Stopped) => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

/// Repositories that a hook names.
enum HookTarget {
    /// At least one is of this fleet.
    Ours,
    /// None of them is of this fleet.
    None,
}

/// Finds the named repositories of the fleet, and has them polled.
async fn hint(hooks: &Hooks, urls: Vec<String>, about: Subject) -> Result<HookTarget, Stopped> {
    let meant: Vec<RepositoryName> = hooks
        .handle
        .query(move |fleet| {
            let all = fleet.spec().repositories.iter();
            all.filter(|(_, repository)| {
                urls.iter()
                    .any(|url| same_repository(url, repository.url.as_str()))
            })
            .map(|(name, _)| name.clone())
            .collect()
        })
        .await?;
    if meant.is_empty() {
        return Ok(HookTarget::None);
    }
    for repository in meant {
        // The pushed branch may have a pull request.
        hooks.hints.hint(&repository);
        if about == Subject::Pull {
            continue;
        }
        let at = Timestamp::now();
        hooks.handle.event(Event::Hinted { repository, at }).await?;
    }
    if about == Subject::Push {
        hooks.refresh.notify_one();
    }
    Ok(HookTarget::Ours)
}
