//! Renders configuration as a pure function of an in-memory Git tree.
//!
//! ```text
//!   Tree + path + Options  --plain, kustomize or helm-->  --facts of the cluster, if asked for-->
//!                                     Rendered { manifests with origins, files read }
//! ```
//!
//! No IO, no process, no environment, no network, no clock: a commit renders to the same manifests
//! everywhere, and content from Git can at worst cost its own budget. Kustomize is rendered
//! natively with kustomize's own results; what cannot be is refused with a reason, never approximated.

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

pub use chart::Release;
pub use error::RenderError;
/// Templates of charts that are parsed once and kept.
pub use flotilla_helm::Cache as ParsedCharts;
/// What the engine of charts takes from the cluster.
pub use flotilla_helm::capabilities::{Answers, Asked, Capabilities, KubeVersion};
pub use limits::Limits;
pub use manifest::{Manifest, Origin};
pub use output::Output;
pub use substitute::{Facts, Missing};
pub use tree::{Entry, EntryKind, MemoryTree, PathError, Tree};

/// How a directory becomes manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Renderer {
    /// Kustomize where a kustomization file is present, Helm where a `Chart.yaml` is, plain YAML otherwise.
    #[default]
    Auto,
    /// Every YAML and JSON file below the directory.
    Plain,
    /// The directory's kustomization file and what it leads to; where there is none, that is an error.
    Kustomize,
    /// A Helm chart: a directory or a `.tgz`.
    Helm,
}

/// How to render.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// By default [`Renderer::Auto`], which decides by the directory's files.
    pub renderer: Renderer,
    /// What a render may cost.
    pub limits: Limits,
    /// The cluster's facts, where the application asks for them.
    pub facts: Option<Facts>,
    /// What a chart is rendered for.
    pub release: Release,
}

/// Something that people should hear of a render that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The bounded code.
    pub reason: Reason,
    /// What, with file and line.
    pub message: String,
}

/// What a commit says should be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rendered {
    /// In the order of files and documents; no object twice. May be empty: whether that is acceptable
    /// is the caller's decision.
    pub manifests: Vec<Manifest>,
    /// Every file whose content could have changed the result.
    pub files_read: BTreeSet<String>,
    /// Directories that decide over the result, with what was looked for in them and was not there.
    pub source_paths: SourcePaths,
    /// What people should hear.
    pub notes: Vec<Note>,
}

/// Names of a kustomization file, as kustomize knows them.
const KUSTOMIZATION_FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

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
        Decided::Plain => plain::render(tree, &resolved, limits)?,
        Decided::Kustomize => kustomize::render(tree, &resolved, limits, &options.release.sealed)?,
        Decided::Chart => chart::render(tree, &resolved, &options.release, limits)?,
    };
    if let Some(facts) = &options.facts {
        rendered.manifests = substitute::apply(rendered.manifests, facts, &options.limits)?;
    }
    Ok(rendered)
}

/// Who renders.
enum Decided {
    Plain,
    Kustomize,
    Chart,
}

fn decide(tree: &dyn Tree, path: &str, renderer: Renderer) -> Result<Decided, RenderError> {
    let is_kustomization = || {
        let mut names = KUSTOMIZATION_FILES.into_iter();
        names.any(|name| tree.get(&tree::join(path, name)).is_some())
    };
    let missing = |name: &str| RenderError::PathNotFound {
        path: tree::join(path, name),
        nearest: None,
    };
    match renderer {
        Renderer::Plain => Ok(Decided::Plain),
        Renderer::Kustomize if is_kustomization() => Ok(Decided::Kustomize),
        Renderer::Kustomize => Err(missing(KUSTOMIZATION_FILES[0])),
        Renderer::Helm if chart::is_chart(tree, path) => Ok(Decided::Chart),
        Renderer::Helm => Err(missing(chart::CHART_FILE)),
        Renderer::Auto if is_kustomization() => Ok(Decided::Kustomize),
        Renderer::Auto if chart::is_chart(tree, path) => Ok(Decided::Chart),
        Renderer::Auto => Ok(Decided::Plain),
    }
}

/// The files that decide over a render, where it is one of a chart; none: it is not.
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
        Decided::Chart => {
            chart::files_read(tree, &path, &options.release, &options.limits).map(Some)
        }
        Decided::Plain | Decided::Kustomize => Ok(None),
    }
}
