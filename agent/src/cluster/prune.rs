//! Deleting one object: a live look first, then a delete that only this very object can match.

use flotilla_shared::object::ObjectRef;
use flotilla_shared::reason::Reason;
use http::Method;
use serde_json::{Value, json};

use super::Cluster;
use crate::api::{Api, Error};
use crate::observe::facts::annotation;
use crate::observe::fields;
use crate::observe::views::Tenure;
use crate::plan::{APPLICATION_ANNOTATION, Marks, PRUNE_ANNOTATION, forbids};
use crate::policy::Policy;

pub(super) struct Removal<'a> {
    pub(super) object: &'a ObjectRef,
    /// The only object of that name that is meant.
    pub(super) uid: &'a str,
    /// API version it was applied at.
    pub(super) version: &'a str,
    /// The application that has to own it.
    pub(super) application: &'a str,
    /// The policy, which lists the kinds that are only deleted after a confirmation.
    pub(super) policy: &'a Policy,
    pub(super) tenure: &'a Tenure,
}

/// Result of a deletion.
pub(super) enum DeleteResult {
    /// Deleted, or being deleted.
    Done,
    /// Being deleted, and waiting for a finalizer.
    Waiting(String),
    /// The name belongs to another object or another application now.
    NotOurs,
    /// It has no ownership mark of this agent.
    Unmarked,
    /// Its annotation or its kind forbids it now.
    Held(Reason, &'static str),
}

impl Cluster {
    /// Deletes one object.
    pub(super) async fn prune(
        &self,
        api: &Api,
        removal: &Removal<'_>,
    ) -> Result<DeleteResult, Error> {
        let &Removal {
            object,
            uid,
            tenure,
            ..
        } = removal;
        let resource = match self.resource(object, removal.version).await {
            Ok(resource) => resource,
            // That version is no longer served; any other one shows the same object.
            Err(_) => self.resource(object, "").await?,
        };
        let path = resource.object(&object.namespace, &object.name);
        let Some(live) = api.find(&path).await? else {
            tenure.gone(object, uid);
            return Ok(DeleteResult::Done);
        };
        if live.pointer("/metadata/uid").and_then(Value::as_str) != Some(uid) {
            return Ok(DeleteResult::NotOurs);
        }
        let marks = Marks {
            application: annotation(&live, APPLICATION_ANNOTATION),
            applied_by_us: fields::applied(&live, &self.options.field_manager).is_some(),
        };
        if marks.names_another(removal.application) {
            return Ok(DeleteResult::NotOurs);
        }
        if !marks.show(removal.application) {
            return Ok(DeleteResult::Unmarked);
        }
        let word = annotation(&live, PRUNE_ANNOTATION);
        if let Some((reason, message)) = forbids(word, removal.policy, object) {
            return Ok(DeleteResult::Held(reason, message));
        }
        match delete(api, &path, uid, "Background").await {
            Ok(()) => {}
            Err(error) if error.is_not_found() => {
                tenure.gone(object, uid);
                return Ok(DeleteResult::Done);
            }
            // The object was created again by others in the meantime (P16).
            Err(error) if error.code == 409 => return Ok(DeleteResult::NotOurs),
            Err(error) => return Err(error),
        }
        let asked = tenure.moment();
        match api.find(&path).await? {
            Some(live) if live.pointer("/metadata/uid").and_then(Value::as_str) == Some(uid) => {
                tenure.learn(object, &live, asked, None);
                Ok(DeleteResult::Waiting(self.rules.compute(&live).message))
            }
            _ => {
                tenure.gone(object, uid);
                Ok(DeleteResult::Done)
            }
        }
    }
}

/// A delete that only the object of this UID can match.
pub(super) async fn delete(
    api: &Api,
    path: &str,
    uid: &str,
    propagation: &str,
) -> Result<(), Error> {
    let body = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
        "preconditions": { "uid": uid },
    });
    api.send(Method::DELETE, path, "application/json", Some(&body))
        .await
        .map(|_| ())
}
