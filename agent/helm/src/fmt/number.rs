//! `strconv.FormatFloat` and the parsing of numbers.

/// `%v` of a float: the fewest digits that read back as the same number, `1e+06` from a million on.
#[must_use]
pub fn shortest(value: f64) -> String {
    format_float(value, 'g', None)
}

/// `strconv.FormatFloat(value, verb, precision, 64)`; no precision means the fewest digits.
#[must_use]
pub fn format_float(value: f64, verb: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    match verb {
        'b' => return binary(value),
        'x' | 'X' => return hexadecimal(value, verb, precision),
        _ => {}
    }
    let mut out = String::new();
    if value.is_sign_negative() {
        out.push('-');
    }
    let value = value.abs();
    match verb {
        'e' | 'E' => exponent(
            &mut out,
            &Digits::of(value, precision.map(|p| p + 1)),
            precision,
            verb,
        ),
        'f' | 'F' => match precision {
            Some(precision) => out.push_str(&format!("{value:.precision$}")),
            None => fixed(&mut out, &Digits::of(value, None), None),
        },
        _ => general(
            &mut out,
            value,
            precision,
            if verb == 'G' { 'E' } else { 'e' },
        ),
    }
    out
}

/// Decimal digits and where the point stands: `0.d1d2d3 * 10^point`.
struct Digits {
    digits: Vec<u8>,
    point: i32,
}

impl Digits {
    /// So many significant digits, correctly rounded, or the fewest.
    fn of(value: f64, count: Option<usize>) -> Self {
        if value == 0.0 {
            return Self {
                digits: Vec::new(),
                point: 0,
            };
        }
        let text = match count {
            Some(count) => format!("{value:.*e}", count.max(1) - 1),
            None => format!("{value:e}"),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
        if count.is_none() {
            while digits.last() == Some(&b'0') {
                digits.pop();
            }
        }
        Self {
            digits,
            point: exponent.parse::<i32>().unwrap_or(0) + 1,
        }
    }
}

fn exponent(out: &mut String, digits: &Digits, precision: Option<usize>, verb: char) {
    let precision = precision.unwrap_or_else(|| digits.digits.len().saturating_sub(1));
    let digit = |index: usize| digits.digits.get(index).copied().unwrap_or(b'0') as char;
    out.push(digit(0));
    if precision > 0 {
        out.push('.');
        for index in 1..=precision {
            out.push(digit(index));
        }
    }
    let power = if digits.digits.is_empty() {
        0
    } else {
        digits.point - 1
    };
    out.push(verb);
    out.push(if power < 0 { '-' } else { '+' });
    out.push_str(&format!("{:02}", power.abs()));
}

fn fixed(out: &mut String, digits: &Digits, precision: Option<usize>) {
    let digit = |index: i32| {
        usize::try_from(index)
            .ok()
            .and_then(|index| digits.digits.get(index).copied())
            .unwrap_or(b'0') as char
    };
    if digits.point > 0 {
        (0..digits.point).for_each(|index| out.push(digit(index)));
    } else {
        out.push('0');
    }
    let after = i32::try_from(digits.digits.len()).unwrap_or(i32::MAX) - digits.point;
    let after = match precision {
        Some(precision) => i32::try_from(precision).unwrap_or(i32::MAX),
        None => after.max(0),
    };
    if after > 0 {
        out.push('.');
        (0..after).for_each(|index| out.push(digit(digits.point + index)));
    }
}

fn general(out: &mut String, value: f64, precision: Option<usize>, letter: char) {
    let precision = precision.map(|precision| precision.max(1));
    let mut digits = Digits::of(value, precision);
    let mut limit = precision.unwrap_or(6);
    if precision.is_some() {
        while digits.digits.last() == Some(&b'0') {
            digits.digits.pop();
        }
        let count = digits.digits.len();
        if limit > count && i32::try_from(count).unwrap_or(i32::MAX) >= digits.point {
            limit = count;
        }
    }
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let power = digits.point - 1;
    if !digits.digits.is_empty() && (power < -4 || power >= limit) {
        let shown = digits.digits.len().saturating_sub(1);
        exponent(out, &digits, Some(shown), letter);
    } else {
        fixed(out, &digits, None);
    }
}

fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
    if exponent == 0 {
        (fraction, -1074)
    } else {
        (fraction | (1 << 52), exponent - 1075)
    }
}

fn binary(value: f64) -> String {
    let (mantissa, exponent) = parts(value);
    let sign = if value.is_sign_negative() { "-" } else { "" };
    format!("{sign}{mantissa}p{exponent:+}")
}

fn hexadecimal(value: f64, verb: char, precision: Option<usize>) -> String {
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (mut mantissa, mut exponent) = parts(value);
    if mantissa == 0 {
        exponent = 0;
    } else {
        // One digit before the point, sixty bits after it.
        exponent += 60;
        while mantissa & (1 << 60) == 0 {
            mantissa <<= 1;
            exponent -= 1;
        }
        if let Some(precision) = precision.filter(|precision| *precision < 15) {
            let shift = 60 - precision * 4;
            let extra = mantissa & ((1 << shift) - 1);
            mantissa >>= shift;
            let half = 1 << (shift - 1);
            if extra > half || (extra == half && mantissa & 1 == 1) {
                mantissa += 1;
            }
            mantissa <<= shift;
            if mantissa & (1 << 61) != 0 {
                mantissa >>= 1;
                exponent += 1;
            }
        }
    }
    let mut digits = format!("{:015x}", mantissa & ((1 << 60) - 1));
    match precision {
        Some(precision) if precision <= 15 => digits.truncate(precision),
        Some(precision) => digits.extend(std::iter::repeat_n('0', precision - 15)),
        None => digits.truncate(digits.trim_end_matches('0').len()),
    }
    let point = if digits.is_empty() { "" } else { "." };
    let power = exponent.abs();
    let mark = if exponent < 0 { '-' } else { '+' };
    let text = format!("{sign}0x{}{point}{digits}p{mark}{power:02}", mantissa >> 60);
    if verb == 'X' {
        text.to_uppercase()
    } else {
        text
    }
}

/// Whether underscores stand only where Go's literals may have them, and the text without them.
fn without_underscores(text: &str) -> Option<String> {
    if !text.contains('_') {
        return Some(text.to_owned());
    }
    let body = text.trim_start_matches(['+', '-']);
    let prefixed = body.len() > 1 && body.starts_with('0') && !body.as_bytes()[1].is_ascii_digit();
    let hexadecimal = body.len() > 1 && matches!(body.as_bytes()[1], b'x' | b'X');
    let mut before = if prefixed { b'0' } else { b'^' };
    let skip = if prefixed && body.as_bytes()[1] != b'_' {
        2
    } else {
        0
    };
    for byte in body.bytes().skip(skip) {
        let digit = byte.is_ascii_digit() || (hexadecimal && byte.is_ascii_hexdigit());
        if byte == b'_' && before != b'0' || !digit && byte != b'_' && before == b'_' {
            return None;
        }
        before = match byte {
            b'_' => b'_',
            _ if digit => b'0',
            _ => b'!',
        };
    }
    if before == b'_' {
        return None;
    }
    Some(text.replace('_', ""))
}

/// `strconv.ParseUint(text, base, 64)`; base 0 reads prefixes and underscores as Go's literals do.
#[must_use]
pub fn parse_uint(text: &str, base: u32) -> Option<u64> {
    let text = if base == 0 {
        &without_underscores(text)?
    } else {
        text
    };
    let (base, digits) = match (base, text.as_bytes()) {
        (0, [b'0', b'x' | b'X', ..]) => (16, &text[2..]),
        (0, [b'0', b'b' | b'B', ..]) => (2, &text[2..]),
        (0, [b'0', b'o' | b'O', ..]) => (8, &text[2..]),
        (0, [b'0', _, ..]) => (8, &text[1..]),
        (0, _) => (10, text),
        (base, _) => (base, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    u64::from_str_radix(digits, base).ok()
}

/// `strconv.ParseInt(text, base, 64)`.
#[must_use]
pub fn parse_int(text: &str, base: u32) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let value = parse_uint(digits, base)?;
    if negative {
        0_i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// `strconv.ParseFloat(text, 64)`: decimal, hexadecimal with an exponent, infinities, underscores only
/// after a base prefix. Too large is not a number.
#[must_use]
pub fn parse_float(text: &str) -> Option<f64> {
    let body = text.trim_start_matches(['+', '-']);
    if text.len() - body.len() > 1 {
        return None;
    }
    let negative = text.starts_with('-');
    let sign = if negative { -1.0 } else { 1.0 };
    match body.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    if body.len() > 1 && matches!(body.as_bytes()[..2], [b'0', b'x' | b'X']) {
        return hexadecimal_float(&without_underscores(body)?[2..]).map(|value| sign * value);
    }
    let body = without_underscores(body)?;
    if !body
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        || !body.bytes().any(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let value: f64 = body.parse().ok()?;
    value.is_finite().then_some(sign * value)
}

fn hexadecimal_float(text: &str) -> Option<f64> {
    let (mantissa, power) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    let mut power: i32 = power.parse().ok()?;
    for byte in whole.chars() {
        value = value * 16.0 + f64::from(byte.to_digit(16)?);
    }
    for byte in fraction.chars() {
        value = value * 16.0 + f64::from(byte.to_digit(16)?);
        power = power.checked_sub(4)?;
    }
    let value = value * 2.0_f64.powi(power);
    value.is_finite().then_some(value)
}
