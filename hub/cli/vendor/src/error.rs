//! Errors, worded for the user of the command.

use std::path::{Path, PathBuf};

/// Why charts could not be vendored or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// Path as it was opened: relative if it was given so.
        path: PathBuf,
        /// The system's error, or why the file was left unchanged.
        cause: std::io::Error,
    },
    /// The chart, a repository or its answer is invalid.
    #[error("{message}")]
    Refused {
        /// What is wrong, and with what.
        message: String,
        /// How to resolve it.
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

    /// Prefixes the message with its subject.
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
