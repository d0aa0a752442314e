//! `metadata.managedFields`: who owns which field (FieldsV1, KEP-555). Pure.

use serde_json::Value;

/// Managers whose earlier, client-side writes are part of an object's configuration: their fields are
/// taken over with the object, so that a field that is removed from Git is really removed (A5).
/// kubectl does the same for its own (csaupgrade).
const LEGACY: [&str; 8] = [
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-replace",
    "kubectl",
    "helm",
    "Helm",
    "before-first-apply",
    "argocd-application-controller",
];

/// The manager by which the horizontal pod autoscaler writes.
const AUTOSCALER: &str = "kube-controller-manager";

pub(crate) fn entries(live: &Value) -> impl Iterator<Item = &Value> {
    live.pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

pub(crate) fn text<'v>(entry: &'v Value, key: &str) -> &'v str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The fields that `manager` owns by server-side apply.
pub(crate) fn applied<'v>(live: &'v Value, manager: &str) -> Option<&'v Value> {
    entries(live)
        .find(|entry| {
            text(entry, "manager") == manager
                && text(entry, "operation") == "Apply"
                && text(entry, "subresource").is_empty()
        })
        .and_then(|entry| entry.get("fieldsV1"))
}

/// Whether fields that earlier tools applied have yet to be taken over.
pub(crate) fn has_legacy(live: &Value, manager: &str) -> bool {
    entries(live).any(|entry| is_legacy(entry, manager))
}

pub(crate) fn is_legacy(entry: &Value, manager: &str) -> bool {
    let name = text(entry, "manager");
    let is_earlier = match text(entry, "operation") {
        "Update" => LEGACY.contains(&name),
        // Helm 4 uses server-side apply itself.
        "Apply" => name == "helm",
        _ => false,
    };
    name != manager && is_earlier && text(entry, "subresource").is_empty()
}

/// Whether the autoscaler set the number of replicas, some time.
pub(crate) fn is_autoscaled(live: &Value) -> bool {
    entries(live).any(|entry| text(entry, "manager") == AUTOSCALER && is_scaled(entry))
}

/// Whether the number of replicas was set through the scale sub-resource: by an autoscaler, or by a person
/// with `kubectl scale`.
pub(crate) fn is_scaled(entry: &Value) -> bool {
    text(entry, "subresource") == "scale" && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
}

/// Whether `manager` owns the number of replicas by server-side apply.
pub(crate) fn owns_replicas(live: &Value, manager: &str) -> bool {
    applied(live, manager).is_some_and(|fields| fields.pointer("/f:spec/f:replicas").is_some())
}

/// The manager, other than `ours`, that wrote one of `pointers` last; empty if there is none. Indexes
/// of lists are those of `desired`.
pub(crate) fn last_writer(
    live: &Value,
    desired: &Value,
    pointers: &[String],
    ours: &str,
) -> String {
    entries(live)
        .filter(|entry| text(entry, "manager") != ours)
        .filter(|entry| {
            entry.get("fieldsV1").is_some_and(|fields| {
                pointers
                    .iter()
                    .any(|pointer| reaches(fields, desired, &tokens(pointer)) != Cover::Nothing)
            })
        })
        .max_by_key(|entry| text(entry, "time").to_owned())
        .map(|entry| text(entry, "manager").to_owned())
        .unwrap_or_default()
}

/// Whether the field at `pointer` belongs to one of `managers`.
pub(crate) fn belongs_to(
    live: &Value,
    desired: &Value,
    pointer: &str,
    managers: &[String],
) -> bool {
    entries(live)
        .filter(|entry| managers.iter().any(|name| name == text(entry, "manager")))
        .any(|entry| {
            entry
                .get("fieldsV1")
                .is_some_and(|fields| reaches(fields, desired, &tokens(pointer)) == Cover::Leaf)
        })
}

fn tokens(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|token| token.replace("~1", "/").replace("~0", "~"))
        .collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Cover {
    Nothing,
    Part,
    Leaf,
}

/// How far a set of fields covers the path `tokens`, whose lists are looked up in `value`.
fn reaches(fields: &Value, value: &Value, tokens: &[String]) -> Cover {
    let Some(members) = fields.as_object() else {
        return Cover::Nothing;
    };
    let is_leaf = members.keys().all(|key| key == ".");
    let Some((token, rest)) = tokens.split_first() else {
        return if is_leaf { Cover::Leaf } else { Cover::Part };
    };
    if is_leaf {
        return Cover::Leaf;
    }
    let Some(items) = value.as_array() else {
        return match members.get(&format!("f:{token}")) {
            Some(inner) => reaches(inner, value.get(token).unwrap_or(&Value::Null), rest),
            None => Cover::Nothing,
        };
    };
    let Some(item) = token.parse::<usize>().ok().and_then(|i| items.get(i)) else {
        return Cover::Nothing;
    };
    for (name, inner) in members {
        if let Some(key) = name.strip_prefix("k:") {
            let key: serde_json::Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            if key
                .iter()
                .all(|(f, v)| item.get(f).is_none_or(|own| own == v))
            {
                return reaches(inner, item, rest);
            }
        } else if let Some(member) = name.strip_prefix("v:")
            && serde_json::from_str::<Value>(member).is_ok_and(|member| member == *item)
        {
            return Cover::Leaf;
        }
    }
    Cover::Nothing
}

/// Puts together two sets of fields.
pub(crate) fn union(into: &mut Value, other: &Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => {
            for (key, value) in other {
                match into.get_mut(key) {
                    Some(inner) => union(inner, value),
                    None => {
                        into.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (into, other) => {
            if into.is_null() {
                *into = other.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn live() -> Value {
        json!({"metadata": {"managedFields": [
            {"manager": "flotilla", "operation": "Apply", "fieldsV1":
                {"f:spec": {"f:replicas": {}, "f:template": {"f:containers": {
                    "k:{\"name\":\"a\"}": {".": {}, "f:image": {}}}}}}},
            {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
                "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T00:00:00Z",
                "fieldsV1": {"f:spec": {"f:template": {"f:containers": {
                    "k:{\"name\":\"a\"}": {"f:image": {}}}}}}},
            {"manager": "kubectl-client-side-apply", "operation": "Update", "fieldsV1": {"f:data": {}}},
        ]}})
    }

    #[test]
    fn a03_a14_who_wrote_what_is_read_from_managed_fields() {
        let live = live();
        let desired = json!({"spec": {"replicas": 2, "template": {"containers": [
            {"name": "a", "image": "x"}]}}});
        let who = |pointer: &str| last_writer(&live, &desired, &[pointer.to_owned()], "flotilla");
        assert_eq!(who("/spec/replicas"), "kube-controller-manager");
        assert_eq!(who("/spec/template/containers/0/image"), "kubectl-edit");
        assert_eq!(who("/spec/other"), "");
        assert!(is_autoscaled(&live));
        assert!(owns_replicas(&live, "flotilla"));
        assert!(has_legacy(&live, "flotilla"));
        let editor = ["kubectl-edit".to_owned()];
        let image = "/spec/template/containers/0/image";
        assert!(belongs_to(&live, &desired, image, &editor));
        assert!(!belongs_to(&live, &desired, "/spec/template", &editor));
        assert!(!belongs_to(&live, &desired, "/spec/replicas", &editor));
    }

    #[test]
    fn unions_keep_both() {
        let mut a = json!({"f:a": {"f:b": {}}});
        union(&mut a, &json!({"f:a": {"f:c": {}}, "f:d": {}}));
        assert_eq!(a, json!({"f:a": {"f:b": {}, "f:c": {}}, "f:d": {}}));
    }
}
