//! Executing a plan's steps. Decides nothing.

use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::assignment::Drift;
use flotilla_shared::backoff::Backoff;
use flotilla_shared::reason::Reason;
use http::Method;
use serde_json::Value;

use super::Cluster;
use super::prune::delete;
use super::takeover::Takeover;
use crate::api::{Api, Error};
use crate::health::ObjectHealth;
use crate::observe::facts::Fact;
use crate::observe::views::Tenure;
use crate::plan::{Desired, FORCE_ANNOTATION, IMMUTABLE_ANNOTATION, Live};

/// Largest object that etcd stores, checked before the object is sent (A11).
const MAX_OBJECT_BYTES: usize = 1_500_000;
/// The API server refuses more in an object's annotations, keys and values together.
const MAX_ANNOTATION_BYTES: usize = 256 << 10;
/// Timeout for a new CRD to be served.
const ESTABLISH_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout for the deletion of an object that is recreated.
const RECREATE_TIMEOUT: Duration = Duration::from_secs(30);

/// How an apply treats fields of other managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conflicts {
    /// Take them over.
    Force,
    /// The API server refuses it.
    Refuse,
}

pub(super) struct Request {
    pub(super) desired: Arc<Desired>,
    /// The live object; none: it does not exist.
    pub(super) fact: Option<Arc<Fact>>,
    /// Take fields over from other managers.
    pub(super) force: bool,
    /// Whether the application owned the object before this apply.
    pub(super) is_ours: bool,
    /// Whether additions by others are removed.
    pub(super) drift: Drift,
    /// Why it may not be deleted and recreated; none: it may.
    pub(super) held_back: Option<&'static str>,
    pub(super) tenure: Arc<Tenure>,
}

/// Result of an apply.
pub(super) struct ApplyResult {
    pub(super) uid: String,
    pub(super) health: ObjectHealth,
}

impl Cluster {
    /// Server-side apply of one object (KEP-555).
    pub(super) async fn apply(&self, api: &Api, request: &Request) -> Result<ApplyResult, Error> {
        let desired = &request.desired;
        if let Some(error) = too_large(desired) {
            return Err(error);
        }
        let resource = self.resource(&desired.object, &desired.version).await?;
        let path = resource.object(&desired.object.namespace, &desired.object.name);
        let mut body = None;
        let takeover = Takeover {
            api,
            views: &request.tenure,
            reader: self.reader(),
            path: &path,
        };
        let asked = request.tenure.moment();
        let baseline = request.tenure.baseline(&desired.object);
        if let Some(fact) = &request.fact {
            body = takeover
                .prepare(desired, baseline.as_ref(), fact, request.drift)
                .await?;
        }
        let bytes = body.map(|body| body.to_string().into_bytes());
        let bytes = bytes.as_deref().unwrap_or(&desired.body);
        let conflicts = match request.force || desired.directive(FORCE_ANNOTATION) == "true" {
            true => Conflicts::Force,
            false => Conflicts::Refuse,
        };
        let mut answer = self.patch(api, &path, bytes, conflicts).await;
        // A person's edit of an object that was applied before is drift, and Git takes precedence.
        if let Err(error) = &answer
            && error.reason == Reason::Conflict
            && request.is_ours
            && !error.managers.is_empty()
            && error
                .managers
                .iter()
                .all(|name| self.options.managers.is_person(name))
        {
            answer = self.patch(api, &path, bytes, Conflicts::Force).await;
        }
        // A list item that is not in Git has the name of one that is.
        if let Err(error) = &answer
            && !error.duplicates.is_empty()
            && request.is_ours
            && request.drift == Drift::Correct
            && takeover.clear(desired, &error.duplicates).await?
        {
            answer = self.patch(api, &path, bytes, Conflicts::Force).await;
        }
        let live = match answer {
            Err(mut error) if error.reason == Reason::ImmutableField => {
                let asks = desired.directive(IMMUTABLE_ANNOTATION) == "recreate";
                let held_back = match (asks, request.held_back) {
                    (true, None) => None,
                    (true, Some(why)) => Some(why),
                    (false, _) => Some(
                        "with flotilla.dev/on-immutable: recreate in Git it would be deleted \
                         and recreated",
                    ),
                };
                if let Some(why) = held_back {
                    error.message = format!("{} ({why})", error.message);
                    return Err(error);
                }
                self.remove_to_recreate(api, &path, request).await?;
                self.patch(api, &path, bytes, conflicts).await?
            }
            other => other?,
        };
        // While the request was under way, the tenure may have changed what it desires.
        let applied = baseline
            .filter(|baseline| baseline.desired.digest == desired.digest)
            .map(|baseline| baseline.key);
        request.tenure.learn(&desired.object, &live, asked, applied);
        let uid = live.pointer("/metadata/uid").and_then(Value::as_str);
        Ok(ApplyResult {
            uid: uid.unwrap_or_default().to_owned(),
            health: self.rules.compute(&live),
        })
    }

    pub(super) async fn patch(
        &self,
        api: &Api,
        path: &str,
        body: &[u8],
        conflicts: Conflicts,
    ) -> Result<Value, Error> {
        let force = conflicts == Conflicts::Force;
        let path = format!(
            "{path}?fieldManager={}&force={force}&fieldValidation=Strict",
            self.options.field_manager,
        );
        api.send_bytes(Method::PATCH, &path, "application/apply-patch+yaml", body)
            .await
    }

    /// Deletes an object with an immutable field, because its annotation in Git asks for it, and waits until
    /// it is gone (A1).
    async fn remove_to_recreate(
        &self,
        api: &Api,
        path: &str,
        request: &Request,
    ) -> Result<(), Error> {
        let uid = request.fact.as_ref().map(|fact| fact.uid.clone());
        let uid = uid.unwrap_or_default();
        tracing::info!(object = %request.desired.object, "recreating it, as its annotation asks");
        delete(api, path, &uid, "Background").await?;
        let deadline = tokio::time::Instant::now() + RECREATE_TIMEOUT;
        let mut backoff = looks();
        loop {
            match api.find(path).await? {
                Some(live)
                    if live.pointer("/metadata/uid").and_then(Value::as_str) == Some(&uid) => {}
                _ => return Ok(()),
            }
            if tokio::time::Instant::now() > deadline {
                return Err(Error::new(
                    0,
                    Reason::WaitingForFinalizer,
                    format!(
                        "{} is to be recreated, but the old object was not deleted within 30 \
                         seconds",
                        request.desired.object
                    ),
                ));
            }
            let delay = backoff.next_delay(&mut rand::rng());
            tokio::time::sleep(delay).await;
        }
    }

    /// Waits until new definitions are served, then learns their kinds.
    pub(super) async fn established(&self, names: &[String]) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + ESTABLISH_TIMEOUT;
        for name in names {
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            let mut backoff = looks();
            loop {
                let live = self.api.get(&path).await?;
                let health = self.rules.compute(&live);
                if health.health == flotilla_shared::health::Health::Current {
                    break;
                }
                if tokio::time::Instant::now() > deadline {
                    return Err(Error::new(
                        0,
                        Reason::UnknownKind,
                        format!("{name} is not established: {}", health.message),
                    ));
                }
                let delay = backoff.next_delay(&mut rand::rng());
                tokio::time::sleep(delay).await;
            }
        }
        self.discovery.lock().await.read(&self.api).await
    }
}

/// The pace of looking at an object that should change soon.
fn looks() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_secs(1))
}

/// Why an object is refused before it is sent (A11). None: the API server judges it.
fn too_large(desired: &Desired) -> Option<Error> {
    let object = &desired.object;
    let size = desired.body.len();
    let annotations = annotation_bytes(desired);
    let text = if size > MAX_OBJECT_BYTES {
        format!("{object} has {size} bytes, more than the {MAX_OBJECT_BYTES} the API server stores")
    } else if annotations > MAX_ANNOTATION_BYTES {
        format!(
            "the annotations of {object} have {annotations} bytes, more than the \
             {MAX_ANNOTATION_BYTES} the API server takes"
        )
    } else {
        return None;
    };
    Some(Error::new(413, Reason::ObjectTooLarge, text))
}

/// The size of an object's annotations, if it can exceed the limit at all.
fn annotation_bytes(desired: &Desired) -> usize {
    if desired.body.len() <= MAX_ANNOTATION_BYTES {
        return 0;
    }
    let value = desired.value();
    let annotations = value.pointer("/metadata/annotations");
    let annotations = annotations.and_then(Value::as_object).into_iter().flatten();
    annotations
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum()
}

/// A fact as a plan sees it, for an object that is not a hook, or a hook within its deadline.
pub(super) fn live_of(fact: &Fact) -> Live {
    Live {
        uid: fact.uid.clone(),
        application: fact.application.clone(),
        applied_by_us: fact.applied_by_us,
        prune: fact.prune.clone(),
        terminating: fact.terminating,
        fit: fact.fit.clone(),
        health: fact.health.health,
        overdue: false,
    }
}
