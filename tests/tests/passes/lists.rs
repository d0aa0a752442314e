//! Every list of the built-in kinds whose items have keys: an item is changed, its key is changed, one is added or
//! removed, the order changes, one is duplicated; by an edit and by Git. After one pass the list equals Git.

mod cases;
mod complete;

use flotilla_agent::plan::is_subset;
use flotilla_shared::reason::Reason;
use serde_json::{Value, json};

use super::world::{World, status};
use cases::cases;

struct Case {
    /// Also the name of the object.
    name: &'static str,
    /// `group:plural`, or plural.
    collection: &'static str,
    api_version: &'static str,
    kind: &'static str,
    /// The object without the list.
    object: Value,
    /// The path of the list.
    pointer: &'static str,
    /// The schema's keys; the first is the one that changes.
    keys: &'static [&'static str],
    /// Two items in Git, and a third one.
    items: [Value; 3],
    /// The first item with another value, and with another key; none: it has no fields but its key.
    changed: Option<Value>,
    rekeyed: Value,
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

impl Case {
    fn is_namespaced(&self) -> bool {
        !self.collection.starts_with("admissionregistration")
    }

    /// The object as in Git.
    fn manifest(&self, namespace: &str, items: &[&Value]) -> Value {
        let name = match self.is_namespaced() {
            true => self.name.to_owned(),
            false => format!("{namespace}-{}", self.name),
        };
        let mut object = self.object.clone();
        merge(
            &mut object,
            json!({"apiVersion": self.api_version, "kind": self.kind, "metadata": {"name": name}}),
        );
        let list = Value::Array(items.iter().map(|item| (*item).clone()).collect());
        put(&mut object, self.pointer, list);
        object
    }

    /// Path of the object, for [`World::path`].
    fn path(&self, world: &World<'_>) -> String {
        if self.is_namespaced() {
            return world.path(&format!("{}/{}", self.collection, self.name));
        }
        let (group, plural) = self.collection.split_once(':').unwrap();
        format!("/apis/{group}/{plural}/{}-{}", world.namespace, self.name)
    }

    /// The live list.
    async fn list(&self, world: &World<'_>) -> Vec<Value> {
        let (code, live) = world.send("GET", &self.path(world), &Value::Null).await;
        assert_eq!(code, 200, "{}: {live}", self.name);
        let items = live.pointer(self.pointer).and_then(Value::as_array);
        items.cloned().unwrap_or_default()
    }
}

fn put(object: &mut Value, pointer: &str, list: Value) {
    let mut place = object;
    for token in pointer.split('/').skip(1) {
        place = match token.parse::<usize>() {
            Ok(index) => place.get_mut(index).unwrap(),
            Err(_) => {
                let map = place.as_object_mut().unwrap();
                map.entry(token).or_insert_with(|| json!({}))
            }
        };
    }
    *place = list;
}

fn yaml(cases: &[Case], namespace: &str, items: &dyn Fn(&Case) -> Vec<Value>) -> String {
    let documents = cases.iter().map(|case| {
        let items = items(case);
        let items: Vec<&Value> = items.iter().collect();
        format!("---\n{}\n", case.manifest(namespace, &items))
    });
    documents.collect()
}

/// Checks that every list equals Git, except for what the server adds to its items.
async fn check(world: &World<'_>, cases: &[Case], what: &str, items: &dyn Fn(&Case) -> Vec<Value>) {
    for case in cases {
        let (expected, live) = (items(case), case.list(world).await);
        let fits = expected.len() == live.len()
            && expected
                .iter()
                .zip(&live)
                .all(|(expected, live)| is_subset(expected, live));
        assert!(fits, "{}: {what}: {live:?}", case.name);
    }
}

fn two(case: &Case) -> Vec<Value> {
    case.items[..2].to_vec()
}

pub(crate) async fn a14_lists_changed_by_hand_are_gits_again(mut world: World<'_>) {
    let cases = cases();
    let git = yaml(&cases, &world.namespace, &two);
    world.synced(&git).await;
    check(&world, &cases, "new", &two).await;
    for what in [
        "changed",
        "rekeyed",
        "added",
        "taken away",
        "turned round",
        "doubled",
        "added twice",
    ] {
        let mut touched = 0;
        for case in &cases {
            let [a, b, c] = &case.items;
            let list = match what {
                "changed" => case.changed.clone().map(|changed| json!([changed, b])),
                "rekeyed" => Some(json!([case.rekeyed, b])),
                "added" => Some(json!([a, b, c])),
                "taken away" => Some(json!([a])),
                "turned round" => Some(json!([b, a])),
                "added twice" => Some(json!([a, b, c, c])),
                _ => Some(json!([
                    a,
                    b,
                    case.changed.clone().unwrap_or_else(|| a.clone())
                ])),
            };
            let Some(list) = list else { continue };
            let patch = json!([{"op": "replace", "path": case.pointer, "value": list}]);
            let path = format!("{}?fieldManager=kubectl-edit", case.path(&world));
            let kind = "application/json-patch+json";
            let (code, answer) = world.send_as("PATCH", &path, kind, &patch).await;
            // The API server refuses duplicates in some lists.
            assert!(
                code == 200 || (code == 422 && ["doubled", "added twice"].contains(&what)),
                "{}: {answer}",
                case.name
            );
            touched += usize::from(code == 200);
        }
        world.restart();
        let outcome = world.synced(&git).await;
        assert!(touched > 0, "{what}");
        check(&world, &cases, what, &two).await;
        assert!(outcome.drifted > 0, "{what}: {outcome:#?}");
        world.restart();
        assert_eq!(
            world.synced(&git).await.written,
            0,
            "{what}: once is enough"
        );
    }
    remove(&world, &cases).await;
}

pub(crate) async fn a14_lists_changed_by_git_are_gits(mut world: World<'_>) {
    let cases = cases();
    let namespace = world.namespace.clone();
    for what in [
        "new",
        "changed",
        "rekeyed",
        "added",
        "taken away",
        "turned round",
    ] {
        let items = |case: &Case| {
            let [a, b, c] = case.items.clone();
            match what {
                "changed" => vec![case.changed.clone().unwrap_or(a), b],
                "rekeyed" => vec![case.rekeyed.clone(), b],
                "added" => vec![a, b, c],
                "taken away" => vec![a],
                "turned round" => vec![b, a],
                _ => vec![a, b],
            }
        };
        world.synced(&yaml(&cases, &namespace, &two)).await;
        world.synced(&yaml(&cases, &namespace, &items)).await;
        check(&world, &cases, what, &items).await;
    }
    // A duplicate item is refused by name, and blocks no other object.
    let doubled = |case: &Case| vec![case.items[0].clone(), case.items[0].clone()];
    let outcome = world.pass(&yaml(&cases, &namespace, &doubled)).await;
    for case in &cases {
        let name = match case.is_namespaced() {
            true => case.name.to_owned(),
            false => format!("{namespace}-{}", case.name),
        };
        let status = status(&outcome, &name);
        assert_eq!(status.reason, Some(Reason::Invalid), "{status:?}");
        assert!(status.message.contains("uplicate"), "{status:?}");
    }
    remove(&world, &cases).await;
}

/// Deletes objects that would outlive the scenario's namespace.
async fn remove(world: &World<'_>, cases: &[Case]) {
    for case in cases.iter().filter(|case| !case.is_namespaced()) {
        world.send("DELETE", &case.path(world), &Value::Null).await;
    }
}
