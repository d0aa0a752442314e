//! Paths with points, indices and conditions, such as `spec.containers.[name=web].image`
//! (`kyaml/yaml`, `PathGetter` and `PathMatcher`).

use super::failure::{Failure, Outcome};
use super::fieldspec::split;
use super::node::{Node, Scalar, Tag};
use super::selector;

/// Splits a path at points, but not within brackets (`SmarterPathSplitter`).
pub(crate) fn parts(path: &str) -> Vec<String> {
    let pieces = split(path, '.');
    let mut result = Vec::with_capacity(pieces.len());
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        if !piece.starts_with('[') || piece.ends_with(']') {
            result.push(piece);
            continue;
        }
        let mut bracketed = piece;
        for piece in pieces.by_ref() {
            bracketed.push('.');
            bracketed.push_str(&piece);
            if piece.ends_with(']') {
                break;
            }
        }
        if bracketed.contains('=') {
            result.push(bracketed);
        } else {
            result.push(bracketed.trim_matches(['[', ']']).to_owned());
        }
    }
    result
}

/// Splits a variable's path, in which `ports[0]` means `ports.0`.
pub(crate) fn with_indices(path: &str) -> Vec<String> {
    let mut result = Vec::new();
    for part in parts(path) {
        match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index))
                if !name.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) =>
            {
                result.push(name.to_owned());
                result.push(index.to_owned());
            }
            _ => result.push(part),
        }
    }
    result
}

/// A condition on a list's items, `[field=text]`; an empty field means the item itself.
fn condition(part: &str) -> Option<Outcome<(&str, &str)>> {
    let inside = part.strip_prefix('[')?.strip_suffix(']')?;
    Some(
        inside
            .split_once('=')
            .ok_or_else(|| Failure::render(format!("{part:?} must be [field=value]"))),
    )
}

fn wrong(part: &str, expected: &str, node: &Node) -> Failure {
    Failure::render(format!(
        "{part:?} needs {expected}, found {}",
        node.kind_name()
    ))
}

/// The value at a path.
///
/// # Errors
/// When a part of the path meets a value of the wrong shape.
pub(crate) fn find<'n>(node: &'n Node, path: &[String]) -> Outcome<Option<&'n Node>> {
    let mut node = node;
    for part in path {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let index = part.parse::<i64>().ok();
        let next = if index.is_some() || part == "-" {
            match node {
                Node::Sequence(items) if part == "-" => items.last(),
                Node::Sequence(items) => index
                    .and_then(|index| usize::try_from(index).ok())
                    .and_then(|index| items.get(index)),
                node if node.is_null() => None,
                node => return Err(wrong(part, "a list", node)),
            }
        } else if part == "*" {
            return Err(Failure::render("`*` cannot be in the path of a source"));
        } else if let Some(condition) = condition(part) {
            let (field, text) = condition?;
            match node {
                Node::Sequence(items) => items.iter().find(|item| {
                    if field.is_empty() {
                        item.scalar_text() == text
                    } else {
                        item.field(field)
                            .is_some_and(|value| value.scalar_text() == text)
                    }
                }),
                node if node.is_null() => None,
                node => return Err(wrong(part, "a list", node)),
            }
        } else {
            match node {
                Node::Map(map) => map.get(part),
                node if node.is_null() => None,
                node => return Err(wrong(part, "a mapping", node)),
            }
        };
        match next {
            Some(next) => node = next,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

/// The value that is created at the end of a path where something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreatedValue {
    Nothing,
    Scalar,
    Map,
    List,
}

impl CreatedValue {
    /// Of the same shape as a value.
    pub(crate) fn like(node: &Node) -> Self {
        match node {
            Node::Scalar(_) => Self::Scalar,
            Node::Map(_) => Self::Map,
            Node::Sequence(_) => Self::List,
        }
    }

    /// The value for a created part of a path; the next part decides its shape.
    fn made(self, next: Option<&String>) -> Node {
        match (next, self) {
            (Some(next), _) if is_in_list(next) => Node::Sequence(Vec::new()),
            (Some(_), _) => Node::map(),
            (None, Self::Map) => Node::map(),
            (None, Self::List) => Node::Sequence(Vec::new()),
            (None, Self::Scalar | Self::Nothing) => Node::Scalar(Scalar {
                tag: Tag::Text,
                text: "".into(),
                quoted: false,
            }),
        }
    }
}

fn is_in_list(part: &str) -> bool {
    is_index(part) || (part.starts_with('[') && part.ends_with(']'))
}

fn is_index(part: &str) -> bool {
    !part.is_empty() && part.parse::<i64>().is_ok_and(|index| index >= 0)
}

/// Whether a value existed at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It was there.
    Found,
    /// It was created for the path.
    Made,
}

/// Calls `set` with every value that a path matches and whether it was created for it; returns their number.
///
/// # Errors
/// When a part of the path meets a value of the wrong shape, or `set` fails.
pub(crate) fn each(
    node: &mut Node,
    path: &[String],
    missing: CreatedValue,
    presence: Presence,
    set: &mut dyn FnMut(&mut Node, Presence) -> Outcome<()>,
) -> Outcome<usize> {
    let Some((part, rest)) = path.split_first() else {
        set(node, presence)?;
        return Ok(1);
    };
    if is_index(part) {
        return at_index(node, part, rest, missing, set);
    }
    if let Some(condition) = condition(part) {
        let (field, pattern) = condition?;
        return in_list(node, part, field, pattern, rest, missing, set);
    }
    if part == "*" {
        return match node {
            Node::Sequence(items) => {
                let mut count = 0;
                for item in items {
                    count += each(item, rest, missing, Presence::Found, set)?;
                }
                Ok(count)
            }
            node if node.is_null() => Ok(0),
            node => Err(wrong(part, "a list", node)),
        };
    }
    match node {
        Node::Map(map) => {
            if map.get(part).is_none() {
                if missing == CreatedValue::Nothing {
                    return Ok(0);
                }
                map.insert(part, missing.made(rest.first()));
                let field = map.entry(part, Node::map);
                return each(field, rest, missing, Presence::Made, set);
            }
            match map.get_mut(part) {
                Some(field) => each(field, rest, missing, Presence::Found, set),
                None => Ok(0),
            }
        }
        node if node.is_null() && missing == CreatedValue::Nothing => Ok(0),
        node => Err(wrong(part, "a mapping", node)),
    }
}

fn at_index(
    node: &mut Node,
    part: &str,
    rest: &[String],
    missing: CreatedValue,
    set: &mut dyn FnMut(&mut Node, Presence) -> Outcome<()>,
) -> Outcome<usize> {
    let Node::Sequence(items) = node else {
        return Err(wrong(part, "a list", node));
    };
    let at: usize = part
        .parse()
        .map_err(|_| Failure::render(format!("{part:?} is not a list index")))?;
    let presence = if at == items.len() && missing != CreatedValue::Nothing {
        items.push(missing.made(rest.first()));
        Presence::Made
    } else {
        Presence::Found
    };
    let length = items.len();
    match items.get_mut(at) {
        Some(item) => each(item, rest, missing, presence, set),
        None => Err(Failure::render(format!(
            "index {at} is out of range: the list has {length} items"
        ))),
    }
}

fn in_list(
    node: &mut Node,
    part: &str,
    field: &str,
    pattern: &str,
    rest: &[String],
    missing: CreatedValue,
    set: &mut dyn FnMut(&mut Node, Presence) -> Outcome<()>,
) -> Outcome<usize> {
    let Node::Sequence(items) = node else {
        return if node.is_null() && missing == CreatedValue::Nothing {
            Ok(0)
        } else {
            Err(wrong(part, "a list", node))
        };
    };
    let expression = selector::expression(pattern)?;
    let mut count = 0;
    for item in items.iter_mut() {
        let text = if field.is_empty() {
            Some(written(item))
        } else {
            item.field(field).map(written)
        };
        if text.is_some_and(|text| expression.is_match(&text)) {
            count += if field.is_empty() {
                // The rest of the path is ignored for scalar items, as in Kustomize.
                set(item, Presence::Found)?;
                1
            } else {
                each(item, rest, missing, Presence::Found, set)?
            };
        }
    }
    if count > 0 || missing == CreatedValue::Nothing {
        return Ok(count);
    }
    let mut item = if field.is_empty() {
        Node::plain(pattern)
    } else {
        let mut map = Node::map();
        if let Some(map) = map.as_map_mut() {
            map.insert(field, Node::plain(pattern));
        }
        map
    };
    if !expression.is_match(pattern) {
        return Err(Failure::render(format!(
            "{part:?} matches nothing, and an expression cannot create an item"
        )));
    }
    let count = if field.is_empty() {
        set(&mut item, Presence::Found)?;
        1
    } else {
        each(&mut item, rest, missing, Presence::Found, set)?
    };
    items.push(item);
    Ok(count)
}

/// A value as YAML would write it on one line: text that looks like something else has quotes.
fn written(node: &Node) -> String {
    match node {
        Node::Scalar(scalar)
            if scalar.tag == Tag::Text && super::node::plain_tag(&scalar.text) != Tag::Text =>
        {
            format!("\"{}\"", scalar.text)
        }
        node => node.scalar_text().trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_what_is_in_brackets() {
        assert_eq!(
            parts("spec.containers.[name=a.b].image"),
            ["spec", "containers", "[name=a.b]", "image"]
        );
        assert_eq!(
            parts("metadata.annotations.[a.b/c]"),
            ["metadata", "annotations", "a.b/c"]
        );
        assert_eq!(parts(r"a.x\.io.b"), ["a", "x.io", "b"]);
        assert_eq!(
            with_indices("spec.ports[0].port"),
            ["spec", "ports", "0", "port"]
        );
    }
}
