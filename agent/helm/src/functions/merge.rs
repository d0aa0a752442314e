//! `merge` and its variants, as the mergo library merges maps: into the first one, which changes.

use super::dicts::reaches;
use super::equal::empty;
use super::{Function, Type, many, map};
use crate::value::{DEEPEST, LARGEST, Map, Value};

use Type::Map as M;

pub(super) const FUNCTIONS: &[Function] = &[
    many("merge", &[M], M, |a| merge_all(a, Winner::Target)),
    many("mustMerge", &[M], M, |a| merge_all(a, Winner::Target)),
    many("mergeOverwrite", &[M], M, |a| merge_all(a, Winner::Source)),
    many("mustMergeOverwrite", &[M], M, |a| {
        merge_all(a, Winner::Source)
    }),
];

/// Which map's value is kept if both have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Winner {
    /// The map that is merged into, unless its value is empty.
    Target,
    /// The map that is merged.
    Source,
}

fn merge_all(arguments: &[Value], winner: Winner) -> Result<Value, String> {
    let target = map(arguments, 0);
    let mut left = LARGEST;
    for index in 1..arguments.len() {
        merge(&target, &map(arguments, index), winner, 0, &mut left)?;
    }
    Ok(Value::Map(target))
}

fn merge(
    target: &Map,
    source: &Map,
    winner: Winner,
    depth: usize,
    left: &mut usize,
) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("maps nest deeper than {DEEPEST}"));
    }
    if target.same(source) {
        return Ok(());
    }
    for (key, new) in source.entries() {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return Err(format!("the maps have more than {LARGEST} entries"));
        }
        let old = target.get(&key);
        if new.is_nil() {
            if winner == Winner::Source {
                target.insert(key, new);
            }
            continue;
        }
        let filled = old.as_ref().is_some_and(|old| !empty(old));
        match (&old, &new) {
            (Some(Value::Map(old)), Value::Map(new)) => {
                merge(old, new, winner, depth + 1, left)?;
                if filled {
                    continue;
                }
            }
            // A list does not replace a non-empty value unless the source wins.
            (_, Value::List(_)) if filled => {
                if winner == Winner::Source {
                    put(target, key, new)?;
                }
                continue;
            }
            _ => {}
        }
        if winner == Winner::Source || !filled {
            put(target, key, new)?;
        }
    }
    Ok(())
}

fn put(target: &Map, key: crate::value::Str, value: Value) -> Result<(), String> {
    if reaches(&value, target) {
        let key = crate::fmt::quote(key.as_bytes());
        return Err(format!("a map cannot hold itself (merge {key})"));
    }
    target.insert(key, value);
    Ok(())
}
