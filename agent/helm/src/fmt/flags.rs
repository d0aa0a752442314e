//! The raw formatter: widths, precisions and flags of one verb.

use super::number::format_float;
use super::quote::{Letters, is_print, quote, quote_ascii, quote_between};

/// Whether a number's highest bit is its sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signedness {
    Signed,
    Unsigned,
}

/// How hexadecimal digits and their prefix are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Lower,
    Upper,
}

impl Case {
    fn prefix(self) -> &'static str {
        match self {
            Self::Lower => "0x",
            Self::Upper => "0X",
        }
    }
}

/// The flags of one directive, and the output that its text goes to.
#[derive(Debug, Default)]
pub(super) struct Formatter {
    pub(super) out: Vec<u8>,
    /// Length of the output before this text.
    pub(super) start: usize,
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`
    pub(super) plus_v: bool,
    /// `%#v`
    pub(super) sharp_v: bool,
    pub(super) depth: usize,
}

impl Formatter {
    pub(super) fn clear(&mut self) {
        let out = std::mem::take(&mut self.out);
        *self = Self {
            out,
            start: self.start,
            ..Self::default()
        };
    }

    pub(super) fn text(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn letter(&mut self, letter: char) {
        self.text(letter.encode_utf8(&mut [0; 4]));
    }

    pub(super) fn padding(&mut self, count: usize) {
        // Go pads with zeros on the left only.
        let fill = if self.zero && !self.minus { b'0' } else { b' ' };
        self.out.resize(self.out.len() + count, fill);
    }

    pub(super) fn pad(&mut self, text: &[u8]) {
        let Some(width) = self.width.filter(|width| *width > 0) else {
            self.out.extend_from_slice(text);
            return;
        };
        let missing = width.saturating_sub(count(text));
        if self.minus {
            self.out.extend_from_slice(text);
            self.padding(missing);
        } else {
            self.padding(missing);
            self.out.extend_from_slice(text);
        }
    }

    pub(super) fn boolean(&mut self, value: bool) {
        self.pad(if value { b"true" } else { b"false" });
    }

    pub(super) fn string(&mut self, text: &[u8]) {
        self.pad(self.truncated(text));
    }

    fn truncated<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        match self.precision {
            Some(precision) => &text[..prefix(text, precision)],
            None => text,
        }
    }

    pub(super) fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        let quoted = match std::str::from_utf8(text) {
            Ok(valid) if self.sharp && can_backquote(valid) => format!("`{valid}`"),
            _ if self.plus => quote_ascii(text),
            _ => quote(text),
        };
        self.pad(quoted.as_bytes());
    }

    fn rune(value: u64) -> char {
        u32::try_from(value)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}')
    }

    pub(super) fn character(&mut self, value: u64) {
        let mut buffer = [0; 4];
        self.pad(Self::rune(value).encode_utf8(&mut buffer).as_bytes());
    }

    pub(super) fn quoted_character(&mut self, value: u64) {
        let mut buffer = [0; 4];
        let text = Self::rune(value).encode_utf8(&mut buffer);
        let mut out = String::new();
        let letters = if self.plus {
            Letters::Ascii
        } else {
            Letters::Unicode
        };
        quote_between(&mut out, text.as_bytes(), '\'', letters);
        self.pad(out.as_bytes());
    }

    pub(super) fn unicode(&mut self, value: u64) {
        let digits = self
            .precision
            .filter(|precision| *precision > 4)
            .unwrap_or(4);
        let mut text = format!("U+{value:0digits$X}");
        let letter = u32::try_from(value).ok().and_then(char::from_u32);
        if let Some(letter) = letter.filter(|letter| self.sharp && is_print(*letter)) {
            text.push_str(&format!(" '{letter}'"));
        }
        let zero = std::mem::take(&mut self.zero);
        self.pad(text.as_bytes());
        self.zero = zero;
    }

    pub(super) fn integer(
        &mut self,
        value: u64,
        base: u32,
        signedness: Signedness,
        verb: char,
        case: Case,
    ) {
        let negative = signedness == Signedness::Signed && value.cast_signed() < 0;
        let magnitude = if negative {
            value.wrapping_neg()
        } else {
            value
        };
        let sign = negative || self.plus || self.space;
        let mut minimum = 0;
        if let Some(precision) = self.precision {
            minimum = precision;
            if precision == 0 && magnitude == 0 {
                let width = self.width.unwrap_or(0);
                self.out.resize(self.out.len() + width, b' ');
                return;
            }
        } else if let Some(width) = self.width.filter(|_| self.zero && !self.minus) {
            minimum = width.saturating_sub(usize::from(sign));
        }
        let digits = match base {
            2 => format!("{magnitude:b}"),
            8 => format!("{magnitude:o}"),
            16 if case == Case::Upper => format!("{magnitude:X}"),
            16 => format!("{magnitude:x}"),
            _ => magnitude.to_string(),
        };
        let mut text = String::new();
        if negative {
            text.push('-');
        } else if self.plus {
            text.push('+');
        } else if self.space {
            text.push(' ');
        }
        if verb == 'O' {
            text.push_str("0o");
        }
        let leading = minimum.saturating_sub(digits.len());
        if self.sharp {
            match base {
                2 => text.push_str("0b"),
                8 if leading == 0 && !digits.starts_with('0') => text.push('0'),
                16 => text.push_str(case.prefix()),
                _ => {}
            }
        }
        text.extend(std::iter::repeat_n('0', leading));
        text.push_str(&digits);
        let zero = std::mem::take(&mut self.zero);
        self.pad(text.as_bytes());
        self.zero = zero;
    }

    /// `%x` of a string or of bytes.
    pub(super) fn hexadecimal(&mut self, bytes: &[u8], case: Case) {
        let bytes = match self.precision {
            Some(precision) if precision < bytes.len() => &bytes[..precision],
            _ => bytes,
        };
        let mut text = String::with_capacity(bytes.len() * 2);
        for (index, byte) in bytes.iter().enumerate() {
            if self.space && index > 0 {
                text.push(' ');
            }
            if self.sharp && (index == 0 || self.space) {
                text.push_str(case.prefix());
            }
            text.push_str(&match case {
                Case::Lower => format!("{byte:02x}"),
                Case::Upper => format!("{byte:02X}"),
            });
        }
        self.pad(text.as_bytes());
    }

    pub(super) fn float(&mut self, value: f64, verb: char, precision: Option<usize>) {
        let precision = self.precision.or(precision);
        let mut text = format_float(value, verb, precision);
        if !text.starts_with(['-', '+']) {
            text.insert(0, '+');
        }
        if self.space && text.starts_with('+') && !self.plus {
            text.replace_range(..1, " ");
        }
        if matches!(text.as_bytes().get(1), Some(b'I' | b'N')) {
            let zero = std::mem::take(&mut self.zero);
            let nan = text.as_bytes()[1] == b'N';
            let shown = if nan && !self.space && !self.plus {
                &text[1..]
            } else {
                &text
            };
            let shown = shown.to_owned();
            self.pad(shown.as_bytes());
            self.zero = zero;
            return;
        }
        if self.sharp && verb != 'b' {
            text = with_point(&text, verb, precision);
        }
        if self.plus || !text.starts_with('+') {
            if let Some(width) = self.width
                && self.zero
                && !self.minus
                && width > text.len()
            {
                self.out.extend_from_slice(&text.as_bytes()[..1]);
                self.padding(width - text.len());
                self.out.extend_from_slice(&text.as_bytes()[1..]);
                return;
            }
            self.pad(text.as_bytes());
            return;
        }
        self.pad(&text.as_bytes()[1..]);
    }
}

/// Applies `#` to a float: always a point, and the zeros that `g` drops.
fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let mut digits = match verb {
        'v' | 'g' | 'G' | 'x' => precision.map_or(6, |precision| {
            isize::try_from(precision).unwrap_or(isize::MAX)
        }),
        _ => 0,
    };
    let tail = text[1..]
        .find(|letter| match letter {
            'p' | 'P' => true,
            'e' | 'E' => !matches!(verb, 'x' | 'X'),
            _ => false,
        })
        .map_or(text.len(), |index| index + 1);
    let (number, tail) = text.split_at(tail);
    let mut seen = false;
    for letter in number[1..].chars().filter(|letter| *letter != '.') {
        seen |= letter != '0';
        digits -= isize::from(seen);
    }
    let mut out = number.to_owned();
    if !number.contains('.') {
        if number.len() == 2 && number.ends_with('0') {
            digits -= 1;
        }
        out.push('.');
    }
    out.extend(std::iter::repeat_n(
        '0',
        usize::try_from(digits).unwrap_or(0),
    ));
    out.push_str(tail);
    out
}

fn can_backquote(text: &str) -> bool {
    text.chars()
        .all(|c| c != '`' && c != '\u{feff}' && c != '\u{7f}' && (c >= ' ' || c == '\t'))
}

/// Returns the number of characters that Go counts: each invalid byte is one.
pub(super) fn count(text: &[u8]) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.utf8_chunks()
        .map(|chunk| chunk.valid().chars().count() + chunk.invalid().len())
        .sum()
}

/// Returns the length in bytes of the first `characters`.
fn prefix(text: &[u8], characters: usize) -> usize {
    let mut left = characters;
    let mut length = 0;
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if left == 0 {
                return length;
            }
            left -= 1;
            length += letter.len_utf8();
        }
        let invalid = chunk.invalid().len().min(left);
        left -= invalid;
        length += invalid;
        if left == 0 {
            return length;
        }
    }
    length
}
