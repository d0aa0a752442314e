#[path = "../../agent/render/tests/support/archive.rs"]
mod archive;

use flotilla_render::{Facts, Options, Renderer};

/// A tree in one text: every renderer renders or refuses it, twice with the same result.
pub(crate) fn render(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let tree = archive::tree(&archive::files(&text));
    for renderer in [Renderer::Kustomize, Renderer::Plain] {
        let facts = Facts::of_cluster("cluster", "environment", &Default::default());
        let options = Options {
            renderer,
            facts: Some(facts),
            ..Options::default()
        };
        let render = || flotilla_render::render(&tree, "", &options);
        assert_eq!(render(), render());
    }
}
