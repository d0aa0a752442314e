//! Edits of the places in the file that a removal concerns.

use std::collections::BTreeSet;

use flotilla_shared::id::{ApplicationName, ClusterName, EnvironmentName};

use super::node::{Node, Value};
use super::{EditError, Edits, unusual};
use crate::{Objects, Removal};

fn items(node: &Node) -> Option<(&[Node], bool)> {
    match &node.value {
        Value::Sequence { items, is_flow } => Some((items, *is_flow)),
        _ => None,
    }
}

/// Returns the list with an application's entry, and the entry's index.
fn entry<'n>(
    root: &'n Node,
    name: &ApplicationName,
) -> Result<(&'n [Node], bool, usize), EditError> {
    let missing = || unusual("`applications` is not a list with this application");
    let (_, all) = root.get("applications").ok_or_else(missing)?;
    let (all, is_flow) = items(all).ok_or_else(missing)?;
    let is_it = |entry: &Node| {
        entry
            .get("name")
            .is_some_and(|(_, value)| value.text() == Some(name.as_str()))
    };
    let place = all.iter().position(is_it).ok_or_else(missing)?;
    Ok((all, is_flow, place))
}

/// Removes an item from a list in brackets, with one comma.
fn leave_flow(all: &[Node], place: usize, edits: &mut Edits<'_>) {
    let (Some(own), before) = (all.get(place), place.checked_sub(1)) else {
        return;
    };
    let range = match (
        before.and_then(|before| all.get(before)),
        all.get(place + 1),
    ) {
        (_, Some(next)) => own.start..next.start,
        (Some(before), None) => before.end..own.end,
        (None, None) => own.start..own.end,
    };
    edits.replace(range, "");
}

/// Returns the position of an item's dash in a list of lines.
fn dash(item: &Node, edits: &Edits<'_>) -> Result<usize, EditError> {
    let before = edits.text.get(..item.start).unwrap_or_default().trim_end();
    match before.ends_with('-') {
        true => Ok(before.len() - 1),
        false => Err(unusual("a comment stands between a dash and its entry")),
    }
}

/// Removes an item's lines from a list of lines.
fn leave_lines(item: &Node, edits: &mut Edits<'_>) -> Result<(), EditError> {
    let dash = dash(item, edits)?;
    let start = edits.line_start(dash);
    let indent = edits.text.get(start..dash).unwrap_or_default();
    if !indent.bytes().all(|byte| byte == b' ') {
        return Err(unusual("an entry begins in the middle of a line"));
    }
    let end = edits.after(item);
    edits.replace(start..end, "");
    Ok(())
}

/// Removes an application from `applications`.
pub(super) fn leave(
    root: &Node,
    name: &ApplicationName,
    edits: &mut Edits<'_>,
) -> Result<(), EditError> {
    let (all, is_flow, place) = entry(root, name)?;
    if is_flow {
        leave_flow(all, place, edits);
        return Ok(());
    }
    let Some(own) = all.get(place) else {
        return Ok(());
    };
    leave_lines(own, edits)?;
    // A key without entries would be null instead of a list.
    if all.len() == 1
        && let Some((key, _)) = root.get("applications")
    {
        let colon = edits.text.get(key.end..).and_then(|rest| rest.find(':'));
        edits.insert(key.end + colon.map_or(0, |colon| colon + 1), " []");
    }
    Ok(())
}

fn list(environments: &BTreeSet<EnvironmentName>) -> String {
    let names: Vec<&str> = environments.iter().map(EnvironmentName::as_str).collect();
    format!("[{}]", names.join(", "))
}

/// Restricts an application to some environments.
pub(super) fn narrow(
    root: &Node,
    name: &ApplicationName,
    rest: &BTreeSet<EnvironmentName>,
    edits: &mut Edits<'_>,
) -> Result<(), EditError> {
    let (all, _, place) = entry(root, name)?;
    let Some(own) = all.get(place) else {
        return Ok(());
    };
    let environments = format!("environments: {}", list(rest));
    let Some((_, placement)) = own.get("placement") else {
        return add_key(own, &format!("placement: {{{environments}}}"), edits);
    };
    match placement.get("environments") {
        None => add_key(placement, &environments, edits),
        Some((_, named)) => match items(named) {
            Some((_, true)) => {
                edits.replace(named.start..named.end, list(rest));
                Ok(())
            }
            Some((named, false)) => {
                let stays = |entry: &&Node| {
                    let name = entry.text().and_then(|text| text.parse().ok());
                    name.is_some_and(|name: EnvironmentName| rest.contains(&name))
                };
                for entry in named.iter().filter(|entry| !stays(entry)) {
                    leave_lines(entry, edits)?;
                }
                Ok(())
            }
            None => Err(unusual("`placement.environments` is not a list")),
        },
    }
}

/// Adds a key after the first one of a mapping.
fn add_key(mapping: &Node, key: &str, edits: &mut Edits<'_>) -> Result<(), EditError> {
    let Value::Mapping { pairs, is_flow } = &mapping.value else {
        return Err(unusual("an entry is not a mapping"));
    };
    match (pairs.first(), is_flow) {
        (None, true) => edits.insert(mapping.start + 1, key),
        (Some((_, first)), true) => edits.insert(first.end, format!(", {key}")),
        (Some((name, first)), false) => {
            let at = edits.after(first);
            let line = format!("{}{key}", " ".repeat(name.column));
            edits.insert_lines(at, &[line]);
        }
        (None, false) => return Err(unusual("an entry is empty")),
    }
    Ok(())
}

/// Returns the keys of an entry of `removed`.
fn keys(removal: &Removal) -> Vec<String> {
    let mut keys = vec![format!("application: {}", removal.application)];
    if !removal.environments.is_empty() {
        keys.push(format!("environments: {}", list(&removal.environments)));
    }
    if !removal.clusters.is_empty() {
        let names: Vec<&str> = removal.clusters.iter().map(ClusterName::as_str).collect();
        keys.push(format!("clusters: [{}]", names.join(", ")));
    }
    if removal.objects == Objects::Keep {
        keys.push("keepObjects: true".to_owned());
    }
    keys
}

/// Returns entries of `removed` on one line.
pub(super) fn entries<'r>(all: impl Iterator<Item = &'r Removal>) -> String {
    let all: Vec<String> = all
        .map(|entry| format!("{{{}}}", keys(entry).join(", ")))
        .collect();
    all.join(", ")
}

/// Adds an entry to `removed`.
pub(super) fn add_removal(
    root: &Node,
    removal: &Removal,
    edits: &mut Edits<'_>,
) -> Result<(), EditError> {
    let keys = keys(removal);
    let lines = |indent: usize| -> Vec<String> {
        let indent = " ".repeat(indent);
        let all = keys.iter().enumerate();
        all.map(|(index, key)| {
            let mark = if index == 0 { "- " } else { "  " };
            format!("{indent}{mark}{key}")
        })
        .collect()
    };
    let flow = format!("{{{}}}", keys.join(", "));
    let Some((key, list)) = root.get("removed") else {
        let mut all = vec!["removed:".to_owned()];
        all.extend(lines(0));
        let at = edits.text.len();
        edits.insert_lines(at, &all);
        return Ok(());
    };
    match items(list) {
        Some((all, true)) => match all.last() {
            Some(last) => edits.insert(last.end, format!(", {flow}")),
            None => edits.insert(list.start + 1, flow),
        },
        Some((all, false)) => {
            let Some(last) = all.last() else {
                return Err(unusual("`removed` is not a list"));
            };
            let dash = dash(last, edits)?;
            let indent = dash - edits.line_start(dash);
            let at = edits.after(last);
            edits.insert_lines(at, &lines(indent));
        }
        None if list.text() == Some("") => {
            let at = edits.line_end(key.end);
            edits.insert_lines(at, &lines(key.column));
        }
        None => return Err(unusual("`removed` is not a list")),
    }
    Ok(())
}
