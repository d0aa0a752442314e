//! Output on stderr: the log (text on a terminal, JSON lines otherwise), and the error that ends the program.

use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

use crate::words::{numberless, with_causes};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Default filter of the log.
const DEFAULT: &str = "info";

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Plain text, in colour on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!(
                "{text:?} is not a log format: give auto, text or json"
            )),
        }
    }
}

/// The filter of the log cannot be parsed.
#[derive(Debug, thiserror::Error)]
#[error("log filter: {0}")]
pub struct FilterError(ParseError);

/// Prints the error that ends a program on standard error, and returns the exit code.
#[must_use]
pub fn exit_with(error: &dyn std::error::Error) -> ExitCode {
    // If stderr is closed too, the error cannot be reported.
    let _ = writeln!(std::io::stderr(), "error: {}", with_causes(error));
    ExitCode::from(2)
}

/// Starts logging with a filter such as `info` or `flotilla_agent=debug,info`
/// (`tracing_subscriber::EnvFilter` syntax). A second call does nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), FilterError> {
    // A variable that is set to an empty text counts as not set.
    let filter = if filter.trim().is_empty() {
        DEFAULT
    } else {
        filter
    };
    let filter = EnvFilter::try_new(filter).map_err(FilterError)?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Plain(std::io::stderr()));
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // Fails only if a subscriber is already set, as in tests.
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(terminal).with_target(false).try_init()
    };
    Ok(())
}

/// Writes lines without the numbers of system errors, whichever library logged them. Lines arrive whole.
struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(numberless(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_has_no_numbers_of_errors() {
        let mut plain = Plain(Vec::new());
        for line in ["{\"error\":\"a: full (os error 28)\"}\n", "other\n"] {
            plain.write_all(line.as_bytes()).unwrap();
        }
        plain.write_all(b"\xff (os error 2)\n").unwrap();
        let expected = [
            b"{\"error\":\"a: full\"}\nother\n".as_slice(),
            b"\xff (os error 2)\n",
        ];
        assert_eq!(plain.0, expected.concat());
    }
}
