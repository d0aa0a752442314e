//! `flotilla-agent render`: what this agent would apply for a commit, without a cluster and a hub.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use flotilla_git::{Access, Limits, Remote};
use flotilla_render::{
    Capabilities, Facts, MissingFact, Options, Release, Rendered, ValuesFile, chart_files, render,
};
use flotilla_shared::chart::Crds;
use flotilla_shared::revision::{Commit, RepositoryUrl};

use crate::args::{CommitArgs, Render};
use crate::policy::Refusal;
use crate::source;

/// Fetches, renders and prints.
///
/// # Errors
/// When the commit cannot be fetched or rendered, or the output not be written.
pub(super) async fn run(args: Render) -> anyhow::Result<()> {
    let output = args.output;
    let detail = Detail::of(&args.source);
    let rendered = tokio::task::spawn_blocking(move || rendered(&args.source, None)).await??;
    tell(&rendered, detail)?;
    std::io::stdout()
        .write_all(rendered.text(output).as_bytes())
        .context("the output cannot be written")
}

/// Detail of the messages about a render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Only warnings and notes.
    Notes,
    /// Also which template made which object.
    Origins,
}

impl Detail {
    pub(super) fn of(args: &CommitArgs) -> Self {
        match args.debug {
            true => Self::Origins,
            false => Self::Notes,
        }
    }
}

/// Prints warnings of a render on standard error.
///
/// # Errors
/// When that cannot be written.
pub(super) fn tell(rendered: &Rendered, detail: Detail) -> anyhow::Result<()> {
    let mut text = String::new();
    for note in &rendered.notes {
        let _ = writeln!(text, "{}: {}", note.reason, note.message);
    }
    let manifests = rendered.manifests.iter();
    for manifest in manifests.filter(|_| detail == Detail::Origins) {
        let _ = writeln!(text, "{} rendered {}", manifest.origin, manifest.object());
    }
    let written = std::io::stderr().write_all(text.as_bytes());
    written.context("the warnings cannot be written")
}

/// Fetches and renders; a chart for what this cluster serves, or for Helm's own defaults.
///
/// # Errors
/// When the commit cannot be fetched or rendered.
pub(super) fn rendered(
    args: &CommitArgs,
    capabilities: Option<Capabilities>,
) -> anyhow::Result<Rendered> {
    let url = url(&args.repo)?;
    let cache = tempfile::tempdir().context("cannot create a temporary repository")?;
    let access = Access::read(args.secrets.git_credentials.as_deref(), &url)?;
    let remote = Remote::open(cache.path(), url, Limits::default(), access)?;
    let commit = match &args.commit {
        Some(commit) => commit.clone(),
        None => tip(&remote, args)?,
    };
    remote.fetch(&args.branch, &commit)?;
    let refused =
        |refusal: Refusal| anyhow::anyhow!("refused ({}): {}", refusal.reason, refusal.message);
    let mut entries = remote.read_tree(&commit, |_| true)?;
    let closed = source::open_all(&mut entries, args.secrets.sops_age_keys.as_deref());
    let (tree, _) = source::tree(entries).map_err(refused)?;
    let options = Options {
        renderer: args.renderer,
        facts: facts(args),
        release: Release {
            name: args.release_name.clone(),
            namespace: args.default_namespace.clone(),
            is_upgrade: args.is_upgrade,
            capabilities: capabilities.unwrap_or_default(),
            values_files: args
                .values
                .iter()
                .map(|file| ValuesFile::parse(file))
                .collect(),
            values: args.set_json.clone().unwrap_or_default(),
            crds: if args.skip_crds {
                Crds::Skip
            } else {
                Crds::Apply
            },
            strict: args.strict,
            sealed: closed.opened().clone(),
            ..Release::default()
        },
        ..Options::default()
    };
    if let Some(files) = chart_files(&tree, args.path.as_str(), &options)
        .ok()
        .flatten()
        && let Some(refusal) = closed.read_by(&files)
    {
        return Err(refused(refusal));
    }
    let rendered = render(&tree, args.path.as_str(), &options)
        .map_err(|error| anyhow::anyhow!("refused ({}): {error}", error.reason()))?;
    match closed.read_by(&rendered.files_read) {
        Some(refusal) => Err(refused(refusal)),
        None => Ok(rendered),
    }
}

/// A URL, or the path of a repository on this machine.
fn url(repo: &str) -> anyhow::Result<RepositoryUrl> {
    if repo.contains("://") {
        return Ok(repo.parse()?);
    }
    let path = std::fs::canonicalize(repo).with_context(|| format!("{repo} cannot be found"))?;
    Ok(format!("file://{}", path.display()).parse()?)
}

fn tip(remote: &Remote, args: &CommitArgs) -> anyhow::Result<Commit> {
    remote
        .tips(std::slice::from_ref(&args.branch))?
        .remove(&args.branch)
        .with_context(|| format!("{} has no branch {}", args.repo, args.branch))
}

fn facts(args: &CommitArgs) -> Option<Facts> {
    let (Some(cluster), Some(environment)) = (&args.cluster, &args.environment) else {
        return None;
    };
    let labels: BTreeMap<String, String> = args.label.iter().cloned().collect();
    let facts = Facts::of_cluster(cluster.as_str(), environment.as_str(), &labels);
    Some(facts.with_missing(if args.lenient {
        MissingFact::Keep
    } else {
        MissingFact::Refuse
    }))
}
