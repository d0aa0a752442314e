//! Text formats: YAML, JSON, TOML, base64 and base32.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Function, Type, bytes, pure};
use crate::message::Message;
use crate::value::{Map, Str, Value};
use crate::yaml::{self, json, toml};

use Type::{Any, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    pure("toYaml", &[Any], |a| quiet(yaml::emit(&a[0]))),
    pure("mustToYaml", &[Any], |a| {
        Ok(without_newline(yaml::emit(&a[0])?))
    }),
    pure("toYamlPretty", &[Any], |a| quiet(yaml::emit_pretty(&a[0]))),
    pure("fromYaml", &[S], |a| {
        Ok(mapped(yaml::parse(bytes(a, 0)), YAML))
    }),
    pure("fromYamlArray", &[S], |a| {
        Ok(listed(yaml::parse(bytes(a, 0)), YAML))
    }),
    pure("toJson", &[Any], |a| quiet(json::emit(&a[0]))),
    pure("mustToJson", &[Any], |a| Ok(json::emit(&a[0])?.into())),
    pure("toPrettyJson", &[Any], |a| quiet(json::emit_pretty(&a[0]))),
    pure("mustToPrettyJson", &[Any], |a| {
        Ok(json::emit_pretty(&a[0])?.into())
    }),
    pure("toRawJson", &[Any], |a| Ok(json::emit_raw(&a[0])?.into())),
    pure("mustToRawJson", &[Any], |a| {
        Ok(json::emit_raw(&a[0])?.into())
    }),
    pure("fromJson", &[S], |a| {
        Ok(mapped(json::parse(bytes(a, 0)), "json"))
    }),
    pure("mustFromJson", &[S], |a| Ok(json::parse(bytes(a, 0))?)),
    pure("fromJsonArray", &[S], |a| {
        Ok(listed(json::parse(bytes(a, 0)), "json"))
    }),
    pure("toToml", &[Any], |a| {
        present(&a[0])?;
        let text = toml::emit(&a[0]).unwrap_or_else(|message| Str::from(message.as_str()));
        Ok(Value::Str(text))
    }),
    pure("mustToToml", &[Any], |a| {
        present(&a[0])?;
        Ok(toml::emit(&a[0])?.into())
    }),
    pure("fromToml", &[S], |a| {
        Ok(mapped(toml::parse(bytes(a, 0)), "toml"))
    }),
    pure("b64enc", &[S], |a| {
        Ok(Value::from(STANDARD.encode(bytes(a, 0))))
    }),
    pure("b64dec", &[S], |a| {
        Ok(Value::Str(
            base64_decode(bytes(a, 0)).map_or_else(Str::from, Str::from),
        ))
    }),
    pure("b32enc", &[S], |a| {
        Ok(Value::from(base32_encode(bytes(a, 0))))
    }),
    pure("b32dec", &[S], |a| {
        Ok(Value::Str(
            base32_decode(bytes(a, 0)).map_or_else(Str::from, Str::from),
        ))
    }),
];

/// Prefix that the YAML library adds to errors of the JSON library.
const YAML: &str = "error unmarshaling JSON: while decoding JSON: json";

/// Refuses nil as Go does, which looks at the argument's type: nil has none.
pub(super) fn present(value: &Value) -> Result<(), String> {
    if value.is_nil() {
        return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
    }
    Ok(())
}

fn without_newline(text: Str) -> Value {
    match text.as_bytes().strip_suffix(b"\n") {
        Some(rest) => Value::str(rest),
        None => Value::Str(text),
    }
}

/// Turns an error into an empty text, as Helm does inside templates.
fn quiet(text: Result<Str, Message>) -> Result<Value, String> {
    match text {
        Ok(text) => Ok(without_newline(text)),
        // This bound is not Helm's, so it is an error: a chart must not read it as an empty text.
        Err(message) if message.as_str().starts_with(json::TOO_LARGE) => Err(message.into()),
        Err(_) => Ok(Value::from("")),
    }
}

fn failed(message: String) -> Value {
    let map = Map::new();
    map.insert("Error", message);
    Value::Map(map)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "bool",
        Value::Str(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
        _ => "number",
    }
}

/// Returns a document that must be a map, or else a map with the error.
fn mapped(parsed: Result<Value, Message>, format: &str) -> Value {
    match parsed {
        Ok(Value::Nil) => Value::Map(Map::new()),
        Ok(map @ Value::Map(_)) => map,
        Ok(other) => {
            let kind = kind(&other);
            failed(format!(
                "{format}: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            ))
        }
        Err(message) => failed(message.into()),
    }
}

/// Returns a document that must be a list, or else a list with the error.
fn listed(parsed: Result<Value, Message>, format: &str) -> Value {
    match parsed {
        Ok(Value::Nil) => Value::list(Vec::new()),
        Ok(list @ Value::List(_)) => list,
        Ok(other) => {
            let kind = kind(&other);
            Value::list(vec![Value::from(format!(
                "{format}: cannot unmarshal {kind} into Go value of type []interface {{}}"
            ))])
        }
        Err(message) => Value::list(vec![Value::from(message.as_str())]),
    }
}

/// Go ignores line ends inside, and names the first byte that is wrong.
pub(super) fn base64_decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let clean: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\n' | b'\r'))
        .collect();
    // Go ignores unused bits in the last character.
    let lenient = base64::engine::GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        base64::engine::GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
    );
    lenient.decode(&clean).map_err(|_| {
        let at = wrong_base64(text);
        format!("illegal base64 data at input byte {at}")
    })
}

/// Returns the offset at which Go reports invalid base64.
fn wrong_base64(text: &[u8]) -> usize {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let mut in_quantum = 0;
    let mut at = 0;
    while at < text.len() {
        let byte = text[at];
        at += 1;
        if matches!(byte, b'\n' | b'\r') {
            continue;
        }
        if is_digit(byte) {
            in_quantum = (in_quantum + 1) % 4;
            continue;
        }
        if byte != b'=' || in_quantum < 2 {
            return at - 1;
        }
        let next = |mut at: usize| {
            while at < text.len() && matches!(text[at], b'\n' | b'\r') {
                at += 1;
            }
            at
        };
        if in_quantum == 2 {
            at = next(at);
            if at >= text.len() {
                return text.len();
            }
            if text[at] != b'=' {
                return at;
            }
            at += 1;
        }
        return next(at);
    }
    // The text ends within a group of four characters.
    at - in_quantum
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32_encode(data: &[u8]) -> String {
    let mut out = String::with_capacity(data.len().div_ceil(5) * 8);
    for chunk in data.chunks(5) {
        let mut bits = 0_u64;
        for index in 0..5 {
            bits = bits << 8 | u64::from(chunk.get(index).copied().unwrap_or(0));
        }
        let digits = (chunk.len() * 8).div_ceil(5);
        for index in 0..8 {
            let digit = (bits >> (35 - 5 * index)) & 31;
            out.push(if index < digits {
                char::from(BASE32[usize::try_from(digit).unwrap_or(0)])
            } else {
                '='
            });
        }
    }
    out
}

fn base32_decode(text: &[u8]) -> Result<Vec<u8>, String> {
    let clean: Vec<u8> = text
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\n' | b'\r'))
        .collect();
    let wrong = |at: usize| format!("illegal base32 data at input byte {at}");
    let mut out = Vec::with_capacity(clean.len() * 5 / 8);
    for (index, chunk) in clean.chunks(8).enumerate() {
        let start = index * 8;
        let mut bits = 0_u64;
        let digits = chunk
            .iter()
            .position(|byte| *byte == b'=')
            .unwrap_or(chunk.len());
        for at in 0..8 {
            let digit = match chunk.get(at).filter(|_| at < digits) {
                Some(byte) => {
                    let digit = BASE32.iter().position(|known| known == byte);
                    digit.ok_or_else(|| wrong(start + at))?
                }
                None => 0,
            };
            bits = bits << 5 | digit as u64;
        }
        let last = start + chunk.len() >= clean.len();
        if chunk.len() < 8 || (digits < 8 && !last) || matches!(digits, 1 | 3 | 6) {
            return Err(wrong(if chunk.len() < 8 {
                start
            } else {
                start + digits
            }));
        }
        if chunk[digits..].iter().any(|byte| *byte != b'=') {
            return Err(wrong(start + digits));
        }
        let count = digits * 5 / 8;
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + count]);
    }
    Ok(out)
}
