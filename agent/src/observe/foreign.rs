//! Fields of managed objects that others added and Git does not have: who owns them, which of them are
//! drift, and how they are taken over so that the next apply removes them. Pure.

use serde_json::{Value, json};

use super::fields;
use super::managers::{Managers, Writer, WriterKind};
use super::share::{FieldSplit, Judgement, part};

/// Additions by other clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ForeignFields {
    /// Paths, as pointers into the live object.
    pub(crate) pointers: Vec<String>,
    /// Last field manager; empty: left over from an earlier commit.
    pub(crate) manager: String,
}

/// Rules for judging an object's fields.
pub(crate) struct Judge<'a> {
    /// The agent's own field manager.
    pub(crate) ours: &'a str,
    pub(crate) managers: &'a Managers,
    /// Fields that are left to others.
    pub(crate) is_left: &'a dyn Fn(&str) -> bool,
    /// Managers whose fields are left alone.
    pub(crate) left_managers: &'a [&'a str],
}

/// Annotations that are an order by a person and not configuration: `kubectl rollout restart`, and
/// confirmations to this agent. Also annotations that the API server itself sets.
const ORDERS: &[&str] = &[
    "/annotations/kubectl.kubernetes.io~1restartedAt",
    "/annotations/kubectl.kubernetes.io~1last-applied-configuration",
    "/annotations/flotilla.dev~1",
    "/annotations/deployment.kubernetes.io~1",
    "/labels/kubernetes.io~1metadata.name",
];

impl Judge<'_> {
    /// What may be done with a field that a person added. Of the metadata, labels and annotations are
    /// configuration; finalizers and owner references are promises to others. A number of replicas that
    /// Git does not set may be set by any manager.
    fn field(&self, path: &str) -> Judgement {
        if (self.is_left)(path) || ORDERS.iter().any(|order| path.contains(order)) {
            return Judgement::Leave;
        }
        let mut parts = path.split('/').skip(1);
        match (parts.next(), parts.next()) {
            (Some("metadata"), None) => Judgement::Look,
            (Some("metadata"), Some("labels" | "annotations")) => Judgement::Take,
            (Some("metadata" | "status"), _) => Judgement::Leave,
            (Some("spec"), Some("replicas")) if path == "/spec/replicas" => Judgement::Leave,
            (Some("spec"), None) => Judgement::Look,
            _ => Judgement::Take,
        }
    }

    fn who(&self, live: &Value, entry: &Value) -> Option<WriterKind> {
        let writer = writer(live, entry);
        if writer.manager == self.ours {
            return None;
        }
        if self.left_managers.contains(&writer.manager) {
            return Some(WriterKind::Controller);
        }
        Some(self.managers.who(writer))
    }

    /// What people added to a live object, and what earlier commits left there. At most `limit` pointers.
    pub(crate) fn find(
        &self,
        live: &Value,
        desired: &Value,
        limit: usize,
    ) -> Option<ForeignFields> {
        let ours = fields::applied(live, self.ours);
        let mut kept = Vec::new();
        let mut people = Vec::new();
        for entry in fields::entries(live) {
            let fields = entry.get("fieldsV1").unwrap_or(&Value::Null);
            match self.who(live, entry) {
                Some(WriterKind::Person) => people.push((entry, fields)),
                Some(WriterKind::Controller | WriterKind::Unknown) => kept.push(fields),
                // Fields that a webhook changed during an apply of this agent belong to the webhook.
                None if fields::text(entry, "operation") != "Apply" => kept.push(fields),
                None => {}
            }
        }
        let mut found = ForeignFields::default();
        let judge = |path: &str| self.field(path);
        if let Some(fields) = ours {
            part(fields, desired, live, &kept, &judge, &mut found.pointers);
        }
        let mut newest = "";
        for (entry, fields) in people {
            let before = found.pointers.len();
            part(fields, desired, live, &kept, &judge, &mut found.pointers);
            let time = fields::text(entry, "time");
            if found.pointers.len() > before && time >= newest {
                newest = time;
                fields::text(entry, "manager").clone_into(&mut found.manager);
            }
        }
        found.pointers.dedup();
        found.pointers.truncate(limit);
        (!found.pointers.is_empty()).then_some(found)
    }

    /// `metadata.managedFields` in which additions of people belong to the agent. None: there are none.
    pub(crate) fn claim(&self, live: &Value, desired: &Value) -> Option<Vec<Value>> {
        let kept: Vec<&Value> = fields::entries(live)
            .filter(|entry| {
                !matches!(self.who(live, entry), None | Some(WriterKind::Person))
                    && !fields::is_legacy(entry, self.ours)
            })
            .filter_map(|entry| entry.get("fieldsV1"))
            .collect();
        let judge = |path: &str| self.field(path);
        moved(live, self.ours, &|entry| {
            if self.who(live, entry) != Some(WriterKind::Person) {
                return None;
            }
            let fields = entry.get("fieldsV1")?;
            Some(part(fields, desired, live, &kept, &judge, &mut Vec::new()))
        })
    }
}

/// `metadata.managedFields` in which everything of `lists` that Git does not have belongs to the agent,
/// whichever manager owns it, because it has a name that an item in Git needs (`spec.ports[1].name`).
/// None: there is nothing of this kind.
pub(crate) fn clear(
    live: &Value,
    desired: &Value,
    ours: &str,
    duplicates: &[String],
) -> Option<Vec<Value>> {
    let lists: Vec<String> = duplicates
        .iter()
        .filter_map(|field| list_of(field))
        .collect();
    let judge = |path: &str| {
        let path = shape(path);
        let inside = |list: &String| {
            path.strip_prefix(list.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        if lists.iter().any(inside) {
            Judgement::Take
        } else {
            Judgement::Look
        }
    };
    moved(live, ours, &|entry| {
        let fields = entry.get("fieldsV1")?;
        if fields::text(entry, "manager") == ours {
            return None;
        }
        Some(part(fields, desired, live, &[], &judge, &mut Vec::new()))
    })
}

/// `spec.ports[1].name` is of the list `/spec/ports`; places in lists are `*`.
fn list_of(field: &str) -> Option<String> {
    let (list, _) = field.rsplit_once('[')?;
    let pointer = list.replace(['.', '['], "/").replace(']', "");
    Some(shape(&format!("/{pointer}")))
}

/// A pointer whose list indexes are `*`.
fn shape(pointer: &str) -> String {
    let parts = pointer.split('/').map(|part| {
        let is_place = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_place { "*" } else { part }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// `metadata.managedFields` after `split` has moved parts of other entries to the agent's. None: it moved
/// nothing.
pub(crate) fn moved(
    live: &Value,
    ours: &str,
    split: &dyn Fn(&Value) -> Option<FieldSplit>,
) -> Option<Vec<Value>> {
    let mut owned = Value::Null;
    let mut rest: Vec<Value> = Vec::new();
    let mut time = Value::Null;
    for entry in fields::entries(live) {
        let share = split(entry).filter(|share| share.taken.is_some());
        let Some(FieldSplit { taken, rest: left }) = share else {
            rest.push(entry.clone());
            continue;
        };
        fields::union(&mut owned, &taken.unwrap_or_default());
        time = entry.get("time").cloned().unwrap_or_default();
        if let (Some(left), Value::Object(mut entry)) = (left, entry.clone()) {
            entry.insert("fieldsV1".to_owned(), left);
            rest.push(Value::Object(entry));
        }
    }
    if owned.is_null() {
        return None;
    }
    let mine = rest.iter_mut().find(|entry| {
        fields::text(entry, "manager") == ours
            && fields::text(entry, "operation") == "Apply"
            && fields::text(entry, "subresource").is_empty()
    });
    match mine.and_then(|entry| entry.get_mut("fieldsV1")) {
        Some(known) => fields::union(known, &owned),
        None => rest.push(json!({
            "manager": ours,
            "operation": "Apply",
            "apiVersion": live.get("apiVersion"),
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": owned,
        })),
    }
    Some(rest)
}

fn writer<'v>(live: &'v Value, entry: &'v Value) -> Writer<'v> {
    let manager = fields::text(entry, "manager");
    Writer {
        manager,
        operation: fields::text(entry, "operation"),
        subresource: fields::text(entry, "subresource"),
        writes_status: fields::entries(live).any(|other| {
            fields::text(other, "manager") == manager
                && fields::text(other, "subresource") == "status"
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged<R>(run: impl FnOnce(&Judge<'_>) -> R) -> R {
        let managers = Managers::default();
        run(&Judge {
            ours: "flotilla",
            managers: &managers,
            is_left: &|path| path == "/data/left",
            left_managers: &["kubectl-left"],
        })
    }

    fn live() -> Value {
        let entry = |manager: &str, operation: &str, time: &str, fields: Value| json!({"manager": manager, "operation": operation, "time": time, "fieldsV1": fields});
        json!({
            "metadata": {
                "labels": {"hand": "1"},
                "annotations": {"kubectl.kubernetes.io/restartedAt": "now", "flotilla.dev/prune": "confirmed"},
                "finalizers": ["a/b"],
                "managedFields": [
                    entry("flotilla", "Apply", "1", json!({"f:data": {"f:a": {}, "f:old": {}}})),
                    entry("flotilla", "Update", "1", json!({"f:data": {"f:webhook": {}}})),
                    entry("kubectl-edit", "Update", "3", json!({
                        "f:metadata": {
                            "f:labels": {".": {}, "f:hand": {}},
                            "f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {},
                                "f:flotilla.dev/prune": {}},
                            "f:finalizers": {"v:\"a/b\"": {}},
                        },
                        "f:data": {"f:a": {}, "f:new": {}, "f:left": {}},
                        "f:spec": {"f:replicas": {}},
                    })),
                    entry("kubectl-left", "Update", "4", json!({"f:data": {"f:theirs": {}}})),
                    entry("some-operator", "Update", "5", json!({"f:data": {"f:op": {}}})),
                    entry("nobody-knows", "Update", "6", json!({"f:data": {"f:who": {}}})),
                ],
            },
            "data": {"a": "1", "old": "1", "webhook": "1", "new": "1", "left": "1", "theirs": "1",
                "op": "1", "who": "1"},
            "spec": {"replicas": 3},
        })
    }

    #[test]
    fn what_people_add_is_drift_and_what_others_add_is_not() {
        let desired = json!({"data": {"a": "1"}});
        let found = judged(|judge| judge.find(&live(), &desired, 8)).unwrap();
        assert_eq!(
            found.pointers,
            ["/data/old", "/data/new", "/metadata/labels"]
        );
        assert_eq!(found.manager, "kubectl-edit");
    }

    /// A selector is one field: a manager that adds a key to it owns all of it (`x-kubernetes-map-type:
    /// atomic`).
    #[test]
    fn a_key_that_people_add_to_a_map_that_is_one_field_is_drift() {
        let desired =
            json!({"spec": {"selector": {"app": "web"}, "env": {"fieldRef": {"fieldPath": "a"}}}});
        let by = |manager: &str, selector: Value| {
            json!({
                "metadata": {"managedFields": [{"manager": manager, "operation": "Update", "fieldsV1": {
                    "f:spec": {"f:selector": {}, "f:env": {"f:fieldRef": {}}}}}]},
                "spec": {"selector": selector, "env": {"fieldRef": {"fieldPath": "a", "apiVersion": "v1"}}},
            })
        };
        let grown = json!({"app": "web", "tier": "x"});
        let person = by("kubectl-edit", grown.clone());
        let found = judged(|judge| judge.find(&person, &desired, 8)).unwrap();
        assert_eq!(found.pointers, ["/spec/selector"]);
        let claimed = judged(|judge| judge.claim(&person, &desired)).unwrap();
        let fields = |entry: &Value| entry["fieldsV1"]["f:spec"]["f:selector"] == json!({});
        let ours = claimed.iter().find(|entry| fields(entry)).unwrap();
        assert_eq!(ours["manager"], "flotilla");
        for other in [
            by("some-operator", grown),
            by("kubectl-edit", json!({"app": "web"})),
        ] {
            assert_eq!(judged(|judge| judge.find(&other, &desired, 8)), None);
        }
    }

    #[test]
    fn what_is_claimed_leaves_others_what_is_theirs() {
        let desired = json!({"data": {"a": "1"}});
        let claimed = judged(|judge| judge.claim(&live(), &desired)).unwrap();
        let of = |manager: &str| {
            let found = claimed
                .iter()
                .find(|entry| fields::text(entry, "manager") == manager);
            found
                .and_then(|entry| entry.get("fieldsV1"))
                .cloned()
                .unwrap_or_default()
        };
        assert_eq!(
            of("flotilla"),
            json!({"f:data": {"f:a": {}, "f:old": {}, "f:new": {}},
                "f:metadata": {"f:labels": {".": {}, "f:hand": {}}}})
        );
        assert_eq!(
            of("kubectl-edit"),
            json!({
                "f:metadata": {
                    "f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {},
                        "f:flotilla.dev/prune": {}},
                    "f:finalizers": {"v:\"a/b\"": {}},
                },
                "f:data": {"f:a": {}, "f:left": {}},
                "f:spec": {"f:replicas": {}},
            })
        );
        assert_eq!(claimed.len(), 6);
    }

    #[test]
    fn items_in_the_way_are_cleared_whoever_has_them() {
        let desired = json!({"spec": {"ports": [{"name": "http", "port": 80}]}});
        let live = json!({
            "metadata": {"managedFields": [
                {"manager": "flotilla", "operation": "Apply", "fieldsV1": {"f:spec": {"f:type": {}}}},
                {"manager": "some-operator", "operation": "Update", "fieldsV1": {
                    "f:spec": {"f:sessionAffinity": {},
                        "f:ports": {"k:{\"port\":83,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}}}},
            ]},
            "spec": {"sessionAffinity": "None", "ports": [{"name": "http", "port": 83, "protocol": "TCP"}]},
        });
        let duplicates = ["spec.ports[1].name".to_owned()];
        let cleared = clear(&live, &desired, "flotilla", &duplicates).unwrap();
        assert_eq!(
            cleared[0]["fieldsV1"],
            json!({"f:spec": {"f:type": {},
                "f:ports": {"k:{\"port\":83,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}}})
        );
        assert_eq!(
            cleared[1]["fieldsV1"],
            json!({"f:spec": {"f:sessionAffinity": {}}})
        );
        assert_eq!(
            list_of("spec.template.spec.containers[0].ports[1].name").as_deref(),
            Some("/spec/template/spec/containers/*/ports")
        );
    }
}
