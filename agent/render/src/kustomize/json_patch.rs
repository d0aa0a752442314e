//! JSON patches (RFC 6902), as evanphx/json-patch v4 applies them: negative indices count from the
//! end, and removing a missing value is an error.

use serde_json::Value;

use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::node::{Map, Node};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    kind: Kind,
    path: Vec<String>,
    /// The path as written, for messages.
    pointer: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Add(Node),
    Remove,
    Replace(Node),
    Test(Node),
    Move(Vec<String>),
    Copy(Vec<String>),
}

/// Reads a patch: JSON, or the same as YAML.
///
/// # Errors
/// When it is not a list of operations.
pub(crate) fn parse(text: &str, limits: &flotilla_yaml::Limits) -> Outcome<Vec<Operation>> {
    let text = text.trim();
    let value = if text.starts_with('[') {
        match serde_json::from_str(text) {
            Ok(value) => value,
            // A list in YAML's flow style, which Kustomize does not accept either.
            Err(error) => {
                return Err(Failure::render(format!("not a JSON patch: {error}")));
            }
        }
    } else {
        let mut documents = flotilla_yaml::parse_documents(text, limits)
            .map_err(|error| Failure::render(format!("not a JSON patch: {error}")))?;
        match documents.len() {
            1 => documents.remove(0).value,
            _ => return Err(Failure::render("a JSON patch is one document")),
        }
    };
    let Value::Array(items) = value else {
        return Err(Failure::render("a JSON patch is a list of operations"));
    };
    items.into_iter().map(operation).collect()
}

fn operation(value: Value) -> Outcome<Operation> {
    let Value::Object(mut map) = value else {
        return Err(Failure::render("an operation of a JSON patch is a mapping"));
    };
    let mut text = |name: &str| match map.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (op, path, from) = (text("op"), text("path"), text("from"));
    let op = op.ok_or_else(|| Failure::render("an operation of a JSON patch has no `op`"))?;
    let pointer = path.ok_or_else(|| Failure::render(format!("{op} has no `path`")))?;
    let given = map.remove("value");
    if let Some(unknown) = map.keys().next() {
        return Err(Failure::new(
            flotilla_shared::reason::Reason::UnknownField,
            format!("{op} {pointer}: unknown field {unknown:?}; known are op, path, from, value"),
        ));
    }
    let value = || {
        given
            .map(Node::from_json)
            .ok_or_else(|| Failure::render(format!("{op} {pointer} has no `value`")))
    };
    let from = || {
        from.as_deref()
            .map(segments)
            .ok_or_else(|| Failure::render(format!("{op} {pointer} has no `from`")))
    };
    let kind = match op.as_str() {
        "add" => Kind::Add(value()?),
        "remove" => Kind::Remove,
        "replace" => Kind::Replace(value()?),
        "test" => Kind::Test(value().unwrap_or_else(|_| Node::null())),
        "move" => Kind::Move(from()?),
        "copy" => Kind::Copy(from()?),
        other => {
            return Err(Failure::render(format!(
                "{other:?} is not an operation of JSON patches"
            )));
        }
    };
    Ok(Operation {
        kind,
        path: segments(&pointer),
        pointer,
    })
}

fn segments(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// Applies all operations, or fails.
///
/// # Errors
/// When one cannot be applied.
pub(crate) fn apply(target: &mut Node, operations: &[Operation], budget: &Budget) -> Outcome<()> {
    for operation in operations {
        apply_one(target, operation, budget)
            .map_err(|error| error.context(&format!("JSON patch at {:?}", operation.pointer)))?;
    }
    Ok(())
}

fn apply_one(target: &mut Node, operation: &Operation, budget: &Budget) -> Outcome<()> {
    let path = &operation.path;
    match &operation.kind {
        Kind::Add(value) => {
            budget.work(value.weight())?;
            add(target, path, value.clone())
        }
        Kind::Remove => remove(target, path).map(|_| ()),
        Kind::Replace(value) => {
            budget.work(value.weight())?;
            replace(target, path, value.clone())
        }
        Kind::Test(value) => {
            let found = find(target, path);
            let equal = match found {
                Some(found) => found.clone().into_json()? == value.clone().into_json()?,
                None => value.is_null(),
            };
            if equal {
                Ok(())
            } else {
                Err(Failure::render("the test failed"))
            }
        }
        Kind::Move(from) => {
            let value = remove(target, from)?;
            add(target, path, value)
        }
        Kind::Copy(from) => {
            let value = find(target, from).ok_or_else(missing)?;
            budget.work(value.weight())?;
            let value = value.clone();
            add(target, path, value)
        }
    }
}

/// A missing field is created, contrary to the RFC: so does the library that Kustomize uses.
fn replace(target: &mut Node, path: &[String], value: Node) -> Outcome<()> {
    if let Some((last, parents)) = path.split_last()
        && let Node::Map(map) = find_mut(target, parents)?
    {
        map.insert(last, value);
        return Ok(());
    }
    *find_mut(target, path)? = value;
    Ok(())
}

fn missing() -> Failure {
    Failure::render("nothing exists at this path")
}

/// An existing item's place in a list; negative ones count from the end.
fn index(part: &str, length: usize) -> Option<usize> {
    let number: i64 = part.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    let at = if number < 0 { number + length } else { number };
    (0..length)
        .contains(&at)
        .then(|| usize::try_from(at).ok())
        .flatten()
}

fn find<'n>(node: &'n Node, path: &[String]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, part| match node {
        Node::Map(map) => map.get(part),
        Node::Sequence(items) => items.get(index(part, items.len())?),
        Node::Scalar(_) => None,
    })
}

fn find_mut<'n>(node: &'n mut Node, path: &[String]) -> Outcome<&'n mut Node> {
    path.iter()
        .try_fold(node, |node, part| match node {
            Node::Map(map) => map.get_mut(part),
            Node::Sequence(items) => {
                let at = index(part, items.len())?;
                items.get_mut(at)
            }
            Node::Scalar(_) => None,
        })
        .ok_or_else(missing)
}

fn add(target: &mut Node, path: &[String], value: Node) -> Outcome<()> {
    let Some((last, parents)) = path.split_last() else {
        *target = value;
        return Ok(());
    };
    match find_mut(target, parents)? {
        Node::Map(map) => {
            map.insert(last, value);
            Ok(())
        }
        Node::Sequence(items) if last == "-" => {
            items.push(value);
            Ok(())
        }
        Node::Sequence(items) => {
            let number: i64 = last
                .parse()
                .map_err(|_| Failure::render(format!("{last:?} is not a list index")))?;
            // The index after the last item is valid; negative ones count from there.
            let places = i64::try_from(items.len()).unwrap_or(i64::MAX) + 1;
            let at = if number < 0 { number + places } else { number };
            match usize::try_from(at) {
                Ok(at) if at <= items.len() => {
                    items.insert(at, value);
                    Ok(())
                }
                _ => Err(Failure::render(format!(
                    "the list has {} items",
                    items.len()
                ))),
            }
        }
        Node::Scalar(_) => Err(missing()),
    }
}

fn remove(target: &mut Node, path: &[String]) -> Outcome<Node> {
    let Some((last, parents)) = path.split_last() else {
        return Ok(std::mem::replace(target, Node::Map(Map::default())));
    };
    match find_mut(target, parents)? {
        Node::Map(map) => map.remove(last).ok_or_else(missing),
        Node::Sequence(items) => {
            let at = index(last, items.len()).ok_or_else(missing)?;
            Ok(items.remove(at))
        }
        Node::Scalar(_) => Err(missing()),
    }
}
