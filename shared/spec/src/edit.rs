//! Edits of a fleet file as a person would make them: in place, with comments and layout kept. The result is read again
//! and compared with what it should say; where the file has a form that is not supported here, nothing is changed and
//! the reason is returned.

mod node;
mod place;

use std::collections::BTreeSet;
use std::ops::Range;

use flotilla_shared::id::{ApplicationName, EnvironmentName};

use self::node::{Node, Value};
use super::{Objects, Removal, Spec, parse};

/// Why a fleet file is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The file is not valid.
    #[error("the fleet file is not valid: {0}")]
    Invalid(String),
    /// The file has a form that is not edited automatically.
    #[error("the fleet file has a form that cannot be edited automatically: {0}")]
    Unusual(String),
    /// The file already says so.
    #[error("the fleet file already says so")]
    Nothing,
    /// Entries in `removed` overlap with different settings, and a person has to merge them.
    #[error(
        "`removed` already has an overlapping entry: {there}; merge both into one, so that no \
         cluster is named twice"
    )]
    Twice {
        /// The entries that are there, in the file's syntax.
        there: String,
        /// The entries that would replace both, in the file's syntax.
        instead: String,
    },
    /// The edited file would not be valid.
    #[error("the changed fleet file would not be valid: {0}")]
    Refused(String),
}

fn unusual(why: impl Into<String>) -> EditError {
    EditError::Unusual(why.into())
}

/// Removes an application from `applications`, or from some environments of its placement, and adds an entry to
/// `removed`. No environments: everywhere.
///
/// # Errors
/// Why the file is not changed.
pub fn remove_application(
    text: &str,
    name: &ApplicationName,
    environments: &BTreeSet<EnvironmentName>,
    objects: Objects,
) -> Result<String, EditError> {
    let first = |errors: Vec<flotilla_yaml::config::ConfigError>| {
        let first = errors.first();
        first.map(ToString::to_string).unwrap_or_default()
    };
    let before = parse("fleet file", text).map_err(|errors| EditError::Invalid(first(errors)))?;
    let removal = Removal {
        application: name.clone(),
        environments: environments.clone(),
        clusters: BTreeSet::new(),
        objects,
    };
    let left = left(&before, name, environments);
    if before.removed.contains(&removal) && left == RemainingPlacement::AsItIs {
        return Err(EditError::Nothing);
    }
    let others = before.removed.iter().filter(|entry| **entry != removal);
    let there: Vec<&Removal> = others.filter(|entry| entry.overlaps(&removal)).collect();
    if !there.is_empty() {
        let every = before
            .environments
            .iter()
            .map(|environment| environment.name.clone());
        return Err(EditError::Twice {
            there: place::entries(there.iter().copied()),
            instead: place::entries(merged(&there, &removal, &every.collect()).iter()),
        });
    }
    let root = node::read(text)?;
    let Value::Mapping { is_flow: false, .. } = root.value else {
        return Err(unusual("it is one mapping in braces"));
    };
    let mut edits = Edits::new(text);
    match &left {
        RemainingPlacement::AsItIs => {}
        RemainingPlacement::Nowhere => place::leave(&root, name, &mut edits)?,
        RemainingPlacement::In(rest) => place::narrow(&root, name, rest, &mut edits)?,
    }
    if !before.removed.contains(&removal) {
        place::add_removal(&root, &removal, &mut edits)?;
    }
    let changed = edits.apply()?;
    let after =
        parse("fleet file", &changed).map_err(|errors| EditError::Refused(first(errors)))?;
    if after != expected(before, &left, removal) {
        return Err(unusual("the edit would not say what is meant"));
    }
    Ok(changed)
}

/// Merges a removal with those that overlap it, so that no cluster is named twice: where they differ, the new one wins.
fn merged(
    there: &[&Removal],
    removal: &Removal,
    every: &BTreeSet<EnvironmentName>,
) -> Vec<Removal> {
    let is_alike = |old: &&&Removal| old.clusters.is_empty() && old.objects == removal.objects;
    let mut whole = removal.clone();
    for old in there.iter().filter(is_alike) {
        // No environments means all of them.
        if whole.environments.is_empty() || old.environments.is_empty() {
            whole.environments.clear();
        } else {
            whole.environments.extend(old.environments.iter().cloned());
        }
    }
    let gone = match whole.environments.is_empty() {
        true => every,
        false => &whole.environments,
    };
    let mut all = Vec::new();
    for old in there.iter().filter(|old| !is_alike(old)) {
        let meant = match old.environments.is_empty() {
            true => every,
            false => &old.environments,
        };
        let environments: BTreeSet<EnvironmentName> = meant.difference(gone).cloned().collect();
        if !environments.is_empty() {
            let rest = (*old).clone();
            all.push(Removal {
                environments,
                ..rest
            });
        }
    }
    all.push(whole);
    all
}

/// Where an application continues to run.
#[derive(Debug, PartialEq)]
enum RemainingPlacement {
    /// The file needs no change.
    AsItIs,
    Nowhere,
    In(BTreeSet<EnvironmentName>),
}

fn left(
    spec: &Spec,
    name: &ApplicationName,
    environments: &BTreeSet<EnvironmentName>,
) -> RemainingPlacement {
    let Some(application) = spec.applications.get(name) else {
        return RemainingPlacement::AsItIs;
    };
    if environments.is_empty() {
        return RemainingPlacement::Nowhere;
    }
    let placed = &application.placement.environments;
    let all = spec
        .environments
        .iter()
        .map(|environment| environment.name.clone())
        .collect();
    let placed = if placed.is_empty() { &all } else { placed };
    let rest: BTreeSet<EnvironmentName> = placed.difference(environments).cloned().collect();
    match rest.len() {
        0 => RemainingPlacement::Nowhere,
        rest if rest == placed.len() => RemainingPlacement::AsItIs,
        _ => RemainingPlacement::In(rest),
    }
}

fn expected(mut spec: Spec, left: &RemainingPlacement, removal: Removal) -> Spec {
    let name = &removal.application;
    match left {
        RemainingPlacement::AsItIs => {}
        RemainingPlacement::Nowhere => {
            spec.applications.remove(name);
        }
        RemainingPlacement::In(rest) => {
            if let Some(application) = spec.applications.get_mut(name) {
                application.placement.environments.clone_from(rest);
            }
        }
    }
    if !spec.removed.contains(&removal) {
        spec.removed.push(removal);
    }
    spec
}

/// Replacements of byte ranges in a text.
struct Edits<'t> {
    text: &'t str,
    newline: &'static str,
    all: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
            all: Vec::new(),
        }
    }

    fn replace(&mut self, range: Range<usize>, with: impl Into<String>) {
        self.all.push((range, with.into()));
    }

    fn insert(&mut self, at: usize, text: impl Into<String>) {
        self.replace(at..at, text);
    }

    /// Returns the beginning of the line with a byte.
    fn line_start(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        before.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Returns the end of the line with a byte, behind its line break.
    fn line_end(&self, at: usize) -> usize {
        let after = self.text.get(at..).unwrap_or_default();
        after
            .find('\n')
            .map_or(self.text.len(), |newline| at + newline + 1)
    }

    /// Returns the end of the last line of a node.
    fn after(&self, node: &Node) -> usize {
        // A multi-line scalar ends where the next line begins.
        if node.end > node.start && self.line_start(node.end) == node.end {
            return node.end;
        }
        self.line_end(node.end)
    }

    /// Inserts lines at the end of a line, whether or not the text ends with a line break.
    fn insert_lines(&mut self, at: usize, lines: &[String]) {
        let newline = self.newline;
        let is_open = at > 0 && !self.text.get(..at).unwrap_or_default().ends_with('\n');
        let mut text = if is_open {
            newline.to_owned()
        } else {
            String::new()
        };
        for line in lines {
            text.push_str(line);
            text.push_str(newline);
        }
        self.insert(at, text);
    }

    fn apply(mut self) -> Result<String, EditError> {
        self.all.sort_by_key(|(range, _)| (range.start, range.end));
        let mut result = String::with_capacity(self.text.len() + 256);
        let mut at = 0;
        for (range, with) in &self.all {
            let kept = self.text.get(at..range.start);
            result.push_str(kept.ok_or_else(|| unusual("two edits overlap"))?);
            result.push_str(with);
            at = range.end;
        }
        result.push_str(self.text.get(at..).unwrap_or_default());
        Ok(result)
    }
}

#[cfg(test)]
mod tests;
