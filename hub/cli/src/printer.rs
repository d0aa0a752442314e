//! Where output goes: data to stdout, talk to stderr, colours only to a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use flotilla_shared::words::numberless;
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

/// What was drawn over, and over again, on a terminal that scrolls.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    /// Rows that the last drawing took.
    rows: usize,
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

    /// Writes a result to standard output.
    pub(crate) fn out(&self, text: &str) -> Result<(), Error> {
        self.out_bytes(text.as_bytes())
    }

    /// Writes data that need not be text.
    pub(crate) fn out_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(Error::Output)
    }

    /// Columns and rows of the terminal that stdout is; none: it is none, or does not say.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        if !self.terminal {
            return None;
        }
        let (width, height) = terminal_size::terminal_size()?;
        Some((usize::from(width.0), usize::from(height.0)))
    }

    /// Columns of the terminal that stdout is.
    pub(crate) fn columns(&self) -> Option<usize> {
        self.size().map(|(columns, _)| columns)
    }

    /// Draws a text over the one drawn before, and leaves alone what stands above (ECMA-48 CUU, EL and
    /// ED). Rows that do not fit on the screen are left out, since nobody can draw over what scrolled
    /// away.
    pub(crate) fn draw(&self, canvas: &mut Canvas, text: &str) -> Result<(), Error> {
        let (columns, height) = self.size().unwrap_or((80, 24));
        let mut out = match canvas.rows {
            0 => String::new(),
            rows => format!("\u{1b}[{rows}A\r"),
        };
        canvas.rows = 0;
        let rows_of = |line: &str| visible(line).div_ceil(columns.max(1)).max(1);
        let all: usize = text.lines().map(rows_of).sum();
        // The last row of all is where the cursor waits.
        let fits = all < height;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let rows = rows_of(line);
            if !fits && canvas.rows + rows + 2 > height {
                let more = flotilla_shared::words::counted(lines.count() + 1, "line");
                let more = format!("... and {more} more");
                canvas.rows += 1;
                out.push_str(&self.paint.paint(Tone::Dim, &more));
                out.push_str("\u{1b}[K\n");
                break;
            }
            canvas.rows += rows;
            out.push_str(line);
            out.push_str("\u{1b}[K\n");
        }
        out.push_str("\u{1b}[J");
        self.out(&out)
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

    /// Says a line that is marked as a warning.
    pub(crate) fn warn(&self, line: &str) {
        self.say(&format!(
            "{}: {}",
            self.talk.paint(Tone::Warn, "warning"),
            numberless(line)
        ));
    }

    /// Tells the user of an error and gives the exit code.
    pub(crate) fn report(&self, error: &Error) -> ExitCode {
        if error.is_broken_pipe() {
            return ExitCode::SUCCESS;
        }
        if !matches!(error, Error::Differs | Error::Unseen) {
            self.error(&error.to_string(), error.hint().as_deref());
        }
        ExitCode::from(error.exit_code())
    }

    /// Says an error and its hint.
    pub(crate) fn error(&self, line: &str, hint: Option<&str>) {
        let line = numberless(line);
        self.say(&format!("{}: {line}", self.talk.paint(Tone::Bad, "error")));
        if let Some(hint) = hint {
            self.say(&format!(
                "\n{}: {hint}",
                self.talk.paint(Tone::Note, "hint")
            ));
        }
    }

    /// Asks before something is done. Whoever does not say yes is told what was not done.
    pub(crate) fn consent(&self, question: &str, otherwise: &str) -> Result<(), Error> {
        if self.ask(question)? {
            return Ok(());
        }
        Err(Error::Refused {
            message: otherwise.to_owned(),
            hint: None,
        })
    }

    /// Asks a yes-or-no question; anything but yes is no.
    fn ask(&self, question: &str) -> Result<bool, Error> {
        if !std::io::stdin().is_terminal() {
            return Err(Error::refused(
                "this needs an answer, and standard input is not a terminal",
                "give --yes to continue without a question",
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

/// Characters of a line that take room on a terminal: all but its colours.
fn visible(line: &str) -> usize {
    let mut count = 0;
    let mut in_escape = false;
    for c in line.chars() {
        match (in_escape, c) {
            (false, '\u{1b}') => in_escape = true,
            (true, 'm') => in_escape = false,
            (true, _) => {}
            (false, _) => count += 1,
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_room() {
        assert_eq!(visible("plain"), 5);
        assert_eq!(visible("\u{1b}[31mred\u{1b}[0m!"), 4);
    }
}
