//! The part of a manager's fields that is to be taken over, so that the next apply removes it: live, and
//! not in Git. Pure.

use serde_json::{Map, Value};

/// Whether a field may be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Taken, if Git does not have it.
    Take,
    /// Not taken, but its members may be.
    Look,
    /// Left, with all that is below it.
    Leave,
}

/// Fields of a manager (FieldsV1), in two parts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct FieldSplit {
    pub(crate) taken: Option<Value>,
    pub(crate) rest: Option<Value>,
}

/// Splits a manager's `fields`. Pointers of the taken part, into `live`, are added to `found`.
///
/// `kept` are the fields of managers from which nothing is taken: a field that they own as well would stay
/// anyway.
pub(crate) fn part(
    fields: &Value,
    desired: &Value,
    live: &Value,
    kept: &[&Value],
    judge: &dyn Fn(&str) -> Judgement,
    found: &mut Vec<String>,
) -> FieldSplit {
    let mut walk = Walk { judge, found };
    walk.node(fields, Some(desired), live, kept, &mut String::new())
}

struct Walk<'a> {
    judge: &'a dyn Fn(&str) -> Judgement,
    found: &'a mut Vec<String>,
}

/// Maps that are one field and to which the API server itself adds keys.
const SERVER_FILLS: &[&str] = &["fieldRef", "resourceFieldRef"];

/// One member of a node, found in the object.
struct Member<'v> {
    token: String,
    live: &'v Value,
    desired: Option<&'v Value>,
}

impl Walk<'_> {
    fn node(
        &mut self,
        fields: &Value,
        desired: Option<&Value>,
        live: &Value,
        kept: &[&Value],
        path: &mut String,
    ) -> FieldSplit {
        let (mut taken, mut rest) = (Map::new(), Map::new());
        for (name, inner) in fields.as_object().into_iter().flatten() {
            let share = match member(name, desired, live) {
                None => FieldSplit {
                    taken: None,
                    rest: Some(inner.clone()),
                },
                Some(member) => {
                    let length = path.len();
                    path.push('/');
                    path.push_str(&member.token);
                    let kept: Vec<&Value> =
                        kept.iter().filter_map(|fields| fields.get(name)).collect();
                    let share = self.member(inner, &member, &kept, path);
                    path.truncate(length);
                    share
                }
            };
            if let Some(value) = share.taken {
                taken.insert(name.clone(), value);
            }
            if let Some(value) = share.rest {
                rest.insert(name.clone(), value);
            }
        }
        let some = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
        FieldSplit {
            taken: some(taken),
            rest: some(rest),
        }
    }

    fn member(
        &mut self,
        inner: &Value,
        member: &Member<'_>,
        kept: &[&Value],
        path: &mut String,
    ) -> FieldSplit {
        let left = || FieldSplit {
            taken: None,
            rest: Some(inner.clone()),
        };
        let judgement = (self.judge)(path);
        if judgement == Judgement::Leave {
            return left();
        }
        let is_leaf = inner
            .as_object()
            .is_none_or(|members| members.keys().all(|key| key == "."));
        let is_free = judgement == Judgement::Take && member.desired.is_none();
        if is_leaf {
            // A manager that adds a key to an atomic map owns the whole map.
            let is_grown = judgement == Judgement::Take
                && inner.as_object().is_none_or(Map::is_empty)
                && member
                    .desired
                    .is_some_and(|desired| has_more(desired, member.live))
                && !SERVER_FILLS.contains(&member.token.as_str());
            if is_grown && kept.is_empty() {
                self.found.push(path.clone());
                return FieldSplit {
                    taken: Some(inner.clone()),
                    rest: None,
                };
            }
            if !is_free || !kept.is_empty() {
                return left();
            }
            self.found.push(path.clone());
            return FieldSplit {
                taken: Some(inner.clone()),
                rest: None,
            };
        }
        let before = self.found.len();
        let share = self.node(inner, member.desired, member.live, kept, path);
        let is_whole = share
            .rest
            .as_ref()
            .and_then(Value::as_object)
            .is_none_or(|rest| rest.keys().all(|key| key == "."));
        if is_free && kept.is_empty() && is_whole {
            // If all of it is taken, it is listed once, as a whole.
            self.found.truncate(before);
            self.found.push(path.clone());
            return FieldSplit {
                taken: Some(inner.clone()),
                rest: None,
            };
        }
        share
    }
}

/// Whether a live map has a key that Git's does not have.
fn has_more(desired: &Value, live: &Value) -> bool {
    let (Value::Object(desired), Value::Object(live)) = (desired, live) else {
        return false;
    };
    live.iter().any(|(key, live)| match desired.get(key) {
        None | Some(Value::Null) => true,
        Some(desired) => has_more(desired, live),
    })
}

/// Finds a member of FieldsV1 in the live object and in the desired one. None: it does not exist.
fn member<'v>(name: &str, desired: Option<&'v Value>, live: &'v Value) -> Option<Member<'v>> {
    if let Some(field) = name.strip_prefix("f:") {
        return Some(Member {
            token: field.replace('~', "~0").replace('/', "~1"),
            live: live.get(field)?,
            desired: desired
                .and_then(|desired| desired.get(field))
                .filter(|desired| !desired.is_null()),
        });
    }
    let items = live.as_array()?;
    let desired = desired.and_then(Value::as_array);
    if let Some(key) = name.strip_prefix("k:") {
        let key: Map<String, Value> = serde_json::from_str(key).ok()?;
        let is_it = |item: &&Value| {
            key.iter()
                .all(|(field, value)| item.get(field) == Some(value))
        };
        let index = items.iter().position(|item| is_it(&item))?;
        return Some(Member {
            token: index.to_string(),
            live: items.get(index)?,
            desired: desired.and_then(|desired| desired.iter().find(|item| agrees(item, &key))),
        });
    }
    let value: Value = serde_json::from_str(name.strip_prefix("v:")?).ok()?;
    let index = items.iter().position(|item| *item == value)?;
    Some(Member {
        token: index.to_string(),
        live: items.get(index)?,
        desired: desired.and_then(|desired| desired.iter().find(|item| **item == value)),
    })
}

/// Whether an item in Git has this key. A key field that Git leaves to the server's default is TCP for a
/// protocol, and may be anything otherwise.
fn agrees(item: &Value, key: &Map<String, Value>) -> bool {
    let mut named = false;
    let all = key.iter().all(|(field, value)| match item.get(field) {
        Some(own) => {
            named = true;
            own == value
        }
        None => field != "protocol" || value == "TCP",
    });
    all && named
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(_: &str) -> Judgement {
        Judgement::Take
    }

    fn taken(fields: &Value, desired: &Value, live: &Value, kept: &[&Value]) -> Vec<String> {
        let mut found = Vec::new();
        part(fields, desired, live, kept, &all, &mut found);
        found
    }

    #[test]
    fn a_port_whose_number_was_changed_is_taken_whole() {
        let desired = json!({"spec": {"ports": [{"name": "http", "port": 80}]}});
        let live = json!({"spec": {"ports": [{"name": "http", "port": 83, "protocol": "TCP"}]}});
        let item = json!({".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}});
        let theirs = json!({"f:spec": {"f:ports": {"k:{\"port\":83,\"protocol\":\"TCP\"}": item}}});
        let mut found = Vec::new();
        let share = part(&theirs, &desired, &live, &[], &all, &mut found);
        assert_eq!(found, ["/spec/ports/0"]);
        assert_eq!(share.taken, Some(theirs));
        assert_eq!(share.rest, None);
    }

    #[test]
    fn what_git_has_or_somebody_else_keeps_is_left() {
        let desired = json!({"data": {"ours": "1"}, "spec": {"list": [{"name": "a", "x": 1}]}});
        let live = json!({"data": {"ours": "2", "new": "3", "shared": "4"},
            "spec": {"list": [{"name": "a", "x": 1, "y": 2}, {"name": "b"}]}, "set": ["p", "q"]});
        let theirs = json!({
            "f:data": {"f:ours": {}, "f:new": {}, "f:shared": {}, "f:gone": {}},
            "f:spec": {"f:list": {
                "k:{\"name\":\"a\"}": {"f:x": {}, "f:y": {}},
                "k:{\"name\":\"b\"}": {".": {}, "f:name": {}},
            }},
            "f:set": {"v:\"q\"": {}},
        });
        let other = json!({"f:data": {"f:shared": {}}});
        assert_eq!(
            taken(&theirs, &desired, &live, &[&other]),
            ["/data/new", "/set", "/spec/list/0/y", "/spec/list/1"]
        );
        let mut found = Vec::new();
        let rest = part(&theirs, &desired, &live, &[&other], &all, &mut found).rest;
        assert_eq!(
            rest,
            Some(json!({
                "f:data": {"f:ours": {}, "f:shared": {}, "f:gone": {}},
                "f:spec": {"f:list": {"k:{\"name\":\"a\"}": {"f:x": {}}}},
            }))
        );
    }

    #[test]
    fn what_is_left_on_purpose_splits_what_is_around_it() {
        let live = json!({"metadata": {"annotations": {"a": "1", "keep": "2"}}});
        let theirs = json!({"f:metadata": {"f:annotations": {".": {}, "f:a": {}, "f:keep": {}}}});
        let judge = |path: &str| match path {
            "/metadata/annotations/keep" => Judgement::Leave,
            "/metadata" => Judgement::Look,
            _ => Judgement::Take,
        };
        let mut found = Vec::new();
        let share = part(&theirs, &json!({}), &live, &[], &judge, &mut found);
        assert_eq!(found, ["/metadata/annotations/a"]);
        assert_eq!(
            share.rest,
            Some(json!({"f:metadata": {"f:annotations": {".": {}, "f:keep": {}}}}))
        );
    }

    #[test]
    fn a_udp_port_beside_a_tcp_port_of_the_same_number_is_another_one() {
        let desired = json!({"ports": [{"port": 53}]});
        let live =
            json!({"ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]});
        let theirs =
            json!({"f:ports": {"k:{\"port\":53,\"protocol\":\"UDP\"}": {".": {}, "f:port": {}}}});
        assert_eq!(taken(&theirs, &desired, &live, &[]), ["/ports/1"]);
    }
}
