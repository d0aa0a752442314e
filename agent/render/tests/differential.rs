//! Compared with the real program: every overlay below given folders is rendered here and by a
//! `kustomize` or `kubectl`, and the documents are compared in their order.
//!
//! The program is `FLOTILLA_KUSTOMIZE` or one of the search path; folders are `FLOTILLA_OVERLAYS`
//! (separated by colons) besides those of `tests/conformance`. Each folder is a repository.

mod support;

use std::path::{Path, PathBuf};

use flotilla_render::{Options, RenderError, Renderer, render};
use serde_json::Value;
use support::Failure;

/// Reasons for which a render may be refused although the program renders it.
const MAY_REFUSE: [&str; 12] = [
    "UnknownField",
    "RemoteReference",
    "ExecRefused",
    "HelmRefused",
    "Cycle",
    "OutsideRoot",
    "SymlinkRefused",
    "LimitExceeded",
    "FileTooLarge",
    "Submodule",
    "LfsPointer",
    "DuplicateObject",
];

/// How many of the overlays of `tests/conformance` have to be equal; some versions cannot build all 126.
const FLOOR: usize = 100;

fn repositories() -> Result<Vec<PathBuf>, Failure> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let mut all: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(shared.join("repos"))? {
        all.push(entry?.path());
    }
    for entry in std::fs::read_dir(shared.join("kustomize"))? {
        all.push(entry?.path().join("in"));
    }
    // There are licences beside the folders.
    all.retain(|path| path.is_dir());
    if let Some(more) = std::env::var_os("FLOTILLA_OVERLAYS") {
        for path in std::env::split_paths(&more) {
            if !path.is_dir() {
                let why = format!("{} of FLOTILLA_OVERLAYS is no folder", path.display());
                return Err(why.into());
            }
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

#[test]
fn overlays_equal_those_of_kustomize() -> Result<(), Failure> {
    let Some(binary) = support::binary() else {
        return Ok(());
    };
    let (mut equal, mut refused, mut neither, mut wrong) = (0, 0, 0, Vec::new());
    for root in repositories()? {
        let tree = support::tree(&root)?;
        for overlay in support::overlays(&root) {
            let options = Options {
                renderer: Renderer::Kustomize,
                ..Options::default()
            };
            let place = format!("{}/{overlay}", root.display());
            let ours = render(&tree, &overlay, &options);
            let theirs = binary.build(&root.join(&overlay));
            match (ours, theirs) {
                // What the reference program cannot build here, such as a component alone, proves nothing about
                // this renderer.
                (_, Err(_)) => neither += 1,
                (Err(error), Ok(_)) if may_refuse(&error) => {
                    refused += 1;
                    eprintln!("refused {place}: {error}");
                }
                (Err(error), Ok(_)) => wrong.push(format!("{place}: {error}")),
                (Ok(ours), Ok(theirs)) => {
                    // In order, and read by a second, independent parser.
                    let theirs = support::other_reader::documents(&theirs)?;
                    let ours = ours.manifests.into_iter().map(|manifest| manifest.value);
                    let ours: Vec<Value> = ours.collect();
                    if ours == theirs {
                        equal += 1;
                    } else {
                        let differ: Vec<(Option<&Value>, Option<&Value>)> = (0..)
                            .map(|at| (ours.get(at), theirs.get(at)))
                            .take_while(|(ours, theirs)| ours.is_some() || theirs.is_some())
                            .filter(|(ours, theirs)| ours != theirs)
                            .take(2)
                            .collect();
                        wrong.push(format!("{place}: ours and theirs differ in {differ:#?}"));
                    }
                }
            }
        }
    }
    eprintln!(
        "{}: {equal} equal, {refused} refused by us, {neither} not built by it",
        binary.name()
    );
    support::verdict::none_wrong(&wrong);
    assert!(equal >= FLOOR, "only {equal} were compared and equal");
    Ok(())
}

fn may_refuse(error: &RenderError) -> bool {
    MAY_REFUSE.contains(&error.reason().as_str())
}
