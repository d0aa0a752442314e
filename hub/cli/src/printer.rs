//! Output: data to stdout, messages to stderr, colours only to a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use flotilla_shared::words::numberless;
use serde::Serialize;

use crate::args::{ColorChoice, Output};
use crate::error::Error;
use crate::render::{Paint, Tone};

/// Output of a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printer {
    /// How to paint stdout.
    pub(crate) paint: Paint,
    /// How to paint stderr.
    talk: Paint,
    /// Whether stdout is a terminal.
    pub(crate) terminal: bool,
}

/// State of a text that is redrawn in place on a terminal.
#[derive(Debug, Default)]
pub(crate) struct Canvas {
    /// Rows of the last drawing.
    rows: usize,
}

impl Printer {
    /// Detects terminals and `NO_COLOR` (<https://no-color.org>).
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

    /// Writes data, which need not be text.
    pub(crate) fn out_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(Error::Output)
    }

    /// Returns columns and rows of the terminal on stdout; none: it is not a terminal, or does not report them.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        if !self.terminal {
            return None;
        }
        let (width, height) = terminal_size::terminal_size()?;
        Some((usize::from(width.0), usize::from(height.0)))
    }

    /// Returns the columns of the terminal on stdout.
    pub(crate) fn columns(&self) -> Option<usize> {
        self.size().map(|(columns, _)| columns)
    }

    /// Draws a text over the previous one, and leaves the text above unchanged (ECMA-48 CUU, EL and ED). Rows that do
    /// not fit on the screen are left out, since rows that scrolled away cannot be redrawn.
    pub(crate) fn draw(&self, canvas: &mut Canvas, text: &str) -> Result<(), Error> {
        let (columns, height) = self.size().unwrap_or((80, 24));
        let mut out = match canvas.rows {
            0 => String::new(),
            rows => format!("\u{1b}[{rows}A\r"),
        };
        canvas.rows = 0;
        let rows_of = |line: &str| visible(line).div_ceil(columns.max(1)).max(1);
        let all: usize = text.lines().map(rows_of).sum();
        // The cursor needs a row below the text.
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

    /// Prints a line to stderr.
    pub(crate) fn say(&self, line: &str) {
        // A failure of stderr cannot be reported anywhere.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// Prints a warning to stderr.
    pub(crate) fn warn(&self, line: &str) {
        self.say(&format!(
            "{}: {}",
            self.talk.paint(Tone::Warn, "warning"),
            numberless(line)
        ));
    }

    /// Prints an error, and returns its exit code.
    pub(crate) fn report(&self, error: &Error) -> ExitCode {
        if error.is_broken_pipe() {
            return ExitCode::SUCCESS;
        }
        if !matches!(error, Error::Differs | Error::Unseen) {
            self.error(&error.to_string(), error.hint().as_deref());
        }
        ExitCode::from(error.exit_code())
    }

    /// Prints an error and its hint.
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

    /// Asks for confirmation; an answer other than yes is an error that says what was not done.
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

/// Returns the visible characters of a line, without colours.
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
