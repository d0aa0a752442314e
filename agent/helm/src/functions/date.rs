//! Dates. Where Go would read the clock, the time is a generated value, and so refused or derived.

use super::duration::{self, Duration, SECOND};
use super::generated;
use super::time::{self, Time, Zone};
use super::{Body, Function, Type, layout, lossy, placed, pure};
use crate::template::{CallSite, EvalError, State};
use crate::value::{Host as _, Value};

use Type::{Any, Str as S, Time as T};

pub(super) const FUNCTIONS: &[Function] = &[
    placed("now", &[], |state, _, _| {
        generated::now(state, "now").map(Value::host)
    }),
    placed("date", &[S, Any], |state, _, a| {
        in_zone(state, "date", &lossy(a, 0), &a[1], "Local")
    }),
    placed("dateInZone", &[S, Any, S], date_in_zone),
    placed("date_in_zone", &[S, Any, S], date_in_zone),
    placed("htmlDate", &[Any], |state, _, a| {
        in_zone(state, "htmlDate", "2006-01-02", &a[0], "Local")
    }),
    placed("htmlDateInZone", &[Any, S], |state, _, a| {
        in_zone(state, "htmlDateInZone", "2006-01-02", &a[0], &lossy(a, 1))
    }),
    placed("ago", &[Any], |state, _, a| {
        let now = generated::now(state, "ago")?;
        let then = instant(&a[0]).unwrap_or_else(|| now.clone());
        let seconds = now.seconds.saturating_sub(then.seconds);
        let ago = Duration(seconds.saturating_mul(SECOND));
        Ok(Value::from(ago.display()))
    }),
    pure("dateModify", &[S, T], modify),
    pure("date_modify", &[S, T], modify),
    pure("mustDateModify", &[S, T], must_modify),
    pure("must_date_modify", &[S, T], must_modify),
    pure("toDate", &[S, S], |a| {
        let time = layout::parse(&lossy(a, 0), &lossy(a, 1));
        Ok(Value::host(time.unwrap_or_else(|_| Time::zero())))
    }),
    pure("mustToDate", &[S, S], |a| {
        layout::parse(&lossy(a, 0), &lossy(a, 1)).map(Value::host)
    }),
    pure("unixEpoch", &[T], |a| {
        let seconds = time::of(&a[0]).map_or(0, |time| time.seconds);
        Ok(Value::from(seconds.to_string()))
    }),
    Function {
        name: "durationRound",
        params: &[Any],
        rest: None,
        body: Body::Placed(duration_round),
    },
];

/// Returns the time of a value, if it is one.
fn instant(value: &Value) -> Option<Time> {
    match value {
        Value::Int(seconds, _) => Some(Time::unix(*seconds)),
        other => time::of(other).cloned(),
    }
}

fn date_in_zone(state: &mut State<'_>, _: &CallSite, a: &[Value]) -> Result<Value, EvalError> {
    in_zone(state, "dateInZone", &lossy(a, 0), &a[1], &lossy(a, 2))
}

fn in_zone(
    state: &mut State<'_>,
    name: &str,
    layout: &str,
    value: &Value,
    zone: &str,
) -> Result<Value, EvalError> {
    // sprig reads anything other than a time or a number of seconds as the current time.
    let time = match instant(value) {
        Some(time) => time,
        None => generated::now(state, name)?,
    };
    let zone = time::zone(zone).unwrap_or(Zone::Utc);
    Ok(Value::from(time.in_zone(zone).format(layout)))
}

fn must_modify(arguments: &[Value]) -> Result<Value, String> {
    let duration = duration::parse(&lossy(arguments, 0))?;
    let time = time::of(&arguments[1]).cloned().unwrap_or_else(Time::zero);
    Ok(Value::host(time.plus(duration)))
}

fn modify(arguments: &[Value]) -> Result<Value, String> {
    Ok(must_modify(arguments).unwrap_or_else(|_| arguments[1].clone()))
}

fn duration_round(state: &mut State<'_>, _: &CallSite, a: &[Value]) -> Result<Value, EvalError> {
    let nanoseconds = match &a[0] {
        Value::Str(text) => duration::parse(&text.lossy()).map_or(0, |duration| duration.0),
        Value::Int(number, crate::value::IntKind::Int64) => *number,
        other => match time::of(other) {
            Some(then) => {
                let now = generated::now(state, "durationRound")?;
                now.seconds
                    .saturating_sub(then.seconds)
                    .saturating_mul(SECOND)
            }
            None => 0,
        },
    };
    let seconds = nanoseconds.unsigned_abs();
    let second = SECOND.unsigned_abs();
    let day = 24 * 3600;
    let units = [
        (365 * day, "y"),
        (30 * day, "mo"),
        (day, "d"),
        (3600, "h"),
        (60, "m"),
        (1, "s"),
    ];
    for (size, name) in units {
        if seconds > size * second {
            return Ok(Value::from(format!("{}{name}", seconds / (size * second))));
        }
    }
    Ok(Value::from("0s"))
}
