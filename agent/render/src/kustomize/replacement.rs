//! `replacements`: values of one field into others (`api/filters/replacement`).

use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::file::{FieldOptions, ReplacementEntry, ReplacementSource, ReplacementTarget, typed};
use super::identity::{DEFAULT_NAMESPACE, Gvk, ResId};
use super::lookup::{self, CreatedValue, Presence};
use super::node::{Node, Scalar, Tag, plain_tag};
use super::resource::Resource;
use super::resources::Resources;
use super::selector::Pattern;
use super::session::{Directory, Session};

/// All replacements of a kustomization.
#[derive(Debug)]
pub(crate) struct ReplacementStep {
    all: Vec<ReplacementEntry>,
}

const DEFAULT_FIELD: &str = "metadata.name";

impl ReplacementStep {
    /// From inline entries and files of them.
    ///
    /// # Errors
    /// When a file is missing or malformed.
    pub(crate) fn new(
        entries: &[ReplacementEntry],
        session: &Session<'_>,
        directory: &Directory,
    ) -> Outcome<Self> {
        let mut all = Vec::new();
        for entry in entries {
            if entry.path.is_empty() {
                all.push(entry.clone());
                continue;
            }
            if entry.source.is_some() || entry.targets.is_some() {
                return Err(Failure::render(format!(
                    "replacements: {:?} has a source or targets beside its path",
                    entry.path
                )));
            }
            let text = session.load_text(directory, &entry.path)?;
            let place = session.place(directory, &entry.path);
            let is_list = flotilla_yaml::parse_documents(text, session.json_limits())
                .ok()
                .and_then(|mut documents| documents.pop())
                .is_some_and(|document| document.value.is_array());
            if is_list {
                all.extend(typed::<Vec<ReplacementEntry>>(&place, text)?);
            } else {
                all.push(typed(&place, text)?);
            }
        }
        Ok(Self { all })
    }

    /// Applies them in their order.
    ///
    /// # Errors
    /// When a source or a target's field is not there.
    pub(crate) fn apply(&self, resources: &mut Resources, budget: &Budget) -> Outcome<()> {
        for replacement in &self.all {
            apply(replacement, resources, budget).map_err(|error| error.context("replacements"))?;
        }
        Ok(())
    }
}

fn apply(
    replacement: &ReplacementEntry,
    resources: &mut Resources,
    budget: &Budget,
) -> Outcome<()> {
    let Some(targets) = &replacement.targets else {
        return Err(Failure::render("a replacement needs targets"));
    };
    let value = match (&replacement.source, &replacement.source_value) {
        (None, None) => return Err(Failure::render("a replacement needs a source")),
        (Some(_), Some(_)) => {
            return Err(Failure::render("give either source or sourceValue"));
        }
        (None, Some(text)) => Node::plain(text),
        (Some(source), None) => source_value(source, resources)?,
    };
    for target in targets {
        to_target(&value, target, resources, budget)?;
    }
    Ok(())
}

/// Present and former identities as replacements compare them: the scope of a kind does not count.
fn identities(resource: &Resource) -> Vec<ResId> {
    std::iter::once(ResId {
        cluster_scoped: false,
        ..resource.current_id()
    })
    .chain(resource.previous_ids())
    .collect()
}

fn source_value(source: &ReplacementSource, resources: &Resources) -> Outcome<Node> {
    let gvk = Gvk {
        group: source.group.clone(),
        version: source.version.clone(),
        kind: source.kind.clone(),
    };
    let namespace = |namespace: &str| -> String {
        if namespace.is_empty() {
            DEFAULT_NAMESPACE.to_owned()
        } else {
            namespace.to_owned()
        }
    };
    let mut found = None;
    for resource in resources.iter() {
        let selected = identities(resource).iter().any(|id| {
            (source.name.is_empty() || source.name == id.name)
                && (source.namespace.is_empty()
                    || namespace(&source.namespace) == id.effective_namespace())
                && id.gvk.is_selected(&gvk)
        });
        if selected && found.replace(resource).is_some() {
            return Err(Failure::render(format!(
                "several objects match the source {gvk} {:?}",
                source.name
            )));
        }
    }
    let found = found.ok_or_else(|| {
        Failure::render(format!(
            "nothing matches the source {gvk} {:?}",
            source.name
        ))
    })?;
    let path = match source.field_path.as_str() {
        "" => DEFAULT_FIELD,
        path => path,
    };
    let value = lookup::find(&found.node, &lookup::parts(path))?
        .filter(|value| !value.is_empty())
        .ok_or_else(|| {
            Failure::render(format!("the source {} has no {path:?}", found.current_id()))
        })?;
    let Some(options) = source
        .options
        .as_ref()
        .filter(|options| !options.delimiter.is_empty())
    else {
        return Ok(value.clone());
    };
    let Node::Scalar(scalar) = value else {
        return Err(Failure::render(format!(
            "the source {path:?} is {}, and only scalars have a delimiter",
            value.kind_name()
        )));
    };
    let part = usize::try_from(options.index)
        .ok()
        .and_then(|index| scalar.text.split(&options.delimiter).nth(index))
        .ok_or_else(|| {
            Failure::render(format!("the source {path:?} has no part {}", options.index))
        })?;
    Ok(Node::Scalar(Scalar {
        tag: scalar.tag,
        text: part.into(),
        quoted: false,
    }))
}

fn to_target(
    value: &Node,
    target: &ReplacementTarget,
    resources: &mut Resources,
    budget: &Budget,
) -> Outcome<()> {
    let Some(select) = &target.select else {
        return Err(Failure::render("a target needs `select`"));
    };
    let select = Pattern::new(select)?;
    let reject = target
        .reject
        .iter()
        .map(Pattern::new)
        .collect::<Outcome<Vec<_>>>()?;
    let paths: Vec<(&str, Vec<String>)> = if target.field_paths.is_empty() {
        vec![(DEFAULT_FIELD, lookup::parts(DEFAULT_FIELD))]
    } else {
        target
            .field_paths
            .iter()
            .map(|path| (path.as_str(), lookup::parts(path)))
            .collect()
    };
    let options = target.options.clone().unwrap_or_default();
    let missing = if options.create {
        CreatedValue::like(value)
    } else {
        CreatedValue::Nothing
    };
    let weight = value.weight();
    for resource in resources.iter_mut() {
        let ids = identities(resource);
        let rejected = !select.labels_and_annotations(resource)
            || reject.iter().any(|reject| {
                (reject.selects_metadata() && reject.labels_and_annotations(resource))
                    || (reject.selects_identity() && ids.iter().any(|id| reject.id(id)))
            });
        if rejected || !ids.iter().any(|id| select.id(id)) {
            continue;
        }
        for (written, path) in &paths {
            let mut set = |node: &mut Node, presence: Presence| {
                budget.work(weight)?;
                set_field(node, value, &options, presence, budget)
            };
            let node = &mut resource.node;
            let count = lookup::each(node, path, missing, Presence::Found, &mut set)
                .map_err(|error| error.context(&format!("target field {written:?}")))?;
            if count == 0 {
                return Err(Failure::render(format!(
                    "target {} has no field {written:?}",
                    resource.current_id()
                )));
            }
        }
    }
    Ok(())
}

fn set_field(
    node: &mut Node,
    value: &Node,
    options: &FieldOptions,
    presence: Presence,
    budget: &Budget,
) -> Outcome<()> {
    let text = if options.delimiter.is_empty() {
        None
    } else {
        let Node::Scalar(old) = &*node else {
            return Err(Failure::render(format!(
                "the field is {}, and only scalars have a delimiter",
                node.kind_name()
            )));
        };
        budget.work(old.text.len())?;
        let new = value.scalar_text();
        let mut parts: Vec<&str> = old.text.split(&options.delimiter).collect();
        match usize::try_from(options.index) {
            Err(_) => parts.insert(0, new),
            Ok(index) => match parts.get_mut(index) {
                Some(part) => *part = new,
                None => parts.push(new),
            },
        }
        Some(parts.join(&options.delimiter))
    };
    match node {
        // An existing field keeps its type; only a created one gets the type that the text looks like.
        Node::Scalar(old) => {
            let text = text.unwrap_or_else(|| value.scalar_text().to_owned());
            let tag = match presence {
                Presence::Found => old.tag,
                Presence::Made => plain_tag(&text),
            };
            if tag == Tag::Null && plain_tag(&text) != Tag::Null {
                return Err(Failure::render(
                    "the field is null and would stay null; remove it, or give it a value of \
                     the expected type",
                ));
            }
            *old = Scalar {
                tag,
                text: text.into(),
                quoted: old.quoted,
            };
        }
        node => *node = value.clone(),
    }
    Ok(())
}
