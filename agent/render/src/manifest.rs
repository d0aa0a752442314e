//! Manifests: rendered objects and where they came from.

use flotilla_shared::object::{ObjectNames, ObjectRef};
use serde_json::Value;

use crate::RenderError;

/// Origin of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Path in the tree.
    pub file: String,
    /// Index of the document in the file, 0 being the first.
    pub document: usize,
    /// Line on which the document starts, 1 being the first.
    pub line: usize,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A Kubernetes object as the commit has it: a mapping with `apiVersion`, `kind` and
/// `metadata.name`, all non-empty text.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The whole document as JSON, which is all that Kubernetes reads of YAML.
    pub value: Value,
    /// Origin of the manifest.
    pub origin: Origin,
}

/// A name that YAML reads as something else: `on`, `123` and `null` are text only in quotes.
fn not_text(what: &str, found: &Value) -> String {
    let is = match found {
        Value::Bool(true) => "true (so are `on`, `yes` and `y`)".to_owned(),
        Value::Bool(false) => "false (so are `off`, `no` and `n`)".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::Array(_) => return format!("{what} is a list; it must be text"),
        _ => return format!("{what} is a mapping; it must be text"),
    };
    format!("{what} is not text but {is}; put it in quotes")
}

impl Manifest {
    /// Checks the shape.
    ///
    /// # Errors
    /// [`RenderError::NotAManifest`] saying what is missing.
    pub(crate) fn new(value: Value, origin: Origin) -> Result<Self, RenderError> {
        let manifest = Self::built(value, origin)?;
        if manifest.api_version().is_empty() {
            return Err(RenderError::NotAManifest {
                file: manifest.origin.file,
                line: manifest.origin.line,
                message: "apiVersion is missing".to_owned(),
            });
        }
        Ok(manifest)
    }

    /// Checks the shape of an object that a build returns. Kustomize does not require an `apiVersion`;
    /// an object without one is of a kind that no cluster serves, and is refused there.
    ///
    /// # Errors
    /// See [`Self::new`].
    pub(crate) fn built(value: Value, origin: Origin) -> Result<Self, RenderError> {
        let refuse = |message: &str| RenderError::NotAManifest {
            file: origin.file.clone(),
            line: origin.line,
            message: message.to_owned(),
        };
        if !value.is_object() {
            return Err(refuse("the document is not a mapping"));
        }
        let text = |pointer: &str| {
            value
                .pointer(pointer)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let api_version = text("/apiVersion").unwrap_or_default();
        if api_version.matches('/').count() > 1 || api_version.starts_with('/') {
            return Err(refuse("apiVersion must be VERSION or GROUP/VERSION"));
        }
        for (pointer, what) in [
            ("/apiVersion", "apiVersion"),
            ("/kind", "kind"),
            ("/metadata/name", "metadata.name"),
        ] {
            if let Some(found) = value
                .pointer(pointer)
                .filter(|found| !found.is_string() && !found.is_null())
            {
                return Err(refuse(&not_text(what, found)));
            }
        }
        text("/kind").ok_or_else(|| refuse("kind is missing"))?;
        if !value.get("metadata").is_some_and(Value::is_object) {
            return Err(refuse("metadata is missing"));
        }
        if text("/metadata/name").is_none() {
            return Err(refuse(if text("/metadata/generateName").is_some() {
                "metadata.generateName makes a new object each time; give metadata.name"
            } else {
                "metadata.name is missing"
            }));
        }
        if value
            .pointer("/metadata/namespace")
            .is_some_and(|namespace| !namespace.is_string())
        {
            return Err(refuse("metadata.namespace must be text"));
        }
        Ok(Self { value, origin })
    }

    fn text(&self, pointer: &str) -> &str {
        self.value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// `apiVersion` as written.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version()
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
    }

    /// The API version without its group.
    #[must_use]
    pub fn version(&self) -> &str {
        self.api_version()
            .rsplit_once('/')
            .map_or(self.api_version(), |(_, version)| version)
    }

    /// `kind`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace` as written; empty if there is none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// The object's identity as written: a namespace that is defaulted later is still empty here.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef::from(ObjectNames {
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
        })
    }
}
