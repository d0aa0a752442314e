//! A chart's folder on disk.

use std::path::Path;

use flotilla_helm::chart::File;

/// Reads all files of a folder, with paths relative to it.
pub(crate) fn read(root: &Path) -> Vec<File> {
    fn walk(root: &Path, at: &Path, into: &mut Vec<File>) {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, into);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                into.push(File::new(name, std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut files = Vec::new();
    walk(root, root, &mut files);
    files
}
