//! `strconv.Quote` and `strconv.Unquote`.

/// `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space.
#[must_use]
pub fn is_print(letter: char) -> bool {
    if letter.is_ascii() {
        return (' '..='~').contains(&letter);
    }
    // Rust's escaping knows printable characters by the same categories. It also escapes combining marks at the
    // beginning of a text, so a letter goes first.
    let mut text = String::with_capacity(5);
    text.push('a');
    text.push(letter);
    text.escape_debug().nth(1) == Some(letter)
}

/// Which printable letters stay as they are between quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    Unicode,
    Ascii,
}

/// `strconv.Quote`.
#[must_use]
pub fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(&mut out, text);
    out
}

/// `strconv.QuoteToASCII`.
#[must_use]
pub fn quote_ascii(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_between(&mut out, text, '"', Letters::Ascii);
    out
}

/// Like [`quote`], appended to `out`.
pub fn quote_into(out: &mut String, text: &[u8]) {
    quote_between(out, text, '"', Letters::Unicode);
}

/// Appends the text between these quotes, escaped.
pub(super) fn quote_between(out: &mut String, text: &[u8], mark: char, letters: Letters) {
    out.push(mark);
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            escape(out, letter, mark, letters);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push(mark);
}

fn escape(out: &mut String, letter: char, mark: char, letters: Letters) {
    if letter == mark || letter == '\\' {
        out.push('\\');
        out.push(letter);
        return;
    }
    if (letters == Letters::Unicode || letter.is_ascii()) && is_print(letter) {
        out.push(letter);
        return;
    }
    match letter {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ => {
            let code = u32::from(letter);
            if code < 0x20 || code == 0x7f {
                out.push_str(&format!("\\x{code:02x}"));
            } else if code < 0x10000 {
                out.push_str(&format!("\\u{code:04x}"));
            } else {
                out.push_str(&format!("\\U{code:08x}"));
            }
        }
    }
}

/// `strconv.Unquote` of a string or raw string, quotes included.
#[must_use]
pub fn unquote(text: &str) -> Option<Vec<u8>> {
    let mark = text.chars().next()?;
    let body = text.strip_prefix(mark)?.strip_suffix(mark)?;
    if text.len() < 2 {
        return None;
    }
    match mark {
        '`' => {
            if body.contains('`') {
                return None;
            }
            Some(body.replace('\r', "").into_bytes())
        }
        '"' => {
            let mut out = Vec::with_capacity(body.len());
            let mut rest = body;
            while !rest.is_empty() {
                if rest.starts_with('"') || rest.starts_with('\n') {
                    return None;
                }
                let (unit, tail) = unquote_char(rest, '"')?;
                unit.push_to(&mut out);
                rest = tail;
            }
            Some(out)
        }
        _ => None,
    }
}

/// Result of one escape: a single byte, or a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `\x` and octal escapes.
    Byte(u8),
    /// An unescaped character, and the other escapes: `\n` and the like, `\u`, `\U`.
    Char(char),
}

impl Unit {
    fn push_to(self, out: &mut Vec<u8>) {
        match self {
            Self::Byte(byte) => out.push(byte),
            Self::Char(letter) => {
                let mut buffer = [0; 4];
                out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }

    /// The byte, 0 to 255, or the character's code point.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::Byte(byte) => u32::from(byte),
            Self::Char(letter) => u32::from(letter),
        }
    }
}

/// `strconv.UnquoteChar`: the first character or escape, and what follows it.
#[must_use]
pub fn unquote_char(text: &str, mark: char) -> Option<(Unit, &str)> {
    let mut letters = text.chars();
    let first = letters.next()?;
    if first == mark {
        return None;
    }
    if first != '\\' {
        return Some((Unit::Char(first), letters.as_str()));
    }
    let escape = letters.next()?;
    let rest = letters.as_str();
    let simple = |letter| Some((Unit::Char(letter), rest));
    match escape {
        'a' => simple('\x07'),
        'b' => simple('\x08'),
        'f' => simple('\x0c'),
        'n' => simple('\n'),
        'r' => simple('\r'),
        't' => simple('\t'),
        'v' => simple('\x0b'),
        '\\' => simple('\\'),
        '\'' | '"' if escape == mark => simple(escape),
        'x' | 'u' | 'U' => {
            let count = match escape {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let digits = rest.get(..count)?;
            if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return None;
            }
            let code = u32::from_str_radix(digits, 16).ok()?;
            let unit = if escape == 'x' {
                Unit::Byte(u8::try_from(code).ok()?)
            } else {
                Unit::Char(char::from_u32(code)?)
            };
            Some((unit, &rest[count..]))
        }
        '0'..='7' => {
            let start = text.get(1..4)?;
            if !start.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
                return None;
            }
            let code = u32::from_str_radix(start, 8).ok()?;
            Some((Unit::Byte(u8::try_from(code).ok()?), &text[4..]))
        }
        _ => None,
    }
}
