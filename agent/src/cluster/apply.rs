//! Executing a plan's steps. Decides nothing.

use std::time::Duration;

use flotilla_shared::object::{Action, ObjectRef};
use flotilla_shared::reason::Reason;
use http::Method;
use serde_json::{Value, json};

use super::api::Error;
use super::observe::{annotation, digest_of};
use super::{Cluster, Proven};
use crate::health::{ObjectHealth, compute};
use crate::inventory::Inventory;
use crate::plan::{APPLICATION_ANNOTATION, Desired};

/// etcd refuses more; so do we, by name, before the object is sent (A11).
const MAX_OBJECT_BYTES: usize = 1_500_000;
/// How long a new definition may take to be served.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(30);

/// What an apply did.
pub(super) struct Applied {
    pub(super) action: Action,
    pub(super) uid: String,
    pub(super) health: ObjectHealth,
}

/// What a delete did.
pub(super) enum Deleted {
    /// It is gone, or going.
    Done,
    /// Going, and waiting for somebody's finalizer.
    Waiting(String),
    /// Not ours any more.
    NotOurs,
}

impl Cluster {
    /// Server-side apply of one object (KEP-555).
    pub(super) async fn apply(
        &self,
        desired: &Desired,
        create: bool,
        force: bool,
        dry_run: bool,
    ) -> Result<Applied, Error> {
        let size = desired.value.to_string().len();
        if size > MAX_OBJECT_BYTES {
            return Err(Error {
                code: 413,
                reason: Reason::ObjectTooLarge,
                message: format!(
                    "{} has {size} bytes, more than the {MAX_OBJECT_BYTES} the API server stores",
                    desired.object
                ),
                retry_after: None,
            });
        }
        let resource = self.resource(&desired.object, &desired.version).await?;
        let path = format!(
            "{}?fieldManager={}&force={force}&fieldValidation=Strict{}",
            resource.object(&desired.object.namespace, &desired.object.name),
            self.options.field_manager,
            if dry_run { "&dryRun=All" } else { "" }
        );
        let live = self
            .api
            .send(
                Method::PATCH,
                &path,
                "application/apply-patch+yaml",
                Some(&desired.value),
            )
            .await?;
        let text = |pointer: &str| {
            live.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let uid = text("/metadata/uid");
        let generation = live
            .pointer("/metadata/generation")
            .and_then(Value::as_i64)
            .unwrap_or(0);
        if generation > 0 && !dry_run {
            let proven = Proven {
                uid: uid.clone(),
                generation,
                desired: digest_of(&desired.value),
            };
            self.proven.lock().insert(desired.object.clone(), proven);
        }
        let action = if create {
            Action::Created
        } else {
            Action::Updated
        };
        Ok(Applied {
            action,
            uid,
            health: compute(&live),
        })
    }

    /// Deletes one object: a live look first, then a delete that only this very object can match.
    pub(super) async fn prune(
        &self,
        object: &ObjectRef,
        uid: &str,
        application: &str,
        inventory: &Inventory,
    ) -> Result<Deleted, Error> {
        let version = inventory
            .get(object)
            .map_or("", |entry| entry.version.as_str());
        let resource = match self.resource(object, version).await {
            Ok(resource) => resource,
            // That version is served no longer; any other shows the same object.
            Err(_) => self.resource(object, "").await?,
        };
        let path = resource.object(&object.namespace, &object.name);
        let Some(live) = self.api.find(&path).await? else {
            return Ok(Deleted::Done);
        };
        let mark = annotation(&live, APPLICATION_ANNOTATION);
        if live.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid)
            || (!mark.is_empty() && mark != application)
        {
            return Ok(Deleted::NotOurs);
        }
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": { "uid": uid },
        });
        match self
            .api
            .send(Method::DELETE, &path, "application/json", Some(&body))
            .await
        {
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(Deleted::Done),
            // Made again by somebody in the meantime (P16).
            Err(error) if error.code == 409 => return Ok(Deleted::NotOurs),
            Err(error) => return Err(error),
        }
        match self.api.find(&path).await? {
            Some(live) if live.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid) => {
                Ok(Deleted::Waiting(compute(&live).message))
            }
            _ => Ok(Deleted::Done),
        }
    }

    /// Waits until new definitions are served, then learns their kinds.
    pub(super) async fn established(&self, names: &[String]) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + ESTABLISH_TIMEOUT;
        for name in names {
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            let mut wait = Duration::from_millis(20);
            loop {
                let live = self.api.get(&path).await?;
                let health = compute(&live);
                if health.health == flotilla_shared::health::Health::Current {
                    break;
                }
                if tokio::time::Instant::now() > deadline {
                    return Err(Error {
                        code: 0,
                        reason: Reason::UnknownKind,
                        message: format!("{name} is not established: {}", health.message),
                        retry_after: None,
                    });
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(1));
            }
        }
        self.discovery.lock().await.read(&self.api).await
    }
}
