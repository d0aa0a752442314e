//! The lists with keys, one case for each.

use serde_json::{Value, json};

use super::{Case, merge};

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

/// Items that have nothing but a name.
fn names(a: &str) -> Value {
    json!({"name": a})
}

/// A volume of a `ConfigMap`.
fn volume(name: &str, of: &str) -> Value {
    json!({"name": name, "configMap": {"name": of}})
}

/// All cases; each has a different name.
pub(super) fn cases() -> Vec<Case> {
    let groups = [
        containers(),
        claims(),
        mounts(),
        pod(),
        outside_pods(),
        admission(),
    ];
    groups.into_iter().flatten().collect()
}

/// Containers, and lists within them.
fn containers() -> Vec<Case> {
    let named = |name: &str, image: &str| json!({"name": name, "image": image});
    let variable = |name: &str, value: &str| json!({"name": name, "value": value});
    let port = |name: &str, port: u16| json!({"name": name, "containerPort": port});
    let list_of_them = |name, pointer| {
        pod_case(
            name,
            pointer,
            &["name"],
            json!({}),
            [named("a", "i:1"), named("b", "i:1"), named("c", "i:1")],
            Some(named("a", "i:2")),
            named("x", "i:1"),
        )
    };
    vec![
        list_of_them("containers", "/spec/template/spec/containers"),
        list_of_them("initcontainers", "/spec/template/spec/initContainers"),
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
    ]
}

/// Resource claims of a container and of the pod.
fn claims() -> Vec<Case> {
    let claimed = |name: &str, of: &str| json!({"name": name, "resourceClaimName": of});
    let all_claims = json!([
        claimed("a", "a"),
        claimed("b", "b"),
        claimed("c", "c"),
        claimed("x", "x")
    ]);
    vec![
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
    ]
}

/// Mounts and devices of a container; the volumes are given.
fn mounts() -> Vec<Case> {
    let claim = |name: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": name}});
    let two = json!([volume("v", "v"), volume("w", "w")]);
    let mount = |path: &str, name: &str| json!({"mountPath": path, "name": name});
    let device = |path: &str, name: &str| json!({"devicePath": path, "name": name});
    vec![
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
    ]
}

/// Lists of a pod other than containers and claims.
fn pod() -> Vec<Case> {
    let host = |ip: &str, name: &str| json!({"ip": ip, "hostnames": [name]});
    let spread = |key: &str, skew: u8| json!({"topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "maxSkew": skew});
    vec![
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
    ]
}

/// Lists of kinds without pods.
fn outside_pods() -> Vec<Case> {
    vec![
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
    ]
}

/// Webhooks of both kinds, and match conditions of one.
fn admission() -> Vec<Case> {
    let condition = |name: &str, rule: &str| json!({"name": name, "expression": rule});
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
