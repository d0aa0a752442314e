//! Strategic merge as Kustomize does it (`kyaml/yaml/merge2` and `walk`), oddities included: people
//! have reviewed Kustomize's results.

mod keyed;
mod list;

use self::list::{Source, by_value, is_gone};
use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::node::{Key, Map, Node, Tag};
use super::schema::{Schema, ShapeRef};

/// A directive in a patch about a mapping or list as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

const DIRECTIVE: &str = "$patch";

/// Merges a patch into an object; none where the patch deletes it.
///
/// # Errors
/// When the two have different shapes somewhere, or a directive is unknown.
pub(crate) fn strategic(
    target: Node,
    patch: Node,
    schema: &Schema,
    budget: &Budget,
) -> Outcome<Option<Node>> {
    let mut path = Vec::new();
    Merger { schema, budget }
        .walk(Some(target), Some(patch), None, &mut path)
        .map_err(|error| error.context("strategic merge patch"))
}

struct Merger<'s> {
    schema: &'s Schema,
    budget: &'s Budget,
}

/// A present value that is not null.
fn solid(node: Option<&Node>) -> Option<&Node> {
    node.filter(|node| !node.is_null())
}

impl<'s> Merger<'s> {
    /// Merges one value. A null that is returned is to be kept.
    fn walk(
        &self,
        target: Option<Node>,
        patch: Option<Node>,
        shape: Option<ShapeRef<'s>>,
        path: &mut Vec<Key>,
    ) -> Outcome<Option<Node>> {
        let shape = shape
            .or_else(|| self.shape_of(target.as_ref()))
            .or_else(|| self.shape_of(patch.as_ref()));
        let leader = solid(target.as_ref()).or_else(|| solid(patch.as_ref()));
        if let (Some(leader), Some(patch)) = (leader, solid(patch.as_ref()))
            && !leader.same_shape(patch)
        {
            let at: Vec<&str> = path.iter().map(|key| &**key).collect();
            return Err(Failure::render(format!(
                "{}: the patch has {} where the object has {}",
                at.join("."),
                patch.kind_name(),
                leader.kind_name()
            )));
        }
        match leader {
            Some(Node::Map(_)) | None => self.map(target, patch, shape, path),
            Some(Node::Sequence(_)) => match shape.and_then(ShapeRef::merge_keys) {
                Some(keys) => self.list(target, patch, shape, keys, path),
                None => Ok(not_null(patch.or(target))),
            },
            Some(Node::Scalar(_)) => Ok(not_null(restyled(target, patch))),
        }
    }

    /// The shape of an object, by its own kind.
    fn shape_of(&self, node: Option<&Node>) -> Option<ShapeRef<'s>> {
        let map = node?.as_map()?;
        let kind = map.get("kind")?.scalar_text();
        let api_version = map.get("apiVersion")?.scalar_text();
        if kind.is_empty() || api_version.is_empty() {
            return None;
        }
        self.schema.of_kind(api_version, kind)
    }

    fn map(
        &self,
        target: Option<Node>,
        patch: Option<Node>,
        shape: Option<ShapeRef<'s>>,
        path: &mut Vec<Key>,
    ) -> Outcome<Option<Node>> {
        let mut patch = patch;
        let Some(target) = target.filter(|target| !target.is_null() || patch.is_none()) else {
            // Only the patch has the value.
            return match patch {
                Some(mut added) => {
                    // An unknown directive is left in place here, as in Kustomize.
                    if take_map_directive(&mut added).is_ok_and(|found| found == Directive::Delete)
                    {
                        return Ok(None);
                    }
                    self.added(added, shape, path)
                }
                None => Ok(None),
            };
        };
        if target.is_null() {
            // The patch does not mention it: `null` and `~` stay, an empty value is removed.
            return Ok((!target.scalar_text().is_empty()).then_some(target));
        }
        if patch.as_ref().is_some_and(Node::is_null) {
            return Ok(None);
        }
        if let Some(patch_node) = &mut patch {
            match take_map_directive(patch_node)? {
                Directive::Delete => return Ok(None),
                Directive::Replace => {
                    let replacement = patch.unwrap_or_else(Node::map);
                    return self.added(replacement, shape, path);
                }
                Directive::Merge => {}
            }
        }
        let Node::Map(target) = target else {
            return Ok(Some(target));
        };
        let patch = match patch {
            Some(Node::Map(patch)) => patch.into_entries(),
            _ => Vec::new(),
        };
        let mut merged = Vec::with_capacity(target.len() + patch.len());
        let mut theirs = target.into_entries().into_iter().peekable();
        let mut ours = patch.into_iter().peekable();
        loop {
            let order = match (theirs.peek(), ours.peek()) {
                (Some((a, _)), Some((b, _))) => a.cmp(b),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (None, None) => break,
            };
            let their = if order.is_le() { theirs.next() } else { None };
            let our = if order.is_ge() { ours.next() } else { None };
            let Some(key) = their
                .as_ref()
                .or(our.as_ref())
                .map(|(key, _)| Key::clone(key))
            else {
                break;
            };
            let (their, our) = (their.map(|entry| entry.1), our.map(|entry| entry.1));
            path.push(Key::clone(&key));
            let inner = shape.and_then(|shape| shape.field(&key));
            let value = if our.is_none() && !self.may_change(their.as_ref()) {
                their
            } else {
                self.walk(their, our, inner, path)?
            };
            path.pop();
            if let Some(value) = value {
                merged.push((key, value));
            }
        }
        Ok(Some(Node::Map(Map::from_sorted(merged))))
    }

    /// Whether walking a value without a patch changes it: empty nulls go, and lists that merge by key
    /// lose duplicates. Scalars never change.
    fn may_change(&self, target: Option<&Node>) -> bool {
        !matches!(target, Some(Node::Scalar(scalar)) if scalar.tag != Tag::Null)
    }

    /// A value that only the patch has: Kustomize merges it with itself, which drops nulls and
    /// directives in it.
    fn added(
        &self,
        added: Node,
        shape: Option<ShapeRef<'s>>,
        path: &mut Vec<Key>,
    ) -> Outcome<Option<Node>> {
        match added {
            Node::Map(map) => {
                let mut kept = Vec::with_capacity(map.len());
                for (key, value) in map.into_entries() {
                    path.push(Key::clone(&key));
                    let inner = shape.and_then(|shape| shape.field(&key));
                    let value = match value {
                        Node::Map(_) => self.added_map(value, inner, path)?,
                        Node::Sequence(_) => self.added_list(value, inner, path)?,
                        Node::Scalar(_) => not_null(Some(value)),
                    };
                    path.pop();
                    if let Some(value) = value {
                        kept.push((key, value));
                    }
                }
                Ok(Some(Node::Map(Map::from_sorted(kept))))
            }
            Node::Sequence(_) => self.added_list(added, shape, path),
            Node::Scalar(_) => Ok(not_null(Some(added))),
        }
    }

    fn added_map(
        &self,
        mut map: Node,
        shape: Option<ShapeRef<'s>>,
        path: &mut Vec<Key>,
    ) -> Outcome<Option<Node>> {
        let shape = shape.or_else(|| self.shape_of(Some(&map)));
        match take_map_directive(&mut map)? {
            Directive::Delete => Ok(None),
            Directive::Merge | Directive::Replace => self.added(map, shape, path),
        }
    }

    fn added_list(
        &self,
        list: Node,
        shape: Option<ShapeRef<'s>>,
        path: &mut Vec<Key>,
    ) -> Outcome<Option<Node>> {
        match shape.and_then(ShapeRef::merge_keys) {
            Some(keys) => {
                let Node::Sequence(mut items) = list else {
                    return Ok(Some(list));
                };
                match take_list_directive(&mut items)? {
                    Directive::Delete => Ok(None),
                    Directive::Merge | Directive::Replace => {
                        self.items(items, Source::Itself, shape, keys, path)
                    }
                }
            }
            None => Ok(Some(list)),
        }
    }

    /// Merges a list by keys, or by value where there are none.
    fn list(
        &self,
        target: Option<Node>,
        patch: Option<Node>,
        shape: Option<ShapeRef<'s>>,
        keys: &[String],
        path: &mut Vec<Key>,
    ) -> Outcome<Option<Node>> {
        let target = target.filter(|target| !target.is_null());
        let (target, source) = match (target, patch) {
            (Some(_), Some(patch)) if patch.is_null() => return Ok(None),
            (Some(Node::Sequence(target)), Some(Node::Sequence(mut items))) => {
                match take_list_directive(&mut items)? {
                    Directive::Delete => return Ok(None),
                    Directive::Replace => (items, Source::Itself),
                    Directive::Merge => (target, Source::Patch(items)),
                }
            }
            (Some(Node::Sequence(target)), _) => (target, Source::Nothing),
            (None, Some(Node::Sequence(items))) => (items, Source::Itself),
            _ => return Ok(None),
        };
        self.items(target, source, shape, keys, path)
    }

    fn items(
        &self,
        target: Vec<Node>,
        source: Source,
        shape: Option<ShapeRef<'s>>,
        keys: &[String],
        path: &mut Vec<Key>,
    ) -> Outcome<Option<Node>> {
        let items = if keys.is_empty() {
            by_value(target, source)
        } else {
            self.by_keys(target, source, shape, keys, path)?
        };
        Ok(Some(Node::Sequence(items)))
    }
}

/// The patch's scalar in the style of the field: a number in place of quoted text is text.
fn restyled(target: Option<Node>, patch: Option<Node>) -> Option<Node> {
    match (target, patch) {
        (Some(Node::Scalar(target)), Some(Node::Scalar(mut patch)))
            if target.quoted && patch.tag != Tag::Null =>
        {
            patch.tag = Tag::Text;
            patch.quoted = true;
            Some(Node::Scalar(patch))
        }
        (target, patch) => patch.or(target),
    }
}

/// A null that a patch sets means that the field goes.
fn not_null(node: Option<Node>) -> Option<Node> {
    node.filter(|node| !node.is_null())
}

fn directive(text: &str) -> Outcome<Directive> {
    match text {
        "merge" => Ok(Directive::Merge),
        "replace" => Ok(Directive::Replace),
        "delete" => Ok(Directive::Delete),
        other => Err(Failure::render(format!(
            "unknown patch directive {:?}; use delete, replace or merge",
            other.chars().take(100).collect::<String>()
        ))),
    }
}

fn take_map_directive(patch: &mut Node) -> Outcome<Directive> {
    let Some(map) = patch.as_map_mut() else {
        return Ok(Directive::Merge);
    };
    let found = match map.get(DIRECTIVE) {
        Some(value) => directive(value.scalar_text())?,
        None => return Ok(Directive::Merge),
    };
    map.remove(DIRECTIVE);
    Ok(found)
}

/// A list's directive is an item of its own with nothing else in it.
fn take_list_directive(items: &mut Vec<Node>) -> Outcome<Directive> {
    let Some(item) = items
        .iter()
        .filter_map(Node::as_map)
        .find(|map| map.get(DIRECTIVE).is_some())
    else {
        return Ok(Directive::Merge);
    };
    if item.len() > 1 {
        return Ok(Directive::Merge);
    }
    let text = item.get(DIRECTIVE).map_or("", Node::scalar_text).to_owned();
    let found = directive(&text)?;
    items.retain(|item| {
        !is_gone(item)
            && item
                .field(DIRECTIVE)
                .is_none_or(|value| value.scalar_text() != text)
    });
    Ok(found)
}
