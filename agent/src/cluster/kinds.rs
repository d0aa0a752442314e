//! Which resources serve what an application wants and what it is remembered to have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;

use super::Cluster;
use super::desired::{ApplicationDefaults, autoscaled, desired};
use super::pass::{DesiredState, PassInput};
use crate::api::Error;
use crate::api::discovery::{Resource, Sought};
use crate::inventory::Inventory;
use crate::plan::Desired;

impl Cluster {
    /// What an application wants, as objects of this cluster: needs to know which kinds are
    /// namespaced.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn desired_state(&self, input: &PassInput) -> Result<DesiredState, Error> {
        let mut discovery = self.discovery.lock().await;
        let sought = Sought::of(
            input
                .manifests
                .iter()
                .map(|m| discovery.find(m.group(), m.version(), m.kind())),
        );
        discovery.refresh(&self.api, sought).await?;
        let default_namespace = match input.namespace.as_str() {
            "" => "default",
            namespace => namespace,
        };
        let scaled = autoscaled(&input.manifests, default_namespace);
        let setting = ApplicationDefaults {
            application: input.application.as_str(),
            default_namespace,
            content: input.content,
            autoscaled: &scaled,
        };
        let mut complete = true;
        let objects = input.manifests.iter().map(|manifest| {
            let found = discovery.find(manifest.group(), manifest.version(), manifest.kind());
            complete &= found.is_some();
            let namespaced = found.map(|resource| resource.namespaced);
            Arc::new(desired(manifest, &setting, namespaced))
        });
        Ok(DesiredState {
            desired: Arc::new(objects.collect()),
            complete,
        })
    }

    /// What serves an object's kind; an empty version takes the preferred one.
    pub(super) async fn resource(
        &self,
        object: &ObjectRef,
        version: &str,
    ) -> Result<Resource, Error> {
        let discovery = self.discovery.lock().await;
        let found = discovery
            .find(&object.group, version, &object.kind)
            .cloned();
        found.ok_or_else(|| {
            let message = format!("the API server does not serve {version} {object}");
            Error::new(404, Reason::UnknownKind, message)
        })
    }

    /// What serves each object, what is not served at all, and whether the API server told everything.
    pub(super) async fn resources(
        &self,
        desired: &[Arc<Desired>],
        inventory: &Inventory,
    ) -> Result<(BTreeMap<ObjectRef, Resource>, BTreeSet<ObjectRef>, bool), Error> {
        let mut discovery = self.discovery.lock().await;
        let sought = Sought::of(
            desired
                .iter()
                .map(|d| discovery.find(&d.object.group, &d.version, &d.object.kind)),
        );
        discovery.refresh(&self.api, sought).await?;
        let mut resources = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for entry in desired {
            let object = &entry.object;
            match discovery.find(&object.group, &entry.version, &object.kind) {
                Some(resource) => {
                    resources.insert(object.clone(), resource.clone());
                }
                None => {
                    unknown.insert(object.clone());
                }
            }
        }
        for entry in inventory.entries() {
            let object = &entry.object;
            // At whatever version it is served now. A kind that is gone for good took its objects with
            // it; one that is only missing from a partial discovery did not, and `complete` says so.
            if let Some(resource) = discovery.find(&object.group, "", &object.kind) {
                resources
                    .entry(object.clone())
                    .or_insert_with(|| resource.clone());
            }
        }
        Ok((resources, unknown, discovery.is_complete()))
    }
}
