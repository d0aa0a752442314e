//! Every list of the built-in kinds whose items have keys: an item changed, its key changed, one added, one
//! taken away, the order changed, one doubled; by hand and by Git. After one pass the list is Git's.

use std::collections::BTreeSet;

use flotilla_agent::plan::is_subset;
use flotilla_shared::reason::Reason;
use serde_json::{Value, json};

use super::world::{World, status};

/// One list.
struct Case {
    /// Also the name of the object.
    name: &'static str,
    /// `group:plural`, or plural.
    collection: &'static str,
    api_version: &'static str,
    kind: &'static str,
    /// Everything but the list.
    object: Value,
    /// Where it is.
    pointer: &'static str,
    /// The schema's keys; the first is the one that changes.
    keys: &'static [&'static str],
    /// Two items of Git, and a third one.
    items: [Value; 3],
    /// The first with another value, and with another key; none: it has nothing but its key.
    changed: Option<Value>,
    rekeyed: Value,
}

const IMAGE: &str = "example.com/x:1";

fn pod_case(
    name: &'static str,
    pointer: &'static str,
    keys: &'static [&'static str],
    more: Value,
    items: [Value; 3],
    changed: Option<Value>,
    rekeyed: Value,
) -> Case {
    let mut spec = json!({"containers": [{"name": "main", "image": IMAGE}]});
    merge(&mut spec, more);
    Case {
        name,
        collection: "apps/v1:deployments",
        api_version: "apps/v1",
        kind: "Deployment",
        object: json!({"spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": spec},
        }}),
        pointer,
        keys,
        items,
        changed,
        rekeyed,
    }
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

fn cases() -> Vec<Case> {
    let claim = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    let volume = |name: &str, of: &str| json!({"name": name, "configMap": {"name": of}});
    let two = json!([volume("v", "v"), volume("w", "w")]);
    let spread = |key: &str, skew: u8| json!({"topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "maxSkew": skew});
    let named = |name: &str, image: &str| json!({"name": name, "image": image});
    let mount = |path: &str, name: &str| json!({"mountPath": path, "name": name});
    let device = |path: &str, name: &str| json!({"devicePath": path, "name": name});
    let port = |name: &str, port: u16| json!({"name": name, "containerPort": port});
    let names = |a: &str| json!({"name": a});
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let host = |ip: &str, name: &str| json!({"ip": ip, "hostnames": [name]});
    let claimed = |name: &str, of: &str| json!({"name": name, "resourceClaimName": of});
    let all_claims = json!([
        claimed("a", "a"),
        claimed("b", "b"),
        claimed("c", "c"),
        claimed("x", "x")
    ]);
    let condition = |name: &str, rule: &str| json!({"name": name, "expression": rule});
    let mut cases = vec![
        pod_case(
            "containers",
            "/spec/template/spec/containers",
            &["name"],
            json!({}),
            [named("a", "i:1"), named("b", "i:1"), named("c", "i:1")],
            Some(named("a", "i:2")),
            named("x", "i:1"),
        ),
        pod_case(
            "initcontainers",
            "/spec/template/spec/initContainers",
            &["name"],
            json!({}),
            [named("a", "i:1"), named("b", "i:1"), named("c", "i:1")],
            Some(named("a", "i:2")),
            named("x", "i:1"),
        ),
        pod_case(
            "env",
            "/spec/template/spec/containers/0/env",
            &["name"],
            json!({}),
            [
                variable("A", "1"),
                variable("B", "$(A)"),
                variable("C", "3"),
            ],
            Some(variable("A", "2")),
            variable("X", "1"),
        ),
        pod_case(
            "containerports",
            "/spec/template/spec/containers/0/ports",
            &["containerPort", "protocol"],
            json!({}),
            [port("a", 8001), port("b", 8002), port("c", 8003)],
            Some(port("other", 8001)),
            port("a", 9001),
        ),
        pod_case(
            "claims",
            "/spec/template/spec/containers/0/resources/claims",
            &["name"],
            json!({"resourceClaims": all_claims}),
            [names("a"), names("b"), names("c")],
            None,
            names("x"),
        ),
        pod_case(
            "resourceclaims",
            "/spec/template/spec/resourceClaims",
            &["name"],
            json!({}),
            [claimed("a", "a"), claimed("b", "b"), claimed("c", "c")],
            Some(claimed("a", "other")),
            claimed("x", "a"),
        ),
        pod_case(
            "volumedevices",
            "/spec/template/spec/containers/0/volumeDevices",
            &["devicePath"],
            json!({"volumes": [claim("p"), claim("q"), claim("r"), claim("s")]}),
            [device("/a", "p"), device("/b", "q"), device("/c", "r")],
            Some(device("/a", "s")),
            device("/x", "p"),
        ),
        pod_case(
            "volumemounts",
            "/spec/template/spec/containers/0/volumeMounts",
            &["mountPath"],
            json!({"volumes": two}),
            [mount("/a", "v"), mount("/b", "v"), mount("/c", "w")],
            Some(mount("/a", "w")),
            mount("/x", "v"),
        ),
        pod_case(
            "hostaliases",
            "/spec/template/spec/hostAliases",
            &["ip"],
            json!({}),
            [
                host("10.1.0.1", "a"),
                host("10.1.0.2", "b"),
                host("10.1.0.3", "c"),
            ],
            Some(host("10.1.0.1", "other")),
            host("10.1.0.9", "a"),
        ),
        pod_case(
            "imagepullsecrets",
            "/spec/template/spec/imagePullSecrets",
            &["name"],
            json!({}),
            [names("a"), names("b"), names("c")],
            None,
            names("x"),
        ),
        pod_case(
            "spread",
            "/spec/template/spec/topologySpreadConstraints",
            &["topologyKey", "whenUnsatisfiable"],
            json!({}),
            [spread("a", 1), spread("b", 1), spread("c", 1)],
            Some(spread("a", 2)),
            spread("x", 1),
        ),
        pod_case(
            "volumes",
            "/spec/template/spec/volumes",
            &["name"],
            json!({}),
            [volume("a", "a"), volume("b", "b"), volume("c", "c")],
            Some(volume("a", "other")),
            volume("x", "a"),
        ),
        pod_case(
            "gates",
            "/spec/template/spec/schedulingGates",
            &["name"],
            json!({}),
            [
                names("example.com/a"),
                names("example.com/b"),
                names("example.com/c"),
            ],
            None,
            names("example.com/x"),
        ),
        Case {
            name: "serviceports",
            collection: "services",
            api_version: "v1",
            kind: "Service",
            object: json!({"spec": {"selector": {"app": "x"}}}),
            pointer: "/spec/ports",
            keys: &["port", "protocol"],
            items: [
                json!({"name": "a", "port": 81}),
                json!({"name": "b", "port": 82}),
                json!({"name": "c", "port": 83}),
            ],
            changed: Some(json!({"name": "a", "port": 81, "targetPort": 8081})),
            rekeyed: json!({"name": "a", "port": 91}),
        },
        Case {
            name: "accountsecrets",
            collection: "serviceaccounts",
            api_version: "v1",
            kind: "ServiceAccount",
            object: json!({}),
            pointer: "/secrets",
            keys: &["name"],
            items: [names("a"), names("b"), names("c")],
            changed: None,
            rekeyed: names("x"),
        },
    ];
    cases.extend(admission(&condition));
    cases
}

fn admission(condition: &dyn Fn(&str, &str) -> Value) -> Vec<Case> {
    let hook = |name: &str, path: &str| {
        json!({
            "name": format!("{name}.example.com"),
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Ignore",
            "clientConfig": {"url": format!("https://127.0.0.1:1/{path}")},
            "rules": [{"apiGroups": ["none.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"],
                "resources": ["nothings"]}],
        })
    };
    let mut cases = Vec::new();
    for (name, conditions, collection, kind) in [
        (
            "validatinghooks",
            "validatingconditions",
            "admissionregistration.k8s.io/v1:validatingwebhookconfigurations",
            "ValidatingWebhookConfiguration",
        ),
        (
            "mutatinghooks",
            "mutatingconditions",
            "admissionregistration.k8s.io/v1:mutatingwebhookconfigurations",
            "MutatingWebhookConfiguration",
        ),
    ] {
        let case = |name, object, pointer, items, changed, rekeyed| Case {
            name,
            collection,
            api_version: "admissionregistration.k8s.io/v1",
            kind,
            object,
            pointer,
            keys: &["name"],
            items,
            changed: Some(changed),
            rekeyed,
        };
        cases.push(case(
            name,
            json!({}),
            "/webhooks",
            [hook("a", "a"), hook("b", "b"), hook("c", "c")],
            hook("a", "other"),
            hook("x", "a"),
        ));
        cases.push(case(
            conditions,
            json!({"webhooks": [hook("one", "one")]}),
            "/webhooks/0/matchConditions",
            [
                condition("a", "true"),
                condition("b", "true"),
                condition("c", "true"),
            ],
            condition("a", "false"),
            condition("x", "true"),
        ));
    }
    cases
}

impl Case {
    fn is_namespaced(&self) -> bool {
        !self.collection.starts_with("admissionregistration")
    }

    /// As Git has it.
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

    /// The list as it is.
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

/// Every list is Git's, but for what the server adds to its items.
async fn check(world: &World<'_>, cases: &[Case], what: &str, items: &dyn Fn(&Case) -> Vec<Value>) {
    for case in cases {
        let (wanted, live) = (items(case), case.list(world).await);
        let fits = wanted.len() == live.len()
            && wanted
                .iter()
                .zip(&live)
                .all(|(wanted, live)| is_subset(wanted, live));
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
            // Some lists may not be doubled.
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
    // An item twice is refused by name, and nothing else is held up.
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

/// What would outlive the scenario's namespace.
async fn remove(world: &World<'_>, cases: &[Case]) {
    for case in cases.iter().filter(|case| !case.is_namespaced()) {
        world.send("DELETE", &case.path(world), &Value::Null).await;
    }
}

/// Lists that are nobody's configuration, or that no object of a GitOps agent can have.
const ELSEWHERE: &[&str] = &[
    // Promises of others.
    "ownerReferences",
    // Only by a sub-resource of pods.
    "ephemeralContainers",
    // kubelet's.
    "drivers",
    // Of status.
    "conditions",
    // Keyed by the rule itself, inside a schema that is a whole.
    "x-kubernetes-validations",
    // Admission policies: as match conditions of webhooks.
    "variables",
];

/// The schema has no list with keys that is neither here nor left out with a reason.
#[test]
fn every_list_with_keys_is_here() {
    let text = include_str!("../../apiserver/src/schema/builtin.json");
    let schema: Value = serde_json::from_str(text).unwrap();
    let mut known: BTreeSet<(String, String)> = BTreeSet::new();
    for case in cases() {
        let field = case.pointer.rsplit('/').next().unwrap();
        known.insert((field.to_owned(), case.keys.join(",")));
    }
    let mut missing = BTreeSet::new();
    let kinds = schema.get("kinds").and_then(Value::as_array).unwrap();
    let mut open: Vec<String> = kinds
        .iter()
        .filter_map(|kind| kind.get("type")?.as_str().map(str::to_owned))
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(one) = schema.pointer("/types").and_then(|types| types.get(&name)) else {
            continue;
        };
        if seen.insert(name.clone()) {
            look(one, "", &mut open, &mut |field, keys| {
                let is_known = known.contains(&(field.to_owned(), keys.to_owned()));
                let is_status = name.ends_with("Status") || name.contains("Slice");
                if !is_known && !is_status && !ELSEWHERE.contains(&field) {
                    missing.insert(format!("{name}.{field} by {keys}"));
                }
            });
        }
    }
    assert!(seen.len() > 100, "{}", seen.len());
    assert_eq!(missing, BTreeSet::new());
}

fn look(schema: &Value, field: &str, open: &mut Vec<String>, found: &mut dyn FnMut(&str, &str)) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        open.push(name.to_owned());
    }
    let keys = schema
        .get("x-kubernetes-list-map-keys")
        .and_then(Value::as_array);
    if let Some(keys) = keys {
        let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        found(field, &keys.join(","));
    }
    for (name, inner) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        look(inner, name, open, found);
    }
    for part in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(part) {
            look(inner, field, open, found);
        }
    }
    for inner in schema
        .get("allOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        look(inner, field, open, found);
    }
}
