//! `flotilla diff`: what an agent would change now; with `--base`, the effect of a change of the repository on the
//! fleet, without the hub.

use std::path::{Path, PathBuf};

use flotilla_forge::Kind;
use flotilla_proto::v1;
use flotilla_render::{Entry, Tree as _};
use flotilla_shared::id::{ApplicationName, ClusterName, RepositoryName};
use flotilla_spec::Spec;
use flotilla_status::ApplicationPlan;

use crate::args::{DiffArgs, DiffOutput, Output};
use crate::client::Client;
use crate::difference::{self, Side};
use crate::error::Error;
use crate::printer::Printer;
use crate::work_tree::WorkTree;
use crate::{commit_tree, git, objects, render};

/// Default name of the fleet file.
const FLEET: &str = "fleet.yaml";

pub(super) async fn run(
    client: &Client,
    cluster: &ClusterName,
    application: Option<ApplicationName>,
    output: DiffOutput,
    printer: &Printer,
) -> Result<(), Error> {
    let output = output.plain().ok_or_else(|| {
        Error::refused(
            "Markdown is not available for what an agent would change",
            "use -o markdown with --base",
        )
    })?;
    let request = client.request(v1::DiffRequest {
        cluster: cluster.to_string(),
        application: application.map(|name| name.to_string()).unwrap_or_default(),
        removal: false,
    });
    let response = client.api().diff(request).await?.into_inner();
    let plans: Vec<ApplicationPlan> = response
        .applications
        .iter()
        .map(ApplicationPlan::from)
        .collect();
    if output.is_structured() {
        printer.value(output, &plans)?;
    } else {
        printer.out(&render::diff(&plans, printer.paint))?;
    }
    if plans.iter().any(ApplicationPlan::differs) {
        return Err(Error::Differs);
    }
    Ok(())
}

/// Compares two trees of the repository of the current folder.
pub(super) async fn offline(base: &str, args: &DiffArgs, printer: &Printer) -> Result<(), Error> {
    let here = std::env::current_dir().map_err(Error::Local)?;
    let Some((root, paths)) = git::work_tree(&here).await? else {
        return Err(Error::refused(
            "this folder is not in a Git work tree",
            "run it in a clone of the repository to compare",
        ));
    };
    let name = args.head.as_deref().unwrap_or("HEAD");
    let head = objects::commit(&root, name)?;
    let base = objects::commit(&root, base)?;
    let base = match objects::parted(&root, &base, &head) {
        Some(parted) => parted,
        None => {
            printer.warn("the two have no common history here; comparing them directly");
            base
        }
    };
    let old_tree = commit_tree::tree(&root, &base)?;
    let (new_tree, origin) = match &args.head {
        Some(_) => (commit_tree::tree(&root, &head)?, TreeOrigin::Commit),
        None => (
            WorkTree::of_paths(&root, paths).map_err(Error::Local)?,
            TreeOrigin::Folder,
        ),
    };
    let place = match &args.fleet {
        Some(place) => place.clone(),
        None => root.join(FLEET),
    };
    let (old_spec, new_spec) = specs(&root, &place, &old_tree, &new_tree, origin)?;
    let repository = match &args.repository {
        Some(name) => name.clone(),
        None => repository(&root, &new_spec)?,
    };
    let all = difference::compare(
        &Side {
            spec: &old_spec,
            tree: &old_tree,
        },
        &Side {
            spec: &new_spec,
            tree: &new_tree,
        },
        &repository,
    );
    match args.output.plain() {
        None => printer.out(&render::difference_markdown(&all, Kind::Github.into()))?,
        Some(output @ (Output::Json | Output::Yaml)) => printer.value(output, &all)?,
        Some(_) => printer.out(&render::difference(&all, printer.paint))?,
    }
    if all.fails() {
        return Err(Error::Refused {
            message: "parts of it do not render".to_owned(),
            hint: None,
        });
    }
    if all.differs() {
        return Err(Error::Differs);
    }
    Ok(())
}

/// Source of the newer tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TreeOrigin {
    Commit,
    /// The work tree.
    Folder,
}

/// Reads the fleet file on both sides; a file outside the repository is the same on both.
fn specs(
    root: &Path,
    place: &Path,
    old: &WorkTree,
    new: &WorkTree,
    origin: TreeOrigin,
) -> Result<(Spec, Spec), Error> {
    let file = |cause| Error::File {
        path: place.to_owned(),
        cause,
    };
    let whole = std::fs::canonicalize(place);
    // The file may be in the commit but not in the work tree.
    let whole = match whole {
        Ok(whole) => whole,
        Err(_) if origin == TreeOrigin::Commit && place.starts_with(root) => PathBuf::from(place),
        Err(cause) => return Err(file(cause)),
    };
    let inside = whole.strip_prefix(root).ok();
    let Some(inside) = inside.map(|path| path.to_string_lossy().into_owned()) else {
        let text = std::fs::read_to_string(&whole).map_err(file)?;
        let spec = parse(&place.display().to_string(), &text)?;
        return Ok((spec.clone(), spec));
    };
    let of = |tree: &WorkTree| match tree.get(&inside) {
        Some(Entry::File(bytes)) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    };
    let text = of(new).ok_or_else(|| {
        file(std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "it is not in the compared tree",
        ))
    })?;
    let new_spec = parse(&inside, &text)?;
    let old_spec = match of(old) {
        // An invalid fleet file in the base is not an error of this change; nothing was placed by it.
        Some(text) => flotilla_spec::parse(&inside, &text).unwrap_or_default(),
        None => Spec::default(),
    };
    Ok((old_spec, new_spec))
}

fn parse(name: &str, text: &str) -> Result<Spec, Error> {
    flotilla_spec::parse(name, text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Error::Refused {
            message: format!("the fleet file is not valid:\n  {}", lines.join("\n  ")),
            hint: None,
        }
    })
}

/// Returns the repository of the fleet file that this one is.
fn repository(root: &Path, spec: &Spec) -> Result<RepositoryName, Error> {
    let remotes: Vec<String> = objects::remotes(root).iter().map(|url| bare(url)).collect();
    let mut found = spec
        .repositories
        .iter()
        .filter(|(_, repository)| remotes.contains(&bare(repository.url.as_str())));
    if let (Some((name, _)), None) = (found.next(), found.next()) {
        return Ok(name.clone());
    }
    let mut all = spec.repositories.keys();
    if let (Some(only), None) = (all.next(), all.next()) {
        return Ok(only.clone());
    }
    Err(Error::refused(
        "cannot tell by its remotes which of the fleet file's repositories this is",
        "name it with --repository",
    ))
}

/// Returns host and path of a URL, in any common form.
fn bare(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let rest = rest.trim_end_matches('/');
    let rest = rest.strip_suffix(".git").unwrap_or(rest);
    // `host:path` is read as `host/path`, and a port is not part of either.
    let (host, path) = rest.split_once(['/', ':']).unwrap_or((rest, ""));
    let path = match path.split_once('/') {
        Some((port, path)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => path,
        _ => path,
    };
    format!("{}/{path}", host.to_ascii_lowercase())
}
