//! `patches`, `patchesStrategicMerge` and `patchesJson6902`.

use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::file::{Patch, PatchOptions};
use super::json_patch::{self, Operation};
use super::load;
use super::merge;
use super::node::Node;
use super::resource::Resource;
use super::resources::Resources;
use super::selector::Pattern;
use super::session::{Directory, Session};

/// One entry, read.
#[derive(Debug)]
pub(crate) struct PatchStep {
    content: Content,
    target: Option<Pattern>,
    options: PatchOptions,
    /// For messages: the file, or that it was inline.
    source: String,
    /// Whether the identity is noted before a JSON patch, as `patches` does and `patchesJson6902` does
    /// not.
    remembers: bool,
}

#[derive(Debug)]
enum Content {
    Merge(Vec<Resource>),
    Json(Vec<Operation>),
}

impl PatchStep {
    /// An entry of `patches`.
    ///
    /// # Errors
    /// When it has no patch, two of them, or one that is neither kind.
    pub(crate) fn new(
        patch: &Patch,
        session: &Session<'_>,
        directory: &Directory,
    ) -> Outcome<Self> {
        let inline = patch.patch.trim();
        let (text, source) = match (inline, patch.path.as_str()) {
            ("", "") => return Err(Failure::render("a patch needs `patch` or `path`")),
            (_, path) if !inline.is_empty() && !path.is_empty() => {
                return Err(Failure::render(format!(
                    "there is an inline patch besides {path:?}; give either `patch` or `path`"
                )));
            }
            ("", path) => (session.load_text(directory, path)?, path.to_owned()),
            (inline, _) => (inline, "an inline patch".to_owned()),
        };
        let context = |error: Failure| error.context(&source);
        let merges = load::resources_of_text(session, &session.place(directory, &source), text);
        let operations = json_patch::parse(text, session.json_limits());
        let content = match (merges, operations) {
            (Ok(merges), Err(_)) => Content::Merge(merges),
            (Ok(merges), Ok(operations)) if operations.is_empty() => Content::Merge(merges),
            (Ok(merges), Ok(operations)) if merges.is_empty() => Content::Json(operations),
            (Ok(_), Ok(_)) => {
                return Err(context(Failure::render(
                    "it is valid as both kinds of patches",
                )));
            }
            (Err(_), Ok(operations)) => Content::Json(operations),
            // A patch that starts like a list is meant as a JSON patch, so that error is the one to show.
            (Err(_), Err(error)) if text.trim_start().starts_with(['[', '-']) => {
                return Err(context(error));
            }
            (Err(error), Err(_)) => return Err(context(error)),
        };
        let target = patch.target.as_ref().map(Pattern::new).transpose()?;
        let options = patch.options.unwrap_or_default();
        let mut content = content;
        if let Content::Merge(patches) = &mut content
            && (options.allow_name_change || options.allow_kind_change)
        {
            // Kustomize records the options in the patch's annotations, which turns all of them into text.
            patches
                .iter_mut()
                .for_each(|patch| patch.normalize("annotations"));
        }
        Ok(Self {
            content,
            target,
            options,
            source,
            remembers: true,
        })
    }

    /// An entry of `patchesJson6902`.
    ///
    /// # Errors
    /// When it has no target, or no JSON patch.
    pub(crate) fn json(
        patch: &Patch,
        session: &Session<'_>,
        directory: &Directory,
    ) -> Outcome<Self> {
        let Some(target) = patch
            .target
            .as_ref()
            .filter(|target| !target.name.is_empty())
        else {
            return Err(Failure::render("patchesJson6902: the target needs a name"));
        };
        let (text, source) = match (patch.patch.as_str(), patch.path.as_str()) {
            ("", "") => {
                return Err(Failure::render(
                    "patchesJson6902: a patch needs `patch` or `path`",
                ));
            }
            ("", path) => (session.load_text(directory, path)?, path.to_owned()),
            (inline, "") => (inline, "an inline patch".to_owned()),
            (_, path) => {
                return Err(Failure::render(format!(
                    "there is an inline patch besides {path:?}; give either `patch` or `path`"
                )));
            }
        };
        let operations = json_patch::parse(text, session.json_limits())
            .map_err(|error| error.context(&source))?;
        if operations.is_empty() {
            return Err(Failure::render(format!("{source}: the patch is empty")));
        }
        Ok(Self {
            content: Content::Json(operations),
            target: Some(Pattern::new(target)?),
            options: PatchOptions::default(),
            source,
            remembers: false,
        })
    }

    /// Applies the patch to the resources that it targets.
    ///
    /// # Errors
    /// When nothing matches a patch that names its object, or the patch does not fit.
    pub(crate) fn apply(&self, resources: &mut Resources, session: &Session<'_>) -> Outcome<()> {
        let context = |error: Failure| error.context(&self.source);
        match (&self.content, &self.target) {
            (Content::Merge(patches), Some(target)) => match patches.as_slice() {
                [] => Ok(()),
                [patch] => {
                    let selected = resources.select(target)?;
                    merge_into(resources, &selected, patch, self.options, session).map_err(context)
                }
                _ => Err(context(Failure::render(
                    "several patches in one entry cannot have a `target`; write one entry each",
                ))),
            },
            (Content::Merge(patches), None) => {
                for patch in patches {
                    let at = resources.by_id(&patch.original_id()).map_err(context)?;
                    if let Some(resource) = resources.get_mut(at) {
                        apply_merge(resource, patch, self.options, session).map_err(context)?;
                    }
                }
                Ok(())
            }
            (Content::Json(_), None) => {
                Err(context(Failure::render("a JSON patch needs a `target`")))
            }
            (Content::Json(operations), Some(target)) => {
                for at in resources.select(target)? {
                    if let Some(resource) = resources.get_mut(at) {
                        if self.remembers {
                            resource.remember_id();
                        }
                        apply_json(resource, operations, &session.budget).map_err(context)?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// All patches of `patchesStrategicMerge`.
#[derive(Debug)]
pub(crate) struct MergeStep {
    patches: Vec<Resource>,
}

impl MergeStep {
    /// From paths or inline patches.
    ///
    /// # Errors
    /// When one is neither.
    pub(crate) fn new(
        entries: &[String],
        session: &Session<'_>,
        directory: &Directory,
    ) -> Outcome<Self> {
        let mut patches = Vec::new();
        for entry in entries {
            let place = format!("{}/inline patch", directory.path);
            match load::inline(session, &place, entry) {
                Some(read) => patches.extend(read?),
                None => {
                    let text = session.load_text(directory, entry)?;
                    let place = session.place(directory, entry);
                    patches.extend(load::resources_of_text(session, &place, text)?);
                }
            }
        }
        if patches.is_empty() {
            return Err(Failure::render("patchesStrategicMerge: it holds no patch"));
        }
        Ok(Self { patches })
    }

    /// Applies the patches in their order.
    ///
    /// # Errors
    /// When a patch's object is not there, or the patch does not fit.
    pub(crate) fn apply(&self, resources: &mut Resources, session: &Session<'_>) -> Outcome<()> {
        for patch in &self.patches {
            let at = resources.by_id(&patch.original_id())?;
            merge_into(resources, &[at], patch, PatchOptions::default(), session)?;
        }
        Ok(())
    }
}

/// Merges a patch into selected resources, whatever the name in the patch.
fn merge_into(
    resources: &mut Resources,
    selected: &[usize],
    patch: &Resource,
    options: PatchOptions,
    session: &Session<'_>,
) -> Outcome<()> {
    // Kustomize rewrites the patch's labels and annotations as text here.
    let mut patch = patch.clone();
    patch.normalize("labels");
    patch.normalize("annotations");
    for at in selected {
        if let Some(resource) = resources.get_mut(*at) {
            let mut patch = patch.clone();
            if let Some(map) = patch.node.as_map_mut() {
                map.insert("apiVersion", Node::text(resource.api_version()));
            }
            apply_merge(resource, &patch, options, session)?;
        }
    }
    resources.retain(|resource| !resource.is_deleted());
    resources.distinct()
}

fn apply_merge(
    resource: &mut Resource,
    patch: &Resource,
    options: PatchOptions,
    session: &Session<'_>,
) -> Outcome<()> {
    let (name, namespace, kind) = (
        resource.name().to_owned(),
        resource.namespace().to_owned(),
        resource.kind().to_owned(),
    );
    if options.allow_name_change || options.allow_kind_change {
        resource.remember_id();
    }
    session.budget.work(patch.node.weight())?;
    let target = std::mem::replace(&mut resource.node, Node::map());
    let merged = merge::strategic(target, patch.node.clone(), &session.schema, &session.budget)?;
    let Some(merged) = merged.filter(|merged| !merged.is_empty()) else {
        return Ok(());
    };
    resource.node = merged;
    if !options.allow_kind_change {
        resource.set_kind(&kind);
    }
    if !options.allow_name_change {
        resource.set_metadata("name", &name);
    }
    resource.set_metadata("namespace", &namespace);
    Ok(())
}

fn apply_json(resource: &mut Resource, operations: &[Operation], budget: &Budget) -> Outcome<()> {
    // Where Kustomize keeps its own notes in annotations, a patch can add to them without creating the mapping
    // first.
    if resource.history.noted
        && let Some(metadata) = resource
            .node
            .field_mut("metadata")
            .and_then(Node::as_map_mut)
    {
        let annotations = metadata.entry("annotations", Node::map);
        if annotations.is_null() {
            *annotations = Node::map();
        }
    }
    json_patch::apply(&mut resource.node, operations, budget)?;
    resource.normalize("annotations");
    Ok(())
}
