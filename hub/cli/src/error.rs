//! What can go wrong, with its exit code and hint. The only file that decides either.

use std::path::PathBuf;
use std::process::ExitCode;

use flotilla_shared::dial::DialError;
use flotilla_shared::id::NameError;
use flotilla_shared::report::plain_line;
use flotilla_shared::tls::TlsError;

use crate::printer::Printer;

/// A command did not do what it was asked.
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
    /// The context file holds a private key that others can read.
    #[error("{0} holds a private key and is readable by others")]
    Readable(PathBuf),
    /// The context file is not one.
    #[error("{0}")]
    Context(String),
    /// Key or certificate cannot be used.
    #[error("the context cannot be used: {0}")]
    Tls(#[from] TlsError),
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The hub said no. The text is already plain.
    #[error("{message}")]
    Hub { code: tonic::Code, message: String },
    /// The hub sent what this version cannot use.
    #[error("the hub's answer lacks {0}")]
    Answer(&'static str),
    /// An argument is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The command cannot go on, for a reason the user can change.
    #[error("{message}")]
    Refused {
        message: String,
        hint: Option<String>,
    },
    /// `git` failed.
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
    /// What was asked for differs; it was shown.
    #[error("something differs")]
    Differs,
    /// A result cannot be written as JSON or YAML.
    #[error("cannot write the result: {0}")]
    Format(#[from] serde_json::Error),
}

impl From<tonic::Status> for Error {
    fn from(status: tonic::Status) -> Self {
        let text = match status.message() {
            "" => status.code().description(),
            text => text,
        };
        Self::Hub {
            code: status.code(),
            message: plain_line(text, 4096),
        }
    }
}

impl Error {
    /// A refusal with a way on.
    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoContext(_) | Self::NoHome => Some(
                "`flotilla login` makes one; so does `flotilla-hub init` in its data directory under \
                 operator/: name it with --context-file, or take it in with flotilla context import"
                    .to_owned(),
            ),
            Self::Readable(path) => Some(format!("run: chmod 600 {}", path.display())),
            Self::Dial(DialError::Connect { .. }) => Some(
                "see that the hub runs, and that `hub:` in the context file is its address".to_owned(),
            ),
            Self::Hub { code, .. } => match code {
                tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => Some(
                    "the context's certificate or login is not, or no longer, one that may do this".to_owned(),
                ),
                tonic::Code::Unimplemented => {
                    Some("the hub is of another version; see `flotilla hub`".to_owned())
                }
                tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => {
                    Some("give more time with --timeout".to_owned())
                }
                _ => None,
            },
            Self::NoGit(_) => Some("install git, and have it in PATH".to_owned()),
            Self::Refused { hint, .. } => hint.clone(),
            _ => None,
        }
    }

    /// 1: the user's or the fleet's doing. 2: ours.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Answer(_)
            | Self::Local(_)
            | Self::Output(_)
            | Self::Runtime(_)
            | Self::Format(_) => 2,
            Self::Hub {
                code: tonic::Code::Internal | tonic::Code::Unknown | tonic::Code::DataLoss,
                ..
            } => 2,
            _ => 1,
        }
    }

    /// Whether whoever read our output has gone.
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// Tells the user and gives the exit code.
    pub(crate) fn report(&self, printer: &Printer) -> ExitCode {
        if self.is_broken_pipe() {
            return ExitCode::SUCCESS;
        }
        if matches!(self, Self::Differs) {
            return ExitCode::from(1);
        }
        printer.error(&self.to_string(), self.hint().as_deref());
        ExitCode::from(self.exit_code())
    }
}
