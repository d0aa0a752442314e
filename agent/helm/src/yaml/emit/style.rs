//! Which ways of writing a scalar are possible, and which goyaml chooses.

use super::{Dialect, EmitContext};
use crate::yaml::resolve::{Scalar, resolve};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// libyaml's findings about a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Analysis {
    pub multiline: bool,
    plain_allowed: bool,
    single_allowed: bool,
    block_allowed: bool,
}

pub(super) fn is_break(character: char) -> bool {
    matches!(character, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Astral characters are printable, but libyaml escapes them.
pub(super) fn is_printable(character: char) -> bool {
    matches!(character, '\n' | ' '..='~' | '\u{A0}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}')
        && character != '\u{FEFF}'
}

impl Analysis {
    pub(super) fn of(text: &str, dialect: Dialect) -> Self {
        if text.is_empty() {
            return Self {
                multiline: false,
                plain_allowed: true,
                single_allowed: true,
                block_allowed: false,
            };
        }
        let mut seen = CharacterFlags {
            indicator: text.starts_with("---") || text.starts_with("..."),
            ..CharacterFlags::default()
        };
        let mut previous = None;
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            seen.character(character, previous, characters.peek().copied(), dialect);
            previous = Some(character);
        }
        seen.analysis()
    }
}

#[derive(Default)]
struct CharacterFlags {
    indicator: bool,
    line_break: bool,
    special: bool,
    tab: bool,
    edge: bool,
    trailing_space: bool,
    break_space: bool,
    space_break: bool,
}

impl CharacterFlags {
    fn character(
        &mut self,
        character: char,
        previous: Option<char>,
        next: Option<char>,
        dialect: Dialect,
    ) {
        let blank_follows = matches!(next, None | Some(' ' | '\t'));
        match (character, previous) {
            (
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
                | '@' | '`',
                None,
            ) => self.indicator = true,
            ('?' | ':' | '-', None) | (':', Some(_)) if blank_follows => self.indicator = true,
            ('#', Some(before)) if matches!(before, ' ' | '\t') || is_break(before) => {
                self.indicator = true;
            }
            _ => {}
        }
        if character == '\t' && dialect == Dialect::Pretty {
            self.tab = true;
        } else if !is_printable(character) {
            self.special = true;
        }
        let edge = previous.is_none() || next.is_none();
        if character == ' ' {
            self.edge |= edge;
            self.trailing_space |= next.is_none();
            self.break_space |= previous.is_some_and(is_break);
        } else if is_break(character) {
            self.line_break = true;
            self.edge |= edge;
            self.space_break |= previous == Some(' ');
        }
    }

    fn analysis(&self) -> Analysis {
        let hard = self.space_break || self.special;
        let single_allowed = !(self.break_space || hard || self.tab);
        Analysis {
            multiline: self.line_break,
            plain_allowed: single_allowed && !(self.edge || self.line_break || self.indicator),
            single_allowed,
            block_allowed: !(self.trailing_space || hard),
        }
    }
}

/// The style that goyaml writes a string in.
pub(super) fn choose(text: &str, place: EmitContext, dialect: Dialect) -> Style {
    let simple_key = place.simple_key;
    let analysis = Analysis::of(text, dialect);
    let mut style = if text.contains('\n') {
        Style::Literal
    } else if reads_as_text(text, dialect) {
        Style::Plain
    } else {
        Style::Double
    };
    if simple_key && analysis.multiline {
        style = Style::Double;
    }
    if style == Style::Plain && (!analysis.plain_allowed || (text.is_empty() && simple_key)) {
        style = Style::Single;
    }
    if style == Style::Single && !analysis.single_allowed {
        style = Style::Double;
    }
    if style == Style::Literal && (!analysis.block_allowed || simple_key) {
        style = Style::Double;
    }
    style
}

fn reads_as_text(text: &str, dialect: Dialect) -> bool {
    if dialect == Dialect::Pretty && text == "<<" {
        return false;
    }
    resolve(text.as_bytes()) == Scalar::Text && !is_base60(text)
}

/// `^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$`: minutes and seconds of YAML 1.1.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit()) || !unsigned.contains(':') {
        return false;
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digit_or_line = |byte: u8| byte.is_ascii_digit() || byte == b'_';
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    fraction.bytes().all(digit_or_line)
        && first.bytes().all(digit_or_line)
        && first.len() < whole.len()
        && parts.all(|part| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
}
