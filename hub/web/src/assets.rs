//! Style and script, in the binary. Their names carry a hash of the content, so that browsers may cache them forever.

use std::sync::LazyLock;

use flotilla_shared::digest::Digest;
use flotilla_shared::hex;

const CSS: &str = include_str!("../assets/flotilla.css");
const JS: &str = include_str!("../assets/flotilla.js");
const MORPH: &str = include_str!("../assets/idiomorph.js");

/// A file to serve.
#[derive(Debug)]
pub struct Asset {
    /// Name in its URL, with the hash.
    pub name: String,
    /// Media type.
    pub kind: &'static str,
    /// Text in UTF-8, of which the name has the hash.
    pub content: String,
}

fn named(stem: &str, end: &str, kind: &'static str, content: String) -> Asset {
    let hash = hex::encode(&Digest::of(content.as_bytes()).as_bytes()[..6]);
    Asset {
        name: format!("{stem}-{hash}.{end}"),
        kind,
        content,
    }
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let morph = named(
        "idiomorph",
        "js",
        "text/javascript; charset=utf-8",
        MORPH.to_owned(),
    );
    // The module imports the other one by its hashed name.
    let own = JS.replace("./idiomorph.js", &format!("./{}", morph.name));
    [
        named("flotilla", "css", "text/css; charset=utf-8", CSS.to_owned()),
        named("flotilla", "js", "text/javascript; charset=utf-8", own),
        morph,
    ]
});

/// Name of the stylesheet.
#[must_use]
pub fn css() -> &'static str {
    &ASSETS[0].name
}

/// Name of the module.
#[must_use]
pub fn js() -> &'static str {
    &ASSETS[1].name
}

/// Returns an asset by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

#[cfg(test)]
mod tests {
    use super::{JS, find, js};

    #[test]
    fn the_module_is_short_and_finds_the_other_one() {
        assert!(JS.lines().count() <= 300);
        let own = find(js())
            .map(|asset| asset.content.as_str())
            .unwrap_or_default();
        let name = own
            .split("./idiomorph-")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let name = format!("idiomorph-{}", name.unwrap_or_default());
        assert!(find(&name).is_some(), "{name}");
        for word in ["eval(", "innerHTML", "Function("] {
            assert!(!JS.contains(word), "{word}");
        }
    }
}
