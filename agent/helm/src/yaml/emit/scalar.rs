//! The text of a scalar, folded and escaped as libyaml does.

use super::style::{self, Style, is_break, is_printable};
use super::{EmitContext, Emitter, Indicator};

impl Emitter {
    /// A scalar that is its own text: `null`, booleans, numbers.
    pub(super) fn plain(&mut self, text: &str, indent: Option<usize>, place: EmitContext) {
        let inner = indent.map_or(2, |indent| indent + 2);
        self.write_plain(text, inner, place);
    }

    pub(super) fn scalar(&mut self, text: &str, indent: Option<usize>, place: EmitContext) {
        let inner = indent.map_or(2, |indent| indent + 2);
        match style::choose(text, place, self.dialect) {
            Style::Plain => self.write_plain(text, inner, place),
            Style::Single => self.write_single(text, inner, place),
            Style::Double => self.write_double(text, inner, place),
            Style::Literal => self.write_literal(text, inner),
        }
    }

    fn put(&mut self, character: char) {
        let mut buffer = [0; 4];
        let bytes = character.encode_utf8(&mut buffer).as_bytes();
        self.out.extend_from_slice(bytes);
        self.column += 1;
    }

    /// A line break of the text itself.
    fn put_own_break(&mut self, character: char) {
        if character == '\n' {
            self.put_break();
        } else {
            self.put(character);
            self.column = 0;
        }
        self.indention = true;
    }

    fn write_plain(&mut self, text: &str, indent: usize, place: EmitContext) {
        if !self.whitespace && !text.is_empty() {
            self.put(' ');
        }
        if !place.folds() || self.column + text.len() <= self.width {
            self.out.extend_from_slice(text.as_bytes());
            self.column += text.chars().count();
        } else {
            self.write_folded(text, indent, Style::Plain);
        }
        self.whitespace = text.is_empty() && self.whitespace;
        self.indention = false;
    }

    fn write_single(&mut self, text: &str, indent: usize, place: EmitContext) {
        self.indicator("'", Indicator::Apart);
        if place.folds() {
            self.write_folded(text, indent, Style::Single);
        } else {
            for character in text.chars() {
                if character == '\'' {
                    self.put('\'');
                }
                self.put(character);
            }
        }
        self.indicator("'", Indicator::Attached);
        self.whitespace = false;
        self.indention = false;
    }

    /// Breaks at single spaces beyond the width; a quoted text never at its edges.
    fn write_folded(&mut self, text: &str, indent: usize, style: Style) {
        let quoted = style != Style::Plain;
        let mut spaces = false;
        let mut breaks = false;
        let last = text.len().saturating_sub(1);
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            if character == ' ' {
                let inside = !quoted || (at > 0 && at < last);
                if !spaces && self.column > self.width && inside && next != Some(' ') {
                    self.write_indent(indent);
                } else {
                    self.put(' ');
                }
                spaces = true;
            } else if is_break(character) {
                if !breaks && character == '\n' {
                    self.put_break();
                }
                self.put_own_break(character);
                breaks = true;
            } else {
                if breaks {
                    self.write_indent(indent);
                }
                if quoted && character == '\'' {
                    self.put('\'');
                }
                self.put(character);
                self.indention = false;
                spaces = false;
                breaks = false;
            }
        }
    }

    fn write_double(&mut self, text: &str, indent: usize, place: EmitContext) {
        self.indicator("\"", Indicator::Apart);
        let mut spaces = false;
        let last = text.len().saturating_sub(1);
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            if !is_printable(character) || is_break(character) || matches!(character, '"' | '\\') {
                self.escape(character);
                spaces = false;
            } else if character == ' ' {
                if place.folds() && !spaces && self.column > self.width && at > 0 && at < last {
                    self.write_indent(indent);
                    if characters.peek().is_some_and(|(_, next)| *next == ' ') {
                        self.put('\\');
                    }
                } else {
                    self.put(' ');
                }
                spaces = true;
            } else {
                self.put(character);
                spaces = false;
            }
        }
        self.indicator("\"", Indicator::Attached);
        self.whitespace = false;
        self.indention = false;
    }

    fn escape(&mut self, character: char) {
        let short = match character {
            '\0' => Some('0'),
            '\u{7}' => Some('a'),
            '\u{8}' => Some('b'),
            '\t' => Some('t'),
            '\n' => Some('n'),
            '\u{b}' => Some('v'),
            '\u{c}' => Some('f'),
            '\r' => Some('r'),
            '\u{1b}' => Some('e'),
            '"' => Some('"'),
            '\\' => Some('\\'),
            '\u{85}' => Some('N'),
            '\u{a0}' => Some('_'),
            '\u{2028}' => Some('L'),
            '\u{2029}' => Some('P'),
            _ => None,
        };
        let code = u32::from(character);
        let text = match short {
            Some(short) => format!("\\{short}"),
            None if code <= 0xFF => format!("\\x{code:02X}"),
            None if code <= 0xFFFF => format!("\\u{code:04X}"),
            None => format!("\\U{code:08X}"),
        };
        self.out.extend_from_slice(text.as_bytes());
        self.column += text.len();
    }

    fn write_literal(&mut self, text: &str, indent: usize) {
        self.indicator("|", Indicator::Apart);
        if text.starts_with(|first: char| first == ' ' || is_break(first)) {
            self.indicator("2", Indicator::Attached);
        }
        let mut backwards = text.chars().rev();
        let chomping = match (backwards.next(), backwards.next()) {
            (Some(last), _) if !is_break(last) => "-",
            (Some(_), None) => "+",
            (Some(_), Some(before)) if is_break(before) => "+",
            (None, _) => "-",
            _ => "",
        };
        if !chomping.is_empty() {
            self.indicator(chomping, Indicator::Attached);
        }
        self.put_break();
        self.whitespace = true;
        let mut breaks = true;
        for character in text.chars() {
            if is_break(character) {
                self.put_own_break(character);
                breaks = true;
            } else {
                if breaks {
                    self.write_indent(indent);
                }
                self.put(character);
                self.indention = false;
                breaks = false;
            }
        }
    }
}
