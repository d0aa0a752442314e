//! Whether a live object matches everything that is desired, and in which fields it does not.
//!
//! Kubernetes' schemas decide whether a list is atomic, a set, or a map by key. The server shows it in
//! the agent's own entry of `managedFields` (FieldsV1, KEP-555): items of maps are named by `k:`, items
//! of sets by `v:`, and a list without either is atomic.

use serde_json::Value;

use super::quantity;

/// Most differing fields that are remembered of one object.
pub(super) const MAX_DIFFERENCES: usize = 8;

/// The fields (RFC 6901 pointers) in which `live` is not as `desired`, at most [`MAX_DIFFERENCES`].
///
/// Fields that only `live` has belong to the server or to others. `owned` is the agent's FieldsV1 of
/// the live object; `skip` says which fields are not compared.
#[must_use]
pub fn differences(
    desired: &Value,
    live: &Value,
    owned: Option<&Value>,
    skip: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut walk = Walk {
        skip,
        found: &mut found,
    };
    walk.value(desired, live, owned, &mut String::new());
    found
}

/// Whether every field of `desired` is in `live` with the same value.
#[must_use]
pub fn is_subset(desired: &Value, live: &Value) -> bool {
    differences(desired, live, None, &|_| false).is_empty()
}

struct Walk<'a> {
    skip: &'a dyn Fn(&str) -> bool,
    found: &'a mut Vec<String>,
}

impl Walk<'_> {
    fn differs(&mut self, path: &str) {
        if self.found.len() < MAX_DIFFERENCES {
            self.found.push(path.to_owned());
        }
    }

    fn value(&mut self, desired: &Value, live: &Value, owned: Option<&Value>, path: &mut String) {
        if self.found.len() >= MAX_DIFFERENCES || (!path.is_empty() && (self.skip)(path)) {
            return;
        }
        match (desired, live) {
            (Value::Object(desired), Value::Object(live)) => {
                for (key, value) in desired {
                    let length = path.len();
                    path.push('/');
                    push_escaped(path, key);
                    let owned = owned.and_then(|owned| owned.get(format!("f:{key}")));
                    match live.get(key) {
                        Some(live) => self.value(value, live, owned, path),
                        // The API server drops null and empty values.
                        None if is_nothing(value) => {}
                        None if (self.skip)(path) => {}
                        None => self.differs(path),
                    }
                    path.truncate(length);
                }
            }
            (Value::Array(desired), Value::Array(live)) => self.list(desired, live, owned, path),
            (Value::Number(a), Value::Number(b)) if a == b || a.as_f64() == b.as_f64() => {}
            _ if desired == live || quantity::is_same(path, desired, live) => {}
            _ => self.differs(path),
        }
    }

    fn list(
        &mut self,
        desired: &[Value],
        live: &[Value],
        owned: Option<&Value>,
        path: &mut String,
    ) {
        let members = owned.and_then(Value::as_object);
        let named = |prefix: &str| {
            members.is_some_and(|members| members.keys().any(|key| key.starts_with(prefix)))
        };
        if named("v:") {
            if !desired.iter().all(|item| live.contains(item)) {
                self.differs(path);
            }
            return;
        }
        if named("k:") {
            self.map_list(desired, live, members, path);
            return;
        }
        if desired.len() != live.len() {
            self.differs(path);
            return;
        }
        for (index, (desired, live)) in desired.iter().zip(live).enumerate() {
            let length = path.len();
            path.push('/');
            path.push_str(&index.to_string());
            self.value(desired, live, None, path);
            path.truncate(length);
        }
    }

    /// A list whose items have keys: the desired items must exist, others may.
    fn map_list(
        &mut self,
        desired: &[Value],
        live: &[Value],
        members: Option<&serde_json::Map<String, Value>>,
        path: &mut String,
    ) {
        let keys: Vec<(serde_json::Map<String, Value>, &Value)> = members
            .into_iter()
            .flatten()
            .filter_map(|(name, owned)| {
                let key = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
                Some((key, owned))
            })
            .collect();
        let mut places = Vec::with_capacity(desired.len());
        for (index, item) in desired.iter().enumerate() {
            // Every key field that the item sets has to agree. A field that is left to the server's
            // default, such as a port's protocol, is in the key only.
            let agrees = |key: &serde_json::Map<String, Value>| {
                key.iter()
                    .all(|(field, value)| item.get(field).is_none_or(|own| own == value))
                    && key.keys().any(|field| item.get(field).is_some())
            };
            let length = path.len();
            path.push('/');
            path.push_str(&index.to_string());
            let found = keys
                .iter()
                .find(|(key, _)| agrees(key))
                .and_then(|(key, owned)| {
                    let is_it =
                        |l: &&Value| key.iter().all(|(field, value)| l.get(field) == Some(value));
                    let mut all = live.iter().enumerate().filter(|(_, item)| is_it(item));
                    let (place, first) = all.next()?;
                    places.push(place);
                    Some((first, *owned, all.next().is_some()))
                });
            match found {
                Some((live, owned, false)) => self.value(item, live, Some(owned), path),
                // Missing or present twice: which of two counts depends on the reader.
                Some((.., true)) | None => self.differs(path),
            }
            path.truncate(length);
        }
        // Init containers run in their order, and environment variables refer to earlier ones.
        if !places.is_sorted() {
            self.differs(path);
        }
    }
}

fn push_escaped(path: &mut String, key: &str) {
    for c in key.chars() {
        match c {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            c => path.push(c),
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_nothing),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn servers_may_add_and_we_may_want_nothing() {
        let live = json!({"spec": {"replicas": 1, "list": [{"a": 1, "default": true}], "x": "y"}});
        assert!(is_subset(
            &json!({"spec": {"replicas": 1.0, "list": [{"a": 1}]}}),
            &live
        ));
        assert!(is_subset(
            &json!({"spec": {"gone": null, "empty": {}, "none": [], "deep": {"none": []}}}),
            &live
        ));
        assert!(!is_subset(&json!({"spec": {"replicas": 2}}), &live));
        assert!(!is_subset(&json!({"spec": {"list": []}}), &live));
        assert!(!is_subset(&json!({"spec": {"new": "z"}}), &live));
        assert!(!is_subset(&json!({"spec": {"new": [1]}}), &live));
    }

    #[test]
    fn an_item_whose_key_is_there_twice_differs() {
        let desired = json!({"env": [{"name": "A", "value": "1"}]});
        let owned =
            json!({"f:env": {"k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}}});
        let twice = |second: &str| json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": second}]});
        for second in ["1", "2"] {
            let found = differences(&desired, &twice(second), Some(&owned), &|_| false);
            assert_eq!(found, ["/env/0"]);
        }
    }

    #[test]
    fn lists_are_compared_as_the_server_keeps_them() {
        let desired = json!({"ports": [{"port": 80}], "finalizers": ["a"], "args": ["x"]});
        let live = json!({
            "ports": [
                {"port": 443, "protocol": "TCP", "name": "mesh"},
                {"port": 80, "protocol": "TCP"},
            ],
            "finalizers": ["b", "a"],
            "args": ["x"],
        });
        let owned = json!({
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
            "f:finalizers": {"v:\"a\"": {}},
            "f:args": {},
        });
        let none = |_: &str| false;
        assert!(differences(&desired, &live, Some(&owned), &none).is_empty());
        assert_eq!(
            differences(&desired, &live, None, &none),
            ["/finalizers", "/ports"]
        );
        let more = json!({"args": ["x"], "ports": [{"port": 80, "name": "web"}, {"port": 1}]});
        assert_eq!(
            differences(&more, &live, Some(&owned), &none),
            ["/ports/0/name", "/ports/1"]
        );
    }

    #[test]
    fn fields_that_are_not_ours_are_skipped_and_names_are_escaped() {
        let desired = json!({"a/b": {"c~d": 1}, "e": 2});
        let live = json!({"a/b": {"c~d": 2}, "e": 3});
        assert_eq!(
            differences(&desired, &live, None, &|path| path == "/e"),
            ["/a~1b/c~0d"]
        );
        // A skipped path is not reported as missing either.
        let live = json!({"a/b": {"c~d": 1}});
        assert!(differences(&desired, &live, None, &|path| path == "/e").is_empty());
        assert_eq!(differences(&desired, &live, None, &|_| false), ["/e"]);
    }

    #[test]
    fn only_the_first_few_differences_are_remembered() {
        let names: Vec<String> = (0..20).map(|number| format!("v{number:02}")).collect();
        let list = |names: &mut dyn Iterator<Item = &String>, value: &str| -> Value {
            let items = names.map(|name| json!({"name": name, "value": value}));
            json!({"env": items.collect::<Vec<_>>()})
        };
        let mut owned = serde_json::Map::new();
        for name in &names {
            let key = format!("k:{{\"name\":\"{name}\"}}");
            owned.insert(key, json!({"f:name": {}, "f:value": {}}));
        }
        let owned = json!({"f:env": owned});
        for count in [MAX_DIFFERENCES, names.len()] {
            // Every value differs, and so does the order.
            let desired = list(&mut names.iter().take(count), "1");
            let live = list(&mut names.iter().take(count).rev(), "2");
            let found = differences(&desired, &live, Some(&owned), &|_| false);
            assert_eq!(found.len(), MAX_DIFFERENCES, "{found:?}");
        }
    }
}
