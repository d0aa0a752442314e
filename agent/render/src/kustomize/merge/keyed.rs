//! Lists whose items merge by keys.

use std::collections::{BTreeSet, HashSet};

use super::list::{Source, append, fill_gaps, remove_matching, set_element};
use super::{DIRECTIVE, Merger};
use crate::kustomize::failure::Outcome;
use crate::kustomize::node::{Key, Node};
use crate::kustomize::schema::ShapeRef;

/// The two lists of a merge, and the result so far.
struct Lists {
    /// The object's items; those that the patch changes are changed here as well.
    target: Vec<Node>,
    patch: Vec<Node>,
    /// See [`Source::Itself`]; the patch has no items then.
    with_itself: bool,
    /// The merged items so far.
    added: Vec<Node>,
}

impl<'s> Merger<'s> {
    /// Merges the items of two lists that have the same values of the keys.
    pub(super) fn by_keys(
        &self,
        target: Vec<Node>,
        source: Source,
        shape: Option<ShapeRef<'s>>,
        keys: &[String],
        path: &mut Vec<Key>,
    ) -> Outcome<Vec<Node>> {
        let inner = shape.and_then(ShapeRef::items);
        let (patch, with_itself) = match source {
            Source::Nothing => (Vec::new(), false),
            Source::Itself => (Vec::new(), true),
            Source::Patch(items) => (items, false),
        };
        // Every item is compared with every other one.
        let items = target.len() + patch.len();
        self.budget.work(items.saturating_mul(items))?;
        let mut values = distinct_values(&patch, &target, keys);
        if values.is_empty() {
            return Ok(target);
        }
        if keys.len() > 1 {
            fill_gaps(&mut values);
        }
        let used = used_keys(&values, keys.len());
        let keys = picked(keys, &used);
        let mut lists = Lists {
            target,
            patch,
            with_itself,
            added: Vec::new(),
        };
        for value in &values {
            let value = picked(value, &used);
            let known: Vec<(&str, &str)> = keys.iter().copied().zip(value).collect();
            self.item(&mut lists, &known, inner, path)?;
        }
        Ok(append(lists.added, lists.target, &keys))
    }

    /// Merges the items that have the keys with these values.
    fn item(
        &self,
        lists: &mut Lists,
        known: &[(&str, &str)],
        inner: Option<ShapeRef<'s>>,
        path: &mut Vec<Key>,
    ) -> Outcome<()> {
        let looked_for = present(known);
        let at_target = position(&lists.target, &looked_for);
        let at_patch = position(&lists.patch, &looked_for);
        let theirs = at_target.and_then(|at| lists.target.get(at).cloned());
        let ours = if lists.with_itself {
            theirs.clone()
        } else {
            at_patch.and_then(|at| lists.patch.get(at).cloned())
        };
        let replaces =
            !lists.with_itself && ours.as_ref().is_some_and(is_replacement) && theirs.is_some();
        let merged = self.walk(theirs, ours, inner, path)?;
        let Some(mut merged) = merged.filter(|merged| !merged.is_empty()) else {
            remove_matching(&mut lists.target, known);
            return Ok(());
        };
        add_keys(&mut merged, known);
        // Kustomize merges into the object's own item. One that is replaced also stays in the list,
        // and wins in the end.
        if let Some(place) = at_target.and_then(|at| lists.target.get_mut(at))
            && !replaces
        {
            *place = merged.clone();
        }
        set_element(&mut lists.added, merged, known);
        Ok(())
    }
}

/// The items' values of the keys, each once; a key that an item lacks is empty.
fn distinct_values(patch: &[Node], target: &[Node], keys: &[String]) -> Vec<Vec<String>> {
    let mut values = Vec::new();
    let mut seen = HashSet::new();
    // Items that the patch adds come first.
    for item in patch.iter().chain(target) {
        let value: Vec<String> = keys
            .iter()
            .map(|key| {
                item.field(key)
                    .filter(|field| !field.is_empty())
                    .map_or("", Node::scalar_text)
                    .to_owned()
            })
            .collect();
        if seen.insert(value.clone()) {
            values.push(value);
        }
    }
    values
}

/// Which of so many keys are compared: those that no item has are left out, unless no item has any.
fn used_keys(values: &[Vec<String>], count: usize) -> Vec<usize> {
    let used: BTreeSet<usize> = values
        .iter()
        .flat_map(|value| value.iter().enumerate())
        .filter(|(_, text)| !text.is_empty())
        .map(|(at, _)| at)
        .collect();
    if used.is_empty() {
        (0..count).collect()
    } else {
        used.into_iter().collect()
    }
}

/// The texts at these places.
fn picked<'t>(texts: &'t [String], places: &[usize]) -> Vec<&'t str> {
    places
        .iter()
        .filter_map(|at| texts.get(*at).map(String::as_str))
        .collect()
}

/// Where a value is missing, the keys that are there have to do.
fn present<'k>(known: &[(&'k str, &'k str)]) -> Vec<(&'k str, &'k str)> {
    let present: Vec<(&str, &str)> = known
        .iter()
        .copied()
        .filter(|(_, text)| !text.is_empty())
        .collect();
    if present.is_empty() {
        known.to_vec()
    } else {
        present
    }
}

/// The first item that has the keys with exactly these values.
fn position(items: &[Node], looked_for: &[(&str, &str)]) -> Option<usize> {
    items.iter().position(|item| {
        item.as_map().is_some()
            && looked_for.iter().all(|(key, text)| {
                item.field(key)
                    .is_some_and(|field| field.scalar_text() == *text)
            })
    })
}

/// Gives a merged item the keys by which it was found, where it lacks them.
fn add_keys(item: &mut Node, known: &[(&str, &str)]) {
    if let Some(map) = item.as_map_mut() {
        for (key, text) in known {
            if map.get(key).is_none() && !text.is_empty() {
                map.insert(key, Node::plain(text));
            }
        }
    }
}

fn is_replacement(node: &Node) -> bool {
    node.field(DIRECTIVE)
        .is_some_and(|directive| directive.scalar_text() == "replace")
}
