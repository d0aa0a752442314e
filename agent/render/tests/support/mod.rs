//! Trees of folders, and a Kustomize to compare with.

#![allow(dead_code, reason = "each user takes what it needs")]

pub(crate) mod other_reader;
pub(crate) mod verdict;

use std::path::{Path, PathBuf};
use std::process::Command;

use flotilla_render::MemoryTree;

/// Anything that goes wrong in a test's own work.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// A folder as a tree; links stay links.
pub(crate) fn tree(folder: &Path) -> Result<MemoryTree, Failure> {
    let mut tree = MemoryTree::new();
    load(&mut tree, folder, "")?;
    Ok(tree)
}

fn load(tree: &mut MemoryTree, folder: &Path, prefix: &str) -> Result<(), Failure> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == ".git" {
            continue;
        }
        let path = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            load(tree, &entry.path(), &path)?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(entry.path())?;
            tree.insert_symlink(&path, target.to_string_lossy().into_owned())?;
        } else {
            tree.insert_file(&path, std::fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

/// Folders below that have a kustomization file, relative and sorted.
pub(crate) fn overlays(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(path);
            } else if ["kustomization.yaml", "kustomization.yml", "Kustomization"]
                .iter()
                .any(|name| entry.file_name().to_string_lossy() == **name)
                && let Ok(relative) = folder.strip_prefix(root)
            {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// A program that builds kustomizations.
pub(crate) struct Binary {
    path: PathBuf,
}

/// The program that `FLOTILLA_KUSTOMIZE` names, or one of the search path.
pub(crate) fn binary() -> Option<Binary> {
    let names = ["kustomize", "kubectl"];
    flotilla_needs::program("kustomize", Some("FLOTILLA_KUSTOMIZE"), &names)
        .map(|path| Binary { path })
}

/// The program that `FLOTILLA_KUSTOMIZE` names, for tests that run it hundreds of times.
pub(crate) fn named_binary() -> Option<Binary> {
    flotilla_needs::program("kustomize", Some("FLOTILLA_KUSTOMIZE"), &[])
        .map(|path| Binary { path })
}

impl Binary {
    /// Its file's name.
    pub(crate) fn name(&self) -> String {
        self.path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// The program's output for a folder.
    pub(crate) fn build(&self, folder: &Path) -> Result<Vec<u8>, Failure> {
        let verb = if self.name().starts_with("kubectl") {
            "kustomize"
        } else {
            "build"
        };
        let output = Command::new(&self.path).arg(verb).arg(folder).output()?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
        }
    }
}

/// Sets the peak to the present resident set; see proc_pid_clear_refs(5).
pub(crate) fn reset_peak() {
    // Where the peak cannot be reset, it is only higher than it should be.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The process's peak resident set as the kernel prints it.
pub(crate) fn peak_resident() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.trim_start_matches("VmHWM:").trim().to_owned())
}

/// The process's peak resident set, KiB.
pub(crate) fn peak_resident_kib() -> Option<u64> {
    peak_resident()?.split(' ').next()?.parse().ok()
}

/// A folder of the test's own, removed in the end.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new one.
    pub(crate) fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("flotilla-render-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file into it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        if let Some(folder) = path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        assert!(std::fs::write(&path, text).is_ok(), "{}", path.display());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
