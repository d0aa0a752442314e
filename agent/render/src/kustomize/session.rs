//! One render: reads files of the tree within the load restrictions, and counts the cost.

mod reference;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use flotilla_helm::chart::Chart;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::is_below;

use self::reference::{clean, display, is_remote};
use super::budget::Budget;
use super::failure::{Failure, Outcome};
use super::parse::{self, Document};
use super::schema::Schema;
use crate::plain::LFS_HEADER;
use crate::tree::{self, Entry, Tree};
use crate::{KUSTOMIZATION_FILES, Limits, RenderError};

/// Most charts of one render: each has bounds of its own.
const MAX_CHARTS: usize = 32;

/// A directory with a kustomization file, and the way that led to it.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    /// Resolved path in the tree.
    pub(crate) path: String,
    /// Resolved paths of the directories that refer to it, outermost first.
    ancestors: Vec<String>,
}

/// A file's content and its resolved path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadedFile<'t> {
    pub(crate) content: &'t [u8],
}

/// See the module.
pub(crate) struct Session<'t> {
    tree: &'t dyn Tree,
    limits: &'t Limits,
    /// For texts that are read as JSON values, which take more memory than nodes.
    json_limits: flotilla_yaml::Limits,
    files_read: RefCell<BTreeSet<String>>,
    /// Files that are secret in Git.
    sealed: &'t BTreeSet<String>,
    charts: Cell<usize>,
    loads: Cell<usize>,
    bytes: Cell<usize>,
    pub(crate) budget: Budget,
    /// The schema of kinds.
    pub(crate) schema: Rc<Schema>,
}

/// The target of a reference in a kustomization file.
pub(crate) enum Target<'t> {
    /// A file, with its path.
    File(String, LoadedFile<'t>),
    Directory(Directory),
}

impl<'t> Session<'t> {
    /// A render that has read nothing yet.
    pub(crate) fn new(
        tree: &'t dyn Tree,
        limits: &'t Limits,
        sealed: &'t BTreeSet<String>,
    ) -> Self {
        Self {
            tree,
            limits,
            json_limits: flotilla_yaml::Limits {
                nodes: limits.yaml.nodes.min(limits.nodes / 4),
                ..limits.yaml.clone()
            },
            files_read: RefCell::default(),
            sealed,
            charts: Cell::new(0),
            loads: Cell::new(0),
            bytes: Cell::new(0),
            budget: Budget::new(limits),
            schema: Rc::new(Schema::default()),
        }
    }

    /// Limits of the render.
    pub(crate) fn limits(&self) -> &'t Limits {
        self.limits
    }

    /// Limits of texts that are read as JSON values.
    pub(crate) fn json_limits(&self) -> &flotilla_yaml::Limits {
        &self.json_limits
    }

    /// Every file that was read.
    pub(crate) fn into_files_read(self) -> BTreeSet<String> {
        self.files_read.into_inner()
    }

    /// Whether one of the files read so far is encrypted in Git.
    pub(crate) fn has_read_secrets(&self) -> bool {
        let read = self.files_read.borrow();
        self.sealed.iter().any(|path| read.contains(path))
    }

    /// Whether the target of a reference exists.
    pub(crate) fn has(&self, directory: &Directory, reference: &str) -> bool {
        self.resolve(directory, reference).is_ok()
    }

    /// A chart that a kustomization refers to: a folder anywhere in the tree, as Helm would read it.
    ///
    /// # Errors
    /// When it is missing, no chart, or over a limit.
    pub(crate) fn chart(&self, directory: &Directory, reference: &str) -> Outcome<Chart> {
        self.charts.set(self.charts.get() + 1);
        if self.charts.get() > MAX_CHARTS {
            return Err(Failure::new(
                Reason::LimitExceeded,
                format!("a render has more than {MAX_CHARTS} entries of helmCharts"),
            ));
        }
        let path = self.resolve(directory, reference)?;
        let (chart, read) = crate::chart::load(self.tree, &path, self.limits)?;
        self.files_read.borrow_mut().extend(read);
        Ok(chart)
    }

    /// The directory where a render starts.
    pub(crate) fn root(&self, path: &str) -> Directory {
        Directory {
            path: path.to_owned(),
            ancestors: Vec::new(),
        }
    }

    /// The one kustomization file of a directory: its name and text.
    ///
    /// # Errors
    /// When there is none, more than one, or it cannot be read.
    pub(crate) fn kustomization(&self, directory: &Directory) -> Outcome<(&'static str, &'t str)> {
        let present: Vec<&'static str> = KUSTOMIZATION_FILES
            .iter()
            .copied()
            .filter(|name| self.tree.get(&tree::join(&directory.path, name)).is_some())
            .collect();
        match *present.as_slice() {
            [] => Err(Failure::Located(RenderError::Kustomize {
                file: display(&directory.path),
                reason: Reason::PathNotFound,
                message:
                    "the directory has no kustomization.yaml; only files and directories with \
                          a kustomization.yaml can be resources"
                        .to_owned(),
            })),
            [name] => {
                let loaded = self.load(directory, name)?;
                let path = tree::join(&directory.path, name);
                Ok((name, text(&path, loaded.content)?))
            }
            [first, second, ..] => Err(Failure::Located(RenderError::Kustomize {
                file: display(&directory.path),
                reason: Reason::RenderFailed,
                message: format!("{first} and {second} both exist; keep one"),
            })),
        }
    }

    /// A file that a kustomization refers to, in or below its directory.
    ///
    /// # Errors
    /// When it is remote, outside, missing, no file, or over a limit.
    pub(crate) fn load(&self, directory: &Directory, reference: &str) -> Outcome<LoadedFile<'t>> {
        let path = self.resolve(directory, reference)?;
        self.load_resolved(directory, reference, &path)
    }

    /// A file's text; see [`Self::load`].
    ///
    /// # Errors
    /// Also when it is not UTF-8.
    pub(crate) fn load_text(&self, directory: &Directory, reference: &str) -> Outcome<&'t str> {
        let loaded = self.load(directory, reference)?;
        text(&self.place(directory, reference), loaded.content)
    }

    /// A reference that may be a file or a directory, as under `resources`.
    ///
    /// # Errors
    /// See [`Self::load`] and [`Self::enter`].
    pub(crate) fn target(&self, directory: &Directory, reference: &str) -> Outcome<Target<'t>> {
        let path = self.resolve(directory, reference)?;
        match self.tree.get(&path) {
            Some(Entry::Directory) => self
                .enter_resolved(directory, reference, path)
                .map(Target::Directory),
            _ => self
                .load_resolved(directory, reference, &path)
                .map(|loaded| Target::File(path, loaded)),
        }
    }

    /// A directory that a kustomization refers to.
    ///
    /// # Errors
    /// When it is remote, missing, no directory, or leads in a circle or too deep.
    pub(crate) fn enter(&self, directory: &Directory, reference: &str) -> Outcome<Directory> {
        let path = self.resolve(directory, reference)?;
        if !matches!(self.tree.get(&path), Some(Entry::Directory)) {
            return Err(Failure::new(
                Reason::PathNotFound,
                format!("{reference:?} is a file; expected a directory"),
            ));
        }
        self.enter_resolved(directory, reference, path)
    }

    /// Reads a file's documents.
    ///
    /// # Errors
    /// When it is not YAML as it should be.
    pub(crate) fn documents(&self, file: &str, content: &[u8]) -> Outcome<Vec<Document>> {
        let text = text(file, content)?;
        parse::documents(text, &self.limits.yaml, &self.budget).map_err(|error| {
            Failure::Located(RenderError::MalformedYaml {
                file: file.to_owned(),
                line: error.line,
                message: error.message,
            })
        })
    }

    /// The path of a reference, for messages and origins.
    pub(crate) fn place(&self, directory: &Directory, reference: &str) -> String {
        clean(&directory.path, reference).unwrap_or_else(|| reference.to_owned())
    }

    fn resolve(&self, directory: &Directory, reference: &str) -> Outcome<String> {
        let short: String = reference.chars().take(200).collect();
        if reference.trim().is_empty() {
            return Err(Failure::render("a path is empty"));
        }
        if reference.contains('\n') {
            return Err(Failure::render(format!(
                "{short:?} is neither a path nor valid YAML"
            )));
        }
        if reference.starts_with('/') {
            return Err(Failure::new(
                Reason::OutsideRoot,
                format!("{short:?} is absolute; give a path inside the repository"),
            ));
        }
        // Two list entries that YAML folded into one, which Kustomize's own loader suspects as well.
        if reference
            .split('/')
            .any(|part| part != "." && part != ".." && part.contains(".."))
            && self
                .tree
                .get(&clean(&directory.path, reference).unwrap_or_default())
                .is_none()
            && reference.contains(' ')
        {
            return Err(Failure::render(format!(
                "path {short:?} is ambiguous; check the list's indentation"
            )));
        }
        let cleaned = clean(&directory.path, reference);
        let found = match &cleaned {
            Some(path) => tree::resolve(self.tree, path),
            None => Err(RenderError::PathNotFound {
                path: short.clone(),
                nearest: None,
            }),
        };
        match found {
            Ok(path) => Ok(path),
            Err(RenderError::PathNotFound { .. }) if is_remote(reference) => Err(Failure::new(
                Reason::RemoteReference,
                format!(
                    "{short:?} is remote, and nothing remote is read while rendering; copy it \
                     into this repository"
                ),
            )),
            Err(_) if cleaned.is_none() => Err(Failure::new(
                Reason::OutsideRoot,
                format!("{short:?} leaves the repository"),
            )),
            Err(RenderError::PathNotFound { nearest, .. }) => Err(Failure::new(
                Reason::PathNotFound,
                match nearest.filter(|nearest| !nearest.is_empty()) {
                    Some(nearest) => {
                        format!("{short:?} is not in this commit (but {nearest:?} is)")
                    }
                    None => format!("{short:?} is not in this commit"),
                },
            )),
            Err(other) => Err(other.into()),
        }
    }

    fn load_resolved(
        &self,
        directory: &Directory,
        reference: &str,
        path: &str,
    ) -> Outcome<LoadedFile<'t>> {
        if !is_below(path, &directory.path) {
            return Err(Failure::new(
                Reason::OutsideRoot,
                format!(
                    "file {reference:?} is not in or below {:?}; only directories with their own \
                     kustomization.yaml may be elsewhere",
                    display(&directory.path)
                ),
            ));
        }
        let too_large = |bytes| RenderError::FileTooLarge {
            file: path.to_owned(),
            bytes,
            limit: self.limits.file_bytes,
        };
        let content = match self.tree.get(path) {
            Some(Entry::File(content)) => content,
            Some(Entry::TooLarge { bytes }) => return Err(too_large(bytes).into()),
            Some(Entry::Directory) => {
                return Err(Failure::new(
                    Reason::PathNotFound,
                    format!("{reference:?} is a directory; expected a file"),
                ));
            }
            _ => {
                return Err(Failure::new(
                    Reason::PathNotFound,
                    format!("{reference:?} is not in this commit"),
                ));
            }
        };
        if content.len() > self.limits.file_bytes {
            return Err(too_large(content.len() as u64).into());
        }
        // Each reading counts, not each file: a base that is read ten thousand times costs as much as
        // ten thousand bases.
        self.loads.set(self.loads.get() + 1);
        self.bytes.set(self.bytes.get() + content.len());
        let exceeded = |what, limit| RenderError::LimitExceeded {
            path: path.to_owned(),
            what,
            limit,
        };
        if self.loads.get() > self.limits.files {
            return Err(exceeded("files", self.limits.files).into());
        }
        if self.bytes.get() > self.limits.total_bytes {
            return Err(exceeded("bytes of files", self.limits.total_bytes).into());
        }
        if content.starts_with(LFS_HEADER) {
            return Err(RenderError::LfsPointer {
                file: path.to_owned(),
            }
            .into());
        }
        self.files_read.borrow_mut().insert(path.to_owned());
        Ok(LoadedFile { content })
    }

    fn enter_resolved(
        &self,
        directory: &Directory,
        reference: &str,
        path: String,
    ) -> Outcome<Directory> {
        let mut ancestors = directory.ancestors.clone();
        ancestors.push(directory.path.clone());
        if let Some(visited) = ancestors.iter().find(|visited| is_below(visited, &path)) {
            return Err(Failure::new(
                Reason::Cycle,
                format!(
                    "{reference:?} forms a cycle: {:?} contains {:?}, which is being rendered",
                    display(&path),
                    display(visited)
                ),
            ));
        }
        if ancestors.len() > self.limits.depth {
            return Err(Failure::Located(RenderError::LimitExceeded {
                path: display(&path),
                what: "nested kustomizations",
                limit: self.limits.depth,
            }));
        }
        Ok(Directory { path, ancestors })
    }
}

fn text<'c>(file: &str, content: &'c [u8]) -> Outcome<&'c str> {
    std::str::from_utf8(content).map_err(|error| {
        let good = content.get(..error.valid_up_to()).unwrap_or_default();
        Failure::Located(RenderError::MalformedYaml {
            file: file.to_owned(),
            line: 1 + good.iter().filter(|byte| **byte == b'\n').count(),
            message: "the text is not valid UTF-8".to_owned(),
        })
    })
}
