//! A Helm chart of the tree, rendered by [`flotilla_helm`] into manifests.
//!
//! ```text
//!   tree --files of the chart, values files--> Chart, values --engine--> documents --hooks--> manifests
//! ```

mod hooks;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use flotilla_helm::capabilities::Capabilities;
use flotilla_helm::chart::{Chart, File};
use flotilla_helm::{Cache, Generated, Map, Options as TemplateOptions, release, values};
use flotilla_shared::chart::{ChartOptions, Crds};
use flotilla_shared::reason::Reason;
use serde_json::Value;

use crate::objects::Objects;
use crate::plain::LFS_HEADER;
use crate::tree::{self, Entry, EntryKind, Tree};
use crate::{Limits, Note, Origin, RenderError, Rendered, Renderer};
pub(crate) use refusal::ChartErrors;

/// A file of values for a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuesFile {
    /// Its path in the tree.
    pub path: String,
    /// Whether the file may be missing.
    pub optional: bool,
}

impl ValuesFile {
    /// Parses a path of the command line; `?` at its end: the file may be missing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let optional = text.strip_suffix('?');
        Self {
            path: optional.unwrap_or(text).to_owned(),
            optional: optional.is_some(),
        }
    }
}

/// Release that a chart is rendered for.
#[derive(Debug, Clone)]
pub struct Release {
    /// `.Release.Name`.
    pub name: String,
    /// `.Release.Namespace`.
    pub namespace: String,
    /// `.Release.Revision`.
    pub revision: i64,
    /// Whether the cluster ran the application before: `.Release.IsUpgrade`, and which hooks there are.
    pub is_upgrade: bool,
    /// APIs that the cluster serves.
    pub capabilities: Capabilities,
    /// Values files in order; later ones override earlier ones.
    pub values_files: Vec<ValuesFile>,
    /// Inline values that override all files, as JSON or YAML; empty: none.
    pub values: String,
    /// How `crds/` are handled.
    pub crds: Crds,
    /// `lookup` is an error.
    pub strict: bool,
    /// Seed of functions of randomness; none: they are refused.
    pub seed: Option<String>,
    /// Leave schemas aside.
    pub skip_schema: bool,
    /// Files that are encrypted in Git: once one of them was read, errors only give positions.
    pub sealed: BTreeSet<String>,
    /// Templates that were parsed before.
    pub parsed: Option<Cache>,
}

impl Release {
    /// The settings of the fleet file for a release; the cluster's part, and the seed of generated values,
    /// are filled in later.
    #[must_use]
    pub fn declared(name: &str, namespace: &str, options: &ChartOptions) -> Self {
        let files = options.values_files.iter();
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            values_files: files
                .map(|file| ValuesFile {
                    path: file.path.to_string(),
                    optional: file.optional,
                })
                .collect(),
            values: options.values.to_string(),
            crds: options.crds,
            strict: options.strict,
            skip_schema: options.skip_schema,
            ..Self::default()
        }
    }
}

impl Default for Release {
    fn default() -> Self {
        Self {
            name: "release-name".to_owned(),
            namespace: "default".to_owned(),
            revision: 1,
            is_upgrade: false,
            capabilities: Capabilities::default(),
            values_files: Vec::new(),
            values: String::new(),
            crds: Crds::default(),
            strict: false,
            seed: None,
            skip_schema: false,
            sealed: BTreeSet::new(),
            parsed: None,
        }
    }
}

/// The chart in an existing folder that is not a link, with the files it consists of.
pub(crate) fn load(
    tree: &dyn Tree,
    path: &str,
    limits: &Limits,
) -> Result<(Chart, BTreeSet<String>), RenderError> {
    let none = Release::default();
    let sources = Gatherer::new(tree, limits).sources(path, &none)?;
    let chart = Chart::from_folder(sources.files).map_err(|error| RenderError::Chart {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    Ok((chart, sources.read))
}

/// Whether there is a chart at a path, which is not a link.
pub(crate) fn is_chart(tree: &dyn Tree, path: &str) -> bool {
    match tree.get(path) {
        Some(Entry::Directory) => crate::has_file_of(tree, path, Renderer::Helm),
        Some(_) => path.ends_with(".tgz"),
        None => false,
    }
}

/// A chart's files, and the values files, as the tree has them.
struct Sources {
    files: Vec<File>,
    values: Vec<(String, Vec<u8>)>,
    read: BTreeSet<String>,
}

/// Every file that decides over a render of the chart at `path`.
pub(crate) fn files_read(
    tree: &dyn Tree,
    path: &str,
    release: &Release,
    limits: &Limits,
) -> Result<BTreeSet<String>, RenderError> {
    Gatherer::new(tree, limits)
        .sources(path, release)
        .map(|sources| sources.read)
}

/// Renders the chart at `path`, which exists and is not a link.
pub(crate) fn render(
    tree: &dyn Tree,
    path: &str,
    release: &Release,
    limits: &Limits,
) -> Result<Rendered, RenderError> {
    let sources = Gatherer::new(tree, limits).sources(path, release)?;
    let is_sealed = sources
        .read
        .iter()
        .any(|file| release.sealed.contains(file));
    let teller = ChartErrors { path, is_sealed };
    let chart = match tree.get(path) {
        Some(Entry::File(archive)) => Chart::from_archive(archive),
        _ => Chart::from_folder(sources.files),
    };
    let chart = chart.map_err(|error| teller.refused(&error.to_string()))?;
    let name = chart.name().to_owned();
    if let Err(missing) = chart.check_dependencies()
        && !chart.is_library()
    {
        let ours = format!("{missing}; `flotilla chart vendor {path}` fetches them");
        return Err(teller.refused(&ours));
    }
    let lock_faults = chart.lock_faults();
    let given = given(&sources.values, release, &teller)?;
    let engine = flotilla_helm::release::Release {
        name: release.name.clone(),
        namespace: release.namespace.clone(),
        revision: release.revision,
        is_upgrade: release.is_upgrade,
        capabilities: release.capabilities.clone(),
        skip_schema: release.skip_schema,
        template: TemplateOptions {
            generated: match &release.seed {
                Some(seed) => Generated::Derive { seed: seed.clone() },
                None => Generated::Refuse,
            },
            strict: release.strict,
            parsed: release.parsed.clone(),
            ..TemplateOptions::default()
        },
    };
    let made = release::render(chart, &given, &engine)
        .map_err(|error| teller.refused(&error.to_string()))?;
    let mut reader = Reader {
        limits,
        teller: &teller,
        chart: &name,
        objects: Objects::new(limits.manifests),
        bytes: 0,
    };
    if release.crds != Crds::Skip {
        for file in &made.crds {
            let mark = |value: &mut Value| hooks::definition(value, release.crds);
            reader.document(&file.name, &file.data, mark)?;
        }
    }
    let mut notes = Vec::new();
    for hook in &made.hooks {
        match hooks::phase(hook, release) {
            hooks::Phase::None => {}
            hooks::Phase::NotRun(why) => {
                let file = teller.file(&name, &hook.manifest.path);
                notes.push(Note {
                    reason: Reason::HookNotRun,
                    message: format!("{file}: {} {} {why}", hook.manifest.kind, hook.name),
                });
            }
            hooks::Phase::Runs(phase) => {
                let mark = |value: &mut Value| hooks::mark(value, hook, phase);
                reader.document(&hook.manifest.path, hook.manifest.text.as_bytes(), mark)?;
            }
        }
    }
    for manifest in &made.manifests {
        reader.document(&manifest.path, manifest.text.as_bytes(), hooks::keep)?;
    }
    notes.extend(lock_faults.into_iter().map(|fault| Note {
        reason: Reason::ChartWarning,
        message: format!("{path}: {fault}; `flotilla chart vendor {path}` updates both"),
    }));
    notes.extend(made.warnings.iter().map(|warning| {
        let file = teller.file(&name, &warning.template);
        Note {
            reason: Reason::ChartWarning,
            message: format!("{file}:{}: {}", warning.line, warning.message),
        }
    }));
    Ok(Rendered {
        manifests: reader.objects.into_manifests(),
        files_read: sources.read,
        notes,
        ..Rendered::default()
    })
}

/// The values of all files and those of the application itself, in this order.
fn given(
    files: &[(String, Vec<u8>)],
    release: &Release,
    teller: &ChartErrors<'_>,
) -> Result<Map, RenderError> {
    let own = (!release.values.is_empty()).then(|| {
        (
            "the application's values".to_owned(),
            release.values.as_bytes(),
        )
    });
    let files = files
        .iter()
        .map(|(path, text)| (path.clone(), text.as_slice()));
    let mut given = Map::new();
    for (path, text) in files.chain(own) {
        let values =
            values::load(text).map_err(|error| teller.values(&path, &error.to_string()))?;
        given = values::merge(&given, &values);
    }
    Ok(given)
}

/// Collects files, within limits.
struct Gatherer<'t> {
    tree: &'t dyn Tree,
    limits: &'t Limits,
    sources: Sources,
    bytes: usize,
}

impl<'t> Gatherer<'t> {
    fn new(tree: &'t dyn Tree, limits: &'t Limits) -> Self {
        Self {
            tree,
            limits,
            sources: Sources {
                files: Vec::new(),
                values: Vec::new(),
                read: BTreeSet::new(),
            },
            bytes: 0,
        }
    }

    fn sources(mut self, path: &str, release: &Release) -> Result<Sources, RenderError> {
        match self.tree.get(path) {
            Some(Entry::Directory) => self.folder(path, "", 0)?,
            // A packed chart is read as a whole.
            _ => drop(self.file(path)?),
        }
        for ValuesFile {
            path: file,
            optional,
        } in &release.values_files
        {
            let found = tree::resolve(self.tree, file);
            let found = match found {
                Err(RenderError::PathNotFound { .. }) if *optional => continue,
                Err(RenderError::PathNotFound { nearest, .. }) => {
                    return Err(RenderError::ValuesNotFound {
                        path: file.clone(),
                        nearest,
                    });
                }
                found => found?,
            };
            let content = self.file(&found)?.to_vec();
            self.sources.values.push((file.clone(), content));
        }
        Ok(self.sources)
    }

    /// All files below a directory, following links as Helm does, by their names relative to the chart.
    fn folder(&mut self, path: &str, below: &str, depth: usize) -> Result<(), RenderError> {
        if depth > self.limits.depth {
            let what = "levels of directories";
            return Err(RenderError::exceeded(path, what, self.limits.depth));
        }
        for (name, kind) in self.tree.list(path).unwrap_or_default() {
            let child = tree::join(path, name);
            let inside = tree::join(below, name);
            match kind {
                EntryKind::Directory => self.folder(&child, &inside, depth + 1)?,
                EntryKind::Submodule => return Err(RenderError::Submodule { path: child }),
                EntryKind::File => self.add(&child, inside)?,
                EntryKind::Symlink => {
                    let target = tree::resolve(self.tree, &child)?;
                    match self.tree.get(&target) {
                        Some(Entry::Directory) => self.folder(&target, &inside, depth + 1)?,
                        _ => self.add(&target, inside)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, name: String) -> Result<(), RenderError> {
        let content = self.file(path)?;
        if self.sources.files.len() >= self.limits.files {
            return Err(RenderError::exceeded(path, "files", self.limits.files));
        }
        self.sources.files.push(File::new(name, content));
        Ok(())
    }

    fn file(&mut self, path: &str) -> Result<&'t [u8], RenderError> {
        let content = tree::content(self.tree, path, self.limits.file_bytes)?;
        // Each reading counts, so that many links to one file cannot get past the limit.
        self.bytes = self.bytes.saturating_add(content.len());
        if self.bytes > self.limits.total_bytes {
            let what = "bytes of a chart";
            return Err(RenderError::exceeded(path, what, self.limits.total_bytes));
        }
        if content.starts_with(LFS_HEADER) {
            return Err(RenderError::LfsPointer {
                file: path.to_owned(),
            });
        }
        self.sources.read.insert(path.to_owned());
        Ok(content)
    }
}

/// Reads the documents that the engine rendered.
struct Reader<'a> {
    limits: &'a Limits,
    teller: &'a ChartErrors<'a>,
    chart: &'a str,
    objects: Objects,
    bytes: usize,
}

impl Reader<'_> {
    /// Adds the objects of one document, each marked.
    fn document(
        &mut self,
        name: &str,
        text: &[u8],
        mark: impl Fn(&mut Value),
    ) -> Result<(), RenderError> {
        let file = self.teller.file(self.chart, name);
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > self.limits.total_bytes {
            let what = "bytes of manifests";
            return Err(RenderError::exceeded(&file, what, self.limits.total_bytes));
        }
        // Helm uses the last of two equal keys.
        let limits = flotilla_yaml::Limits {
            duplicate_keys: flotilla_yaml::DuplicateKeys::LastWins,
            ..self.limits.yaml.clone()
        };
        let documents = flotilla_yaml::parse_manifests(text, &limits)
            .map_err(|error| self.teller.document(&file, error.line, &error.message))?;
        for (index, document) in documents.into_iter().enumerate() {
            let origin = Origin {
                file: file.clone(),
                document: index,
                line: document.line,
            };
            self.objects.add(document.value, &origin, &mark)?;
        }
        Ok(())
    }
}
