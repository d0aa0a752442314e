//! Why a forge did not do as asked.

use jiff::SignedDuration;

/// See the module. The text of a forge is one short line without control characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The credential is not taken.
    #[error("the forge does not take the credential{}", because(.0))]
    Unauthorized(String),
    /// The credential may not do this.
    #[error("the credential may not do this{}", because(.0))]
    Forbidden(String),
    /// Too many calls.
    #[error("the forge asks to wait {} s before the next call", .wait.as_secs())]
    RateLimited {
        /// From the answer on; 60 seconds where the forge does not say.
        wait: SignedDuration,
    },
    /// There is no such thing, or it is hidden from this credential.
    #[error("there is no such thing, or the credential may not see it{}", because(.0))]
    NotFound(String),
    /// Something else is there by now.
    #[error("it is not as it was: somebody else was faster, or it cannot be done now{}", because(.0))]
    Conflict(String),
    /// The request is refused as it is.
    #[error("the forge refuses this (HTTP {status}){}", because(.text))]
    Refused {
        /// With which status.
        status: u16,
        /// What the forge gives as its reason; empty: it gives none.
        text: String,
    },
    /// The forge is unwell.
    #[error("the forge is unwell (HTTP {0})")]
    Server(u16),
    /// It points somewhere else, where a credential is not sent: host and path; empty: it does not say where.
    #[error(
        "the forge points to another place{}, and a credential is sent to none but the one that was named",
        elsewhere(.0)
    )]
    Redirected(String),
    /// It is not an API.
    #[error("the answer is not JSON: is this the address of the API?")]
    NotJson,
    /// It answers without end.
    #[error("the answer is larger than anything this asks for")]
    TooLarge,
    /// It is JSON of another form.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// It has no such thing.
    #[error("{0}")]
    Unsupported(&'static str),
    /// There is no answer.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

impl Error {
    /// Whether the same call may succeed later, without anybody doing anything.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. } | Self::Server(_) | Self::NoAnswer(_) | Self::NotJson
        )
    }

    /// A bounded code, for metrics.
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
