//! The ordered set of resources; no two have the same identity (`resmap`).

use std::collections::HashSet;

use super::failure::{Failure, Outcome};
use super::identity::{Gvk, ResId, exactly_one};
use super::resource::{Behavior, Resource};
use super::selector::Pattern;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resources {
    list: Vec<Resource>,
    /// Identities, as long as nothing but appending happened.
    known: Option<HashSet<(Gvk, String, String)>>,
}

impl Resources {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.list.iter()
    }

    /// For changes; identities have to be looked up again afterwards.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Resource> {
        self.known = None;
        self.list.iter_mut()
    }

    /// As a slice, to change them.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [Resource] {
        self.known = None;
        &mut self.list
    }

    /// One by its place.
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut Resource> {
        self.known = None;
        self.list.get_mut(at)
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Takes the list.
    pub(crate) fn into_vec(self) -> Vec<Resource> {
        self.list
    }

    pub(crate) fn retain(&mut self, keep: impl FnMut(&Resource) -> bool) {
        self.known = None;
        self.list.retain(keep);
    }

    /// Puts them in another order.
    pub(crate) fn sort_by_cached_key<K: Ord>(&mut self, key: impl FnMut(&Resource) -> K) {
        self.list.sort_by_cached_key(key);
    }

    /// Fails where two have the same identity.
    ///
    /// # Errors
    /// See [`Self::append`].
    pub(crate) fn distinct(&mut self) -> Outcome<()> {
        let list = std::mem::take(&mut self.list);
        self.known = None;
        list.into_iter()
            .try_for_each(|resource| self.append(resource))
    }

    /// Appends a resource.
    ///
    /// # Errors
    /// When one of the same identity is there.
    pub(crate) fn append(&mut self, resource: Resource) -> Outcome<()> {
        let list = &self.list;
        let known = self.known.get_or_insert_with(|| {
            list.iter()
                .map(|resource| resource.current_id().key())
                .collect()
        });
        let id = resource.current_id();
        if !known.insert(id.key()) {
            let first = list
                .iter()
                .find(|resource| resource.current_id().equals(&id))
                .map(|resource| resource.origin.to_string())
                .unwrap_or_default();
            return Err(Failure::Located(crate::RenderError::DuplicateObject {
                object: id.to_string(),
                first,
                second: resource.origin.to_string(),
            }));
        }
        self.list.push(resource);
        Ok(())
    }

    /// Appends all of another set.
    ///
    /// # Errors
    /// See [`Self::append`].
    pub(crate) fn append_all(&mut self, others: Self) -> Outcome<()> {
        others
            .list
            .into_iter()
            .try_for_each(|resource| self.append(resource))
    }

    /// Appends, replaces or merges, as the generated resource's behaviour says.
    ///
    /// # Errors
    /// When what it should meet is not there, or is there and should not be.
    pub(crate) fn absorb(&mut self, mut resource: Resource) -> Outcome<()> {
        let id = resource.current_id();
        let matches = self.any_id(|other| other.equals(&id));
        let behavior = resource.history.behavior;
        match (matches.as_slice(), behavior) {
            ([], Behavior::Create) => self.append(resource),
            ([], Behavior::Merge | Behavior::Replace) => Err(Failure::render(format!(
                "{id} is to be merged or replaced, but no such object comes before it"
            ))),
            ([at], _) => {
                self.known = None;
                let Some(older) = self.list.get_mut(*at) else {
                    return Ok(());
                };
                match behavior {
                    Behavior::Create => {
                        return Err(Failure::render(format!(
                            "{id} exists already (from {}); set behavior: merge or replace",
                            older.origin
                        )));
                    }
                    Behavior::Replace => resource.take_metadata_of(older)?,
                    Behavior::Merge => {
                        let origin = older
                            .annotation(super::provenance::ORIGIN)
                            .map(str::to_owned);
                        resource.take_metadata_of(older)?;
                        merge_data(&mut resource, older);
                        if let Some(origin) = origin {
                            resource.set_annotation(super::provenance::ORIGIN, &origin);
                        }
                    }
                }
                // Kustomize looks the merged object up by its new identity and finds the same entry.
                if !resource.current_id().equals(&older.current_id()) {
                    return Err(Failure::render(format!("{id} changed while it was merged")));
                }
                *older = resource;
                Ok(())
            }
            (several, _) => Err(Failure::render(format!(
                "{} objects match {id}, so it is ambiguous what it merges with",
                several.len()
            ))),
        }
    }

    /// Indexes of the resources whose current or former identity matches.
    pub(crate) fn any_id(&self, matches: impl Fn(&ResId) -> bool) -> Vec<usize> {
        self.list
            .iter()
            .enumerate()
            .filter(|(_, resource)| {
                !resource.is_deleted() && resource.all_ids().any(|id| matches(&id))
            })
            .map(|(at, _)| at)
            .collect()
    }

    /// The place of the one that a patch means.
    ///
    /// # Errors
    /// When it is none or several.
    pub(crate) fn by_id(&self, id: &ResId) -> Outcome<usize> {
        // Most objects have another name and were not renamed: their identities need not be computed.
        let matches: Vec<usize> = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, resource)| !resource.is_deleted())
            .filter(|(_, resource)| resource.was_renamed() || resource.name() == id.name)
            .filter(|(_, resource)| resource.all_ids().any(|other| other.equals(id)))
            .map(|(at, _)| at)
            .collect();
        exactly_one(&matches, id)
    }

    /// Places of those a selector selects.
    ///
    /// # Errors
    /// When the selector is malformed.
    pub(crate) fn select(&self, pattern: &Pattern) -> Outcome<Vec<usize>> {
        let mut selected = Vec::new();
        for (at, resource) in self.list.iter().enumerate() {
            let (current, original) = (resource.current_id(), resource.original_id());
            if (pattern.namespace(original.effective_namespace())
                || pattern.namespace(current.effective_namespace()))
                && (pattern.name(&original.name) || pattern.name(&current.name))
                && pattern.gvk(&current.gvk)
                && pattern.labels_and_annotations(resource)
            {
                selected.push(at);
            }
        }
        Ok(selected)
    }
}

/// The older object's data under the newer one's (`MergeDataMapFrom`, `MergeBinaryDataMapFrom`).
fn merge_data(newer: &mut Resource, older: &Resource) {
    use super::node::Node;
    for field in ["data", "binaryData"] {
        let theirs: Vec<(String, String)> = older
            .map()
            .and_then(|map| map.get(field))
            .and_then(Node::as_map)
            .map(|map| {
                map.iter()
                    .map(|(key, value)| (key.to_string(), value.scalar_text().to_owned()))
                    .collect()
            })
            .unwrap_or_default();
        let Some(map) = newer.node.as_map_mut() else {
            return;
        };
        if theirs.is_empty() {
            if map.get(field).is_some_and(Node::is_empty) {
                map.remove(field);
            }
            continue;
        }
        let mine = map.entry(field, Node::map);
        if mine.is_null() {
            *mine = Node::map();
        }
        if let Some(mine) = mine.as_map_mut() {
            for (key, value) in theirs {
                mine.entry(&key, || Node::text(&value));
            }
        }
    }
}
