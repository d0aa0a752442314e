//! `fmt.Sprintf`: flags, widths, precisions and argument indexes.

use super::flags::Formatter;
use super::types::type_name;
use crate::value::Value;

/// Largest width or precision that is accepted, as in Go.
const LARGEST: usize = 1_000_000;

/// `fmt.Sprintf`.
#[must_use]
pub fn sprintf(format: &[u8], values: &[Value]) -> Vec<u8> {
    let mut directives = Directives {
        format,
        at: 0,
        values,
        next: 0,
        reordered: false,
        good_index: true,
        after_index: false,
        formatter: Formatter {
            out: Vec::with_capacity(format.len() + 16 * values.len()),
            ..Formatter::default()
        },
    };
    directives.run();
    directives.formatter.out
}

struct Directives<'a> {
    format: &'a [u8],
    at: usize,
    values: &'a [Value],
    next: usize,
    reordered: bool,
    good_index: bool,
    after_index: bool,
    formatter: Formatter,
}

impl Directives<'_> {
    fn run(&mut self) {
        while self.at < self.format.len() {
            self.good_index = true;
            let rest = &self.format[self.at..];
            let text = rest
                .iter()
                .position(|byte| *byte == b'%')
                .unwrap_or(rest.len());
            self.formatter.out.extend_from_slice(&rest[..text]);
            self.at += text;
            if self.at >= self.format.len() {
                break;
            }
            self.at += 1;
            self.formatter.clear();
            if !self.directive() {
                break;
            }
        }
        self.extra();
    }

    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn directive(&mut self) -> bool {
        self.flags();
        self.index();
        self.width();
        self.precision();
        if !self.after_index {
            self.index();
        }
        let Some(verb) = self.verb() else {
            self.formatter.text("%!(NOVERB)");
            return false;
        };
        if verb == '%' {
            self.formatter.text("%");
        } else if !self.good_index {
            self.complain(verb, "(BADINDEX)");
        } else if let Some(value) = self.values.get(self.next) {
            if verb == 'v' {
                let formatter = &mut self.formatter;
                formatter.sharp_v = std::mem::take(&mut formatter.sharp);
                formatter.plus_v = std::mem::take(&mut formatter.plus);
            }
            self.formatter.value(value, verb);
            self.next += 1;
        } else {
            self.complain(verb, "(MISSING)");
        }
        true
    }

    fn complain(&mut self, verb: char, what: &str) {
        self.formatter.text("%!");
        self.formatter.letter(verb);
        self.formatter.text(what);
    }

    fn flags(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => self.formatter.sharp = true,
                b'0' => self.formatter.zero = true,
                b'+' => self.formatter.plus = true,
                b'-' => self.formatter.minus = true,
                b' ' => self.formatter.space = true,
                _ => break,
            }
            self.at += 1;
        }
    }

    fn width(&mut self) {
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.take_number() {
                Some(width) => {
                    if width < 0 {
                        self.formatter.minus = true;
                        self.formatter.zero = false;
                    }
                    self.formatter.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.formatter.text("%!(BADWIDTH)"),
            }
            self.after_index = false;
        } else {
            self.formatter.width = self.number();
            if self.after_index && self.formatter.width.is_some() {
                self.good_index = false;
            }
        }
    }

    fn precision(&mut self) {
        if self.at + 1 >= self.format.len() || self.peek() != Some(b'.') {
            return;
        }
        self.at += 1;
        if self.after_index {
            self.good_index = false;
        }
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            let given = self.take_number();
            self.formatter.precision = given.and_then(|given| usize::try_from(given).ok());
            if self.formatter.precision.is_none() {
                self.formatter.text("%!(BADPREC)");
            }
            self.after_index = false;
        } else {
            self.formatter.precision = Some(self.number().unwrap_or(0));
        }
    }

    /// Takes an integer operand as a width or precision.
    fn take_number(&mut self) -> Option<i64> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let number = match value {
            Value::Int(number, _) => *number,
            Value::Uint(number, _) => i64::try_from(*number).ok()?,
            _ => return None,
        };
        (number.unsigned_abs() <= LARGEST as u64).then_some(number)
    }

    /// Reads digits of the format; a number over the limit ends the format, as in Go.
    fn number(&mut self) -> Option<usize> {
        let mut number = None;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let so_far = number.unwrap_or(0);
            if so_far > LARGEST {
                self.at = self.format.len();
                return None;
            }
            number = Some(so_far * 10 + usize::from(digit - b'0'));
            self.at += 1;
        }
        number
    }

    /// Reads an argument index such as `[3]`, if there is one.
    fn index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let Some(close) = rest.iter().position(|byte| *byte == b']') else {
            self.good_index = false;
            self.at += 1;
            return;
        };
        let number = std::str::from_utf8(&rest[1..close])
            .ok()
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|digits| digits.parse::<usize>().ok());
        self.at += close + 1;
        match number.and_then(|number| number.checked_sub(1)) {
            Some(index) if index < self.values.len() => {
                self.next = index;
                self.after_index = true;
            }
            // An index out of range still counts as an index, as in Go.
            Some(_) => {
                self.good_index = false;
                self.after_index = true;
            }
            None => {
                self.good_index = false;
                self.after_index = number.is_some();
            }
        }
    }

    fn verb(&mut self) -> Option<char> {
        let rest = &self.format[self.at..];
        let first = *rest.first()?;
        let length = match first {
            0..=0x7f => 1,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            _ => 4,
        };
        let letter = rest
            .get(..length)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .and_then(|text| text.chars().next());
        self.at += letter.map_or(1, char::len_utf8);
        Some(letter.unwrap_or('\u{fffd}'))
    }

    fn extra(&mut self) {
        if self.reordered || self.next >= self.values.len() {
            return;
        }
        self.formatter.clear();
        self.formatter.text("%!(EXTRA ");
        for (index, value) in self.values[self.next..].iter().enumerate() {
            if index > 0 {
                self.formatter.text(", ");
            }
            if value.is_nil() {
                self.formatter.text("<nil>");
            } else {
                self.formatter.text(type_name(value));
                self.formatter.text("=");
                self.formatter.value(value, 'v');
            }
        }
        self.formatter.text(")");
    }
}
