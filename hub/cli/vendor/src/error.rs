//! What can go wrong, in words for whoever runs the command.

use std::path::{Path, PathBuf};

/// Why the charts are not there, or are not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// As it was opened: relative where it was named so.
        path: PathBuf,
        /// What the system said, or why a file was left alone.
        cause: std::io::Error,
    },
    /// The chart, a repository or what came of it is not as it has to be.
    #[error("{message}")]
    Refused {
        /// What is wrong, and with what.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl Error {
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn hinted(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    pub(crate) fn file(path: &Path, cause: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            cause,
        }
    }

    /// The same, with what it happened to in front.
    pub(crate) fn of(self, what: &str) -> Self {
        match self {
            Self::Refused { message, hint } => Self::Refused {
                message: format!("{what}: {message}"),
                hint,
            },
            file @ Self::File { .. } => file,
        }
    }
}
