//! Why a step failed, before it is known which file requested it.

use flotilla_shared::reason::Reason;

use crate::RenderError;

/// A step's result.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The place is known.
    Located(RenderError),
    /// The place is the kustomization file that asked for the step.
    Here {
        /// The bounded code.
        reason: Reason,
        /// What is wrong and how to correct it.
        message: String,
    },
}

impl Failure {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self::Here {
            reason,
            message: message.into(),
        }
    }

    /// A failure that Kustomize would report as well.
    pub(crate) fn render(message: impl Into<String>) -> Self {
        Self::new(Reason::RenderFailed, message)
    }

    /// Prefixes a message whose position is not known yet.
    #[must_use]
    pub(crate) fn context(self, context: &str) -> Self {
        match self {
            Self::Here { reason, message } => Self::Here {
                reason,
                message: format!("{context}: {message}"),
            },
            located @ Self::Located(_) => located,
        }
    }

    /// Says in which file it was asked for.
    pub(crate) fn at(self, file: &str) -> RenderError {
        match self {
            Self::Located(error) => error,
            Self::Here { reason, message } => RenderError::Kustomize {
                file: file.to_owned(),
                reason,
                message,
            },
        }
    }
}

impl From<RenderError> for Failure {
    fn from(error: RenderError) -> Self {
        Self::Located(error)
    }
}
