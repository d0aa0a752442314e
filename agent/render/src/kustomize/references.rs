//! Updates the fields that refer to renamed objects (`nameref`).

use std::collections::{HashMap, HashSet};

use super::config::Reference;
use super::failure::{Failure, Outcome};
use super::fieldspec::Create;
use super::identity::{Gvk, NO_NAMESPACE, ResId};
use super::node::Node;
use super::resource::Resource;
use super::resources::Resources;

/// A possible target of references, without its content.
struct Candidate {
    current: ResId,
    previous: Vec<ResId>,
    /// Without content: its prefixes and suffixes.
    shell: Resource,
}

/// Sets all fields that refer to a renamed resource to its present name.
///
/// # Errors
/// When several resources could be meant, or a field has the wrong shape.
pub(crate) fn update(resources: &mut Resources, references: &[Reference]) -> Outcome<()> {
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    let mut candidates = Vec::with_capacity(resources.len());
    for (at, resource) in resources.iter().enumerate() {
        let previous: Vec<ResId> = resource.previous_ids().collect();
        for name in previous.iter().map(|id| &id.name).collect::<HashSet<_>>() {
            by_name.entry(name.clone()).or_default().push(at);
        }
        let mut shell = Resource::new(Node::map(), resource.origin.clone(), resource.schema());
        shell
            .history
            .prefixes
            .clone_from(&resource.history.prefixes);
        shell
            .history
            .suffixes
            .clone_from(&resource.history.suffixes);
        candidates.push(Candidate {
            current: resource.current_id(),
            previous,
            shell,
        });
    }
    if by_name.is_empty() {
        // Kustomize reads subjects, and refuses malformed ones, even if nothing was renamed.
        return resources
            .iter()
            .try_for_each(|resource| subject_namespaces(resource).map(|_| ()));
    }
    for (at, resource) in resources.as_mut_slice().iter_mut().enumerate() {
        let Some(me) = candidates.get(at) else {
            continue;
        };
        let original = resource.original_id().gvk;
        let bound = role(resource);
        let referrer = Referrer {
            me,
            candidates: &candidates,
            by_name: &by_name,
            subject_namespaces: subject_namespaces(resource)?,
        };
        for reference in references {
            let target = reference.gvk();
            for spec in &reference.field_specs {
                if !original.is_selected(&spec.gvk) {
                    continue;
                }
                let role = bound
                    .as_ref()
                    .filter(|_| spec.path.ends_with("roleRef/name"));
                // The kind may have changed since, so the specification applies to any kind.
                let spec = super::fieldspec::FieldSpec::of_any(&spec.path);
                spec.apply(&mut resource.node, Create::Never, &mut |node| {
                    referrer.set(node, &target, role)
                })
                .map_err(|error| {
                    error.context(&format!("references to {target} in {}", me.current))
                })?;
            }
        }
    }
    Ok(())
}

struct Referrer<'r> {
    me: &'r Candidate,
    candidates: &'r [Candidate],
    by_name: &'r HashMap<String, Vec<usize>>,
    subject_namespaces: HashSet<String>,
}

/// The kind that a binding's `roleRef` refers to.
fn role(resource: &Resource) -> Option<Gvk> {
    let role = resource.map()?.get("roleRef")?;
    Some(Gvk {
        group: role.field("apiGroup")?.scalar_text().to_owned(),
        version: String::new(),
        kind: role.field("kind")?.scalar_text().to_owned(),
    })
}

/// Namespaces of the service accounts in a RoleBinding.
fn subject_namespaces(resource: &Resource) -> Outcome<HashSet<String>> {
    let mut namespaces = HashSet::new();
    if resource.kind() != "RoleBinding" {
        return Ok(namespaces);
    }
    let Some(Node::Sequence(subjects)) = resource.map().and_then(|map| map.get("subjects")) else {
        return Ok(namespaces);
    };
    for subject in subjects {
        if subject.field("kind").map_or("", Node::scalar_text) != "ServiceAccount" {
            continue;
        }
        if let Some(namespace) = subject.field("namespace") {
            if namespace.is_null() {
                return Err(Failure::render(format!(
                    "a subject's namespace is empty in {}",
                    resource.current_id()
                )));
            }
            namespaces.insert(namespace.scalar_text().to_owned());
        }
    }
    Ok(namespaces)
}

impl<'r> Referrer<'r> {
    /// Sets a field to the current name of the object that it refers to; with `role`, only if that object is of
    /// this kind.
    fn set(&self, node: &mut Node, target: &Gvk, role: Option<&Gvk>) -> Outcome<()> {
        if node.is_null() {
            return Ok(());
        }
        match node {
            Node::Sequence(items) => items
                .iter_mut()
                .filter(|item| !item.is_null())
                .try_for_each(|item| match item {
                    Node::Sequence(_) => Err(Failure::render("a list in a list cannot be a name")),
                    item => self.set(item, target, role),
                }),
            Node::Scalar(_) => {
                let name = node.scalar_text();
                if let Some(referral) = self.choose(name, target, role, None)?
                    && referral.current.name != name
                {
                    *node = Node::text(&referral.current.name);
                }
                Ok(())
            }
            Node::Map(map) => {
                let Some(name) = map.get("name") else {
                    return Err(Failure::render(
                        "the field is a mapping without `name`; correct the configuration's path",
                    ));
                };
                let namespace = map.get("namespace").map(Node::scalar_text);
                let referral = self.choose(name.scalar_text(), target, role, Some(namespace))?;
                if let Some(referral) = referral {
                    let (name, namespace) = (&referral.current.name, &referral.current.namespace);
                    map.insert("name", Node::text(name));
                    if !namespace.is_empty() {
                        map.insert("namespace", Node::text(namespace));
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether the object may refer to another at all, by namespaces.
    fn may_refer(&self, other: &Candidate) -> bool {
        let (mine, theirs) = (&self.me.current, &other.current);
        mine.cluster_scoped
            || theirs.cluster_scoped
            || mine.effective_namespace() == theirs.effective_namespace()
            || self.subject_namespaces.contains(&theirs.namespace)
    }

    /// The one resource that a name refers to; with `within`, the field has or could have a namespace as well.
    fn choose(
        &self,
        name: &str,
        target: &Gvk,
        role: Option<&Gvk>,
        within: Option<Option<&str>>,
    ) -> Outcome<Option<&'r Candidate>> {
        let Some(places) = self.by_name.get(name) else {
            return Ok(None);
        };
        let mine = &self.me.current;
        let mut found: Vec<&Candidate> = Vec::new();
        let in_namespace = |candidate: &Candidate| match within.flatten() {
            None => true,
            Some(namespace) => self.in_namespace(candidate, namespace),
        };
        for candidate in places.iter().filter_map(|at| self.candidates.get(*at)) {
            let is = |gvk: &Gvk| candidate.previous.iter().any(|id| id.gvk.is_selected(gvk));
            let role_fits = role.is_none_or(&is);
            let namespace_fits = mine.cluster_scoped
                || candidate.current.cluster_scoped
                || candidate.current.gvk.kind == "ServiceAccount"
                || mine.effective_namespace() == candidate.current.effective_namespace();
            if self.may_refer(candidate)
                && in_namespace(candidate)
                && is(target)
                && role_fits
                && namespace_fits
            {
                found.push(candidate);
            }
        }
        if let [referred] = *found.as_slice() {
            return Ok(Some(referred));
        }
        found.retain(|candidate| candidate.shell.affixes_fit(&self.me.shell));
        if found.len() > 1 {
            found.retain(|candidate| candidate.shell.same_affixes(&self.me.shell));
        }
        let Some((first, rest)) = found.split_first() else {
            return Ok(None);
        };
        let same = rest.iter().all(|other| {
            other.current.name == first.current.name
                && (within.is_none() || other.current.namespace == first.current.namespace)
        });
        if same {
            return Ok(Some(first));
        }
        let all: Vec<String> = found
            .iter()
            .map(|candidate| candidate.current.to_string())
            .collect();
        Err(Failure::render(format!(
            "{name:?} is ambiguous: it could be any of {}",
            all.join(", ")
        )))
    }

    /// Whether a candidate is in the namespace of a field: its original one, or, if no candidate's
    /// original namespace matches, its current one.
    fn in_namespace(&self, candidate: &Candidate, namespace: &str) -> bool {
        let original = |candidate: &Candidate| {
            candidate
                .previous
                .first()
                .unwrap_or(&candidate.current)
                .effective_namespace()
                .to_owned()
        };
        if namespace == NO_NAMESPACE {
            return false;
        }
        let any_original = self
            .candidates
            .iter()
            .any(|other| self.may_refer(other) && original(other) == namespace);
        if any_original {
            original(candidate) == namespace
        } else {
            candidate.current.effective_namespace() == namespace
        }
    }
}
