//! Errors of calls to a forge.

use jiff::SignedDuration;

/// An error of a call to a forge. Text from the forge is one short line without control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The credential is rejected.
    #[error("the forge rejected the credential{}", because(.0))]
    Unauthorized(String),
    /// The credential lacks the permission.
    #[error("the credential lacks permission for this{}", because(.0))]
    Forbidden(String),
    /// The rate limit is reached.
    #[error("rate limited by the forge: wait {} s before the next call", .wait.as_secs())]
    RateLimited {
        /// Time to wait, from the answer on; 60 seconds where the forge does not say.
        wait: SignedDuration,
    },
    /// It does not exist, or the credential may not see it.
    #[error("not found, or not visible to the credential{}", because(.0))]
    NotFound(String),
    /// The state has changed in the meantime.
    #[error("conflict: it changed in the meantime, or it cannot be done now{}", because(.0))]
    Conflict(String),
    /// The request is refused.
    #[error("the forge refused the request (HTTP {status}){}", because(.text))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The forge's reason; empty: none given.
        text: String,
    },
    /// The forge has an internal error; the HTTP status.
    #[error("forge error (HTTP {0})")]
    Server(u16),
    /// A redirect to another place, where the credential is not sent: host and path; empty: not given.
    #[error(
        "the forge redirects to another place{}, and the credential is sent only to the \
         configured one",
        elsewhere(.0)
    )]
    Redirected(String),
    /// The answer is not from an API.
    #[error("the answer is not JSON: is this the address of the API?")]
    NotJson,
    /// The answer exceeds the size limit.
    #[error("the answer is too large")]
    TooLarge,
    /// The answer is JSON of another form.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// The forge does not support it.
    #[error("{0}")]
    Unsupported(&'static str),
    /// No answer arrived.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl Error {
    /// Returns whether the same call may succeed later without intervention.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Server(_) | Self::NoAnswer(_) | Self::NotJson
        )
    }

    /// Returns a code from a fixed set, for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized(_) => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::RateLimited { .. } => "rateLimited",
            Self::NotFound(_) => "notFound",
            Self::Conflict(_) => "conflict",
            Self::Refused { .. } => "refused",
            Self::Server(_) => "server",
            Self::Redirected(_) => "redirected",
            Self::NotJson => "notJson",
            Self::TooLarge => "tooLarge",
            Self::Unreadable(_) => "unreadable",
            Self::Unsupported(_) => "unsupported",
            Self::NoAnswer(_) => "noAnswer",
        }
    }
}

fn elsewhere(place: &str) -> String {
    if place.is_empty() {
        String::new()
    } else {
        format!(" ({place})")
    }
}

fn because(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}
