//! Renders configuration as a pure function of an in-memory Git tree.
//!
//! ```text
//!   Tree + path + Options  --plain, kustomize or helm-->  --facts of the cluster, if asked for-->
//!                                     Rendered { manifests with origins, files read }
//! ```
//!
//! No IO, no process, no environment, no network, no clock: a commit renders to the same manifests
//! everywhere, and content from Git can at worst use up its own budget. Kustomize is rendered natively
//! with Kustomize's own results; what cannot be rendered is refused with a reason, never approximated.

mod chart;
mod error;
mod kustomize;
mod limits;
mod manifest;
mod objects;
mod output;
mod plain;
mod read_set;
mod substitute;
mod tree;

use std::collections::BTreeSet;

use flotilla_shared::reason::Reason;
use flotilla_shared::source::SourcePaths;

pub use chart::{Release, ValuesFile};
pub use error::RenderError;
/// Parsed templates of charts, kept for later renders.
pub use flotilla_helm::Cache as ParsedCharts;
/// What the chart engine needs from the cluster.
pub use flotilla_helm::capabilities::{Answers, Capabilities, KubeVersion, Queries};
pub use flotilla_shared::assignment::Renderer;
pub use limits::Limits;
pub use manifest::{Manifest, Origin};
pub use output::Output;
pub use substitute::{Facts, MissingFact};
pub use tree::{Directories, Entry, EntryKind, MemoryTree, PathError, Tree};

/// Options of rendering.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// By default [`Renderer::Auto`], which decides by the directory's files.
    pub renderer: Renderer,
    /// Limits of a render.
    pub limits: Limits,
    /// The cluster's facts, where the application asks for them.
    pub facts: Option<Facts>,
    /// Release that a chart is rendered for.
    pub release: Release,
}

/// Note about a successful render.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The bounded code.
    pub reason: Reason,
    /// Message for operators, with file and line.
    pub message: String,
}

/// Result of rendering a commit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rendered {
    /// In the order of files and documents; no object twice. May be empty: whether that is acceptable
    /// is the caller's decision.
    pub manifests: Vec<Manifest>,
    /// Every file whose content could have changed the result.
    pub files_read: BTreeSet<String>,
    /// Directories that the result depends on, including missing files that were looked up.
    pub source_paths: SourcePaths,
    /// Notes for operators.
    pub notes: Vec<Note>,
}

/// Names of a kustomization file, as kustomize knows them.
const KUSTOMIZATION_FILES: &[&str] = Renderer::Kustomize.told_by();

/// Renders the directory (or single file) at `path`.
///
/// # Errors
/// When the path is missing, or anything below it is malformed, refused or over a limit. Nothing of a
/// failed render may be used: a part of a set is not the set.
pub fn render(tree: &dyn Tree, path: &str, options: &Options) -> Result<Rendered, RenderError> {
    let read_set = read_set::ReadSet::new(tree);
    let mut rendered = render_from(&read_set, path, options)?;
    rendered.source_paths = read_set.into_paths();
    Ok(rendered)
}

fn render_from(tree: &dyn Tree, path: &str, options: &Options) -> Result<Rendered, RenderError> {
    let resolved = tree::resolve(tree, path)?;
    let limits = &options.limits;
    let mut rendered = match decide(tree, &resolved, options.renderer)? {
        // Without files of another renderer, the directory holds plain manifests.
        Renderer::Auto | Renderer::Plain => plain::render(tree, &resolved, limits)?,
        Renderer::Kustomize => kustomize::render(tree, &resolved, limits, &options.release.sealed)?,
        Renderer::Helm => chart::render(tree, &resolved, &options.release, limits)?,
    };
    if let Some(facts) = &options.facts {
        rendered.manifests = substitute::apply(rendered.manifests, facts, &options.limits)?;
    }
    Ok(rendered)
}

/// The renderer of a path, which is not a link. A renderer that is requested by name must find one of its files
/// there.
fn decide(tree: &dyn Tree, path: &str, asked: Renderer) -> Result<Renderer, RenderError> {
    if asked == Renderer::Auto {
        let mut all = Renderer::ALL.into_iter();
        let found = all.find(|renderer| is_for(tree, path, *renderer));
        return Ok(found.unwrap_or(Renderer::Plain));
    }
    match asked.told_by().first() {
        Some(name) if !is_for(tree, path, asked) => Err(RenderError::PathNotFound {
            path: tree::join(path, name),
            nearest: None,
        }),
        _ => Ok(asked),
    }
}

/// Whether the content of a path is for a renderer.
fn is_for(tree: &dyn Tree, path: &str, renderer: Renderer) -> bool {
    match renderer {
        // A chart may also be a packed archive.
        Renderer::Helm => chart::is_chart(tree, path),
        _ => has_file_of(tree, path, renderer),
    }
}

/// Whether a directory holds one of the files that identify a renderer.
fn has_file_of(tree: &dyn Tree, directory: &str, renderer: Renderer) -> bool {
    let mut names = renderer.told_by().iter();
    names.any(|name| tree.get(&tree::join(directory, name)).is_some())
}

/// The files that decide the render of a chart. None: it is not a chart.
///
/// # Errors
/// See [`render`]: what cannot be read, or is over a limit.
pub fn chart_files(
    tree: &dyn Tree,
    path: &str,
    options: &Options,
) -> Result<Option<BTreeSet<String>>, RenderError> {
    let path = tree::resolve(tree, path)?;
    match decide(tree, &path, options.renderer)? {
        Renderer::Helm => {
            chart::files_read(tree, &path, &options.release, &options.limits).map(Some)
        }
        _ => Ok(None),
    }
}
