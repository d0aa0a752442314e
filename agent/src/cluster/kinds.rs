//! Resources of the objects that an application desires or has in its inventory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;

use super::Cluster;
use super::desired::{ApplicationDefaults, autoscaled, desired};
use super::pass::{DesiredState, PassInput};
use crate::api::Error;
use crate::api::discovery::{KindLookup, Resource};
use crate::inventory::Inventory;
use crate::plan::Desired;

/// How the objects of an application are served.
#[derive(Default)]
pub(super) struct ServedKinds {
    pub(super) resources: BTreeMap<ObjectRef, Resource>,
    /// Objects whose kinds are not served at all.
    pub(super) unknown: BTreeSet<ObjectRef>,
    /// Objects whose kinds may or may not be served: the server of their API group is away, or was when the
    /// kind was looked up.
    pub(super) away: BTreeSet<ObjectRef>,
    /// Objects that were prepared for another scope than their kinds have now: with a namespace, or without
    /// one.
    pub(super) rescoped: BTreeSet<ObjectRef>,
    /// API groups whose server is away.
    pub(super) stale: Vec<String>,
    /// Whether discovery was complete.
    pub(super) complete: bool,
}

impl Cluster {
    /// What an application desires, as objects of this cluster: needs to know which kinds are
    /// namespaced.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub async fn desired_state(&self, input: &PassInput) -> Result<DesiredState, Error> {
        let mut discovery = self.discovery.lock().await;
        let sought = KindLookup::of(
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

    /// Returns the resource of an object's kind; an empty version: the preferred one.
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

    /// Returns what serves each object.
    pub(super) async fn resources(
        &self,
        desired: &[Arc<Desired>],
        inventory: &Inventory,
    ) -> Result<ServedKinds, Error> {
        let mut discovery = self.discovery.lock().await;
        let sought = KindLookup::of(
            desired
                .iter()
                .map(|d| discovery.find(&d.object.group, &d.version, &d.object.kind)),
        );
        discovery.refresh(&self.api, sought).await?;
        let mut served = ServedKinds {
            complete: discovery.is_complete(),
            stale: discovery.stale().to_vec(),
            ..ServedKinds::default()
        };
        for entry in desired {
            let object = &entry.object;
            match discovery.find(&object.group, &entry.version, &object.kind) {
                Some(resource) if resource.namespaced == object.namespace.is_empty() => {
                    served.rescoped.insert(object.clone());
                }
                Some(resource) => {
                    served.resources.insert(object.clone(), resource.clone());
                }
                None if discovery.is_stale(&object.group) => {
                    served.away.insert(object.clone());
                }
                None => {
                    served.unknown.insert(object.clone());
                }
            }
        }
        for entry in inventory.entries() {
            let object = &entry.object;
            // Looked up at whatever version is served now. A kind that was removed took its objects
            // with it; one that is only missing from a partial discovery did not, and `complete` says
            // so.
            if let Some(resource) = discovery.find(&object.group, "", &object.kind) {
                served
                    .resources
                    .entry(object.clone())
                    .or_insert_with(|| resource.clone());
            }
        }
        Ok(served)
    }
}
