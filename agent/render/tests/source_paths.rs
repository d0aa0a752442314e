//! The dependencies that a render reports are complete: any change elsewhere leaves the render the same.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use flotilla_render::{MemoryTree, Options, Rendered, Renderer, render};
use flotilla_shared::source::ROOT;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(String),
    Link(&'static str),
    Submodule,
}

/// A commit's tree by path.
type Model = BTreeMap<&'static str, Node>;

/// The files and the references to them: bases, a base of a base, a component, a neighbour behind a
/// link, names that are probed.
const PATHS: [&str; 23] = [
    "kustomization.yaml",
    "top.yaml",
    "apps/kustomization.yml",
    "apps/common.yaml",
    "apps/link",
    "apps/web/kustomization.yaml",
    "apps/web/kustomization.yml",
    "apps/web/Kustomization",
    "apps/web/web.yaml",
    "apps/web/patch.yaml",
    "apps/web/settings.properties",
    "apps/web/link.yaml",
    "apps/web/deep/more.yaml",
    "apps/web/deep/kustomization.yaml",
    "apps/other/other.yaml",
    "bases/one/kustomization.yaml",
    "bases/one/one.yaml",
    "bases/two/kustomization.yaml",
    "bases/two/two.yaml",
    "bases/part/kustomization.yaml",
    "bases/part/label.yaml",
    "elsewhere/file.yaml",
    "elsewhere/deep/file.yaml",
];

fn object(name: &str, value: u8) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{k: '{value}'}}\n")
}

fn kustomization(path: &str, pick: u8) -> String {
    let own = |extra: &str| format!("{extra}commonAnnotations: {{pick: '{pick}'}}\n");
    let one_of = |choices: &[&str]| choices[usize::from(pick) % choices.len()].to_owned();
    match path {
        "apps/web/deep/kustomization.yaml" => own("resources: [more.yaml]\n"),
        "bases/one/kustomization.yaml" => one_of(&[
            "resources: [one.yaml]\n",
            "resources: [one.yaml, ../two]\n",
            "resources: [one.yaml]\nnamePrefix: p-\n",
        ]),
        "bases/two/kustomization.yaml" => own("resources: [two.yaml]\n"),
        "bases/part/kustomization.yaml" => {
            "kind: Component\napiVersion: kustomize.config.k8s.io/v1alpha1\nlabels: [{pairs: {a: b}}]\n"
                .to_owned()
        }
        _ if path.starts_with("apps/web/") => one_of(&[
            "resources: [web.yaml]\n",
            "resources: [web.yaml, ../../bases/one]\n",
            "resources: [../../bases/one]\npatches: [{path: patch.yaml, target: {kind: ConfigMap}}]\n",
            "resources: [../../bases/two]\nconfigMapGenerator: [{name: s, envs: [settings.properties]}]\n",
            "resources: [web.yaml, deep]\ncomponents: [../../bases/part]\n",
            "resources: [link.yaml]\n",
            "resources: [../link]\n",
            "resources: [../other/other.yaml]\n",
        ]),
        _ => one_of(&["resources: [web]\n", "resources: [bases/one, top.yaml]\n", "resources: []\n"]),
    }
}

const LINKS: &[&str] = &["../bases/one", "web", "../elsewhere", "nothing", "/etc"];
const FILES: &[&str] = &[
    "../../elsewhere/file.yaml",
    "web.yaml",
    "../../bases/one/one.yaml",
];

fn node(path: &'static str) -> BoxedStrategy<Node> {
    let file = any::<u8>().prop_map(move |pick| {
        let name = path.rsplit('/').next().unwrap_or_default();
        Node::File(if name.to_lowercase().starts_with("kustomization") {
            kustomization(path, pick)
        } else if path.ends_with("patch.yaml") {
            format!("[{{op: add, path: /data/patched, value: '{pick}'}}]\n")
        } else if path.ends_with(".properties") {
            format!("KEY={pick}\n")
        } else {
            object(&path.replace(['/', '.'], "-"), pick % 4)
        })
    });
    match path {
        "apps/link" => proptest::sample::select(LINKS).prop_map(Node::Link).boxed(),
        "apps/web/link.yaml" => proptest::sample::select(FILES).prop_map(Node::Link).boxed(),
        _ => prop_oneof![
            12 => file,
            1 => Just(Node::Submodule),
            1 => proptest::sample::select(FILES).prop_map(Node::Link),
        ]
        .boxed(),
    }
}

fn change() -> impl Strategy<Value = (&'static str, Option<Node>)> {
    proptest::sample::select(&PATHS[..]).prop_flat_map(|path| {
        proptest::option::weighted(0.8, node(path)).prop_map(move |node| (path, node))
    })
}

fn model() -> impl Strategy<Value = Model> {
    let probed = [
        "apps/web/kustomization.yml",
        "apps/web/Kustomization",
        "kustomization.yaml",
    ];
    let each: Vec<_> = PATHS
        .iter()
        .map(|path| {
            let often = if probed.contains(path) || path.ends_with(".yml") {
                0.1
            } else {
                0.9
            };
            proptest::option::weighted(often, node(path))
        })
        .collect();
    each.prop_map(|nodes| {
        let all = PATHS.iter().zip(nodes);
        all.filter_map(|(path, node)| Some((*path, node?)))
            .collect()
    })
}

fn tree(model: &Model) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for (path, node) in model {
        let inserted = match node {
            Node::File(content) => tree.insert_file(path, content.clone().into_bytes()),
            Node::Link(target) => tree.insert_symlink(path, (*target).to_owned()),
            Node::Submodule => tree.insert_submodule(path),
        };
        assert_eq!(inserted, Ok(()));
    }
    tree
}

/// A stand-in for a directory's tree id. None: there is no such directory.
fn tree_of<'m>(model: &'m Model, directory: &str) -> Option<BTreeMap<&'m str, &'m Node>> {
    let below = format!("{directory}/");
    let inside = model
        .iter()
        .filter(|(path, _)| directory == ROOT || path.starts_with(&below));
    let inside: BTreeMap<_, _> = inside.map(|(path, node)| (*path, node)).collect();
    (!inside.is_empty()).then_some(inside)
}

fn outcome(model: &Model, path: &str, renderer: Renderer) -> Option<Rendered> {
    let options = Options {
        renderer,
        ..Options::default()
    };
    render(&tree(model), path, &options).ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_global_rejects: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn what_changes_outside_of_the_reported_paths_changes_nothing(
        before in model(),
        path in proptest::sample::select(&["apps/web", "apps/link", "apps/web/web.yaml", "apps/other", "apps", "bases/one", ""][..]),
        plain in any::<bool>(),
        changes in proptest::collection::vec(change(), 1..24),
    ) {
        let renderer = if plain { Renderer::Plain } else { Renderer::Auto };
        let rendered = outcome(&before, path, renderer);
        prop_assume!(rendered.is_some());
        let rendered = rendered.unwrap();
        prop_assert!(rendered.source_paths.is_known());
        let decided = |model: &Model| -> Vec<bool> {
            let paths = rendered.source_paths.iter();
            paths.map(|path| {
                let now = tree_of(model, path);
                now.is_some() && now == tree_of(&before, path)
            }).collect()
        };
        prop_assert!(decided(&before).into_iter().all(|same| same), "{:?}", rendered.source_paths);
        let mut after = before.clone();
        for (at, node) in changes {
            let mut next = after.clone();
            match node {
                Some(node) => next.insert(at, node),
                None => next.remove(at),
            };
            if decided(&next).into_iter().all(|same| same) {
                after = next;
            }
        }
        prop_assert_eq!(outcome(&after, path, renderer), Some(rendered));
    }
}

#[test]
fn a_change_of_a_base_shows_and_one_beside_it_does_not() {
    let mut model = Model::new();
    for (path, content) in [
        (
            "apps/web/kustomization.yaml",
            "resources: [../../bases/one]\n".to_owned(),
        ),
        (
            "bases/one/kustomization.yaml",
            "resources: [one.yaml]\n".to_owned(),
        ),
        ("bases/one/one.yaml", object("one", 1)),
        ("bases/two/two.yaml", object("two", 1)),
    ] {
        model.insert(path, Node::File(content));
    }
    let rendered = outcome(&model, "apps/web", Renderer::Auto).unwrap();
    let paths: Vec<&str> = rendered.source_paths.iter().collect();
    assert_eq!(paths, ["apps/web", "bases/one"]);
}
