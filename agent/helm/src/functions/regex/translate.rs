//! Go's patterns in the spelling of the engine.

/// What Go spells otherwise: `\z`, `\Q…\E`, ASCII classes `\d`, `\s`, `\w`, `\b`, and a brace that counts
/// nothing, which is a brace.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translation = Translation {
        letters: pattern.chars().collect(),
        at: 0,
        class: false,
        out: String::with_capacity(pattern.len() + 16),
    };
    while let Some(letter) = translation.take() {
        translation.letter(letter)?;
    }
    Ok(translation.out)
}

/// A pattern that is being translated.
struct Translation {
    letters: Vec<char>,
    /// The first letter that is not read yet.
    at: usize,
    /// Whether that letter is within a class.
    class: bool,
    out: String,
}

impl Translation {
    /// The letter that comes next, which stays to be read.
    fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    fn next_is(&self, letter: char) -> bool {
        self.peek() == Some(letter)
    }

    /// Reads the letter that comes next.
    fn take(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(letter)
    }

    /// Translates what begins with this letter, which has been read.
    fn letter(&mut self, letter: char) -> Result<(), String> {
        match letter {
            '\\' => self.escape()?,
            '[' if !self.class => self.open_class(),
            '[' if self.next_is(':') => self.out.push('['),
            '[' => self.out.push_str("\\["),
            ']' if self.class => self.close_bracket(),
            // These are set operators in the engine and literals in Go.
            '&' | '~' | '-' if self.class && self.next_is(letter) => {
                self.out.push('\\');
                self.out.push(letter);
            }
            '{' if !self.class => self.brace(),
            '}' if !self.class => self.out.push_str("\\}"),
            other => self.out.push(other),
        }
        Ok(())
    }

    /// What stands after a backslash.
    fn escape(&mut self) -> Result<(), String> {
        let Some(escaped) = self.take() else {
            return Err(wrong("trailing backslash at end of expression", ""));
        };
        match escaped {
            'd' | 's' | 'w' | 'D' | 'S' | 'W' => self.escaped_class(escaped),
            'b' | 'B' if !self.class => {
                self.out.push_str(if escaped == 'b' {
                    "(?-u:\\b)"
                } else {
                    "(?-u:\\B)"
                });
            }
            'Q' => self.quotation(),
            'C' => self.out.push_str("(?-u:.)"),
            'A' | 'z' | 'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' => {
                self.same_escape(escaped);
            }
            '0'..='7'
                if escaped == '0'
                    || self.peek().is_some_and(|next| ('0'..='7').contains(&next)) =>
            {
                self.octal(escaped);
            }
            other if other.is_ascii_punctuation() => {
                self.out.push('\\');
                self.out.push(other);
            }
            other => return Err(wrong("invalid escape sequence", &format!("\\{other}"))),
        }
        Ok(())
    }

    /// `\d` and the like, of ASCII letters only.
    fn escaped_class(&mut self, escaped: char) {
        let set = ascii_set(escaped);
        if self.class && !set.starts_with('^') {
            self.out.push_str(set);
        } else {
            self.out.push_str(&format!("[{set}]"));
        }
        // A dash after a class is a literal, not a range.
        if self.class && self.next_is('-') {
            self.out.push_str("\\-");
            self.at += 1;
        }
    }

    /// What `\Q` quotes, up to `\E` or the end.
    fn quotation(&mut self) {
        while let Some(letter) = self.take() {
            if letter == '\\' && self.next_is('E') {
                self.at += 1;
                break;
            }
            self.out.push_str(&regex::escape(&letter.to_string()));
        }
    }

    /// An escape that the engine spells as Go does, with what stands in braces after it.
    fn same_escape(&mut self, escaped: char) {
        self.out.push('\\');
        self.out.push(escaped);
        if matches!(escaped, 'x' | 'p' | 'P') && self.next_is('{') {
            while let Some(letter) = self.take() {
                self.out.push(letter);
                if letter == '}' {
                    break;
                }
            }
        }
    }

    /// A letter by its number, of up to three octal digits.
    fn octal(&mut self, first: char) {
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|next| next.to_digit(8)) else {
                break;
            };
            code = code * 8 + digit;
            self.at += 1;
        }
        self.out.push_str(&format!("\\x{{{code:x}}}"));
    }

    /// The beginning of a class.
    fn open_class(&mut self) {
        self.class = true;
        self.out.push('[');
        if self.next_is('^') {
            self.out.push('^');
            self.at += 1;
        }
        // A closing bracket in first position is a literal.
        if self.next_is(']') {
            self.out.push_str("\\]");
            self.at += 1;
        }
    }

    /// A closing bracket within a class.
    fn close_bracket(&mut self) {
        // The end of `[:alpha:]` is not the end of the class.
        if self.letters.get(self.at.wrapping_sub(2)) == Some(&':') && out_has_open_name(&self.out) {
            self.out.push(']');
        } else {
            self.class = false;
            self.out.push(']');
        }
    }

    /// An opening brace: a count of repetitions as a whole, or only a brace.
    fn brace(&mut self) {
        let rest = &self.letters[self.at..];
        let close = rest.iter().position(|letter| *letter == '}');
        let inside: String = close
            .map(|close| rest[..close].iter().collect())
            .unwrap_or_default();
        if counts(&inside) {
            self.out.push_str(&format!("{{{inside}}}"));
            self.at += inside.len() + 1;
        } else {
            self.out.push_str("\\{");
        }
    }
}

/// Go's error for a malformed pattern.
fn wrong(what: &str, text: &str) -> String {
    format!("error parsing regexp: {what}: `{text}`")
}

fn out_has_open_name(out: &str) -> bool {
    out.rfind("[:")
        .is_some_and(|open| !out[open + 2..].contains(']'))
}

/// Whether what stands in braces counts repetitions.
fn counts(inside: &str) -> bool {
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// What stands between the brackets of Go's class; what it leaves out is a class of its own anywhere.
fn ascii_set(letter: char) -> &'static str {
    match letter {
        'd' => "0-9",
        's' => "\\t\\n\\x0c\\r ",
        'w' => "0-9A-Za-z_",
        'D' => "^0-9",
        'S' => "^\\t\\n\\x0c\\r ",
        _ => "^0-9A-Za-z_",
    }
}
