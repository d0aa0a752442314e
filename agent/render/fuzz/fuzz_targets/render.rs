//! Any tree renders or is refused, twice the same, by every renderer.
#![no_main]

#[path = "../../tests/support/archive.rs"]
mod archive;

use flotilla_render::{Facts, Options, Renderer, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let tree = archive::tree(&archive::files(&text));
    for renderer in [Renderer::Kustomize, Renderer::Plain] {
        let facts = Facts::of_cluster("cluster", "environment", &Default::default());
        let options = Options {
            renderer,
            facts: Some(facts),
            ..Options::default()
        };
        assert_eq!(render(&tree, "", &options), render(&tree, "", &options));
    }
});
