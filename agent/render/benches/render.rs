//! The cost of rendering, compared with its goals: `cargo bench -p flotilla-render`.
//!
//! Everything is measured in one run on one machine, and compared within that run. The ratio to a
//! whole process needs `FLOTILLA_KUSTOMIZE`, a `kustomize` or a `kubectl`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and fails by panicking"
)]

#[path = "../../helm/benches/measure/mod.rs"]
mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use flotilla_render::{MemoryTree, Options, Renderer, render};
use measure::{line, median, milliseconds};

fn options() -> Options {
    Options {
        renderer: Renderer::Kustomize,
        ..Options::default()
    }
}

fn small() {
    let mut tree = MemoryTree::new();
    for (path, text) in [
        ("base/kustomization.yaml", "resources: [cm.yaml]\n"),
        (
            "base/cm.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n",
        ),
        (
            "prod/kustomization.yaml",
            "resources: [../base]\nnamePrefix: prod-\nnamespace: prod\n",
        ),
    ] {
        tree.insert_file(path, text.as_bytes().to_vec()).unwrap();
    }
    let time = median(1001, || {
        render(&tree, "prod", &options()).unwrap();
    });
    let ms = milliseconds(time);
    line(
        "one-ConfigMap overlay",
        &format!("{ms:.3} ms"),
        "< 0.5 ms",
        ms < 0.5,
    );
}

/// All directories of the shared repositories that both can render.
fn repositories() {
    let repositories = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance/repos");
    if !repositories.is_dir() {
        println!(
            "{} is not there: its overlays are not measured",
            repositories.display()
        );
        return;
    }
    let binary = support::binary();
    let (mut ours, mut theirs, mut count, mut slowest) =
        (Duration::ZERO, Duration::ZERO, 0, Duration::ZERO);
    for root in std::fs::read_dir(&repositories).unwrap() {
        let root = root.unwrap().path();
        let tree = support::tree(&root).unwrap();
        for overlay in support::overlays(&root) {
            if render(&tree, &overlay, &options()).is_err() {
                continue;
            }
            let time = median(21, || {
                render(&tree, &overlay, &options()).unwrap();
            });
            ours += time;
            slowest = slowest.max(time);
            count += 1;
            if let Some(binary) = &binary {
                let directory = root.join(&overlay);
                theirs += median(5, || {
                    binary.build(&directory).unwrap();
                });
            }
        }
    }
    let ms = milliseconds(slowest);
    line(
        &format!("slowest of {count} overlays of the shared repositories"),
        &format!("{ms:.3} ms"),
        "< 5 ms",
        ms < 5.0,
    );
    match &binary {
        Some(binary) => {
            let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
            line(
                &format!("the same, {} as a process / ours", binary.name()),
                &format!("{ratio:.0} x"),
                ">= 30 x",
                ratio >= 30.0,
            );
        }
        None => println!("no kustomize or kubectl was found: no ratio to a process"),
    }
}

/// A tree of custom resource definitions of about 20 MB.
fn definitions() -> (MemoryTree, Vec<String>) {
    let mut tree = MemoryTree::new();
    let mut files = Vec::new();
    let mut list = String::from("resources:\n");
    for number in 0..100 {
        let mut text = format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  \
             name: things{number}.example.com\n  annotations:\n    controller-gen.kubebuilder.io/version: \
             v0.16.1\nspec:\n  group: example.com\n  names: {{kind: Thing{number}, plural: \
             things{number}}}\n  scope: Namespaced\n  versions:\n  - name: v1\n    served: true\n    \
             storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        \
             properties:\n"
        );
        for field in 0..230 {
            let _ = write!(
                text,
                "          field{field}:\n            description: |-\n              Field {field} \
                 says how the thing behaves when it is asked to do so. It is read once\n              \
                 when the thing starts; a later change has no effect until it is started again.\n              \
                 More is said at https://example.com/docs/things, with examples for each value.\n            \
                 type: object\n            properties:\n              name:\n                \
                 description: Name of the referent. Must be set unless the selector is.\n                \
                 type: string\n                maxLength: 253\n              optional:\n                \
                 type: boolean\n                default: false\n              items:\n                type: \
                 array\n                items:\n                  type: string\n                  \
                 pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'\n            required:\n            - name\n"
            );
        }
        let path = format!("crds/thing{number}.yaml");
        let _ = writeln!(list, "- thing{number}.yaml");
        tree.insert_file(&path, text.clone().into_bytes()).unwrap();
        files.push(text);
    }
    tree.insert_file("crds/kustomization.yaml", list.into_bytes())
        .unwrap();
    tree.insert_file(
        "prod/kustomization.yaml",
        b"resources: [../crds]\ncommonLabels: {fleet: prod}\nnamePrefix: p-\nnamespace: prod\n"
            .to_vec(),
    )
    .unwrap();
    (tree, files)
}

fn large() {
    let (tree, files) = definitions();
    let bytes: usize = files.iter().map(String::len).sum();
    let trivial = median(5, || {
        for text in &files {
            let documents =
                flotilla_yaml::parse_documents(text, &flotilla_yaml::Limits::default()).unwrap();
            for document in documents {
                std::hint::black_box(flotilla_yaml::to_string(&document.value));
            }
        }
    });
    let ours = median(5, || {
        let rendered = render(&tree, "prod", &options()).unwrap();
        for manifest in &rendered.manifests {
            std::hint::black_box(flotilla_yaml::to_string(&manifest.value));
        }
    });
    let ratio = ours.as_secs_f64() / trivial.as_secs_f64();
    println!(
        "{} MB of definitions: parse and print {:.0} ms, render and print {:.0} ms",
        bytes / 1_000_000,
        milliseconds(trivial),
        milliseconds(ours)
    );
    line(
        "the same, render / parse",
        &format!("{ratio:.2} x"),
        "< 3 x",
        ratio < 3.0,
    );
    println!(
        "peak resident set: {}",
        support::peak_resident().unwrap_or_default()
    );
}

fn main() {
    small();
    repositories();
    large();
}
