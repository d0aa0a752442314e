//! Label and field selectors of lists and watches.

use serde_json::Value;

/// Whether an object fulfils a label selector (equality, sets, existence).
pub(crate) fn labels(selector: &str, object: &Value) -> bool {
    let label = |key: &str| {
        object
            .pointer("/metadata/labels")
            .and_then(|labels| labels.get(key))
            .and_then(Value::as_str)
    };
    split(selector).into_iter().all(|part| {
        let part = part.trim();
        if let Some((head, values)) = part.strip_suffix(')').and_then(|p| p.split_once('(')) {
            let values: Vec<&str> = values.split(',').map(str::trim).collect();
            let mut words = head.split_whitespace();
            let (key, operator) = (words.next().unwrap_or_default(), words.next());
            let is_in = label(key).is_some_and(|value| values.contains(&value));
            return if operator == Some("notin") {
                !is_in
            } else {
                is_in
            };
        }
        if let Some((key, value)) = part.split_once("!=") {
            return label(key.trim()) != Some(value.trim());
        }
        if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            return label(key.trim()) == Some(value.trim());
        }
        match part.strip_prefix('!') {
            Some(key) => label(key).is_none(),
            None => label(part).is_some(),
        }
    })
}

/// Whether an object fulfils a field selector.
pub(crate) fn fields(selector: &str, object: &Value) -> bool {
    split(selector).into_iter().all(|part| {
        let (key, value, equal) = match part.split_once("!=") {
            Some((key, value)) => (key, value, false),
            None => match part.split_once("==").or_else(|| part.split_once('=')) {
                Some((key, value)) => (key, value, true),
                None => return false,
            },
        };
        let pointer = format!("/{}", key.trim().replace('.', "/"));
        let have = object
            .pointer(&pointer)
            .and_then(Value::as_str)
            .unwrap_or_default();
        (have == value.trim()) == equal
    })
}

fn split(selector: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut depth = 0usize;
    let mut part = String::new();
    for c in selector.chars() {
        match c {
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => {
                depth = match c {
                    '(' => depth + 1,
                    ')' => depth.saturating_sub(1),
                    _ => depth,
                };
                part.push(c);
            }
        }
    }
    parts.push(part);
    parts.retain(|part| !part.trim().is_empty());
    parts
}
