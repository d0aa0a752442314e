//! Canonical form of quantities (`resource.Quantity` of apimachinery): the API server stores `1000m` as `1`.

const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];
const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// The canonical form; none if the text is not a quantity.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (negative, value, form) = read(text)?;
    let text = write(value, form)?;
    Some(if negative && text != "0" {
        format!("-{text}")
    } else {
        text
    })
}

/// In billionths, for comparison.
pub(crate) fn billionths(text: &str) -> Option<i128> {
    let (negative, value, _) = read(text)?;
    Some(if negative { -value } else { value })
}

fn read(text: &str) -> Option<(bool, i128, Form)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-')))
        .unwrap_or(text.len());
    let (number, suffix) = (text.get(..end)?, text.get(end..)?);
    let (negative, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 9 {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent = -i32::try_from(fraction.len()).ok()?;
    let binary = BINARY.iter().position(|have| *have == suffix);
    let (value, form) = if let Some(power) = binary {
        let factor = 1024i128.checked_pow(u32::try_from(power).ok()? + 1)?;
        (nano(mantissa.checked_mul(factor)?, exponent)?, Form::Binary)
    } else if let Some((_, power)) = DECIMAL.iter().find(|(have, _)| *have == suffix) {
        (nano(mantissa, exponent + power)?, Form::Decimal)
    } else {
        let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        (
            nano(mantissa, exponent.checked_add(power)?)?,
            Form::Exponent,
        )
    };
    Some((negative, value, form))
}

#[derive(Clone, Copy)]
enum Form {
    Binary,
    Decimal,
    Exponent,
}

/// In billionths, rounded up like the API server does.
fn nano(mantissa: i128, exponent: i32) -> Option<i128> {
    let shift = exponent + 9;
    let power = 10i128.checked_pow(shift.unsigned_abs())?;
    if shift >= 0 {
        mantissa.checked_mul(power)
    } else {
        Some(mantissa / power + i128::from(mantissa % power != 0))
    }
}

fn write(nano: i128, form: Form) -> Option<String> {
    const ONE: i128 = 1_000_000_000;
    if nano == 0 {
        return Some("0".to_owned());
    }
    if let (Form::Binary, 0, true) = (form, nano % ONE, nano / ONE >= 1024) {
        let mut value = nano / ONE;
        let mut power = 0usize;
        while value % 1024 == 0 && power < BINARY.len() {
            value /= 1024;
            power += 1;
        }
        let suffix = power
            .checked_sub(1)
            .and_then(|power| BINARY.get(power))
            .unwrap_or(&"");
        return Some(format!("{value}{suffix}"));
    }
    let (mut value, mut exponent) = (nano, -9i32);
    while value % 10 == 0 {
        value /= 10;
        exponent += 1;
    }
    while exponent % 3 != 0 {
        value = value.checked_mul(10)?;
        exponent -= 1;
    }
    while exponent > 18 {
        value = value.checked_mul(1000)?;
        exponent -= 3;
    }
    Some(match form {
        Form::Exponent if exponent != 0 => format!("{value}e{exponent}"),
        _ => {
            let (suffix, _) = DECIMAL.iter().find(|(_, have)| *have == exponent)?;
            format!("{value}{suffix}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn quantities_are_written_as_the_api_server_writes_them() {
        for (text, expected) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("100m", "100m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("512Mi", "512Mi"),
            ("1000Mi", "1000Mi"),
            ("0.5Mi", "512Ki"),
            ("100M", "100M"),
            ("1500M", "1500M"),
            ("2000M", "2G"),
            ("1e3", "1e3"),
            ("0", "0"),
            ("-1000m", "-1"),
            ("500", "500"),
            ("5000", "5k"),
            ("128974848", "128974848"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(canonical("a"), None);
        assert_eq!(canonical("1Q"), None);
    }
}
