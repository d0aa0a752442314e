//! Renders configuration as a pure function of an in-memory Git tree.
//!
//! ```text
//!   Tree + path + Options  --plain, or kustomize-->  --facts of the cluster, if asked for-->
//!                                     Rendered { manifests with origins, files read }
//! ```
//!
//! No IO, no process, no environment, no network, no clock: a commit renders to the same manifests
//! everywhere, and content from Git can at worst cost its own budget. Kustomize is rendered
//! natively with kustomize's own results; what cannot be is refused with a reason, never approximated.

mod error;
mod kustomize;
mod limits;
mod looked;
mod manifest;
mod output;
mod plain;
mod substitute;
mod tree;

use std::collections::BTreeSet;

use flotilla_shared::source::SourcePaths;

pub use error::RenderError;
pub use limits::Limits;
pub use manifest::{Manifest, Origin};
pub use output::Output;
pub use substitute::{Facts, Missing};
pub use tree::{Entry, EntryKind, MemoryTree, PathError, Tree};

/// How a directory becomes manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renderer {
    /// Kustomize where a kustomization file is present, plain YAML otherwise.
    #[default]
    Auto,
    /// Every YAML and JSON file below the directory.
    Plain,
    /// Kustomize.
    Kustomize,
}

/// How to render.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which renderer.
    pub renderer: Renderer,
    /// What a render may cost.
    pub limits: Limits,
    /// The cluster's facts, where the application asks for them.
    pub facts: Option<Facts>,
}

/// What a commit says should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    /// In the order of files and documents; no object twice. May be empty: whether that is acceptable
    /// is the caller's decision.
    pub manifests: Vec<Manifest>,
    /// Every file whose content could have changed the result.
    pub files_read: BTreeSet<String>,
    /// Directories that decide over the result, with what was looked for in them and was not there.
    pub source_paths: SourcePaths,
}

/// Names of a kustomization file, as kustomize knows them.
const KUSTOMIZATION_FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Renders the directory (or single file) at `path`.
///
/// # Errors
/// When the path is missing, or anything below it is malformed, refused or over a limit. Nothing of a
/// failed render may be used: a part of a set is not the set.
pub fn render(tree: &dyn Tree, path: &str, options: &Options) -> Result<Rendered, RenderError> {
    let looked = looked::Looked::new(tree);
    let mut rendered = render_from(&looked, path, options)?;
    rendered.source_paths = looked.into_paths();
    Ok(rendered)
}

fn render_from(tree: &dyn Tree, path: &str, options: &Options) -> Result<Rendered, RenderError> {
    let resolved = tree::resolve(tree, path)?;
    let kustomization = KUSTOMIZATION_FILES
        .into_iter()
        .map(|name| tree::join(&resolved, name))
        .find(|file| tree.get(file).is_some());
    let mut rendered = match (options.renderer, kustomization) {
        (Renderer::Plain, _) | (Renderer::Auto, None) => {
            plain::render(tree, &resolved, &options.limits)?
        }
        (Renderer::Kustomize, None) => {
            return Err(RenderError::PathNotFound {
                path: tree::join(&resolved, KUSTOMIZATION_FILES[0]),
                nearest: None,
            });
        }
        (Renderer::Auto | Renderer::Kustomize, Some(_)) => {
            kustomize::render(tree, &resolved, &options.limits)?
        }
    };
    if let Some(facts) = &options.facts {
        rendered.manifests = substitute::apply(rendered.manifests, facts, &options.limits)?;
    }
    Ok(rendered)
}
