//! Where output goes: data to stdout, talk to stderr, colours only to a terminal.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::args::{ColorChoice, Output};
use crate::error::Error;
use crate::render::{Paint, Tone};

/// The way out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    /// How to paint stdout.
    pub(crate) paint: Paint,
    /// How to paint stderr.
    talk: Paint,
    /// Whether stdout is a terminal.
    pub(crate) terminal: bool,
}

impl Printer {
    /// Looks at the streams and at `NO_COLOR` (<https://no-color.org>).
    pub(crate) fn new(color: ColorChoice) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let paint = |terminal: bool| match color {
            ColorChoice::Always => Paint::Ansi,
            ColorChoice::Auto if terminal && !refused => Paint::Ansi,
            ColorChoice::Auto | ColorChoice::Never => Paint::Plain,
        };
        let terminal = std::io::stdout().is_terminal();
        Self {
            paint: paint(terminal),
            talk: paint(std::io::stderr().is_terminal()),
            terminal,
        }
    }

    /// Writes data.
    pub(crate) fn out(&self, text: &str) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(Error::Output)
    }

    /// Writes a value for a program.
    pub(crate) fn value(&self, output: Output, value: &impl Serialize) -> Result<(), Error> {
        match output {
            Output::Yaml => self.out(&flotilla_yaml::to_string(&serde_json::to_value(value)?)),
            Output::Json | Output::Table | Output::Wide => {
                self.out(&format!("{}\n", serde_json::to_string_pretty(value)?))
            }
        }
    }

    /// Says a line to the person.
    pub(crate) fn say(&self, line: &str) {
        // Nobody is left to be told that talk cannot be written.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// Says a warning.
    pub(crate) fn warn(&self, line: &str) {
        self.say(&format!(
            "{}: {line}",
            self.talk.paint(Tone::Warn, "warning")
        ));
    }

    /// Says an error and its hint.
    pub(crate) fn error(&self, line: &str, hint: Option<&str>) {
        self.say(&format!("{}: {line}", self.talk.paint(Tone::Bad, "error")));
        if let Some(hint) = hint {
            self.say(&format!(
                "\n{}: {hint}",
                self.talk.paint(Tone::Note, "hint")
            ));
        }
    }

    /// Asks a yes-or-no question; anything but yes is no.
    pub(crate) fn ask(&self, question: &str) -> Result<bool, Error> {
        if !std::io::stdin().is_terminal() {
            return Err(Error::refused(
                "this needs an answer, and standard input is not a terminal",
                "give --yes to go on without being asked",
            ));
        }
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question} [y/N] ");
        let _ = err.flush();
        let mut answer = String::new();
        std::io::stdin()
            .read_line(&mut answer)
            .map_err(Error::Local)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
    }
}
