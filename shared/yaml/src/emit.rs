//! From values to text that reads back, here and in Kubernetes, as the same values.

use std::fmt::Write as _;

use serde_json::Value;

use crate::scalar;

/// Characters that readers refuse unescaped, or that some read as a line break.
const ESCAPED: [char; 6] = [
    '\u{feff}', '\u{85}', '\u{2028}', '\u{2029}', '\u{fffe}', '\u{ffff}',
];

/// One document, block style, keys in their (sorted) order, a line break at the end.
#[must_use]
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => emit(&mut out, value, 0, FirstLine::Fresh),
        Value::Array(items) if !items.is_empty() => emit(&mut out, value, 0, FirstLine::Fresh),
        _ => {
            // A block scalar is indented even at the top level.
            inline(&mut out, value, 1);
            out.push('\n');
        }
    }
    out
}

/// Several documents, separated by `---`.
#[must_use]
pub fn documents_to_string<'v>(values: impl IntoIterator<Item = &'v Value>) -> String {
    let mut out = String::new();
    for value in values {
        if !out.is_empty() {
            out.push_str("---\n");
        }
        out.push_str(&to_string(value));
    }
    out
}

fn indent(out: &mut String, level: usize) {
    for _ in 0..level {
        out.push_str("  ");
    }
}

/// Where the first line of a collection begins.
#[derive(Clone, Copy, PartialEq)]
enum FirstLine {
    /// At a line's beginning.
    Fresh,
    /// Behind the dash of an item, which has indented it.
    BehindDash,
}

/// Emits a non-empty collection.
fn emit(out: &mut String, value: &Value, level: usize, first: FirstLine) {
    match value {
        Value::Object(map) => {
            for (index, (key, value)) in map.iter().enumerate() {
                if index > 0 || first == FirstLine::Fresh {
                    indent(out, level);
                }
                scalar_text(out, key);
                out.push(':');
                match value {
                    Value::Object(inner) if !inner.is_empty() => {
                        out.push('\n');
                        emit(out, value, level + 1, FirstLine::Fresh);
                    }
                    Value::Array(inner) if !inner.is_empty() => {
                        out.push('\n');
                        // Kubernetes' usual form: dashes at the key's own column.
                        emit(out, value, level, FirstLine::Fresh);
                    }
                    _ => {
                        out.push(' ');
                        inline(out, value, level + 1);
                        out.push('\n');
                    }
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 || first == FirstLine::Fresh {
                    indent(out, level);
                }
                out.push_str("- ");
                match item {
                    Value::Object(inner) if !inner.is_empty() => {
                        emit(out, item, level + 1, FirstLine::BehindDash);
                    }
                    Value::Array(inner) if !inner.is_empty() => {
                        emit(out, item, level + 1, FirstLine::BehindDash);
                    }
                    _ => {
                        inline(out, item, level + 1);
                        out.push('\n');
                    }
                }
            }
        }
        _ => {}
    }
}

/// A scalar or an empty collection, without the line break after it.
fn inline(out: &mut String, value: &Value, level: usize) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => {
            let _ = write!(out, "{number}");
        }
        Value::String(text) if is_block(text) => block(out, text, level),
        Value::String(text) => scalar_text(out, text),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// Returns whether a text is more readable as a literal block, and safe in one.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| c == '\n' || !c.is_control())
        && !text.contains(ESCAPED)
        && !text
            .lines()
            .any(|line| line.ends_with(' ') && line.trim().is_empty())
}

fn block(out: &mut String, text: &str, level: usize) {
    let kept = text.trim_end_matches('\n');
    let breaks = text.len() - kept.len();
    out.push_str(match breaks {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in kept.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, level);
            out.push_str(line);
        }
    }
    for _ in 1..breaks {
        out.push('\n');
    }
}

fn scalar_text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else if text.chars().any(|c| c.is_control() || ESCAPED.contains(&c)) {
        double_quoted(out, text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

/// Returns whether a text without quotes is still read as that string.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    if !matches!(scalar::resolve_plain(text), Ok(Value::String(_))) || text == "<<" || text == "=" {
        return false;
    }
    let indicator = "-?:,[]{}#&*!|>'\"%@`".contains(first);
    // One of these may begin a plain scalar if a character other than white space or a flow indicator follows.
    let solid = "-?:".contains(first)
        && text
            .chars()
            .nth(1)
            .is_some_and(|c| !c.is_whitespace() && !",[]{}".contains(c))
        && !text.starts_with("---");
    (!indicator || solid)
        && !text.starts_with(char::is_whitespace)
        && !text.ends_with(char::is_whitespace)
        && !text.ends_with(':')
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("...")
        && text
            .chars()
            .all(|c| !c.is_control() && !ESCAPED.contains(&c))
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x100 && c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if ESCAPED.contains(&c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Limits, parse_documents};

    #[test]
    fn text_is_what_people_expect() {
        let value = json!({
            "apiVersion": "v1",
            "data": {"a": "yes", "b": "012", "c": "x: y", "d": "two\nlines\n", "e": ""},
            "items": [{"name": "x", "args": ["-v", "--flag=1"]}, [], {}],
        });
        assert_eq!(
            to_string(&value),
            "apiVersion: v1\ndata:\n  a: 'yes'\n  b: '012'\n  c: 'x: y'\n  d: |\n    two\n    \
             lines\n  e: ''\nitems:\n- args:\n  - -v\n  - --flag=1\n  name: x\n- []\n- {}\n"
        );
    }

    fn value() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[-a:#&*<>!?|{}\\[\\],'\"\n\t 0-9.ey]{0,12}",
            Just("yes".to_owned()),
            Just("1e3".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_go_round(value in value()) {
            let text = to_string(&value);
            let back = parse_documents(&text, &Limits::default())
                .map(|mut documents| documents.pop().map(|document| document.value));
            prop_assert_eq!(back, Ok(Some(value)), "{}", text);
        }
    }
}
