//! `buildMetadata`: annotations on where a resource came from and what changed it
//! (`api/resource/origin.go`).

use super::file::Metadata;
use super::resource::Resource;

/// The annotation with a resource's origin.
pub(crate) const ORIGIN: &str = "config.kubernetes.io/origin";
/// The annotation with the steps that changed a resource.
pub(crate) const TRANSFORMATIONS: &str = "alpha.config.kubernetes.io/transformations";

/// A step or generator, by its file and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepOrigin {
    /// The file, relative to the directory where the render started.
    pub(crate) file: String,
    /// `apiVersion` of the step's own file; `builtin` for a kustomization's fields.
    pub(crate) api_version: String,
    pub(crate) kind: String,
    /// Name of the step's own file.
    pub(crate) name: String,
    /// Namespace of the step's own file.
    pub(crate) namespace: String,
}

impl StepOrigin {
    /// A field of a kustomization file.
    pub(crate) fn builtin(file: String, kind: &str) -> Self {
        Self {
            file,
            api_version: "builtin".to_owned(),
            kind: kind.to_owned(),
            name: String::new(),
            namespace: String::new(),
        }
    }

    /// A step with its own file.
    pub(crate) fn own(file: String, api_version: &str, kind: &str, metadata: &Metadata) -> Self {
        Self {
            file,
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            name: metadata.name.clone(),
            namespace: metadata.namespace.clone(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "configuredIn: {}\nconfiguredBy:\n  apiVersion: {}\n  kind: {}\n",
            self.file, self.api_version, self.kind
        );
        for (key, value) in [("name", &self.name), ("namespace", &self.namespace)] {
            if !value.is_empty() {
                text.push_str(&format!("  {key}: {value}\n"));
            }
        }
        text
    }

    /// Records that a generator created the resource, unless its origin is known.
    pub(crate) fn note_generated(&self, resource: &mut Resource) {
        if resource.annotation(ORIGIN).is_none() {
            resource.normalize("annotations");
            resource.set_annotation(ORIGIN, &self.text());
        }
    }

    /// Notes that a step ran over the resource.
    pub(crate) fn note_transformed(&self, resource: &mut Resource) {
        if resource.annotation(ORIGIN).is_none() {
            resource.normalize("annotations");
            resource.set_annotation(ORIGIN, &self.text());
            return;
        }
        let mut all = resource
            .annotation(TRANSFORMATIONS)
            .unwrap_or_default()
            .to_owned();
        for (at, line) in self.text().lines().enumerate() {
            all.push_str(if at == 0 { "- " } else { "  " });
            all.push_str(line);
            all.push('\n');
        }
        resource.normalize("annotations");
        resource.set_annotation(TRANSFORMATIONS, &all);
    }
}

/// The text of an origin that is a file.
pub(crate) fn file_origin(path: &str) -> String {
    format!("path: {path}\n")
}

/// Joins and cleans, keeping leading `..`: origins are relative to the directory where the render started.
pub(crate) fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}
