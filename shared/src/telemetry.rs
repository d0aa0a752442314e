//! Start-up of logging: text for people on a terminal, JSON lines otherwise, always on stderr.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What is logged where nothing is said.
const DEFAULT: &str = "info";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text.
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

/// Starts logging with a filter such as `info` or `flotilla_agent=debug,info`
/// (`tracing_subscriber::EnvFilter` syntax). A second call does nothing.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), String> {
    // A variable that is set to nothing counts as not set.
    let filter = if filter.trim().is_empty() {
        DEFAULT
    } else {
        filter
    };
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("log filter: {error}"))?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // Fails only when a subscriber is already set, as in tests.
    let _ = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(terminal).with_target(false).try_init()
    };
    Ok(())
}
