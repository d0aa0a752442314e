//! What Helm binds to the release: `include`, `tpl`, `required`, `fail`, `lookup`.

use super::{Function, Type, bytes, lossy, placed, shared};
use crate::template::{Engine, Fault, Place};
use crate::value::{Map, Value};

use Type::{Any, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    shared("include", &[S, Any], |engine, a| {
        engine.named(&lossy(a, 0), a[1].clone()).map(Value::str)
    }),
    shared("tpl", &[S, Any], |engine, a| match &a[0] {
        Value::Str(text) => engine.text(text, a[1].clone()).map(Value::str),
        _ => Ok(Value::Nil),
    }),
    shared("required", &[S, Any], |_, a| match &a[1] {
        Value::Nil => Err(Fault::said_by_chart(&lossy(a, 0))),
        Value::Str(text) if text.is_empty() => Err(Fault::said_by_chart(&lossy(a, 0))),
        value => Ok(value.clone()),
    }),
    shared("fail", &[S], |_, a| Err(Fault::said_by_chart(&lossy(a, 0)))),
    placed("lookup", &[S, S, S, S], lookup),
    placed("getHostByName", &[S], host_by_name),
];

fn lookup(engine: &mut Engine<'_>, place: &Place, arguments: &[Value]) -> Result<Value, Fault> {
    let words: Vec<String> = (0..4)
        .map(|index| lossy(arguments, index).into_owned())
        .filter(|word| !word.is_empty())
        .collect();
    let message = format!(
        "lookup of {} finds nothing: a render does not read the cluster",
        words.join(" ")
    );
    if engine.options.strict {
        return Err(Fault::plain(message));
    }
    engine.warn(place, message);
    Ok(Value::Map(Map::new()))
}

/// Helm without `--enable-dns` gives an empty text.
fn host_by_name(
    engine: &mut Engine<'_>,
    place: &Place,
    arguments: &[Value],
) -> Result<Value, Fault> {
    let name = String::from_utf8_lossy(bytes(arguments, 0)).into_owned();
    let message = format!("getHostByName of {name} is empty: a render asks no name server");
    if engine.options.strict {
        return Err(Fault::plain(message));
    }
    engine.warn(place, message);
    Ok(Value::from(""))
}
