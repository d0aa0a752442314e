//! From an assigned commit to manifests: fetch, prove, read, render. Blocking Git in its own threads.

mod admission;
mod before;
mod desired;
mod foresee;
mod kept;
mod proofs;
mod record;
mod release;
mod sealed;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flotilla_git::{Access, Blob, Limits, Remote, TreeEntry};
use flotilla_render::{
    Answers, Facts, Manifest, MemoryTree, Note, Options, Origin, ParsedCharts, RenderError,
    chart_files,
};
use flotilla_shared::assignment::ApplicationAssignment;
use flotilla_shared::digest::Digest;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::object::{ObjectNames, ObjectRef};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
use flotilla_shared::source::SourcePaths;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::failpoint;
use crate::policy::Refusal;
use crate::source::proofs::Proofs;
use crate::source::release::ReleaseRecord;
use crate::source::sealed::UndecryptedFiles;

pub use admission::Admission;
pub use desired::DesiredApplication;
pub use release::ChartContext;
pub(crate) use release::{namespace, release_name};
pub(crate) use sealed::{count_keys, open_all};

/// Longest whole fetch and read of one application.
const TIMEOUT: Duration = Duration::from_secs(300);

/// An application as its commit has it.
#[derive(Debug, Clone)]
pub struct Rendered {
    pub manifests: Arc<Vec<Manifest>>,
    /// Over the path and blob id of each file that was read, and over substituted facts; for a chart also
    /// over its questions to the cluster.
    pub source_digest: Digest,
    /// The same without the cluster: hooks run once for each.
    pub content: Digest,
    /// The answers of the cluster to the questions of a chart.
    pub answers: Option<Answers>,
    /// The directories that the result depends on.
    pub source_paths: SourcePaths,
    /// The branch's tip as the agent saw it.
    pub tip: Commit,
    /// Messages for the owners of the cluster.
    pub notes: Vec<Problem>,
    /// Warnings that apply for as long as it runs.
    pub warnings: Vec<Note>,
}

/// Where repositories come from.
#[derive(Debug, Clone)]
pub struct Source {
    cache: PathBuf,
    limits: Limits,
    credentials: Option<PathBuf>,
    admission: Arc<Admission>,
    age_keys: Option<PathBuf>,
    /// Templates of charts, as far as they were parsed.
    parsed: ParsedCharts,
    caches: Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<Proofs>>>>>,
}

/// The result of blocking work on a repository, within [`TIMEOUT`].
async fn in_time<T>(work: JoinHandle<Result<T, Refusal>>) -> Result<T, Refusal> {
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Refusal::new(
            Reason::CorruptRepository,
            "internal error (panic) while reading the repository; retrying",
        )),
        Err(_) => Err(Refusal::new(
            Reason::LimitExceeded,
            "reading the repository took over five minutes",
        )),
    }
}

impl Source {
    /// Caches go below `cache`; `credentials` is a directory as [`Access::read`] takes it, such as a
    /// mounted Secret.
    #[must_use]
    pub fn new(
        cache: PathBuf,
        limits: Limits,
        credentials: Option<PathBuf>,
        admission: Arc<Admission>,
    ) -> Self {
        Self {
            cache,
            limits,
            credentials,
            admission,
            age_keys: None,
            parsed: ParsedCharts::default(),
            caches: Arc::default(),
        }
    }

    /// Files encrypted with SOPS are decrypted with the age keys of this file, or of all files of this
    /// directory.
    #[must_use]
    pub fn with_age_keys(mut self, path: Option<PathBuf>) -> Self {
        self.age_keys = path;
        self
    }

    /// Fetches, proves and renders one application.
    ///
    /// # Errors
    /// Why the commit cannot be used; the commit that runs continues.
    pub async fn render(
        &self,
        desired: &DesiredApplication,
        ground: ChartContext,
    ) -> Result<Rendered, Refusal> {
        let (source, desired) = (self.clone(), desired.clone());
        let work = tokio::task::spawn_blocking(move || source.render_blocking(&desired, &ground));
        in_time(work).await
    }

    /// The tip of an application's branch as the repository shows it. None: it cannot be reached.
    pub async fn tip(&self, application: &ApplicationAssignment) -> Option<Commit> {
        let (source, url) = (self.clone(), application.url.clone());
        let branch = application.revision.branch.clone();
        let work = tokio::task::spawn_blocking(move || {
            // In a cache of its own, so that looking at a tip never waits for a fetch.
            let directory = source.cache.join("tips");
            let access = Access::read(source.credentials.as_deref(), &url).ok()?;
            let remote = Remote::open(&directory, url, source.limits.clone(), access).ok()?;
            let mut tips = remote.tips(std::slice::from_ref(&branch)).ok()?;
            tips.remove(&branch)
        });
        tokio::time::timeout(TIMEOUT, work).await.ok()?.ok()?
    }

    /// Whether the record says which releases of an application ran here.
    #[must_use]
    pub(crate) fn has_release(&self, name: &ApplicationName) -> bool {
        self.admission.standing(name).is_some()
    }

    /// An application was removed with its objects: the next one of its name is a new installation.
    pub(crate) fn forget(&self, name: &ApplicationName) {
        self.admission.forget(name);
    }

    fn render_blocking(
        &self,
        desired: &DesiredApplication,
        ground: &ChartContext,
    ) -> Result<Rendered, Refusal> {
        let application = &desired.application;
        let git = |error: flotilla_git::Error| Refusal::new(error.reason(), error.to_string());
        let url = application.url.clone();
        // One cache per repository, named by a digest of its URL: applications with the same URL share it.
        let directory = self
            .cache
            .join(&Digest::of(url.as_str().as_bytes()).to_string()[..16]);
        // One fetch at a time per cache: several applications mostly want the same commit of it.
        let cache = Arc::clone(self.caches.lock().entry(directory.clone()).or_default());
        let mut proofs = cache.lock();
        proofs.open(&directory);
        let access = Access::read(self.credentials.as_deref(), &url).map_err(git)?;
        let remote = Remote::open(&directory, url, self.limits.clone(), access).map_err(git)?;
        let branch = &application.revision.branch;
        let commit = &application.revision.commit;
        let bases = self.admission.bases(desired)?;
        let tip = match proofs.get(branch, commit) {
            // It was proven to be on its branch, and it is in the cache. A commit does not change,
            // so drift can be corrected while Git is away (I6).
            Some(tip) if remote.has_tree(commit) && bases.is_empty() => tip,
            _ => {
                let tip = remote.fetch_reaching(branch, commit, &bases).map_err(git)?;
                proofs.add(&directory, branch, commit, &tip);
                tip
            }
        };
        failpoint::reach("fetched");
        let mut admitted = self.admission.judge(&remote, desired, Timestamp::now())?;
        failpoint::reach("verified");
        let (mut rendered, standing) = self.read(&remote, desired, tip, ground)?;
        // A commit that cannot be rendered never ran and must not become the base of the next check;
        // nor must an empty set, which the plan refuses.
        if !rendered.manifests.is_empty() {
            self.admission.look_back(&remote, desired, &mut admitted);
            rendered.notes = self.admission.accept(desired, admitted)?;
            if let Some(standing) = standing {
                self.admission.release(&desired.name, standing)?;
            }
        }
        failpoint::reach("rendered");
        Ok(rendered)
    }

    /// Renders a commit that is in the cache. For a chart, also returns the release to record.
    fn read(
        &self,
        remote: &Remote,
        desired: &DesiredApplication,
        tip: Commit,
        ground: &ChartContext,
    ) -> Result<(Rendered, Option<ReleaseRecord>), Refusal> {
        let application = &desired.application;
        let git = |error: flotilla_git::Error| Refusal::new(error.reason(), error.to_string());
        // A plain render reads only what is below the path. Links and Kustomize may lead out of it,
        // so they need the rest of the tree.
        let path = application.path.as_str().to_owned();
        let all = !application.renderer.stays_below() || path.is_empty();
        let below = move |file: &str| all || file == path || file.starts_with(&format!("{path}/"));
        let commit = &application.revision.commit;
        let mut entries = remote.read_tree(commit, below).map_err(git)?;
        let closed = open_all(&mut entries, self.age_keys.as_deref());
        let last = self.admission.standing(&desired.name);
        render_tree(
            entries,
            desired,
            tip,
            &closed,
            (ground, &self.parsed),
            last.as_ref(),
        )
    }
}

/// The tree of a commit, and the id of each path's blob.
pub(crate) fn tree(
    entries: Vec<TreeEntry>,
) -> Result<(MemoryTree, BTreeMap<String, String>), Refusal> {
    let mut tree = MemoryTree::new();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for entry in entries {
        ids.insert(entry.path.clone(), entry.id);
        let inserted = match entry.blob {
            Blob::File(content) => tree.insert_file(&entry.path, content),
            Blob::Symlink(target) => tree.insert_symlink(&entry.path, target),
            Blob::Submodule => tree.insert_submodule(&entry.path),
            Blob::TooLarge(bytes) => tree.insert_too_large(&entry.path, bytes),
        };
        inserted.map_err(|error| Refusal::new(Reason::CorruptRepository, error.to_string()))?;
    }
    Ok((tree, ids))
}

/// Builds the tree and renders it. For a chart, also returns the release to record.
fn render_tree(
    entries: Vec<TreeEntry>,
    desired: &DesiredApplication,
    tip: Commit,
    closed: &UndecryptedFiles,
    (ground, parsed): (&ChartContext, &ParsedCharts),
    last: Option<&ReleaseRecord>,
) -> Result<(Rendered, Option<ReleaseRecord>), Refusal> {
    let application = &desired.application;
    let path = application.path.as_str();
    let refused = |error: RenderError| Refusal::new(error.reason(), error.to_string());
    let (tree, ids) = tree(entries)?;
    let mut options = Options {
        renderer: application.renderer,
        facts: desired.facts.clone(),
        release: release::declared(desired, closed.opened()),
        ..Options::default()
    };
    options.release.parsed = Some(parsed.clone());
    let chart = match chart_files(&tree, path, &options).map_err(refused)? {
        None => None,
        Some(files) => {
            if let Some(refusal) = closed.read_by(&files) {
                return Err(refusal);
            }
            let key = release::key(desired, &files, &ids);
            let standing = ReleaseRecord::next(last, key, ground.before);
            let asked = release::on(&mut options.release, desired, ground, &standing)?;
            Some((standing, asked))
        }
    };
    let rendered = flotilla_render::render(&tree, path, &options).map_err(refused)?;
    once(&rendered.manifests, namespace(desired)).map_err(refused)?;
    if let Some(refusal) = closed.read_by(&rendered.files_read) {
        return Err(refusal);
    }
    let (source_digest, content, answers) = match &chart {
        Some((standing, (capabilities, asked))) => {
            let answers = capabilities.answers(asked);
            let digest = release::source_digest(standing, &answers);
            (digest, standing.key, Some(answers))
        }
        None => {
            let parts = rendered.files_read.iter().flat_map(|path| {
                let id = ids.get(path).map(String::as_str).unwrap_or_default();
                [path.as_bytes(), id.as_bytes()]
            });
            let facts = desired.facts.iter().flat_map(Facts::parts);
            let digest = Digest::of_parts(parts.chain(facts.map(str::as_bytes)));
            (digest, digest, None)
        }
    };
    let rendered = Rendered {
        source_digest,
        content,
        answers,
        source_paths: rendered.source_paths,
        manifests: Arc::new(rendered.manifests),
        tip,
        notes: Vec::new(),
        warnings: rendered.notes,
    };
    Ok((rendered, chart.map(|(standing, _)| standing)))
}

/// With and without the default namespace, an object looks like two in the files, but is one in the cluster.
/// Checked before the commit is accepted, so that such a commit never becomes the base of a later check.
fn once(manifests: &[Manifest], namespace: &str) -> Result<(), RenderError> {
    let mut seen: BTreeMap<ObjectRef, &Origin> = BTreeMap::new();
    for manifest in manifests {
        let mut object = manifest.object();
        if object.namespace.is_empty() {
            object = ObjectRef::from(ObjectNames {
                namespace: namespace.to_owned(),
                ..ObjectNames::clone(&object)
            });
        }
        if let Some(first) = seen.get(&object) {
            return Err(RenderError::DuplicateObject {
                object: format!("{object} (with the default namespace)"),
                first: first.to_string(),
                second: manifest.origin.to_string(),
            });
        }
        seen.insert(object, &manifest.origin);
    }
    Ok(())
}
