//! Aligned columns.

use super::{Paint, Tone};

/// A cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    tone: Tone,
    text: String,
}

impl Cell {
    /// With a meaning.
    #[must_use]
    pub fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self {
            tone,
            text: text.into(),
        }
    }

    /// As it is shown outside of a table.
    #[must_use]
    pub fn painted(&self, paint: Paint) -> String {
        paint.paint(self.tone, &self.text)
    }

    /// Without its meaning.
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
    /// Without rows.
    #[must_use]
    pub fn new(heads: impl Into<Vec<&'static str>>) -> Self {
        Self {
            heads: heads.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; cells over the heads are left out.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As text, without blanks at line ends.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let mut widths: Vec<usize> = self.heads.iter().map(|head| head.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let heads = self.heads.iter().map(|head| Cell::new(Tone::Head, *head));
        let mut out = String::new();
        line(&mut out, &widths, &heads.collect::<Vec<_>>(), paint);
        for row in &self.rows {
            line(&mut out, &widths, row, paint);
        }
        out
    }
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
