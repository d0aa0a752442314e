//! Who sent a hook, and which repository it speaks of. Pure.

use axum::http::HeaderMap;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// Longest URL that is compared.
const MAX_URL: usize = 2048;

/// Whose hooks are understood.
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
    /// The word in the URL and in metrics.
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

/// A hook is not believed. Callers are told nothing of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No signature.
    #[error("it is not signed")]
    Unsigned,
    /// Another secret, or another body.
    #[error("its signature is not by our secret")]
    Forged,
    /// Not JSON.
    #[error("its body is not JSON")]
    Malformed,
}

/// What a believed hook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing that moves a branch.
    Ignored,
    /// Somebody pushed to the repository that has these URLs.
    Push(Vec<String>),
}

/// Judges a hook.
///
/// # Errors
/// When it is not signed by the secret, or makes no sense.
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
        // GitLab sends the secret itself. Comparing digests takes the same time for all of them.
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
    let push = match provider {
        Provider::GitHub | Provider::Gitea => event == Some("push"),
        Provider::GitLab => event == Some("Push Hook"),
        Provider::Bitbucket => matches!(event, Some("repo:push" | "repo:refs_changed")),
    };
    if !push {
        return Ok(Verdict::Ignored);
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| Refusal::Malformed)?;
    Ok(Verdict::Push(names(&body)))
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

/// Every URL under which a push event's repository is known.
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

/// Whether two URLs name one repository: same host and path, whatever the scheme, user, port and
/// ending.
#[must_use]
pub fn same_repository(one: &str, other: &str) -> bool {
    match (place(one), place(other)) {
        (Some(one), Some(other)) => one == other,
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
    // Bitbucket Data Center serves clones below /scm; other paths are taken as they are.
    let path = path.strip_prefix("scm/").unwrap_or(path);
    (!path.is_empty()).then(|| (host, path.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"It's a Secret to Everybody";
    const BODY: &[u8] =
        b"{\"repository\":{\"clone_url\":\"https://Git.example.com/Team/fleet.git\"}}";

    fn mac(body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
        mac.update(body);
        flotilla_shared::digest::Digest::from_slice(&mac.finalize().into_bytes())
            .unwrap()
            .to_string()
    }

    fn call(provider: Provider, headers: &[(&str, &str)], body: &[u8]) -> Result<Verdict, Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            map.insert(name, value.parse().unwrap());
        }
        verify(provider, SECRET, &map, body)
    }

    /// The example of GitHub's own documentation.
    #[test]
    fn e16_the_published_example_verifies() {
        let body = b"Hello, World!";
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let headers = [
            ("x-hub-signature-256", signature),
            ("x-github-event", "ping"),
        ];
        assert_eq!(call(Provider::GitHub, &headers, body), Ok(Verdict::Ignored));
        assert_eq!(
            call(Provider::GitHub, &headers, b"Hello, World"),
            Err(Refusal::Forged)
        );
    }

    #[test]
    fn e16_each_provider_is_understood_and_no_forgery_is() {
        let hex = mac(BODY);
        let prefixed = format!("sha256={hex}");
        let secret = std::str::from_utf8(SECRET).unwrap();
        let cases = [
            (
                Provider::GitHub,
                "x-hub-signature-256",
                prefixed.as_str(),
                "x-github-event",
                "push",
            ),
            (
                Provider::GitLab,
                "x-gitlab-token",
                secret,
                "x-gitlab-event",
                "Push Hook",
            ),
            (
                Provider::Gitea,
                "x-gitea-signature",
                hex.as_str(),
                "x-gitea-event",
                "push",
            ),
            (
                Provider::Gitea,
                "x-forgejo-signature",
                hex.as_str(),
                "x-forgejo-event",
                "push",
            ),
            (
                Provider::Bitbucket,
                "x-hub-signature",
                prefixed.as_str(),
                "x-event-key",
                "repo:push",
            ),
        ];
        for (provider, signed_by, signature, event_by, event) in cases {
            let headers = [(signed_by, signature), (event_by, event)];
            let Ok(Verdict::Push(urls)) = call(provider, &headers, BODY) else {
                panic!("{provider:?}");
            };
            assert!(same_repository(
                &urls[0],
                "https://git.example.com/team/fleet"
            ));
            let wrong = [(signed_by, "sha256=00"), (event_by, event)];
            assert_eq!(
                call(provider, &wrong, BODY),
                Err(Refusal::Forged),
                "{provider:?}"
            );
            let none = [(event_by, event)];
            assert_eq!(call(provider, &none, BODY), Err(Refusal::Unsigned));
            if provider != Provider::GitLab {
                assert_eq!(call(provider, &headers, b"{}"), Err(Refusal::Forged));
            }
        }
    }

    #[test]
    fn e16_what_is_signed_and_makes_no_sense_harms_nobody() {
        for body in [&b"[]"[..], b"{\"repository\":7}", b"{}", b"null"] {
            let prefixed = format!("sha256={}", mac(body));
            let headers = [
                ("x-hub-signature-256", prefixed.as_str()),
                ("x-github-event", "push"),
            ];
            assert_eq!(
                call(Provider::GitHub, &headers, body),
                Ok(Verdict::Push(Vec::new()))
            );
        }
        let body = b"{\"repository\":";
        let prefixed = format!("sha256={}", mac(body));
        let headers = [
            ("x-hub-signature-256", prefixed.as_str()),
            ("x-github-event", "push"),
        ];
        assert_eq!(
            call(Provider::GitHub, &headers, body),
            Err(Refusal::Malformed)
        );
    }

    #[test]
    fn repositories_are_the_same_whatever_the_way_to_them() {
        let ours = "https://git.example.com/team/fleet.git";
        for same in [
            "https://git.example.com/team/fleet",
            "http://git.example.com:3000/team/fleet.git",
            "ssh://git@git.example.com:2222/team/fleet.git",
            "https://git.example.com/scm/team/fleet.git",
        ] {
            assert!(same_repository(same, ours), "{same}");
        }
        for other in [
            "https://git.example.com/team/fleet2",
            "https://x/team/fleet",
            "fleet",
            "",
        ] {
            assert!(!same_repository(other, ours), "{other}");
        }
    }
}
