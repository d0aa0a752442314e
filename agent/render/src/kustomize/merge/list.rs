//! Items of lists that merge: which are the same, and in which order they come.

use std::collections::HashSet;

use crate::kustomize::node::{Map, Node};

/// The list on the other side of a merge.
pub(super) enum Source {
    /// The patch says nothing about it.
    Nothing,
    /// The patch's items.
    Patch(Vec<Node>),
    /// Only the patch has the list. Kustomize merges it with itself, with the very same items, so that an
    /// item removed from one is removed from the other.
    Itself,
}

/// Null or an empty mapping: no item of a list that merges.
pub(super) fn is_gone(item: &Node) -> bool {
    item.is_null() || item.as_map().is_some_and(Map::is_empty)
}

/// Two values that differ only where one is missing are the same item (`mergeValues`).
pub(super) fn fill_gaps(values: &mut [Vec<String>]) {
    for a in 0..values.len() {
        // A copy: gaps that are filled in this turn do not count for the remaining values.
        let Some(first) = values.get(a).cloned() else {
            continue;
        };
        for b in 0..values.len() {
            let Some(second) = values.get(b) else {
                continue;
            };
            if let Some(both) = joined(&first, second) {
                if let Some(place) = values.get_mut(a) {
                    place.clone_from(&both);
                }
                if let Some(place) = values.get_mut(b) {
                    *place = both;
                }
            }
        }
    }
}

fn joined(first: &[String], second: &[String]) -> Option<Vec<String>> {
    let mut common = false;
    let mut both = Vec::with_capacity(first.len());
    for (a, b) in first.iter().zip(second) {
        if a == b {
            common = true;
        } else if !a.is_empty() && !b.is_empty() {
            return None;
        }
        both.push(if a.is_empty() { b.clone() } else { a.clone() });
    }
    common.then_some(both)
}

/// Whether an item has the keys with these values; an empty value matches any.
fn matches(item: &Node, known: &[(&str, &str)]) -> bool {
    known.iter().all(|(key, text)| {
        item.field(key)
            .is_some_and(|field| text.is_empty() || field.scalar_text() == *text)
    })
}

pub(super) fn remove_matching(items: &mut Vec<Node>, known: &[(&str, &str)]) {
    let by_key = known.first().is_some_and(|(_, text)| !text.is_empty());
    items.retain(|item| {
        if is_gone(item) {
            return false;
        }
        if item.as_map().is_none() {
            return by_key;
        }
        !matches(item, known)
    });
}

/// Replaces the items that match, or appends (`ElementSetter`).
pub(super) fn set_element(items: &mut Vec<Node>, element: Node, known: &[(&str, &str)]) {
    let mut found = false;
    items.retain(|item| !is_gone(item));
    for item in items.iter_mut() {
        if item.as_map().is_some() && matches(item, known) {
            item.clone_from(&element);
            found = true;
        }
    }
    if !found {
        items.push(element);
    }
}

/// The object's own items after those of the patch, each in the place of the one it matches
/// (`appendListNode`).
pub(super) fn append(mut added: Vec<Node>, target: Vec<Node>, keys: &[&str]) -> Vec<Node> {
    for item in target {
        let mut known: Vec<(&str, String)> = Vec::new();
        let mut incomplete = false;
        for key in keys {
            match item.field(key) {
                Some(field) => known.push((key, field.scalar_text().to_owned())),
                None => {
                    added.push(item.clone());
                    incomplete = true;
                }
            }
        }
        let known: Vec<(&str, &str)> = known
            .iter()
            .map(|(key, text)| (*key, text.as_str()))
            .collect();
        if known.is_empty() {
            // Without any key the item was appended above, and Kustomize then finds nothing to set.
            if incomplete {
                continue;
            }
        }
        if keys.len() > 1 {
            remove_matching(&mut added, &known);
        }
        set_element(&mut added, item, &known);
    }
    added
}

/// A list of plain values: those of the patch first, each once.
pub(super) fn by_value(target: Vec<Node>, source: Source) -> Vec<Node> {
    let patch = match source {
        Source::Patch(items) => items,
        Source::Nothing | Source::Itself => Vec::new(),
    };
    let mut seen = HashSet::new();
    let mut merged = Vec::new();
    for item in patch.into_iter().chain(target) {
        if is_gone(&item) {
            continue;
        }
        let text = item.scalar_text().to_owned();
        if seen.insert(text) {
            merged.push(item);
        }
    }
    merged
}
