//! Jobs of gates in the cluster: found by their name, created if they are missing, ended if they are no
//! longer requested.

use std::sync::Arc;

use flotilla_shared::health::Health;
use flotilla_shared::reason::Reason;
use serde_json::Value;

use super::apply::Conflicts;
use super::prune::delete;
use super::{Cluster, WhenMissing};
use crate::api::{Api, Error};
use crate::health::ObjectHealth;
use crate::observe::facts::annotation;
use crate::observe::fields;
use crate::plan::{APPLICATION_ANNOTATION, Desired};

/// A gate Job, and the account that creates it.
pub(crate) struct GateJobRequest<'a> {
    pub(crate) desired: &'a Desired,
    /// The application that owns it.
    pub(crate) application: &'a str,
    /// `namespace/name` of a service account; none: the agent's own.
    pub(crate) account: Option<&'a str>,
}

impl Cluster {
    /// Returns the agent's own namespace.
    pub(crate) fn own_namespace(&self) -> &str {
        &self.options.namespace
    }

    /// Returns an object's health by this agent's rules.
    pub(crate) fn health_of(&self, live: &Value) -> ObjectHealth {
        self.rules.compute(live)
    }

    /// The Job as it is; created if it is missing and `when_missing` says so. None: it does not exist.
    ///
    /// # Errors
    /// When the API server refuses, or another owner's object has the name.
    pub(crate) async fn gate_job(
        &self,
        request: &GateJobRequest<'_>,
        when_missing: WhenMissing,
    ) -> Result<Option<Value>, Error> {
        let (api, path) = self.gate_job_at(request).await?;
        let live = match api.find(&path).await? {
            Some(live) => live,
            None if when_missing == WhenMissing::Leave => return Ok(None),
            // The name identifies the Job, so that creating it twice still makes one.
            None => {
                self.patch(&api, &path, &request.desired.body, Conflicts::Refuse)
                    .await?
            }
        };
        if !self.is_ours(&live, request.application) {
            let object = &request.desired.object;
            let message = format!("{object} exists already and was not created by this agent");
            return Err(Error::new(409, Reason::NotOurs, message));
        }
        Ok(Some(live))
    }

    /// Deletes a Job that has not ended.
    ///
    /// # Errors
    /// When the API server cannot be asked, or refuses.
    pub(crate) async fn stop_gate_job(&self, request: &GateJobRequest<'_>) -> Result<(), Error> {
        let (api, path) = self.gate_job_at(request).await?;
        let Some(live) = api.find(&path).await? else {
            return Ok(());
        };
        let health = self.rules.compute(&live).health;
        let has_ended = matches!(
            health,
            Health::Current | Health::Failed | Health::Terminating
        );
        if has_ended || !self.is_ours(&live, request.application) {
            return Ok(());
        }
        let uid = live.pointer("/metadata/uid").and_then(Value::as_str);
        delete(&api, &path, uid.unwrap_or_default(), "Background").await
    }

    async fn gate_job_at(&self, request: &GateJobRequest<'_>) -> Result<(Api, String), Error> {
        let desired = request.desired;
        let resource = self.resource(&desired.object, &desired.version).await?;
        let api = self.api.as_account(request.account.map(Arc::from));
        Ok((
            api,
            resource.object(&desired.object.namespace, &desired.object.name),
        ))
    }

    fn is_ours(&self, live: &Value, application: &str) -> bool {
        annotation(live, APPLICATION_ANNOTATION) == application
            && fields::applied(live, &self.options.field_manager).is_some()
    }
}
