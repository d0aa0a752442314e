//! Rendered manifests as text for people and programs.

use std::str::FromStr;

use serde_json::{Value, json};

use crate::Rendered;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// YAML documents.
    #[default]
    Yaml,
    /// One JSON object: a `List` of them.
    Json,
    /// The files that were read, one a line.
    FilesRead,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            "files-read" => Ok(Self::FilesRead),
            _ => Err("known are yaml, json and files-read".to_owned()),
        }
    }
}

impl Rendered {
    /// Returns the text, with a line break at the end.
    #[must_use]
    pub fn text(&self, output: Output) -> String {
        let values = || self.manifests.iter().map(|manifest| &manifest.value);
        match output {
            Output::Yaml => flotilla_yaml::documents_to_string(values()),
            Output::Json => {
                let items: Vec<&Value> = values().collect();
                let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
                format!("{list:#}\n")
            }
            Output::FilesRead => self
                .files_read
                .iter()
                .flat_map(|file| [file.as_str(), "\n"])
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryTree, Options, Renderer, render};

    #[test]
    fn every_output_reads_back() {
        let mut tree = MemoryTree::new();
        for name in ["a", "b"] {
            let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
            tree.insert_file(&format!("{name}.yaml"), text.into_bytes())
                .unwrap();
        }
        let rendered = render(&tree, "", &Options::default()).unwrap();
        assert_eq!(rendered.text(Output::FilesRead), "a.yaml\nb.yaml\n");
        let json: Value = serde_json::from_str(&rendered.text(Output::Json)).unwrap();
        assert_eq!(json["items"][1], rendered.manifests[1].value);
        assert_eq!(
            rendered.text(Output::Yaml),
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n---\napiVersion: v1\nkind: \
             ConfigMap\nmetadata:\n  name: b\n"
        );
        assert_eq!("files-read".parse(), Ok(Output::FilesRead));
        assert!("xml".parse::<Output>().is_err() && "cue".parse::<Renderer>().is_err());
    }
}
