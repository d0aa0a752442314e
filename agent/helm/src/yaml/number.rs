//! Floats as Go's libraries write them. All begin from the shortest digits that read back as the same value.

/// `strconv.FormatFloat(value, 'g', -1, 64)`, which YAML uses; an exponent from 6 on.
pub(crate) fn float_text(value: f64) -> String {
    general(&format!("{value:e}"), 6)
}

/// `strconv.FormatFloat(value, 'g', -1, 32)`, which keys of mappings get.
#[allow(
    clippy::cast_possible_truncation,
    reason = "Go writes them as float32, too"
)]
pub(crate) fn float32_text(value: f64) -> String {
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    general(&format!("{:e}", value as f32), 6)
}

/// `encoding/json`: plain digits between 1e-6 and 1e21, else an exponent without leading zero.
pub(super) fn json_text(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                format!("{digits}e+{exponent}")
            }
            _ => text,
        };
    }
    // Rust never uses an exponent here, and writes "-0" as Go does.
    format!("{value}")
}

/// Go's `%g` with shortest digits: an exponent below -4 or from `limit` on.
fn general(scientific: &str, limit: i32) -> String {
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific.to_owned();
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..limit).contains(&exponent) {
        let (sign, digits) = match digits.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", digits),
        };
        let all: String = digits.chars().filter(|digit| *digit != '.').collect();
        let point = 1 + exponent;
        return if point <= 0 {
            let zeros = "0".repeat(usize::try_from(-point).unwrap_or(0));
            format!("{sign}0.{zeros}{all}")
        } else {
            let point = usize::try_from(point).unwrap_or(0);
            if all.len() <= point {
                format!("{sign}{all}{}", "0".repeat(point - all.len()))
            } else {
                format!("{sign}{}.{}", &all[..point], &all[point..])
            }
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
