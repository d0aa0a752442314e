//! Errors of repositories, in classes that a caller and an operator can act on.

use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, Commit, RepositoryUrl};

/// Text about an object that is too large, after the limit.
pub(crate) const TOO_LARGE: &str = "bytes in one object (usually a file), packed or unpacked; \
     keep large files out of the branch, or in Git LFS";

/// A Git operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not reached, or an unusable answer; worth a retry.
    #[error("{url} cannot be reached: {cause}")]
    Unavailable {
        /// URL as configured: redirects are not followed, and a URL has no credentials.
        url: RepositoryUrl,
        /// Message of the transport.
        cause: String,
    },
    /// It answered with an error status; worth a retry.
    #[error("{url} answered {status}")]
    Answered {
        /// URL as configured: redirects are not followed.
        url: RepositoryUrl,
        /// `503 Service Unavailable`.
        status: String,
    },
    /// 401 or 403.
    #[error("{url} rejects the credentials, or requires some: {cause}")]
    Authentication {
        /// Credentials are mounted for its host.
        url: RepositoryUrl,
        /// Message of the server.
        cause: String,
    },
    /// The credentials for the host cannot be used; nothing was sent.
    #[error("{url}: the mounted credentials cannot be used: {cause}")]
    Access {
        /// The credentials are mounted for its host.
        url: RepositoryUrl,
        /// File and cause.
        cause: String,
    },
    /// An SSH server has another key than the pinned one; nothing was sent.
    #[error("{url}: the host key is not one that `known_hosts` pins: {cause}")]
    HostKey {
        /// `ssh://user@host/path`: nothing else has host keys.
        url: RepositoryUrl,
        /// Message of ssh.
        cause: String,
    },
    /// 404, or no such directory.
    #[error("there is no repository at {url}")]
    RepositoryNotFound {
        /// Forges also answer so for a repository that the credentials may not see.
        url: RepositoryUrl,
    },
    /// The branch is not advertised.
    #[error("branch {branch} is not in {url}")]
    BranchNotFound {
        /// Was reached, and offers other branches or none.
        url: RepositoryUrl,
        /// Branch, looked up as `refs/heads/<name>` only.
        branch: BranchName,
    },
    /// The server does not have the commit.
    #[error("commit {commit} is not in {url}")]
    CommitNotFound {
        /// A forced push may have removed the commit there.
        url: RepositoryUrl,
        /// The full id, never abbreviated.
        commit: Commit,
    },
    /// The commit exists but was not found on the branch within the history that may be fetched.
    #[error("commit {commit} is not on branch {branch} of {url} (looked {depth} commits deep)")]
    NotOnBranch {
        /// Repository, which may have the commit on another branch or of a fork.
        url: RepositoryUrl,
        /// The branch that was searched.
        branch: BranchName,
        /// The full id, never abbreviated.
        commit: Commit,
        /// Commits from the tip down, at most [`Limits::history`](crate::Limits::history).
        depth: u32,
    },
    /// A budget is used up.
    #[error("{url}: more than {limit} {what}")]
    Limit {
        /// Repository that was fetched or read.
        url: RepositoryUrl,
        /// Unit of the limit, such as `seconds for one fetch`.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// An object cannot be read or has a hostile shape.
    #[error("{url} has damaged or refused objects: {cause}")]
    Corrupt {
        /// Repository that the objects were fetched from.
        url: RepositoryUrl,
        /// What is wrong.
        cause: String,
    },
    /// The repository's ids are not SHA-1.
    #[error(
        "{url} uses SHA-256 object ids, which are not supported: assign a repository that uses \
         SHA-1"
    )]
    ObjectFormat {
        /// Its ids, or that of the requested commit, have 64 digits.
        url: RepositoryUrl,
    },
    /// The server sends files with every commit, even if they are not requested.
    #[error(
        "{url} does not support fetches without files: it needs Git's protocol 2 with \
         `uploadpack.allowFilter`"
    )]
    FilterUnsupported {
        /// Its server has to be configured differently.
        url: RepositoryUrl,
    },
    /// The local cache cannot be used.
    #[error("the cache at {path} cannot be used: {cause}")]
    Cache {
        /// A bare repository, or a directory in it; everything there can be fetched again.
        path: String,
        /// What is wrong.
        cause: String,
    },
}

impl Error {
    /// Returns the reason code for status, Events and metrics.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unavailable { .. } | Self::Answered { .. } | Self::Cache { .. } => {
                Reason::RepositoryUnavailable
            }
            Self::Authentication { .. } | Self::Access { .. } => Reason::AuthenticationFailed,
            Self::HostKey { .. } => Reason::HostKeyRefused,
            Self::RepositoryNotFound { .. } => Reason::RepositoryNotFound,
            Self::BranchNotFound { .. } => Reason::BranchNotFound,
            Self::CommitNotFound { .. } => Reason::CommitNotFound,
            Self::NotOnBranch { .. } => Reason::CommitNotOnBranch,
            Self::Limit { .. } => Reason::LimitExceeded,
            Self::Corrupt { .. } => Reason::CorruptRepository,
            Self::ObjectFormat { .. } => Reason::ObjectFormatUnsupported,
            Self::FilterUnsupported { .. } => Reason::FilterUnsupported,
        }
    }

    /// Classifies a transport's failure by its text; gix keeps HTTP statuses only there.
    pub(crate) fn transport(url: &RepositoryUrl, error: impl std::fmt::Debug) -> Self {
        // The debug form of a gix error is its whole chain. It has no credentials, since URLs with user information
        // were refused before.
        let text = format!("{error:?}");
        let url = url.clone();
        // The URL is left out: its port, host or path may contain the same words and digits.
        let rest = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.split_once('/').map_or("", |(_, path)| path);
        let own = [url.as_str(), path, url.authority()];
        let told = own.iter().filter(|part| part.len() > 1);
        let told = told.fold(text.clone(), |text, part| text.replace(part, ""));
        let says = |needles: &[&str]| needles.iter().any(|needle| told.contains(needle));
        if says(&["hash sized 64", "object-format", "ObjectFormat"]) {
            return Self::ObjectFormat { url };
        }
        if says(&[
            "status 404",
            "Status(404",
            "NotFound",
            "does not appear to be a git repository",
            "No such file",
        ]) {
            return Self::RepositoryNotFound { url };
        }
        match status(&text) {
            Some(403) => {
                let cause = "it answered 403 Forbidden: the credentials may not read it";
                let cause = cause.to_owned();
                return Self::Authentication { url, cause };
            }
            Some(status) if status == 400 || status > 401 => {
                let status = named(status);
                return Self::Answered { url, status };
            }
            _ => {}
        }
        let cause = in_words(&told).map_or_else(|| one_line(&text), ToOwned::to_owned);
        if says(&[
            "status 401",
            "status 403",
            "Status(401",
            "Status(403",
            "Unauthorized",
            "Forbidden",
            "credential",
            "Credential",
        ]) {
            return Self::Authentication { url, cause };
        }
        Self::Unavailable { url, cause }
    }
}

/// Returns a message for operators about a transport's failure; none: unknown failure.
fn in_words(told: &str) -> Option<&'static str> {
    const KNOWN: [(&[&str], &str); 11] = [
        (
            &["No credentials were returned"],
            "it requires credentials (401 Unauthorized), and none are configured for this host",
        ),
        (
            &["were not accepted by the remote"],
            "it rejects the credentials for this host (401 Unauthorized)",
        ),
        (
            &["-advertisement", "content type", "Content-Type"],
            "the answer is not from a Git server, but looks like a web page, such as a login \
             page; check that the URL is the one to clone from, and whether the server requires \
             credentials",
        ),
        (
            &[
                "redirect",
                "Redirect",
                "status 301",
                "status 302",
                "status 307",
                "status 308",
            ],
            "it answers with a redirect, which is not followed; put the final URL into the \
             fleet file",
        ),
        (
            &["CaUsedAsEndEntity"],
            "its certificate is that of an authority (CA:TRUE), used directly by the server; to \
             trust it, put that very certificate into ca.crt of the credentials for this host",
        ),
        (
            &["UnknownIssuer", "unknown issuer", "SelfSigned"],
            "its certificate is not from a trusted authority; put the authority's certificate \
             into ca.crt of the credentials for this host",
        ),
        (
            &["NotValidForName", "not valid for name"],
            "its certificate is for another host name",
        ),
        (
            &["certificate expired", "Expired", "NotValidYet"],
            "its certificate has expired or is not valid yet; check its dates and this \
             machine's clock",
        ),
        (
            &["dns error", "failed to lookup", "Name or service not known"],
            "its host name cannot be resolved",
        ),
        (
            &["Connection refused", "ConnectionRefused"],
            "nothing listens there (connection refused)",
        ),
        (
            &["timed out", "TimedOut", "deadline has elapsed"],
            "it did not answer in time",
        ),
    ];
    let says = |needles: &[&str]| needles.iter().any(|needle| told.contains(needle));
    let known = KNOWN.iter().find(|(needles, _)| says(needles));
    known.map(|(_, words)| *words)
}

/// Returns the HTTP status of the server's answer. A URL has no blanks, so it cannot contain these words.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("Received HTTP status ")?;
    rest.get(..3)?.parse().ok()
}

/// `503 Service Unavailable`.
fn named(status: u16) -> String {
    let known = reqwest::StatusCode::from_u16(status).ok();
    match known.and_then(|status| status.canonical_reason()) {
        Some(name) => format!("{status} {name}"),
        None => format!("HTTP status {status}"),
    }
}

/// Returns the first informative part of a multi-line error chain.
pub(crate) fn one_line(text: &str) -> String {
    let joined: Vec<&str> = text
        .lines()
        .map(|line| unnumbered(line.trim()))
        .filter(|line| !matches!(*line, "" | "Caused by:"))
        .collect();
    flotilla_shared::report::plain_line(&joined.join(": "), 400)
}

/// Returns a line of a chain without its number (`2: `).
fn unnumbered(line: &str) -> &str {
    match line.split_once(": ") {
        Some((number, rest)) if number.parse::<u8>().is_ok() => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_are_known_are_said_in_words() {
        let url = "https://git.example.com/redirect.git".parse().unwrap();
        for (text, expected) in [
            (
                "Didn't find 'application/x-git-upload-pack-advertisement' in 'text/html'",
                "login page",
            ),
            (
                "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
                "CA:TRUE",
            ),
            ("invalid peer certificate: UnknownIssuer", "ca.crt"),
            ("Received HTTP status 302", "redirect"),
            (
                "tcp connect error: Connection refused (os error 111)",
                "nothing listens",
            ),
            (
                "client error (Connect): dns error: failed to lookup address",
                "host name",
            ),
            ("something new", "something new"),
        ] {
            let message = Error::transport(&url, text).to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    /// Returns gix's error chain for an answer, with the status by number and name.
    fn chain(kind: &str, status: &str) -> String {
        let number = &status[..3];
        format!(
            "Transport handshake failed\n\nCaused by:\n    0: An IO error occurred when talking to the server\n    \
             1: I/O error ({kind})\n    2: Received HTTP status {number}\n    3: HTTP status error ({status}) for url \
             (https://git.example.com/x.git/info/refs?service=git-upload-pack)"
        )
    }

    #[test]
    fn an_answer_is_told_with_its_status_and_not_as_a_failure_to_reach() {
        let url: RepositoryUrl = "https://git.example.com/x.git".parse().unwrap();
        for (kind, status, reason, expected) in [
            (
                "ConnectionAborted",
                "503 Service Unavailable",
                Reason::RepositoryUnavailable,
                "https://git.example.com/x.git answered 503 Service Unavailable",
            ),
            (
                "Other",
                "429 Too Many Requests",
                Reason::RepositoryUnavailable,
                "https://git.example.com/x.git answered 429 Too Many Requests",
            ),
            (
                "ConnectionAborted",
                "599 ",
                Reason::RepositoryUnavailable,
                "https://git.example.com/x.git answered HTTP status 599",
            ),
            (
                "Other",
                "403 Forbidden",
                Reason::AuthenticationFailed,
                "https://git.example.com/x.git rejects the credentials, or requires some: it answered 403 \
                 Forbidden: the credentials may not read it",
            ),
        ] {
            let error = Error::transport(&url, Recorded(chain(kind, status)));
            assert_eq!(error.to_string(), expected);
            assert_eq!(error.reason(), reason, "{status}");
        }
        let error = Error::transport(&url, Recorded(chain("Other", "404 Not Found")));
        assert_eq!(error.reason(), Reason::RepositoryNotFound);
        let none = "No credentials were returned at all as if the credential helper isn't functioning unknowingly";
        let error = Error::transport(&url, Recorded(none.to_owned()));
        assert_eq!(error.reason(), Reason::AuthenticationFailed);
        let words = "none are configured for this host";
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn a_chain_that_is_not_known_is_told_without_its_numbers() {
        let url: RepositoryUrl = "https://git.example.com/x.git".parse().unwrap();
        let chain =
            "Transport handshake failed\n\nCaused by:\n    0: An IO error\n    1: something new";
        let error = Error::transport(&url, Recorded(chain.to_owned()));
        let expected = "https://git.example.com/x.git cannot be reached: Transport handshake failed: An IO error: \
                      something new";
        assert_eq!(error.to_string(), expected);
    }

    /// A text that is its own debug form, as gix errors are.
    struct Recorded(String);

    impl std::fmt::Debug for Recorded {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }

    #[test]
    fn a_port_or_a_path_is_not_taken_for_a_status() {
        let reason = |url: &str, text: &str| {
            Error::transport(&url.parse().unwrap(), text)
                .reason()
                .to_string()
        };
        let refused = "error sending request for url (https://localhost:40440/NotFound/info/refs)";
        let url = "https://localhost:40440/NotFound";
        assert_eq!(reason(url, refused), "RepositoryUnavailable");
        let refused = "cannot connect to https://git.example.com:8403/credential-store.git";
        let url = "https://git.example.com:8403/credential-store.git";
        assert_eq!(reason(url, refused), "RepositoryUnavailable");
        for (text, expected) in [
            ("Received HTTP status 404", "RepositoryNotFound"),
            ("Received HTTP status 401", "AuthenticationFailed"),
            ("kind: Status(403, None)", "AuthenticationFailed"),
            ("Received HTTP status 503", "RepositoryUnavailable"),
        ] {
            assert_eq!(reason(url, text), expected, "{text}");
        }
    }
}
