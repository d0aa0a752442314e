//! `render`: what an agent would apply if the work tree were committed.

use std::collections::BTreeMap;
use std::path::Path;

use flotilla_render::{Facts, MissingFact, Options, render};

use crate::args::{RenderArgs, Renderer};
use crate::error::Error;
use crate::git;
use crate::printer::Printer;
use crate::work_tree::WorkTree;

pub(super) async fn run(args: RenderArgs, printer: &Printer) -> Result<(), Error> {
    let Renderer::Tree(renderer) = args.renderer else {
        return super::render_chart::run(&args, printer);
    };
    if args.chart.given() {
        return Err(Error::Refused {
            message: "options of charts have no effect here".to_owned(),
            hint: Some("render a chart with --renderer helm".to_owned()),
        });
    }
    let file = |cause| Error::File {
        path: args.directory.clone(),
        cause,
    };
    let place = std::fs::canonicalize(&args.directory).map_err(file)?;
    let folder = if place.is_dir() {
        place.clone()
    } else {
        place
            .parent()
            .map_or_else(|| place.clone(), ToOwned::to_owned)
    };
    let (root, tree, is_left_out) = match git::work_tree(&folder).await? {
        Some((root, paths)) => {
            let within = place.strip_prefix(&root).unwrap_or(&place);
            let is_left_out = !paths.iter().any(|path| Path::new(path).starts_with(within));
            let tree = WorkTree::of_paths(&root, paths).map_err(Error::Local)?;
            (root, tree, is_left_out)
        }
        None => {
            printer.say("not in a Git work tree: files above this directory are not available");
            let tree = WorkTree::of_folder(&folder).map_err(file)?;
            (folder, tree, false)
        }
    };
    let path = place.strip_prefix(&root).map_or_else(
        |_| String::new(),
        |path| path.to_string_lossy().into_owned(),
    );
    let options = Options {
        renderer,
        facts: facts(&args),
        ..Options::default()
    };
    let rendered = render(&tree, &path, &options).map_err(|error| Error::Refused {
        message: format!("refused ({}): {error}", error.reason()),
        hint: is_left_out.then(|| {
            "a commit would contain nothing of it: it is empty, or .gitignore excludes its \
             content"
                .to_owned()
        }),
    })?;
    for note in &rendered.notes {
        printer.warn(&format!("{}: {}", note.reason, note.message));
    }
    printer.out(&rendered.text(args.output))
}

fn facts(args: &RenderArgs) -> Option<Facts> {
    let (Some(cluster), Some(environment)) = (&args.cluster, &args.environment) else {
        return None;
    };
    let labels: BTreeMap<String, String> = args.labels.iter().cloned().collect();
    let facts = Facts::of_cluster(cluster.as_str(), environment.as_str(), &labels);
    Some(facts.with_missing(if args.lenient {
        MissingFact::Keep
    } else {
        MissingFact::Refuse
    }))
}
