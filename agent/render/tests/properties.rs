//! Properties of all trees: the same result twice, and for any order of keys.

mod support;

use flotilla_render::{MemoryTree, Options, Rendered, Renderer, render};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

fn kustomize(tree: &MemoryTree) -> Option<Rendered> {
    let options = Options {
        renderer: Renderer::Kustomize,
        ..Options::default()
    };
    render(tree, "prod", &options).ok()
}

/// JSON with the keys of every mapping in an order that a seed decides.
fn shuffled(value: &Value, seed: u64) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| {
                key.bytes().fold(seed, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                })
            });
            let inside: Vec<String> = entries
                .into_iter()
                .map(|(key, value)| format!("{}: {}", json!(key), shuffled(value, seed)))
                .collect();
            format!("{{{}}}", inside.join(", "))
        }
        Value::Array(items) => {
            let inside: Vec<String> = items.iter().map(|item| shuffled(item, seed)).collect();
            format!("[{}]", inside.join(", "))
        }
        other => other.to_string(),
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("web"), Just("api"), Just("db"), Just("cache")].prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,6}",
        Just("yes".to_owned()),
        Just("1.10".to_owned()),
        Just("$(NAME)".to_owned()),
        Just("x:y@sha256:1".to_owned()),
        Just("2001-01-01".to_owned()),
    ]
}

fn pairs() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-z]{1,4}", text(), 0..3).prop_map(|pairs| {
        Value::Object(
            pairs
                .into_iter()
                .map(|(key, value)| (key, json!(value)))
                .collect(),
        )
    })
}

fn container() -> impl Strategy<Value = Value> {
    (
        name(),
        text(),
        pairs(),
        proptest::collection::vec((80u16..84, any::<bool>()), 0..3),
    )
        .prop_map(|(name, image, environment, ports)| {
            let environment: Vec<Value> = environment
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, value)| json!({"name": key, "value": value}))
                .collect();
            let ports: Vec<Value> = ports
                .into_iter()
                .map(|(port, udp)| {
                    if udp {
                        json!({"containerPort": port, "protocol": "UDP"})
                    } else {
                        json!({"containerPort": port})
                    }
                })
                .collect();
            json!({"name": name, "image": image, "env": environment, "ports": ports})
        })
}

fn deployment() -> impl Strategy<Value = Value> {
    (
        name(),
        pairs(),
        pairs(),
        proptest::collection::vec(container(), 1..3),
        proptest::option::of(0u8..5),
    )
        .prop_map(|(name, labels, annotations, containers, replicas)| {
            let mut metadata = Map::new();
            metadata.insert("name".into(), json!(name));
            metadata.insert("labels".into(), labels);
            metadata.insert("annotations".into(), annotations);
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": metadata,
                "spec": {
                    "replicas": replicas,
                    "template": {"spec": {
                        "containers": containers,
                        "volumes": [{"name": "v", "configMap": {"name": "settings"}}],
                    }},
                },
            })
        })
}

fn overlay() -> impl Strategy<Value = Value> {
    (
        proptest::option::of("[a-z]{1,3}-"),
        proptest::option::of("-[a-z]{1,3}"),
        proptest::option::of("[a-z]{1,5}"),
        pairs(),
        pairs(),
        proptest::collection::vec(deployment(), 0..2),
        proptest::collection::vec((text(), text()), 0..2),
        pairs(),
    )
        .prop_map(
            |(prefix, suffix, namespace, labels, annotations, patches, images, literals)| {
                let mut file = Map::new();
                file.insert("resources".into(), json!(["../base"]));
                for (field, value) in [
                    ("namePrefix", prefix),
                    ("nameSuffix", suffix),
                    ("namespace", namespace),
                ] {
                    if let Some(value) = value {
                        file.insert(field.into(), json!(value));
                    }
                }
                file.insert("commonLabels".into(), labels);
                file.insert("commonAnnotations".into(), annotations);
                let patches: Vec<Value> = patches
                    .iter()
                    .map(|patch| json!({"patch": patch.to_string()}))
                    .collect();
                file.insert("patches".into(), json!(patches));
                let images: Vec<Value> = images
                    .into_iter()
                    .map(|(name, tag)| json!({"name": name, "newTag": tag}))
                    .collect();
                file.insert("images".into(), json!(images));
                let literals: Vec<String> = literals
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                    .collect();
                file.insert(
                    "configMapGenerator".into(),
                    json!([{"name": "settings", "literals": literals}]),
                );
                Value::Object(file)
            },
        )
}

fn tree(base: &[Value], overlay: &Value, seed: u64) -> MemoryTree {
    let documents: Vec<String> = base
        .iter()
        .map(|document| shuffled(document, seed))
        .collect();
    let mut tree = MemoryTree::new();
    for (path, text) in [
        (
            "base/kustomization.yaml",
            "resources: [x.yaml]\n".to_owned(),
        ),
        ("base/x.yaml", documents.join("\n---\n")),
        ("prod/kustomization.yaml", shuffled(overlay, seed)),
    ] {
        assert_eq!(tree.insert_file(path, text.into_bytes()), Ok(()));
    }
    tree
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn r10_rendering_twice_and_in_any_order_of_keys_is_equal(
        base in proptest::collection::vec(deployment(), 1..3),
        overlay in overlay(),
        seeds in any::<(u64, u64)>(),
    ) {
        let first = tree(&base, &overlay, seeds.0);
        let once = kustomize(&first);
        prop_assert_eq!(&kustomize(&first), &once);
        let twice = kustomize(&tree(&base, &overlay, seeds.1));
        let values = |rendered: &Option<Rendered>| -> Option<Vec<Value>> {
            let rendered = rendered.as_ref()?;
            Some(rendered.manifests.iter().map(|manifest| manifest.value.clone()).collect())
        };
        prop_assert_eq!(values(&twice), values(&once));
    }
}

/// Compared with the program that `FLOTILLA_KUSTOMIZE` names; `PROPTEST_CASES` sets the number of cases.
#[test]
fn generated_overlays_equal_those_of_kustomize() {
    let Some(binary) = support::named_binary() else {
        return;
    };
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let inputs = (proptest::collection::vec(deployment(), 1..3), overlay());
    let outcome = TestRunner::new(config).run(&inputs, |(base, overlay)| {
        let tree = tree(&base, &overlay, 1);
        let folder = support::Scratch::new();
        folder.write("base/kustomization.yaml", "resources: [x.yaml]\n");
        let documents: Vec<String> = base.iter().map(|document| shuffled(document, 1)).collect();
        folder.write("base/x.yaml", &documents.join("\n---\n"));
        folder.write("prod/kustomization.yaml", &shuffled(&overlay, 1));
        match (kustomize(&tree), binary.build(&folder.path().join("prod"))) {
            (None, Err(_)) => {}
            (Some(ours), Ok(theirs)) => {
                let limits = flotilla_yaml::Limits::default();
                let theirs: Vec<Value> = flotilla_yaml::parse_documents_bytes(&theirs, &limits)
                    .map_err(|error| TestCaseError::fail(error.to_string()))?
                    .into_iter()
                    .map(|document| document.value)
                    .collect();
                let ours = ours.manifests.into_iter().map(|manifest| manifest.value);
                let ours: Vec<Value> = ours.collect();
                prop_assert_eq!(ours, theirs);
            }
            (Some(_), Err(error)) => {
                let why = format!("only we render it: {error}");
                return Err(TestCaseError::fail(why));
            }
            (None, Ok(_)) => return Err(TestCaseError::fail("only we refuse it")),
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
