//! YAML written by kustomize, parsed by an independent library and resolved by the rules of its output:
//! an ambiguous scalar is in quotes there.

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

use super::Failure;

/// All documents that are not empty, in order.
pub(crate) fn documents(text: &[u8]) -> Result<Vec<Value>, Failure> {
    let mut parser = Parser::new_from_str(std::str::from_utf8(text)?);
    let mut documents = Vec::new();
    loop {
        match next(&mut parser)? {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(_) => match next(&mut parser)? {
                Event::DocumentEnd => {}
                first => documents.push(value(&mut parser, first)?),
            },
            _ => {}
        }
    }
}

fn next<'t>(parser: &mut Parser<'t, StrInput<'t>>) -> Result<Event<'t>, Failure> {
    match parser.next_event() {
        Some(event) => Ok(event?.0),
        None => Ok(Event::StreamEnd),
    }
}

fn value<'t>(parser: &mut Parser<'t, StrInput<'t>>, first: Event<'t>) -> Result<Value, Failure> {
    match first {
        Event::Scalar(text, ScalarStyle::Plain, _, None) => Ok(plain(&text)),
        Event::Scalar(text, _, _, _) => Ok(Value::String(text.into_owned())),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(parser)? {
                    Event::SequenceEnd => return Ok(Value::Array(items)),
                    event => items.push(value(parser, event)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut map = Map::new();
            loop {
                let key = match next(parser)? {
                    Event::MappingEnd => return Ok(Value::Object(map)),
                    Event::Scalar(key, _, _, _) => key.into_owned(),
                    other => return Err(format!("{other:?} as a key").into()),
                };
                let event = next(parser)?;
                map.insert(key, value(parser, event)?);
            }
        }
        other => Err(format!("{other:?} is in no output of kustomize").into()),
    }
}

fn plain(text: &str) -> Value {
    let number = |text: &str| match serde_json::from_str(text) {
        Ok(Value::Number(number)) => Some(match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 && !number.is_u64() => {
                serde_json::from_str(&format!("{float:.0}")).unwrap_or(Value::Number(number))
            }
            _ => Value::Number(number),
        }),
        _ => None,
    };
    match text {
        "" | "~" | "null" => Value::Null,
        "true" | "yes" | "on" | "True" => Value::Bool(true),
        "false" | "no" | "off" | "False" => Value::Bool(false),
        text => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}
