//! Kubernetes quantities (apimachinery, pkg/api/resource): the server may write an equal one in
//! another notation, `1` for `1000m`, which is not a difference.

/// Whether the field at a path holds a quantity, as far as the built-in kinds go.
fn is_quantity(path: &str) -> bool {
    let mut parents = path.rsplit('/');
    let (last, parent) = (parents.next().unwrap_or(""), parents.next().unwrap_or(""));
    matches!(
        parent,
        "requests"
            | "limits"
            | "hard"
            | "capacity"
            | "allocatable"
            | "default"
            | "defaultRequest"
            | "max"
            | "min"
            | "maxLimitRequestRatio"
            | "overhead"
            | "podFixed"
    ) || matches!(
        last,
        "sizeLimit" | "divisor" | "averageValue" | "value" | "maxUnavailable"
    )
}

/// Whether two texts at `path` are the same quantity.
pub(super) fn is_same(path: &str, a: &serde_json::Value, b: &serde_json::Value) -> bool {
    fn text(value: &serde_json::Value) -> Option<String> {
        match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
    if !is_quantity(path) {
        return false;
    }
    match (
        text(a).as_deref().and_then(parse),
        text(b).as_deref().and_then(parse),
    ) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// In nanos. None: it is not a quantity, or too large to be compared exactly.
fn parse(text: &str) -> Option<i128> {
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor: i128 = match suffix {
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "" => 1_000_000_000,
        "k" => 1_000_000_000_000,
        "M" => 1_000_000_000_000_000,
        "G" => 1_000_000_000_000_000_000,
        "T" => 1_000_000_000_000_000_000_000,
        "P" => 1_000_000_000_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000_000_000_000,
        "Ki" => 1_000_000_000 << 10,
        "Mi" => 1_000_000_000 << 20,
        "Gi" => 1_000_000_000 << 30,
        "Ti" => 1_000_000_000 << 40,
        "Pi" => 1_000_000_000 << 50,
        "Ei" => 1_000_000_000 << 60,
        exponent => {
            let power: u32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            1_000_000_000_i128.checked_mul(10_i128.checked_pow(power)?)?
        }
    };
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let mut value = match whole {
        "" => 0,
        whole => whole.parse::<i128>().ok()?.checked_mul(factor)?,
    };
    if !fraction.is_empty() {
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        let part = fraction.parse::<i128>().ok()?.checked_mul(factor)?;
        if part % scale != 0 {
            return None;
        }
        value = value.checked_add(part / scale)?;
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a12_equal_quantities_are_equal_however_they_are_written() {
        let path = "/spec/containers/0/resources/requests/cpu";
        for (a, b) in [
            (json!("1000m"), json!("1")),
            (json!(0.5), json!("500m")),
            (json!("1Gi"), json!("1024Mi")),
            (json!("1e3"), json!("1k")),
            (json!("0.1"), json!("100m")),
            (json!("0.000000001"), json!("1n")),
            (json!("1u"), json!("1000n")),
            (json!("1m"), json!("1000u")),
            (json!("1M"), json!("1000k")),
            (json!("1G"), json!("1000M")),
            (json!("1T"), json!("1000G")),
            (json!("1P"), json!("1000T")),
            (json!("1E"), json!("1000P")),
            (json!("1E3"), json!("1k")),
            (json!("1Ki"), json!("1024")),
            (json!("1Mi"), json!("1024Ki")),
            (json!("1Ti"), json!("1024Gi")),
            (json!("1Pi"), json!("1024Ti")),
            (json!("1Ei"), json!("1024Pi")),
            (json!("-1"), json!("-1000m")),
            (json!("+1"), json!("1")),
        ] {
            assert!(is_same(path, &a, &b), "{a} {b}");
        }
        for (a, b) in [
            (json!("1G"), json!("1Gi")),
            (json!("x"), json!("x1")),
            (json!(""), json!(".")),
            (json!("-1"), json!("1000m")),
            (json!("1"), json!(format!("1.{:0>40}", ""))),
            (json!(true), json!(true)),
        ] {
            assert!(!is_same(path, &a, &b), "{a} {b}");
        }
        assert!(
            !is_same("/data/cpu", &json!("1000m"), &json!("1")),
            "that is text"
        );
    }
}
