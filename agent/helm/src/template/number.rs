//! Literals of numbers, as each Go type that can hold them.

use super::lexer::Kind;
use super::node::Number;
use crate::fmt::{parse_float, parse_int, parse_uint, quote, unquote_char};

/// A literal that no Go type can hold, quoted as Go does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NumberError {
    #[error("invalid syntax")]
    Syntax,
    #[error("malformed character constant: {0}")]
    Character(String),
    #[error("integer overflow: {0}")]
    Overflow(String),
    #[error("illegal number syntax: {0}")]
    Illegal(String),
}

pub(super) fn parse(text: &str, kind: Kind) -> Result<Number, NumberError> {
    let mut number = Number {
        text: text.into(),
        ..Number::default()
    };
    match kind {
        Kind::CharConstant => {
            let Some((unit, tail)) = unquote_char(&text[1..], '\'') else {
                return Err(NumberError::Syntax);
            };
            if tail != "'" {
                return Err(NumberError::Character(text.to_owned()));
            }
            number.int = Some(i64::from(unit.code()));
            number.uint = Some(u64::from(unit.code()));
            number.float = Some(f64::from(unit.code()));
            return Ok(number);
        }
        Kind::Complex => {
            number.complex = true;
            return Ok(number);
        }
        _ => {}
    }
    if let Some(imaginary) = text.strip_suffix('i')
        && parse_float(imaginary).is_some()
    {
        number.complex = true;
        return Ok(number);
    }
    number.uint = parse_uint(text, 0);
    number.int = parse_int(text, 0);
    if number.int == Some(0) {
        number.uint = Some(0);
    }
    #[expect(clippy::cast_precision_loss, reason = "Go rounds here, too")]
    if let Some(int) = number.int {
        number.float = Some(int as f64);
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else if let Some(float) = parse_float(text) {
        if !text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(NumberError::Overflow(quote(text.as_bytes())));
        }
        number.float = Some(float);
        number.int = whole(float);
        number.uint = number.int.and_then(|int| u64::try_from(int).ok());
    } else {
        return Err(NumberError::Illegal(quote(text.as_bytes())));
    }
    Ok(number)
}

/// Returns a float as an integer, if it is one exactly.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "checked by going back"
)]
fn whole(float: f64) -> Option<i64> {
    let int = float as i64;
    (int as f64 == float && float < 9.3e18).then_some(int)
}
