//! A chart's metadata and lock: the dependencies that it requests.

use std::path::{Path, PathBuf};

use flotilla_helm::chart::{Chart, File};

use crate::error::Error;
use crate::folder;

/// Largest file that is read, bytes: more than any of these files has.
const MAX_FILE: u64 = 5 << 20;

/// `Chart.yaml` and locks, old and new. Other files are not read, so that the content of `charts/` cannot prevent its
/// own replacement.
pub(crate) fn read(path: &Path) -> Result<Chart, Error> {
    let metadata = std::fs::metadata(path).map_err(|cause| Error::file(path, cause))?;
    if !metadata.is_dir() {
        return Err(Error::refused(format!(
            "{} is no folder: only a chart that is unpacked can be given its dependencies",
            path.display()
        )));
    }
    let mut files = Vec::new();
    for name in [
        "Chart.yaml",
        "Chart.lock",
        "requirements.yaml",
        "requirements.lock",
    ] {
        let place = path.join(name);
        let failed = |cause| Error::file(&place, cause);
        match std::fs::metadata(&place) {
            Ok(metadata) if metadata.len() > MAX_FILE => {
                return Err(Error::refused(format!(
                    "{} is larger than {MAX_FILE} bytes",
                    place.display()
                )));
            }
            Ok(_) => files.push(File::new(name, std::fs::read(&place).map_err(failed)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let is_chart = files.iter().any(|file| file.name == "Chart.yaml");
    Chart::from_folder(files).map_err(|error| {
        let message = format!("{}: {error}", path.display());
        if is_chart {
            return Error::refused(message);
        }
        Error::hinted(
            message,
            "name the folder of a chart, which has a Chart.yaml",
        )
    })
}

/// Returns the name of a chart's lock.
pub(crate) fn lock_name(chart: &Chart) -> &'static str {
    match chart.metadata.api_version.as_str() {
        "v1" => "requirements.lock",
        _ => "Chart.lock",
    }
}

/// Returns the path of a dependency's folder.
pub(crate) fn folder_of(chart: &Path, path: &str) -> PathBuf {
    // `join` keeps an absolute path.
    chart.join(path)
}

/// Reads a dependency's folder as a chart.
pub(crate) fn of_folder(path: &Path) -> Result<Vec<File>, Error> {
    folder::read(path).map_err(|cause| Error::file(path, cause))
}
