//! What Helm binds to the release: `include`, `tpl`, `required`, `fail`, `lookup`.

use super::{Function, Type, bytes, lossy, nested, placed, shared};
use crate::template::{CallSite, EvalError, State};
use crate::value::{Map, Value};

use Type::{Any, Str as S};

pub(super) const FUNCTIONS: &[Function] = &[
    nested("include", &[S, Any], |templates, a| {
        templates
            .include(&lossy(a, 0), a[1].clone())
            .map(Value::str)
    }),
    nested("tpl", &[S, Any], |templates, a| match &a[0] {
        Value::Str(text) => templates.tpl(text, a[1].clone()).map(Value::str),
        _ => Ok(Value::Nil),
    }),
    shared("required", &[S, Any], |_, a| match &a[1] {
        Value::Nil => Err(EvalError::from_chart(&lossy(a, 0))),
        Value::Str(text) if text.is_empty() => Err(EvalError::from_chart(&lossy(a, 0))),
        value => Ok(value.clone()),
    }),
    shared("fail", &[S], |_, a| {
        Err(EvalError::from_chart(&lossy(a, 0)))
    }),
    placed("lookup", &[S, S, S, S], lookup),
    placed("getHostByName", &[S], host_by_name),
];

fn lookup(
    state: &mut State<'_>,
    place: &CallSite,
    arguments: &[Value],
) -> Result<Value, EvalError> {
    let words: Vec<String> = (0..4)
        .map(|index| lossy(arguments, index).into_owned())
        .filter(|word| !word.is_empty())
        .collect();
    let message = format!(
        "lookup of {} returns nothing: rendering does not read the cluster",
        words.join(" ")
    );
    if state.options.strict {
        return Err(EvalError::plain(message));
    }
    state.warn(place, message);
    Ok(Value::Map(Map::new()))
}

/// Returns an empty text, as Helm without `--enable-dns`.
fn host_by_name(
    state: &mut State<'_>,
    place: &CallSite,
    arguments: &[Value],
) -> Result<Value, EvalError> {
    let name = String::from_utf8_lossy(bytes(arguments, 0)).into_owned();
    let message = format!("getHostByName of {name} returns nothing: rendering uses no DNS");
    if state.options.strict {
        return Err(EvalError::plain(message));
    }
    state.warn(place, message);
    Ok(Value::from(""))
}
