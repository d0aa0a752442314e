//! Arithmetic: integers as 64 bits, floats through decimals.

use super::cast::{to_float, to_int};
use super::decimal::Decimal;
use super::{Function, Type, int, many, pure, shared};
use crate::fmt;
use crate::template::{EvalError, State};
use crate::value::{ListKind, Value};

use Type::{Any, Float, Int};

pub(super) const FUNCTIONS: &[Function] = &[
    pure("add1", &[Any], |a| {
        Ok(Value::int64(to_int(&a[0]).wrapping_add(1)))
    }),
    many("add", &[], Any, |a| {
        let sum = a.iter().map(to_int).fold(0_i64, i64::wrapping_add);
        Ok(Value::int64(sum))
    }),
    pure("sub", &[Any, Any], |a| {
        Ok(Value::int64(to_int(&a[0]).wrapping_sub(to_int(&a[1]))))
    }),
    pure("div", &[Any, Any], |a| match to_int(&a[1]) {
        0 => Err(DIVISION.to_owned()),
        divisor => Ok(Value::int64(to_int(&a[0]).wrapping_div(divisor))),
    }),
    pure("mod", &[Any, Any], |a| match to_int(&a[1]) {
        0 => Err(DIVISION.to_owned()),
        divisor => Ok(Value::int64(to_int(&a[0]).wrapping_rem(divisor))),
    }),
    many("mul", &[Any], Any, |a| {
        let product = a.iter().map(to_int).fold(1_i64, i64::wrapping_mul);
        Ok(Value::int64(product))
    }),
    many("max", &[Any], Any, largest),
    many("biggest", &[Any], Any, largest),
    many("min", &[Any], Any, |a| {
        Ok(Value::int64(a.iter().map(to_int).min().unwrap_or(0)))
    }),
    many("maxf", &[Any], Any, |a| {
        let pick = |one: f64, other: f64| {
            if one.is_nan() || one > other {
                one
            } else {
                other
            }
        };
        Ok(fold(a, pick))
    }),
    many("minf", &[Any], Any, |a| {
        let pick = |one: f64, other: f64| {
            if one.is_nan() || one < other {
                one
            } else {
                other
            }
        };
        Ok(fold(a, pick))
    }),
    pure("floor", &[Any], |a| {
        Ok(Value::Float(to_float(&a[0]).floor()))
    }),
    pure("ceil", &[Any], |a| Ok(Value::Float(to_float(&a[0]).ceil()))),
    many("round", &[Any, Int], Float, round),
    pure("int", &[Any], |a| Ok(Value::int(to_int(&a[0])))),
    pure("int64", &[Any], |a| Ok(Value::int64(to_int(&a[0])))),
    pure("float64", &[Any], |a| Ok(Value::Float(to_float(&a[0])))),
    pure("atoi", &[Type::Str], |a| {
        Ok(Value::int(
            fmt::parse_int(&super::lossy(a, 0), 10).unwrap_or(0),
        ))
    }),
    pure("toDecimal", &[Any], |a| {
        let text = fmt::sprint(&a[..1]);
        let text = String::from_utf8_lossy(&text);
        Ok(Value::int64(fmt::parse_int(&text, 8).unwrap_or(0)))
    }),
    pure("add1f", &[Any], |a| {
        decimals(&[a[0].clone(), Value::int(1)], |one, other| {
            Ok(one.add(&other))
        })
    }),
    many("addf", &[], Any, |a| {
        let mut all = vec![Value::Float(0.0)];
        all.extend_from_slice(a);
        decimals(&all, |one, other| Ok(one.add(&other)))
    }),
    many("subf", &[Any], Any, |a| {
        decimals(a, |one, other| Ok(one.sub(&other)))
    }),
    many("mulf", &[Any], Any, |a| {
        decimals(a, |one, other| Ok(one.mul(&other)))
    }),
    many("divf", &[Any], Any, |a| {
        decimals(a, |one, other| one.div(&other))
    }),
    shared("until", &[Int], |state, a| {
        let stop = int(a, 0);
        let items = steps(state, 0, stop, if stop < 0 { -1 } else { 1 })?;
        Ok(ints(items))
    }),
    shared("untilStep", &[Int, Int, Int], |state, a| {
        Ok(ints(steps(state, int(a, 0), int(a, 1), int(a, 2))?))
    }),
    Function {
        name: "seq",
        params: &[],
        rest: Some(Int),
        body: super::Body::Shared(sequence),
    },
];

const DIVISION: &str = "runtime error: integer divide by zero";

fn largest(arguments: &[Value]) -> Result<Value, String> {
    Ok(Value::int64(
        arguments.iter().map(to_int).max().unwrap_or(0),
    ))
}

fn fold(arguments: &[Value], pick: fn(f64, f64) -> f64) -> Value {
    let folded = arguments.iter().map(to_float).reduce(pick);
    Value::Float(folded.unwrap_or(0.0))
}

fn round(arguments: &[Value]) -> Result<Value, String> {
    let on = match arguments.get(2) {
        Some(Value::Float(on)) => *on,
        _ => 0.5,
    };
    let value = to_float(&arguments[0]);
    let power = 10_f64.powf(to_float(&arguments[1]));
    let digit = power * value;
    let rounded = if digit.fract() >= on {
        digit.ceil()
    } else {
        digit.floor()
    };
    Ok(Value::Float(rounded / power))
}

fn decimals(
    arguments: &[Value],
    operation: fn(Decimal, Decimal) -> Result<Decimal, String>,
) -> Result<Value, String> {
    let mut result = Decimal::of(arguments.first().map_or(0.0, to_float))?;
    for argument in arguments.iter().skip(1) {
        result = operation(result, Decimal::of(to_float(argument))?)?;
    }
    Ok(Value::Float(result.to_float()))
}

fn ints(items: Vec<i64>) -> Value {
    super::builtin::list_of(ListKind::Int, items.into_iter().map(Value::int).collect())
}

/// The numbers from here to there, within the release's bounds.
fn steps(state: &State<'_>, start: i64, stop: i64, step: i64) -> Result<Vec<i64>, EvalError> {
    let none = if stop < start { step >= 0 } else { step <= 0 };
    if none {
        return Ok(Vec::new());
    }
    let count = start.abs_diff(stop).div_ceil(step.unsigned_abs());
    let most = state.meter.limits().expansion as u64 / 8;
    if count > most {
        let message = format!("a list of {count} numbers is more than the {most} that are allowed");
        return Err(EvalError::plain(message));
    }
    let mut numbers = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let mut number = start;
    for _ in 0..count {
        numbers.push(number);
        number = number.saturating_add(step);
    }
    Ok(numbers)
}

fn sequence(state: &mut State<'_>, arguments: &[Value]) -> Result<Value, EvalError> {
    let (start, stop, step) = match arguments.len() {
        1 => {
            let end = int(arguments, 0);
            let step = if end < 1 { -1 } else { 1 };
            (1, end.saturating_add(step), step)
        }
        2 => {
            let (start, end) = (int(arguments, 0), int(arguments, 1));
            let step = if end < start { -1 } else { 1 };
            (start, end.saturating_add(step), step)
        }
        3 => {
            let (start, step, end) = (int(arguments, 0), int(arguments, 1), int(arguments, 2));
            let increment = if end < start { -1 } else { 1 };
            if end < start && step > 0 {
                return Ok(Value::from(""));
            }
            (start, end.saturating_add(increment), step)
        }
        _ => return Ok(Value::from("")),
    };
    let numbers = steps(state, start, stop, step)?;
    let words: Vec<String> = numbers.iter().map(i64::to_string).collect();
    Ok(Value::from(words.join(" ")))
}
