//! Why a render was refused: file, line, and how to correct it.

use flotilla_shared::reason::Reason;

/// A render was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The directory or file is not in the commit.
    #[error("path {path:?} is not in this commit{}", hint(nearest.as_deref()))]
    PathNotFound {
        /// The path that was looked for.
        path: String,
        /// The part of it that does exist.
        nearest: Option<String>,
    },
    /// A file is not YAML as Kubernetes reads it.
    #[error("{file}:{line}: {message}")]
    MalformedYaml {
        /// Its path from the root of the tree.
        file: String,
        /// 1 is the first.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A document is not a Kubernetes object.
    #[error("{file}:{line}: not a Kubernetes object: {message}")]
    NotAManifest {
        /// Its path from the root of the tree; of a chart, the template that wrote the document.
        file: String,
        /// Where the document begins.
        line: usize,
        /// What is missing.
        message: String,
    },
    /// Two documents are the same object.
    #[error("{object} is in {first} and again in {second}; keep one")]
    DuplicateObject {
        /// `Deployment.apps web/frontend`, or in Kustomize's form `apps/v1 Deployment web/frontend`.
        object: String,
        /// File and line of the first.
        first: String,
        /// File and line of the second.
        second: String,
    },
    /// A link that leaves the tree, loops or is broken.
    #[error("{file}: symbolic link to {target:?} {why}")]
    SymlinkRefused {
        /// The link's own path from the root of the tree.
        file: String,
        /// Where it points.
        target: String,
        /// Why the link is refused.
        why: &'static str,
    },
    /// A Git submodule.
    #[error(
        "{path} is a Git submodule, which is never fetched; copy its files into this repository"
    )]
    Submodule {
        /// The path from the root of the tree at which Git has a commit of another repository (mode 160000).
        path: String,
    },
    /// A Git LFS pointer.
    #[error("{file} is a Git LFS pointer, not the file itself; store manifests in Git directly")]
    LfsPointer {
        /// Its path from the root of the tree; what it points at is never fetched.
        file: String,
    },
    /// A file over the size limit.
    #[error("{file} has {bytes} bytes, more than the {limit} allowed for one file")]
    FileTooLarge {
        /// Its path from the root of the tree.
        file: String,
        /// Of its whole content, as Git has it.
        bytes: u64,
        /// Bytes of one file, as in [`Limits`](crate::Limits).
        limit: usize,
    },
    /// A budget of the whole render is used up.
    #[error("{path}: more than {limit} {what}")]
    LimitExceeded {
        /// Where it ran out.
        path: String,
        /// Unit of the limit, such as `seconds for one fetch`.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A fact of the cluster cannot be put into a text.
    #[error("{place}: {path}: {message}")]
    Substitution {
        /// File and line of the object.
        place: String,
        /// The field in the object, with list indices from 0 in brackets: `[0]`.
        path: String,
        /// What is wrong and how to correct it.
        message: String,
    },
    /// A Helm chart that cannot be loaded or rendered, mostly with Helm's own message.
    #[error("{path}: {message}")]
    Chart {
        /// The chart, or the values file.
        path: String,
        /// What is wrong and how to correct it.
        message: String,
    },
    /// A values file that is not there.
    #[error(
        "values file {path:?} is not in this commit{}; end its name with `?` where it may be missing",
        hint(nearest.as_deref())
    )]
    ValuesNotFound {
        /// The path that was looked for.
        path: String,
        /// The part of it that does exist.
        nearest: Option<String>,
    },
    /// Kustomize content that is wrong, or that this version refuses to render.
    #[error("{file}: {message}")]
    Kustomize {
        /// Its path.
        file: String,
        /// The bounded code.
        reason: Reason,
        /// What is wrong and how to correct it.
        message: String,
    },
}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some("") => " (not even its first part)".to_owned(),
        Some(nearest) => format!(" (but {nearest:?} is)"),
        None => String::new(),
    }
}

impl RenderError {
    /// More of something than there may be.
    pub(crate) fn exceeded(path: &str, what: &'static str, limit: usize) -> Self {
        Self::LimitExceeded {
            path: path.to_owned(),
            what,
            limit,
        }
    }

    /// Returns the reason code for status, Events and metrics.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::PathNotFound { .. } | Self::ValuesNotFound { .. } => Reason::PathNotFound,
            Self::Chart { .. } => Reason::RenderFailed,
            Self::MalformedYaml { .. } => Reason::MalformedYaml,
            Self::NotAManifest { .. } => Reason::NotAManifest,
            Self::DuplicateObject { .. } => Reason::DuplicateObject,
            Self::SymlinkRefused { .. } => Reason::SymlinkRefused,
            Self::Submodule { .. } => Reason::Submodule,
            Self::LfsPointer { .. } => Reason::LfsPointer,
            Self::FileTooLarge { .. } => Reason::FileTooLarge,
            Self::LimitExceeded { .. } => Reason::LimitExceeded,
            Self::Substitution { .. } => Reason::SubstitutionFailed,
            Self::Kustomize { reason, .. } => *reason,
        }
    }
}
