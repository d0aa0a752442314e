//! Kustomize, natively: the semantics of kustomize v5 on an in-memory tree.
//!
//! ```text
//!   kustomization file --Target::accumulate--> resources, configuration, variables
//!        resources: files and directories (recursively), generators, components, then steps
//!   root only: hashes in names -> references to renamed objects -> variables -> order
//! ```
//!
//! The modules follow the structure of Kustomize where its behaviour depends on it; each rule names
//! its source. Fields that run a program or read remote content are refused.

mod budget;
mod config;
mod crds;
mod failure;
mod fieldspec;
mod file;
mod generator;
mod hash;
mod helm;
mod identity;
mod json_patch;
mod load;
mod lookup;
mod merge;
mod metadata;
mod node;
mod order;
mod parse;
mod patch;
mod provenance;
mod references;
mod replacement;
mod resource;
mod resources;
mod schema;
mod selector;
mod session;
mod step;
mod target;
mod value_add;
mod vars;
mod workload;

use std::collections::{BTreeSet, HashMap};

use self::failure::Outcome;
use self::session::Session;
use self::target::{Accumulation, Target};
use crate::tree::Tree;
use crate::{Limits, Manifest, RenderError, Rendered};

/// The annotation of resources that only serve the build.
const LOCAL: &str = "config.kubernetes.io/local-config";

/// The label that `buildMetadata: [managedByLabel]` asks for.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The release of Kustomize whose results these are; it is written into the label above, where the
/// program writes its own.
const KUSTOMIZE_VERSION: &str = "v5.8.0";

/// Renders the kustomization in the directory `path`, which exists and is not a link.
pub(crate) fn render(
    tree: &dyn Tree,
    path: &str,
    limits: &Limits,
    sealed: &BTreeSet<String>,
) -> Result<Rendered, RenderError> {
    let session = Session::new(tree, limits, sealed);
    let root = Target::root(&session, session.root(path))?;
    let accumulated = root.accumulate(Accumulation::default())?;
    let at = root.path.clone();
    let resources = finish(accumulated, &root, &session).map_err(|error| error.at(&at))?;
    drop(root);
    let mut manifests = Vec::with_capacity(resources.len());
    let mut seen = HashMap::with_capacity(resources.len());
    for resource in resources {
        let origin = resource.origin;
        let value = resource
            .node
            .into_json()
            .map_err(|error| error.at(&origin.to_string()))?;
        let manifest = Manifest::built(value, origin)?;
        // A patch can turn an object into a list after lists were expanded. Its items would escape
        // the checks that judge objects one by one.
        if manifest.kind().ends_with("List") && manifest.value.get("items").is_some() {
            return Err(RenderError::NotAManifest {
                file: manifest.origin.file,
                line: manifest.origin.line,
                message: "a patch made it a list of objects; list them under `resources`"
                    .to_owned(),
            });
        }
        if let Some(first) = seen.insert(manifest.object(), manifest.origin.clone()) {
            return Err(RenderError::DuplicateObject {
                object: manifest.object().to_string(),
                first: first.to_string(),
                second: manifest.origin.to_string(),
            });
        }
        manifests.push(manifest);
    }
    Ok(Rendered {
        manifests,
        files_read: session.into_files_read(),
        ..Rendered::default()
    })
}

/// The steps that run once, after everything was accumulated.
fn finish(
    mut all: Accumulation,
    root: &Target<'_, '_>,
    session: &Session<'_>,
) -> Outcome<Vec<resource::Resource>> {
    step::add_hashes(&mut all.resources)?;
    references::update(&mut all.resources, &all.config.name_reference)?;
    all.vars.resolve(
        &mut all.resources,
        &all.config.var_reference,
        &session.budget,
    )?;
    all.resources.retain(|resource| {
        resource
            .annotation(LOCAL)
            .is_none_or(|local| local == "false")
    });
    order::sort(&mut all.resources, root.file.sort_options.as_ref())?;
    let asks = |option: &str| root.file.build_metadata.iter().any(|named| named == option);
    for resource in all.resources.iter_mut() {
        if asks("managedByLabel") {
            resource.set_label(MANAGED_BY, &format!("kustomize-{KUSTOMIZE_VERSION}"));
        }
        resource.remove_build_annotations();
        if !asks("originAnnotations") {
            resource.remove_annotation(provenance::ORIGIN);
        }
        if !asks("transformerAnnotations") {
            resource.remove_annotation(provenance::TRANSFORMATIONS);
        }
        resource.normalize("annotations");
    }
    Ok(all.resources.into_vec())
}
