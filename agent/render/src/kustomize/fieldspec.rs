//! Field specifications: paths that make no difference between mappings and the items of lists
//! (`api/types/fieldspec.go`, `api/filters/fieldspec`).

use serde::Deserialize;

use super::failure::{Failure, Outcome};
use super::identity::Gvk;
use super::node::{Map, Node};

/// A path in objects of some kinds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub(crate) struct FieldSpec {
    /// Which kinds; empty parts match any.
    pub(crate) gvk: Gvk,
    /// The path as written.
    pub(crate) path: String,
    /// Whether missing parts are created.
    pub(crate) create: bool,
    segments: Vec<Segment>,
}

/// The form in files.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Written {
    group: String,
    version: String,
    kind: String,
    path: String,
    create: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    name: String,
    /// Written `name[]`: the field is always a list, and is not created.
    list: bool,
}

/// The value at the end of a path that is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Create {
    /// Nothing is created, even if the specification says so.
    Never,
    /// An empty mapping.
    Map,
    /// An empty text.
    Text,
}

impl From<Written> for FieldSpec {
    fn from(written: Written) -> Self {
        let gvk = Gvk {
            group: written.group,
            version: written.version,
            kind: written.kind,
        };
        Self {
            create: written.create,
            ..Self::new(gvk, &written.path)
        }
    }
}

/// The form in a step's own file, where Kustomize itself overlooks fields it does not know.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Lenient {
    group: String,
    version: String,
    kind: String,
    path: String,
    create: bool,
}

impl From<Lenient> for FieldSpec {
    fn from(lenient: Lenient) -> Self {
        let Lenient {
            group,
            version,
            kind,
            path,
            create,
        } = lenient;
        Self::from(Written {
            group,
            version,
            kind,
            path,
            create,
        })
    }
}

impl FieldSpec {
    /// A specification for existing fields; see [`Self::creating`].
    pub(crate) fn new(gvk: Gvk, path: &str) -> Self {
        let segments = split(path, '/')
            .into_iter()
            .map(|part| match part.strip_suffix("[]") {
                Some(name) => Segment {
                    name: name.to_owned(),
                    list: true,
                },
                None => Segment {
                    name: part,
                    list: false,
                },
            })
            .collect();
        Self {
            gvk,
            path: path.to_owned(),
            create: false,
            segments,
        }
    }

    /// Of any kind.
    pub(crate) fn of_any(path: &str) -> Self {
        Self::new(Gvk::default(), path)
    }

    /// The same path, whose missing parts are created.
    pub(crate) fn creating(self) -> Self {
        Self {
            create: true,
            ..self
        }
    }

    /// Whether it applies to an object.
    pub(crate) fn applies_to(&self, object: &Node) -> bool {
        let text = |field: &str| object.field(field).map_or("", Node::scalar_text);
        if !self.gvk.kind.is_empty() && self.gvk.kind != text("kind") {
            return false;
        }
        if self.gvk.group.is_empty() && self.gvk.version.is_empty() {
            return true;
        }
        let api_version = text("apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        (self.gvk.group.is_empty() || self.gvk.group == group)
            && (self.gvk.version.is_empty() || self.gvk.version == version)
    }

    /// Calls `set` with every value at the path, if the specification applies to this object.
    ///
    /// # Errors
    /// When a part of the path is neither mapping nor list, or `set` fails.
    pub(crate) fn apply(
        &self,
        object: &mut Node,
        create: Create,
        set: &mut dyn FnMut(&mut Node) -> Outcome<()>,
    ) -> Outcome<()> {
        if !self.applies_to(object) {
            return Ok(());
        }
        let create = if self.create { create } else { Create::Never };
        walk(object, &self.segments, create, set)
            .map_err(|error| error.context(&format!("field {:?}", self.path)))
    }
}

fn walk(
    node: &mut Node,
    path: &[Segment],
    create: Create,
    set: &mut dyn FnMut(&mut Node) -> Outcome<()>,
) -> Outcome<()> {
    let Some((segment, rest)) = path.split_first() else {
        return set(node);
    };
    if node.is_null() {
        return Ok(());
    }
    match node {
        Node::Sequence(items) => items
            .iter_mut()
            .try_for_each(|item| walk(item, path, create, set)),
        Node::Map(map) => {
            // Only the last field can be text; fields before it are created as mappings.
            let here = match create {
                Create::Text if !rest.is_empty() => Create::Map,
                create => create,
            };
            match field(map, segment, here)? {
                Some(field) => walk(field, rest, create, set),
                None => Ok(()),
            }
        }
        Node::Scalar(_) => Err(Failure::render(format!(
            "expected a mapping or list that may hold {:?}, found a scalar",
            segment.name
        ))),
    }
}

fn field<'m>(map: &'m mut Map, segment: &Segment, create: Create) -> Outcome<Option<&'m mut Node>> {
    if segment.name.is_empty() {
        return Err(Failure::render("a path has an empty part"));
    }
    if segment.list || create == Create::Never {
        let field = map.get_mut(&segment.name);
        return Ok(field.map(|field| {
            if segment.list && field.is_null() {
                *field = Node::Sequence(Vec::new());
            }
            field
        }));
    }
    let missing = || match create {
        Create::Text => Node::text(""),
        _ => Node::map(),
    };
    let field = map.entry(&segment.name, missing);
    if field.is_null() {
        *field = missing();
    }
    Ok(Some(field))
}

/// Splits at a delimiter that a backslash can escape; one in front means nothing (`PathSplitter`).
pub(crate) fn split(path: &str, delimiter: char) -> Vec<String> {
    let mut parts: Vec<&str> = path.split(delimiter).collect();
    if parts.len() > 1 && parts.first() == Some(&"") {
        parts.remove(0);
    }
    let mut result: Vec<String> = Vec::with_capacity(parts.len());
    for part in parts {
        match result.last_mut() {
            Some(last) if last.ends_with('\\') => {
                last.pop();
                last.push(delimiter);
                last.push_str(part);
            }
            _ => result.push(part.to_owned()),
        }
    }
    result
}

/// Adds new specifications; those that exist already are not repeated (`FsSlice.MergeOne`).
///
/// # Errors
/// When two of the same place disagree on whether it is made.
pub(crate) fn merge_one(all: &mut Vec<FieldSpec>, new: &FieldSpec) -> Outcome<()> {
    match all
        .iter()
        .find(|old| old.path == new.path && old.gvk.is_selected(&new.gvk))
    {
        Some(old) if old.create != new.create => Err(Failure::render(format!(
            "field {:?} of {} is configured twice, with and without `create`",
            new.path, new.gvk
        ))),
        Some(_) => Ok(()),
        None => {
            all.push(new.clone());
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_split_at_slashes_that_are_not_escaped() {
        assert_eq!(split("a/b", '/'), ["a", "b"]);
        assert_eq!(split("/a/b", '/'), ["a", "b"]);
        assert_eq!(split(r"a/x.io\/y/b", '/'), ["a", "x.io/y", "b"]);
        assert_eq!(split("a.b", '.'), ["a", "b"]);
    }
}
