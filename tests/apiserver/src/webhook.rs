//! Admission webhooks: which ones are called for a write, and how their answers apply
//! (`admissionregistration.k8s.io/v1`, `admission.k8s.io/v1`).
//!
//! A write passes through the store three times: up to the mutating webhooks, up to the validating ones, and to the
//! end. No lock is held while webhooks are called.

mod ask;

use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

use crate::ApiServer;
use crate::selector::Labels;
use crate::status::{Failure, failure};
use crate::store::{Key, Store, uid};
use crate::verbs::{AdmissionPhase, Call, Outcome, text};

const GROUP: &str = "admissionregistration.k8s.io";

/// One webhook of a configuration.
#[derive(Debug, Clone)]
struct Hook {
    name: String,
    hook: Value,
    mutating: bool,
}

/// A request for webhooks to judge.
struct Review<'c> {
    call: &'c Call,
    kind: String,
    before: Value,
    after: Value,
}

impl Review<'_> {
    fn operation(&self) -> &'static str {
        match (self.call.verb, self.before.is_null()) {
            ("delete", _) => "DELETE",
            (_, true) => "CREATE",
            _ => "UPDATE",
        }
    }

    fn name(&self) -> &str {
        match text(&self.after, "/metadata/name") {
            "" => &self.call.target.name,
            name => name,
        }
    }

    /// `admission.k8s.io/v1` AdmissionReview.
    fn request(&self, uid: &str) -> Value {
        let target = &self.call.target;
        let kind = json!({"group": target.group, "version": target.version, "kind": self.kind});
        let resource =
            json!({"group": target.group, "version": target.version, "resource": target.plural});
        let mut request = json!({
            "uid": uid,
            "kind": kind, "requestKind": kind,
            "resource": resource, "requestResource": resource,
            "name": self.name(),
            "operation": self.operation(),
            "userInfo": {"username": self.call.user.name, "groups": self.call.user.groups},
            "object": self.after,
            "oldObject": self.before,
            "dryRun": self.call.is_dry(),
        });
        if let Value::Object(map) = &mut request {
            if !target.namespace.is_empty() {
                map.insert("namespace".to_owned(), json!(target.namespace));
            }
            if !target.subresource.is_empty() {
                map.insert("subResource".to_owned(), json!(target.subresource));
            }
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    }
}

fn texts<'v>(value: &'v Value, field: &str) -> impl Iterator<Item = &'v str> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn selects(selector: Option<&Value>, object: &Value) -> bool {
    selector.is_none_or(|selector| Labels::of(selector).fits(object))
}

impl Hook {
    fn fits_rule(rule: &Value, review: &Review<'_>) -> bool {
        let target = &review.call.target;
        let any = |field: &str, requested: &str| {
            texts(rule, field).any(|value| value == "*" || value == requested)
        };
        let scope = match rule.get("scope").and_then(Value::as_str) {
            Some("Cluster") => target.namespace.is_empty(),
            Some("Namespaced") => !target.namespace.is_empty(),
            _ => true,
        };
        let resource = texts(rule, "resources").any(|text| {
            let (resource, sub) = text.split_once('/').unwrap_or((text, ""));
            (resource == "*" || resource == target.plural)
                && (text == "*/*"
                    || sub == target.subresource
                    || (sub == "*" && text.contains('/')))
        });
        scope
            && resource
            && any("operations", review.operation())
            && any("apiGroups", &target.group)
            && any("apiVersions", &target.version)
    }

    fn fits(&self, review: &Review<'_>, namespace: Option<&Value>) -> bool {
        let rules = self.hook.get("rules").and_then(Value::as_array);
        if !rules
            .into_iter()
            .flatten()
            .any(|rule| Self::fits_rule(rule, review))
        {
            return false;
        }
        let by_namespace = self.hook.get("namespaceSelector");
        let by_object = self.hook.get("objectSelector");
        namespace.is_none_or(|namespace| selects(by_namespace, namespace))
            && (selects(by_object, &review.after)
                || (!review.before.is_null() && selects(by_object, &review.before)))
    }

    fn text(&self, pointer: &str) -> &str {
        text(&self.hook, pointer)
    }

    fn timeout(&self) -> Duration {
        let seconds = self.hook.get("timeoutSeconds").and_then(Value::as_u64);
        Duration::from_secs(seconds.unwrap_or(10))
    }

    fn failed(&self, why: &str) -> Failure {
        let message = format!("failed calling webhook \"{}\": {why}", self.name);
        failure(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
        .with("details", json!({"causes": [{"message": message}]}))
    }

    /// A denial, in the format of `webhookerrors.ToStatusErr`.
    fn denied(&self, status: &Value) -> Failure {
        let by = format!("admission webhook \"{}\" denied the request", self.name);
        let message = match (text(status, "/message"), text(status, "/reason")) {
            ("", "") => format!("{by} without explanation"),
            ("", reason) => format!("{by}: {reason}"),
            (message, _) => format!("{by}: {message}"),
        };
        let code = status.get("code").and_then(Value::as_u64).unwrap_or(0);
        let code = u16::try_from(code).ok().filter(|code| *code >= 400);
        let mut refusal = failure(code.unwrap_or(400), text(status, "/reason"), message);
        if let Some(details) = status.get("details") {
            refusal = refusal.with("details", details.clone());
        }
        refusal
    }
}

/// The webhooks of all configurations, in order. They are never called for webhook configurations.
fn hooks(store: &Store, call: &Call) -> Vec<Hook> {
    let plurals = [
        ("mutatingwebhookconfigurations", true),
        ("validatingwebhookconfigurations", false),
    ];
    if call.target.group == GROUP {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (plural, mutating) in plurals {
        for (_, object) in store.range(GROUP, plural, "") {
            let list = object.get("webhooks").and_then(Value::as_array);
            all.extend(list.into_iter().flatten().map(|hook| Hook {
                name: text(hook, "/name").to_owned(),
                hook: hook.clone(),
                mutating,
            }));
        }
    }
    all
}

impl ApiServer {
    /// Calls the webhooks that match a call, then executes it.
    pub(crate) async fn execute_admitted(&self, call: &Call) -> Result<Outcome, Failure> {
        let hooks = match call.verb {
            "create" | "update" | "patch" | "delete" => hooks(&self.inner.store.lock(), call),
            _ => Vec::new(),
        };
        if hooks.is_empty() {
            return self.execute(call);
        }
        match self.admit(call, &hooks).await {
            Ok(call) => self.execute(&call),
            Err(failure) => {
                let result = Err(failure);
                self.note(call, &result);
                result
            }
        }
    }

    async fn admit(&self, call: &Call, hooks: &[Hook]) -> Result<Call, Failure> {
        let mut call = call.clone();
        for stop in [AdmissionPhase::Mutating, AdmissionPhase::Validating] {
            let mutating = stop == AdmissionPhase::Mutating;
            let mine: Vec<&Hook> = hooks
                .iter()
                .filter(|hook| hook.mutating == mutating)
                .collect();
            if mine.is_empty() {
                continue;
            }
            let asked = call.clone();
            let (kind, seen, namespace) = self.seen(&asked, stop)?;
            let mut review = Review {
                call: &asked,
                kind,
                before: seen.before.unwrap_or_default(),
                after: seen.value,
            };
            for hook in mine {
                if !hook.fits(&review, namespace.as_ref()) {
                    continue;
                }
                let given = match self.answer(hook, &review).await {
                    Err(failure)
                        if failure.code == 500 && hook.text("/failurePolicy") == "Ignore" =>
                    {
                        continue;
                    }
                    answer => answer?,
                };
                if let (true, Some(given)) = (mutating, given) {
                    json_patch::patch(&mut review.after, &given)
                        .map_err(|error| hook.failed(&error.to_string()))?;
                    call.patches.push(given);
                }
            }
        }
        Ok(call)
    }

    /// What a webhook would see now: the kind's name, the object, its namespace.
    fn seen(
        &self,
        call: &Call,
        stop: AdmissionPhase,
    ) -> Result<(String, Outcome, Option<Value>), Failure> {
        let target = &call.target;
        let mut asked = call.clone();
        asked.stop = Some(stop);
        let seen = self.perform(&asked)?;
        let store = self.inner.store.lock();
        let kind = store.find(&target.group, &target.version, &target.plural);
        let kind = kind.map(|kind| kind.kind.clone()).unwrap_or_default();
        let namespace = match (target.plural.as_str(), target.namespace.as_str()) {
            // For a namespace, `namespaceSelector` matches its own labels.
            ("namespaces", _) if target.group.is_empty() => Some(seen.value.clone()),
            (_, "") => None,
            (_, name) => {
                let name = name.to_owned();
                let key: Key = (String::new(), "namespaces".into(), String::new(), name);
                store.get(&key).map(|namespace| (**namespace).clone())
            }
        };
        Ok((kind, seen, namespace))
    }

    /// Calls a webhook; returns its patch, if it has one.
    async fn answer(
        &self,
        hook: &Hook,
        review: &Review<'_>,
    ) -> Result<Option<json_patch::Patch>, Failure> {
        let uid = uid();
        let endpoint = self.endpoint(hook)?;
        let request = review.request(&uid);
        let answer = ask::ask(
            &endpoint,
            hook.text("/clientConfig/caBundle"),
            &request,
            hook.timeout(),
        )
        .await
        .map_err(|why| hook.failed(&format!("failed to call webhook: {why}")))?;
        let response = answer.get("response").cloned().unwrap_or_default();
        if text(&response, "/uid") != uid {
            let why = format!(
                "received invalid webhook response: expected response.uid=\"{uid}\", got \"{}\"",
                text(&response, "/uid")
            );
            return Err(hook.failed(&why));
        }
        if response.get("allowed") != Some(&Value::Bool(true)) {
            let status = response.get("status").cloned().unwrap_or_default();
            return Err(hook.denied(&status));
        }
        let Some(patch) = response.get("patch").and_then(Value::as_str) else {
            return Ok(None);
        };
        let engine = base64::engine::general_purpose::STANDARD;
        let bytes = engine
            .decode(patch)
            .map_err(|error| hook.failed(&error.to_string()))?;
        let patch =
            serde_json::from_slice(&bytes).map_err(|error| hook.failed(&error.to_string()))?;
        Ok(Some(patch))
    }

    /// The address of a webhook. There is no service network here: it only checks that the service exists.
    fn endpoint(&self, hook: &Hook) -> Result<String, Failure> {
        let timeout = hook.timeout().as_secs();
        let url = hook.text("/clientConfig/url");
        if !url.is_empty() {
            return Ok(format!("{url}?timeout={timeout}s"));
        }
        let (namespace, name) = (
            hook.text("/clientConfig/service/namespace"),
            hook.text("/clientConfig/service/name"),
        );
        let key: Key = (
            String::new(),
            "services".into(),
            namespace.into(),
            name.into(),
        );
        let why = match self.inner.store.lock().get(&key) {
            None => format!("service \"{name}\" not found"),
            Some(_) => format!("no endpoints available for service \"{name}\""),
        };
        let path = hook.text("/clientConfig/service/path");
        Err(hook.failed(&format!(
            "failed to call webhook: Post \"https://{name}.{namespace}.svc:443{path}?timeout={timeout}s\": {why}"
        )))
    }
}
