//! What `helm template` writes to standard output.

use super::manifest::{split, trim};
use super::{Error, Rendered, failed};
use crate::chart::path_match;

/// Options of printing.
#[derive(Clone, Debug, Default)]
pub struct Print {
    /// `crds/`, before all else.
    pub include_crds: bool,
    /// Hooks are left out.
    pub no_hooks: bool,
    /// Hooks of `helm test` are left out.
    pub skip_tests: bool,
    /// Only documents of these templates, by their paths within the chart; `*` stands for a name.
    pub show_only: Vec<String>,
}

fn document(out: &mut Vec<u8>, path: &str, text: &[u8]) {
    out.extend_from_slice(b"---\n# Source: ");
    out.extend_from_slice(path.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(text);
    out.push(b'\n');
}

impl Rendered {
    /// The bytes that `helm template` prints.
    ///
    /// # Errors
    ///
    /// When a template that should be shown produced no document.
    pub fn print(&self, print: &Print) -> Result<Vec<u8>, Error> {
        let mut manifest = Vec::new();
        if print.include_crds {
            for file in &self.crds {
                document(&mut manifest, &file.name, &file.data);
            }
        }
        for part in &self.manifests {
            document(&mut manifest, &part.path, part.text.as_bytes());
        }
        let mut out = trim(&manifest).to_vec();
        out.push(b'\n');
        if !print.no_hooks {
            for hook in &self.hooks {
                if !(print.skip_tests && hook.is_test()) {
                    document(&mut out, &hook.manifest.path, hook.manifest.text.as_bytes());
                }
            }
        }
        if print.show_only.is_empty() {
            return Ok(out);
        }
        let documents = split(&out);
        let mut shown = Vec::new();
        for requested in &print.show_only {
            let before = shown.len();
            for text in &documents {
                let matches =
                    source(text).is_some_and(|path| path_match(requested, &path) == Ok(true));
                if matches {
                    shown.extend_from_slice(b"---\n");
                    shown.extend_from_slice(text);
                    shown.push(b'\n');
                }
            }
            if shown.len() == before {
                return Err(failed(format!(
                    "could not find template {requested} in chart"
                )));
            }
        }
        Ok(shown)
    }
}

/// The path within the chart that a document's comment names: `# Source: [^/]+/(.+)`.
fn source(document: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(document);
    text.match_indices("# Source: ").find_map(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let (chart, path) = rest.split_once('/')?;
        let path = path.lines().next().unwrap_or_default();
        (!chart.is_empty() && !path.is_empty()).then(|| path.to_owned())
    })
}
