//! Aligned columns.

use super::{Paint, Tone};

/// Smallest width of the last column.
const NARROWEST: usize = 24;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    tone: Tone,
    text: String,
}

impl Cell {
    /// A text with a meaning, which determines its colour.
    #[must_use]
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }

    /// Returns the text as it is shown outside of a table.
    #[must_use]
    pub fn painted(&self, paint: Paint) -> String {
        paint.paint(self.tone, &self.text)
    }

    /// Returns the text without colour.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(Tone::Plain, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// Rows below a heading. Every column is as wide as its widest cell, in characters.
#[derive(Debug, Clone)]
pub struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Makes a table with a heading and no rows.
    #[must_use]
    pub fn new(heads: impl Into<Vec<&'static str>>) -> Self {
        Self {
            heads: heads.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; surplus cells are dropped.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the text, without trailing blanks.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        self.render_within(paint, None)
    }

    /// As [`Table::render`], with the last column wrapped at words for a terminal of `columns` columns, which would
    /// otherwise break it anywhere. A terminal that is too narrow for that wraps by itself.
    #[must_use]
    pub fn render_within(&self, paint: Paint, columns: Option<usize>) -> String {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let heads = self.heads.iter().map(|head| Cell::new(Tone::Head, *head));
        let mut out = String::new();
        line(&mut out, &widths, &heads.collect::<Vec<_>>(), paint);
        let before: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
        let room = columns
            .map(|columns| columns.saturating_sub(before))
            .filter(|room| *room >= NARROWEST);
        for row in &self.rows {
            let (Some(room), Some((last, first))) = (room, row.split_last()) else {
                line(&mut out, &widths, row, paint);
                continue;
            };
            let mut lines = broken(&last.text, room).into_iter();
            let mut cells = first.to_vec();
            cells.push(Cell::new(last.tone, lines.next().unwrap_or_default()));
            line(&mut out, &widths, &cells, paint);
            for more in lines {
                out.push_str(&" ".repeat(before));
                out.push_str(&paint.paint(last.tone, &more));
                out.push('\n');
            }
        }
        out
    }
}

/// Wraps a text at words into lines of at most this many characters; a longer word has its own line.
fn broken(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        let wide = line.chars().count() + 1 + word.chars().count();
        if line.is_empty() {
            line.push_str(word);
        } else if wide <= room {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn line(out: &mut String, widths: &[usize], cells: &[Cell], paint: Paint) {
    let last = cells
        .iter()
        .take(widths.len())
        .rposition(|cell| !cell.text.is_empty());
    for (index, (width, cell)) in widths.iter().zip(cells).enumerate() {
        if last.is_none_or(|last| index > last) {
            break;
        }
        if index > 0 {
            out.push_str("  ");
        }
        out.push_str(&paint.paint(cell.tone, &cell.text));
        if Some(index) != last {
            let blanks = width.saturating_sub(cell.text.chars().count());
            out.extend(std::iter::repeat_n(' ', blanks));
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_broken_between_words_where_the_terminal_ends() {
        let mut table = Table::new(["STEP", "WHY"]);
        table.row([
            "wave".into(),
            "one two three four five six seven eight".into(),
        ]);
        table.row(["pin".into(), "short".into()]);
        let whole = table.render(Paint::Plain);
        assert_eq!(table.render_within(Paint::Plain, Some(200)), whole);
        assert_eq!(
            table.render_within(Paint::Plain, Some(32)),
            "STEP  WHY\nwave  one two three four five\n      six seven eight\npin   short\n"
        );
        let narrow = table.render_within(Paint::Plain, Some(20));
        assert_eq!(narrow, whole, "too narrow to be broken well");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row([Cell::new(Tone::Bad, "a"), "x".into()]);
        table.row([Cell::from("longer"), "".into()]);
        assert_eq!(
            table.render(Paint::Plain),
            "NAME    STATE\na       x\nlonger\n"
        );
        let painted = table.render(Paint::Ansi);
        assert!(
            painted.contains("\u{1b}[31ma\u{1b}[0m       x"),
            "{painted:?}"
        );
    }
}
