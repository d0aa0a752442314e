//! Writes archives and lock into the chart's folder: all of them, or none.

use std::fs;
use std::path::{Path, PathBuf};

use flotilla_disk::Move;
use flotilla_helm::chart::Chart;

use crate::error::Error;
use crate::report::Change;

/// Files to write.
pub(crate) struct WritePlan<'a> {
    pub(crate) chart: &'a Path,
    /// Archives in `charts/`: name and content.
    pub(crate) archives: &'a [(String, Vec<u8>)],
    /// Charts whose archives in `charts/` are managed by the user.
    pub(crate) local: &'a [&'a str],
    /// Name and content of the lock; none: it stays unchanged.
    pub(crate) lock: Option<(&'static str, Vec<u8>)>,
}

/// Result of writing.
pub(crate) struct WriteReport {
    /// Change of each archive, in order.
    pub(crate) changes: Vec<Change>,
    pub(crate) removed: Vec<String>,
}

/// File mode: archive and lock are readable for everyone.
const MODE: u32 = 0o644;

/// Writes everything to temporary files, and then moves them into place; if a move fails, earlier moves are undone.
pub(crate) fn place(placing: &WritePlan<'_>) -> Result<WriteReport, Error> {
    let charts = placing.chart.join("charts");
    let is_new = !folder_there(&charts)?;
    let mut placed = WriteReport {
        changes: Vec::new(),
        removed: Vec::new(),
    };
    let mut write: Vec<(PathBuf, &[u8])> = Vec::new();
    for (name, bytes) in placing.archives {
        let path = charts.join(name);
        let change = match fs::read(&path) {
            Ok(present) if present == *bytes => Change::Unchanged,
            Ok(_) => Change::Updated,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Change::Added,
            Err(error) => return Err(Error::file(&path, error)),
        };
        if change != Change::Unchanged && !write.iter().any(|(other, _)| *other == path) {
            write.push((path, bytes));
        }
        placed.changes.push(change);
    }
    let outdated = outdated(&charts, placing)?;
    if let Some((name, bytes)) = &placing.lock {
        let path = placing.chart.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Error::refused(format!(
                "{} is no regular file",
                path.display()
            )));
        }
        // Written last, so that a lock never names an archive that is missing.
        write.push((path, bytes));
    }
    if write.is_empty() && outdated.is_empty() {
        return Ok(placed);
    }
    let here = |cause| Error::file(placing.chart, cause);
    let staging = tempfile::Builder::new()
        .prefix(".flotilla-vendor-")
        .tempdir_in(placing.chart)
        .map_err(here)?;
    let mut steps = Vec::new();
    for (at, (path, bytes)) in write.iter().enumerate() {
        let new = staging.path().join(format!("new-{at}"));
        flotilla_disk::create_as(&new, bytes, MODE).map_err(|cause| Error::file(path, cause))?;
        if fs::symlink_metadata(path).is_ok() {
            steps.push(Move {
                from: path.clone(),
                to: staging.path().join(format!("old-{at}")),
            });
        }
        steps.push(Move {
            from: new,
            to: path.clone(),
        });
    }
    for (at, name) in outdated.iter().enumerate() {
        steps.push(Move {
            from: charts.join(name),
            to: staging.path().join(format!("gone-{at}")),
        });
    }
    if is_new {
        fs::create_dir(&charts).map_err(|cause| Error::file(&charts, cause))?;
    }
    if let Err((path, cause)) = flotilla_disk::move_all(&steps) {
        if is_new {
            // Removes only an empty folder.
            let _ = fs::remove_dir(&charts);
        }
        return Err(Error::file(&path, cause));
    }
    // Also makes the new folder durable.
    flotilla_disk::sync_directory(placing.chart).map_err(here)?;
    placed.removed = outdated;
    Ok(placed)
}

/// Whether the path is a folder; a link to one is refused, since it may lead anywhere.
fn folder_there(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(_) => Err(Error::refused(format!("{} is no folder", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::file(path, error)),
    }
}

/// Archives of charts that are neither requested nor the user's own, which Helm deletes.
fn outdated(charts: &Path, placing: &WritePlan<'_>) -> Result<Vec<String>, Error> {
    let failed = |cause| Error::file(charts, cause);
    let mut outdated = Vec::new();
    let entries = match fs::read_dir(charts) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(outdated),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let is_placed = placing.archives.iter().any(|(placed, _)| *placed == name);
        if is_placed || !entry.file_type().map_err(failed)?.is_file() {
            continue;
        }
        let chart = fs::read(entry.path())
            .ok()
            .and_then(|bytes| Chart::from_archive(&bytes).ok());
        if chart.is_some_and(|chart| !placing.local.contains(&chart.name())) {
            outdated.push(name);
        }
    }
    outdated.sort();
    Ok(outdated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn n01_where_one_file_cannot_be_placed_none_is() {
        let chart = tempfile::tempdir().unwrap();
        let charts = chart.path().join("charts");
        fs::create_dir(&charts).unwrap();
        fs::write(charts.join("a-1.tgz"), "old").unwrap();
        // A non-empty folder is in the place of the lock.
        fs::create_dir_all(chart.path().join("Chart.lock/x")).unwrap();
        let archives = vec![("a-1.tgz".to_owned(), b"new".to_vec())];
        let placing = |lock| WritePlan {
            chart: chart.path(),
            archives: &archives,
            local: &[],
            lock,
        };
        assert!(place(&placing(Some(("Chart.lock", b"x".to_vec())))).is_err());
        assert_eq!(fs::read(charts.join("a-1.tgz")).unwrap(), b"old");
        assert_eq!(names(chart.path()), ["Chart.lock", "charts"]);

        let placed = place(&placing(None)).unwrap();
        assert_eq!(placed.changes, [Change::Updated]);
        assert_eq!(fs::read(charts.join("a-1.tgz")).unwrap(), b"new");
        assert_eq!(names(chart.path()), ["Chart.lock", "charts"]);
        assert_eq!(place(&placing(None)).unwrap().changes, [Change::Unchanged]);
    }

    #[test]
    fn a_link_in_the_place_of_charts_is_not_followed() {
        let chart = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), chart.path().join("charts")).unwrap();
        let archives = vec![("a-1.tgz".to_owned(), b"new".to_vec())];
        let placing = WritePlan {
            chart: chart.path(),
            archives: &archives,
            local: &[],
            lock: None,
        };
        assert!(place(&placing).is_err());
        assert!(names(elsewhere.path()).is_empty());
    }
}
