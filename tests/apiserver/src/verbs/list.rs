//! Lists: consistent and paged.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{Call, Outcome};
use crate::convert;
use crate::kinds::Kind;
use crate::selector;
use crate::status::Cause;
use crate::status::{Failure, bad_request, continue_expired, invalid, too_large_version};
use crate::store::{Key, Store};

/// The continue token, in kube-apiserver's format.
fn token(version: Option<u64>, key: &Key) -> String {
    let place = if key.2.is_empty() {
        format!("{}\u{0}", key.3)
    } else {
        format!("{}/{}\u{0}", key.2, key.3)
    };
    let version = version.map_or(json!(-1), |version| json!(version));
    let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": place});
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(token.to_string())
}

fn read_token(text: &str) -> Result<(Option<u64>, String), Failure> {
    let wrong = || bad_request("invalid continue token: continue key is not valid");
    let bytes = base64::engine::general_purpose::STANDARD_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|_| wrong())?;
    let token: Value = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    let start = token
        .get("start")
        .and_then(Value::as_str)
        .ok_or_else(wrong)?;
    Ok((
        token.get("rv").and_then(Value::as_u64),
        start.trim_end_matches('\u{0}').to_owned(),
    ))
}

pub(super) fn list(store: &Store, kind: &Kind, call: &Call) -> Result<Outcome, Failure> {
    let labels = selector::Labels::parse(call.parameter("labelSelector"))?;
    let fields = selector::Fields::parse(call.parameter("fieldSelector"), kind)?;
    let limit = call.parameter("limit").parse::<usize>().unwrap_or(0);
    let asked = call.parameter("resourceVersion");
    let matching = call.parameter("resourceVersionMatch");
    if !matching.is_empty() && asked.is_empty() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        let cause = Cause::forbidden("resourceVersionMatch", why);
        return Err(invalid("meta.k8s.io", "ListOptions", "", &[cause]));
    }
    let mut version = store.version;
    if let Ok(asked) = asked.parse::<u64>() {
        if asked > store.version {
            return Err(too_large_version(asked, store.version));
        }
        let is_exact = matching == "Exact" || (matching.is_empty() && limit > 0 && asked > 0);
        if is_exact {
            if asked < store.forgotten {
                return Err(crate::status::failure(
                    410,
                    "Expired",
                    "The resourceVersion for the provided list is too old.",
                ));
            }
            version = asked;
        }
    }
    let mut after = String::new();
    if !call.parameter("continue").is_empty() {
        let (at, start) = read_token(call.parameter("continue"))?;
        if let Some(at) = at {
            if at < store.forgotten {
                let key: Key = match start.split_once('/') {
                    Some((namespace, name)) => (
                        String::new(),
                        String::new(),
                        namespace.to_owned(),
                        name.to_owned(),
                    ),
                    None => (String::new(), String::new(), String::new(), start),
                };
                return Err(continue_expired(&token(None, &key)));
            }
            version = at;
        }
        after = start;
    }
    let (group, plural) = &kind.storage;
    let all = store.range_at(group, plural, &call.target.namespace, version);
    let place = |key: &Key| match key.2.as_str() {
        "" => key.3.clone(),
        namespace => format!("{namespace}/{}", key.3),
    };
    let mut items = Vec::new();
    let mut next = None;
    let mut left = 0usize;
    for (key, object) in &all {
        if !after.is_empty() && place(key) <= after {
            continue;
        }
        if !labels.fits(object) || !fields.fits(object) {
            continue;
        }
        if limit > 0 && items.len() == limit {
            left += 1;
            continue;
        }
        next = Some(key);
        items.push(convert::to(kind, &call.target.version, object));
    }
    let mut metadata = json!({ "resourceVersion": version.to_string() });
    if let (true, Some(last), Value::Object(map)) = (left > 0, next, &mut metadata) {
        map.insert("continue".to_owned(), json!(token(Some(version), last)));
        if labels.is_empty() && fields.is_empty() {
            map.insert("remainingItemCount".to_owned(), json!(left));
        }
    }
    if !kind.custom {
        // Items of a built-in list have no `kind` and `apiVersion`: the list states them.
        for item in &mut items {
            if let Value::Object(item) = item {
                item.remove("kind");
                item.remove("apiVersion");
            }
        }
    }
    Ok(Outcome::new(
        200,
        json!({
            "kind": kind.list_kind,
            "apiVersion": kind.api_version(&call.target.version),
            "metadata": metadata,
            "items": items,
        }),
    ))
}
