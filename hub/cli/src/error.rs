//! Errors with their exit codes and hints, which are decided only in this file.

use std::path::PathBuf;

use flotilla_shared::dial::{DialError, NOT_STORED};
use flotilla_shared::id::NameError;
use flotilla_shared::report::plain_line;
use flotilla_shared::tls::TlsError;
use flotilla_shared::words::STORE_FAILED;

use tonic::{Code, Status};

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no context file.
    #[error("there is no context file at {0}")]
    NoContext(PathBuf),
    /// `HOME` is not set, and no file was named.
    #[error("no context file was named, and there is no home directory to look in")]
    NoHome,
    /// A file cannot be read.
    #[error("{path}: {cause}")]
    File {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// Others can read a private key or a token.
    #[error("{0} holds a secret and is readable by others")]
    Readable(PathBuf),
    /// The file is not a context file.
    #[error("{0}")]
    Context(String),
    /// Key or certificate cannot be used.
    #[error("the context cannot be used: {0}")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The hub refused. The text is already plain.
    #[error("{message}")]
    Hub { code: Code, message: String },
    /// The hub's store failed. The hub's text says what to do; an immediate retry does not help.
    #[error("{0}")]
    StoreFailed(String),
    /// The hub closed the connection instead of answering, as with a certificate that it rejects: in TLS 1.3 the client
    /// learns of that only afterwards.
    #[error("the hub ended the connection ({0})")]
    Ended(String),
    /// A TLS alert gives the reason.
    #[error("the hub rejects this context's certificate ({0})")]
    NotTaken(String),
    /// The context's own certificate has expired.
    #[error("the certificate of context {context} expired on {end}")]
    Expired { context: String, end: String },
    /// The hub's answer cannot be read by this version.
    #[error("the hub's answer lacks {0}")]
    Answer(&'static str),
    /// An argument is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The command cannot continue, for a reason that the user can change.
    #[error("{message}")]
    Refused {
        message: String,
        hint: Option<String>,
    },
    /// The outcome is not reached yet, or not in this way.
    #[error("{message}")]
    NotYet { message: String, hint: String },
    #[error("git {what} failed{detail}")]
    Git { what: String, detail: String },
    /// `git` cannot be started.
    #[error("cannot start git: {0}")]
    NoGit(std::io::Error),
    /// A temporary directory or the like.
    #[error("{0}")]
    Local(std::io::Error),
    /// Standard output cannot be written.
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    /// The runtime cannot be started.
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    /// A difference was found, and shown.
    #[error("something differs")]
    Differs,
    /// Some checks could not be made; the result was shown.
    #[error("some results are unknown")]
    Unseen,
    /// A result cannot be written as JSON or YAML.
    #[error("cannot write the result: {0}")]
    Format(#[from] serde_json::Error),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        // A status with a cause is from the connection, not from the hub.
        let mut cause = std::error::Error::source(&status);
        if cause.is_some() && matches!(status.code(), Code::Unknown | Code::Cancelled) {
            let mut why = status.message().to_owned();
            while let Some(error) = cause {
                why = error.to_string();
                cause = error.source();
            }
            // A TLS alert names the reason (RFC 8446, section 6.2); without one the cause is not known.
            return match why.strip_prefix("received fatal alert: ") {
                Some(alert) => Self::NotTaken(plain_line(alert, 100)),
                None => Self::Ended(plain_line(&why, 400)),
            };
        }
        let text = match status.message() {
            "" => status.code().description(),
            text => text,
        };
        let message = plain_line(text, 4096);
        if status.metadata().contains_key(NOT_STORED) || is_store_failure_of_older_hub(text) {
            return Self::StoreFailed(message);
        }
        Self::Hub {
            code: status.code(),
            message,
        }
    }
}

/// Hubs that do not send [`NOT_STORED`] report it only in the text.
fn is_store_failure_of_older_hub(text: &str) -> bool {
    text.starts_with(STORE_FAILED)
}

impl Error {
    /// Makes a refusal with a hint.
    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// Makes the error of an outcome that is not reached (yet), with a hint.
    pub(crate) fn not_yet(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::NotYet {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Returns how the user can resolve it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotYet { hint, .. } => Some(hint.clone()),
            Self::NoContext(_) | Self::NoHome => Some(
                "`flotilla login` creates one; so does `flotilla-hub init` in its data \
                 directory under operator/: name it with --context-file, or import it with \
                 flotilla context import FILE"
                    .to_owned(),
            ),
            Self::Readable(path) => Some(format!("run: chmod 600 '{}'", path.display())),
            Self::Dial(DialError::Connect { cause, .. })
                if cause.contains("invalid peer certificate") =>
            {
                Some(
                    "the hub's certificate does not come from the roots in this context: its authority \
                     was changed, the context is another hub's, or somebody is in between; an admin makes a \
                     new context file with flotilla operator set NAME --role ROLE --write-context FILE; on \
                     the hub's own host flotilla-hub init --operator NAME makes one"
                        .to_owned(),
                )
            }
            Self::Dial(DialError::Connect { .. }) => Some(
                "check that the hub runs, and that `hub:` in the context file is its address".to_owned(),
            ),
            Self::Hub { code, .. } => match code {
                Code::Unauthenticated => Some(
                    "`flotilla login` logs in anew; who has a certificate asks an admin for a new context \
                     file"
                        .to_owned(),
                ),
                Code::Unimplemented => {
                    Some("the hub has another version; see `flotilla hub`".to_owned())
                }
                Code::DeadlineExceeded => Some("give it more time with --timeout".to_owned()),
                Code::Unavailable | Code::Cancelled | Code::Unknown => {
                    Some("the hub may be restarting; try again".to_owned())
                }
                _ => None,
            },
            Self::Ended(_) => Some(
                "it may be starting anew: try again. If that does not help it may not take this \
                 context's certificate: its clock is behind, which its log says, or its authority was \
                 changed, and an admin makes a new context file with flotilla operator set NAME --role ROLE \
                 --write-context FILE"
                    .to_owned(),
            ),
            Self::NotTaken(_) => Some(
                "its clock is behind, which its log says; or its authority was changed, or it is another \
                 hub's: an admin makes a new context file with flotilla operator set NAME --role ROLE \
                 --write-context FILE; on the hub's own host flotilla-hub init --operator NAME makes one"
                    .to_owned(),
            ),
            Self::Expired { .. } => Some(
                "an admin makes a new context file with flotilla operator set NAME --role ROLE \
                 --write-context FILE; on the hub's own host flotilla-hub init --operator NAME makes one"
                    .to_owned(),
            ),
            Self::NoGit(_) => Some("install git, and put it on the PATH".to_owned()),
            Self::Refused { hint, .. } => hint.clone(),
            _ => None,
        }
    }

    /// Returns the exit code. 1: a difference, or not done yet. 2: the command failed.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Differs | Self::NotYet { .. } => 1,
            _ => 2,
        }
    }

    /// Whether a retry may help: the hub restarts, another replica takes over, or the network failed for a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Dial(_) | Self::Ended(_) | Self::StoreFailed(_) => true,
            Self::Hub { code, .. } => matches!(
                code,
                Code::Unavailable
                    | Code::Cancelled
                    | Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
            ),
            _ => false,
        }
    }

    /// Whether the reader of the output has closed it.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_whose_store_failed_has_said_what_to_do() {
        let error = |message: &str| Error::from(Status::unavailable(message));
        let older = error("the hub's store failed; its log says why");
        assert_eq!(older.hint(), None);
        assert!(older.is_passing());
        assert!(error("the hub is stopping").hint().is_some());
        let mut marked = Status::unavailable("nothing was written");
        let mark = tonic::metadata::MetadataValue::from_static("1");
        marked.metadata_mut().insert(NOT_STORED, mark);
        let marked = Error::from(marked);
        assert_eq!(
            (marked.hint(), marked.to_string()),
            (None, "nothing was written".to_owned())
        );
        assert!(marked.is_passing());
    }

    #[test]
    fn a_hub_that_takes_no_certificate_may_have_a_clock_that_is_behind() {
        for error in [
            Error::Ended("connection closed".to_owned()),
            Error::NotTaken("CertificateExpired".to_owned()),
        ] {
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains("clock is behind"), "{error}: {hint}");
            assert!(
                hint.contains("its authority was changed"),
                "{error}: {hint}"
            );
        }
    }
}
