//! The meaning of a scalar's text by YAML 1.1, as in goyaml.v2.

pub(super) const PREFIX: &str = "tag:yaml.org,2002:";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Timestamp,
    Text,
}

/// The meaning of a plain scalar.
pub(super) fn resolve(text: &[u8]) -> Scalar {
    match text.first() {
        None => Scalar::Null,
        Some(b'+' | b'-' | b'0'..=b'9') => {
            keyword(text).unwrap_or_else(|| std::str::from_utf8(text).map_or(Scalar::Text, number))
        }
        Some(b'.') => keyword(text).unwrap_or_else(|| {
            let float = std::str::from_utf8(text).ok().and_then(float);
            float.map_or(Scalar::Text, Scalar::Float)
        }),
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => {
            keyword(text).unwrap_or(Scalar::Text)
        }
        Some(_) => Scalar::Text,
    }
}

/// Returns the meaning of a keyword. `<<` is not reached from here, since Go's table of first characters leaves it out;
/// that is why `toYaml` writes it plain.
fn keyword(text: &[u8]) -> Option<Scalar> {
    Some(match text {
        b"y" | b"Y" | b"yes" | b"Yes" | b"YES" | b"true" | b"True" | b"TRUE" | b"on" | b"On"
        | b"ON" => Scalar::Bool(true),
        b"n" | b"N" | b"no" | b"No" | b"NO" | b"false" | b"False" | b"FALSE" | b"off" | b"Off"
        | b"OFF" => Scalar::Bool(false),
        b"~" | b"null" | b"Null" | b"NULL" => Scalar::Null,
        b".nan" | b".NaN" | b".NAN" => Scalar::Float(f64::NAN),
        b".inf" | b".Inf" | b".INF" | b"+.inf" | b"+.Inf" | b"+.INF" => {
            Scalar::Float(f64::INFINITY)
        }
        b"-.inf" | b"-.Inf" | b"-.INF" => Scalar::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str) -> Scalar {
    if is_timestamp(text) {
        return Scalar::Timestamp;
    }
    plain_number(text)
}

/// Integers in Go's bases, and decimal floats; `_` anywhere.
fn plain_number(text: &str) -> Scalar {
    let stripped;
    let plain = if text.contains('_') {
        stripped = text.replace('_', "");
        &stripped
    } else {
        text
    };
    let (negative, signed, digits) = match plain.as_bytes().first() {
        Some(b'-') => (true, true, &plain[1..]),
        Some(b'+') => (false, true, &plain[1..]),
        _ => (false, false, plain),
    };
    if let Some(magnitude) = integer(digits) {
        let value = i128::from(magnitude) * if negative { -1 } else { 1 };
        if let Ok(value) = i64::try_from(value) {
            return Scalar::Int(value);
        }
        if !signed {
            return Scalar::Uint(magnitude);
        }
    }
    match float(plain) {
        Some(value) => Scalar::Float(value),
        None => Scalar::Text,
    }
}

/// `strconv.ParseUint(…, 0, 64)`: an octal number may begin with a bare 0.
fn integer(digits: &str) -> Option<u64> {
    let bytes = digits.as_bytes();
    let (radix, digits) = match bytes {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust's parser would accept a sign here.
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`, in the range of `float64`.
fn float(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let digits = |at: &mut usize| {
        let from = *at;
        while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
            *at += 1;
        }
        *at - from
    };
    let whole = digits(&mut at);
    if bytes.get(at) == Some(&b'.') {
        at += 1;
        if digits(&mut at) == 0 && whole == 0 {
            return None;
        }
    } else if whole == 0 {
        return None;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        if matches!(bytes.get(at), Some(b'+' | b'-')) {
            at += 1;
        }
        if digits(&mut at) == 0 {
            return None;
        }
    }
    if at != bytes.len() {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Go's `time.Parse` with the formats that goyaml allows.
fn is_timestamp(text: &str) -> bool {
    let mut rest = text.as_bytes();
    let number = |rest: &mut &[u8], least: usize, most: usize| -> Option<u32> {
        let length = rest
            .iter()
            .take(most)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if length < least {
            return None;
        }
        let (digits, after) = rest.split_at(length);
        *rest = after;
        Some(
            digits
                .iter()
                .fold(0, |value, digit| value * 10 + u32::from(digit - b'0')),
        )
    };
    let literal = |rest: &mut &[u8], byte: u8| -> Option<()> {
        *rest = rest.strip_prefix(&[byte])?;
        Some(())
    };
    let mut parse = || -> Option<bool> {
        let year = number(&mut rest, 4, 5)?;
        if year > 9999 {
            return None;
        }
        literal(&mut rest, b'-')?;
        let month = number(&mut rest, 1, 2)?;
        literal(&mut rest, b'-')?;
        let day = number(&mut rest, 1, 2)?;
        if !(1..=12).contains(&month) || day < 1 || day > days(year, month) {
            return None;
        }
        let Some((separator, after)) = rest.split_first() else {
            return Some(true);
        };
        if !matches!(separator, b'T' | b't' | b' ') {
            return None;
        }
        rest = after;
        let hour = number(&mut rest, 1, 2)?;
        literal(&mut rest, b':')?;
        let minute = number(&mut rest, 1, 2)?;
        literal(&mut rest, b':')?;
        let second = number(&mut rest, 1, 2)?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if let [b'.' | b',', first, ..] = rest
            && first.is_ascii_digit()
        {
            rest = &rest[1..];
            let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            rest = &rest[length..];
        }
        if *separator == b' ' {
            return Some(rest.is_empty());
        }
        match rest.split_first()? {
            (b'Z', []) => Some(true),
            (b'+' | b'-', [h1, h2, b':', m1, m2]) => {
                let two = |high: &u8, low: &u8| -> Option<u32> {
                    let digit = |byte: &u8| char::from(*byte).to_digit(10);
                    Some(digit(high)? * 10 + digit(low)?)
                };
                Some(two(h1, h2)? <= 24 && two(m1, m2)? < 60)
            }
            _ => None,
        }
    };
    parse().unwrap_or(false)
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The meaning of a scalar with an explicit tag, or why it has none.
pub(super) fn resolve_tagged(tag: &[u8], text: &[u8]) -> Result<Scalar, String> {
    let short = tag.strip_prefix(PREFIX.as_bytes());
    let Some(expected) = short else {
        return Ok(Scalar::Text);
    };
    let found = match expected {
        b"str" => return Ok(Scalar::Text),
        b"bool" | b"int" | b"float" | b"null" => match resolve(text) {
            // Only a plain scalar or an explicit tag makes a timestamp.
            Scalar::Timestamp => std::str::from_utf8(text).map_or(Scalar::Text, plain_number),
            other => other,
        },
        b"timestamp" => resolve(text),
        _ => return Ok(Scalar::Text),
    };
    let (name, value) = match (found, expected) {
        #[allow(clippy::cast_precision_loss, reason = "Go converts in the same way")]
        (Scalar::Int(value), b"float") => return Ok(Scalar::Float(value as f64)),
        (Scalar::Null, _) => ("null", Scalar::Null),
        (Scalar::Bool(_), _) => ("bool", found),
        (Scalar::Int(_) | Scalar::Uint(_), _) => ("int", found),
        (Scalar::Float(_), _) => ("float", found),
        (Scalar::Timestamp, _) => ("timestamp", found),
        (Scalar::Text, _) => ("str", found),
    };
    if name.as_bytes() == expected {
        return Ok(value);
    }
    Err(format!(
        "cannot decode !!{name} `{}` as a !!{}",
        String::from_utf8_lossy(text),
        String::from_utf8_lossy(expected)
    ))
}
