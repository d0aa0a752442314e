//! Sender of a hook, and the repository that it names. Pure.

use axum::http::HeaderMap;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// Longest URL that is compared.
const MAX_URL: usize = 2048;

/// Git servers whose hooks are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// <https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>
    GitHub,
    /// <https://docs.gitlab.com/user/project/integrations/webhooks/>
    GitLab,
    /// <https://docs.gitea.com/usage/webhooks>; Forgejo's are the same.
    Gitea,
    /// <https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/>; Data Center's headers are
    /// the same.
    Bitbucket,
}

impl Provider {
    /// Returns the word in the URL and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Bitbucket => "bitbucket",
        }
    }
}

impl std::str::FromStr for Provider {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text {
            "github" => Self::GitHub,
            "gitlab" => Self::GitLab,
            "gitea" | "forgejo" => Self::Gitea,
            "bitbucket" => Self::Bitbucket,
            _ => return Err(()),
        })
    }
}

/// Why a hook is rejected. Callers do not get the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is not signed")]
    Unsigned,
    /// It was signed with another secret, or has another body.
    #[error("its signature does not match the secret")]
    Forged,
    #[error("its body is not JSON")]
    Malformed,
}

/// Content of a valid hook about the repository with these URLs. Nothing else of it is read: the present state is read
/// from the Git server or the forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It concerns nothing that the hub reads.
    Ignored,
    /// A push to it.
    Push(Vec<String>),
    /// Something happened that may affect a pull request: the pull request itself, its labels, its approvals, a check
    /// of a commit.
    Pull(Vec<String>),
}

impl Provider {
    /// Returns what an event of this name is about; none: it is ignored.
    fn about(self, event: &str) -> Option<fn(Vec<String>) -> Verdict> {
        let is_push = match self {
            Self::GitHub | Self::Gitea => event == "push",
            Self::GitLab => event == "Push Hook",
            Self::Bitbucket => matches!(event, "repo:push" | "repo:refs_changed"),
        };
        let is_pull = match self {
            Self::GitHub => matches!(
                event,
                "pull_request" | "pull_request_review" | "status" | "check_run" | "check_suite"
            ),
            // Checks that others set on a commit come as a pipeline too.
            Self::GitLab => matches!(event, "Merge Request Hook" | "Pipeline Hook"),
            // Events of reviews have their own names: pull_request_approved, pull_request_rejected.
            Self::Gitea => event.starts_with("pull_request") || event == "status",
            Self::Bitbucket => {
                event.starts_with("pullrequest:") || event.starts_with("repo:commit_status_")
            }
        };
        match (is_push, is_pull) {
            (true, _) => Some(Verdict::Push),
            (_, true) => Some(Verdict::Pull),
            _ => None,
        }
    }
}

/// Judges a hook.
///
/// # Errors
/// When it is not signed with the secret, or is malformed.
pub fn verify(
    provider: Provider,
    secret: &[u8],
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Verdict, Refusal> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (signature, event) = match provider {
        Provider::GitHub => (header("x-hub-signature-256"), header("x-github-event")),
        Provider::GitLab => (header("x-gitlab-token"), header("x-gitlab-event")),
        Provider::Gitea => (
            header("x-forgejo-signature").or(header("x-gitea-signature")),
            header("x-forgejo-event").or(header("x-gitea-event")),
        ),
        Provider::Bitbucket => (header("x-hub-signature"), header("x-event-key")),
    };
    let signature = signature.ok_or(Refusal::Unsigned)?;
    let good = match provider {
        // GitLab sends the secret itself. Comparing digests takes the same time for every secret.
        Provider::GitLab => {
            let ours = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Refusal::Forged)?;
            let theirs = Hmac::<Sha256>::new_from_slice(signature.as_bytes());
            let theirs = theirs.map_err(|_| Refusal::Forged)?;
            ours.verify_slice(&theirs.finalize().into_bytes()).is_ok()
        }
        Provider::GitHub | Provider::Bitbucket => {
            let hex = signature.strip_prefix("sha256=").ok_or(Refusal::Forged)?;
            signed(secret, body, hex)
        }
        Provider::Gitea => signed(secret, body, signature),
    };
    if !good {
        return Err(Refusal::Forged);
    }
    let Some(verdict) = event.and_then(|event| provider.about(event)) else {
        return Ok(Verdict::Ignored);
    };
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
    Ok(verdict(names(&body)))
}

fn signed(secret: &[u8], body: &[u8], hex: &str) -> bool {
    let (Some(theirs), Ok(mut mac)) = (
        flotilla_shared::digest::Digest::from_hex(hex),
        Hmac::<Sha256>::new_from_slice(secret),
    ) else {
        return false;
    };
    mac.update(body);
    mac.verify_slice(theirs.as_bytes()).is_ok()
}

/// Returns every URL under which an event's repository is known; for a pull request from a fork, that of the target
/// repository.
#[must_use]
pub fn names(body: &Value) -> Vec<String> {
    const PLACES: &[&str] = &[
        "/repository/clone_url",
        "/repository/html_url",
        "/repository/git_http_url",
        "/project/git_http_url",
        "/repository/links/html/href",
        "/repository/links/self/0/href",
        "/repository/links/clone/0/href",
        "/repository/links/clone/1/href",
    ];
    PLACES
        .iter()
        .filter_map(|place| body.pointer(place)?.as_str())
        .filter(|url| url.len() <= MAX_URL)
        .map(ToOwned::to_owned)
        .collect()
}

/// Returns whether two URLs name one repository: same host and path, whatever the scheme, user, port and ending.
#[must_use]
pub fn same_repository(url: &str, other: &str) -> bool {
    match (place(url), place(other)) {
        (Some(repository), Some(other)) => repository == other,
        _ => false,
    }
}

fn place(url: &str) -> Option<(String, String)> {
    let (_, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_once('/')?;
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?.to_ascii_lowercase();
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // Bitbucket Data Center serves clones below /scm; other paths stay as they are.
    let path = path.strip_prefix("scm/").unwrap_or(path);
    (!path.is_empty()).then(|| (host, path.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests;
