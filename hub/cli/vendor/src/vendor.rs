//! `flotilla chart vendor`.

use std::path::Path;

use flotilla_helm::chart::{self as helm, Chart, Dependency, Lock};
use flotilla_trust::Certificates;
use jiff::Timestamp;

use crate::chart::{folder_of, lock_name, of_folder, read};
use crate::config::Config;
use crate::error::Error;
use crate::locate::{LocatedDependency, Location, locate};
use crate::place::{WritePlan, place};
use crate::pulled::{Provenance, sha256};
use crate::report::{Change, Checked, LockChange, Vendored, VendoredChart};
use crate::sources::{FetchedArchive, Sources};
use crate::{choose, package, provenance};

/// Limit of all archives of one chart, bytes.
const MAX_ALL: usize = 256 << 20;

/// Versions to vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// Locked versions where the lock matches the chart, else the newest.
    Locked,
    /// Locked versions; the lock must match the chart.
    OnlyLocked,
    /// The newest versions that the chart allows.
    Newest,
}

/// A request to vendor.
#[derive(Debug)]
pub struct Request<'a> {
    /// The chart's folder.
    pub chart: &'a Path,
    /// Use of `Chart.lock`.
    pub versions: Versions,
    /// Keys that may sign provenance files; none: the files are not read.
    pub keyring: Option<&'a Certificates>,
    /// Whether a chart without provenance file is rejected.
    pub needs_provenance: bool,
    /// Time for the lock and for the expiry of keys.
    pub now: Timestamp,
}

/// Fetches a chart's dependencies into `charts/`, and updates its lock.
///
/// # Errors
/// The chart, a repository or an archive is invalid; the chart is then unchanged.
pub async fn vendor(request: &Request<'_>, config: &Config) -> Result<Vendored, Error> {
    let chart = read(request.chart)?;
    let requested = located(&chart.metadata.dependencies, config)?;
    if requested.is_empty() {
        return Ok(Vendored {
            dependencies: Vec::new(),
            removed: Vec::new(),
            lock: LockChange::None,
            warnings: Vec::new(),
        });
    }
    let sources = Sources::new(config)?;
    let locked = match from_lock(&chart, request)? {
        Some(lock) => located(&lock, config)?,
        None => resolve(&requested, request.chart, &sources).await?,
    };
    let mut warnings = Vec::new();
    let mut found = Vec::new();
    let mut total = 0;
    for entry in &locked {
        let got = get(entry, request, &sources, &mut warnings)
            .await
            .map_err(|error| error.of(&entry.dependency.name))?;
        total += got.as_ref().map_or(0, |got| got.archive.len());
        if total > MAX_ALL {
            return Err(Error::refused(format!(
                "all dependencies together have more than {MAX_ALL} bytes"
            )));
        }
        found.push(got);
    }
    let lock = new_lock(&chart, &requested, &locked, request.now)?;
    let mut archives: Vec<(String, Vec<u8>)> = Vec::new();
    for got in found.iter().flatten() {
        match archives.iter().find(|(name, _)| *name == got.file) {
            None => archives.push((got.file.clone(), got.archive.clone())),
            // One chart under two aliases is one file.
            Some((_, bytes)) if *bytes == got.archive => {}
            Some(_) => {
                return Err(Error::refused(format!(
                    "two dependencies have an archive named {}, and they differ",
                    got.file
                )));
            }
        }
    }
    let beside = |entry: &&LocatedDependency| entry.location == Location::Beside;
    let local: Vec<&str> = locked
        .iter()
        .filter(beside)
        .map(|entry| entry.dependency.name.as_str())
        .collect();
    for entry in locked.iter().filter(|entry| !beside(entry)) {
        let name = &entry.dependency.name;
        if request.chart.join("charts").join(name).is_dir() {
            warnings.push(format!(
                "charts/{name} is a folder beside the archive of {name}: both are rendered; remove one"
            ));
        }
    }
    let lock_change = match lock {
        Some(_) => LockChange::Written,
        None => LockChange::Unchanged,
    };
    let placed = place(&WritePlan {
        chart: request.chart,
        archives: &archives,
        local: &local,
        lock: lock.map(|lock| (lock_name(&chart), lock)),
    })?;
    let change = |file: &str| {
        let mut all = archives.iter().zip(&placed.changes);
        let pair = all.find(|((name, _), _)| name == file);
        pair.map_or(Change::Unchanged, |(_, change)| *change)
    };
    let dependencies = locked.iter().zip(&found).map(|(entry, got)| VendoredChart {
        name: entry.dependency.name.clone(),
        version: entry.dependency.version.clone(),
        repository: entry.dependency.repository.clone(),
        file: got.as_ref().map(|got| got.file.clone()),
        sha256: got.as_ref().map(|got| got.sha256.clone()),
        checked: got
            .as_ref()
            .map_or_else(Vec::new, |got| got.checked.clone()),
        signed_by: got.as_ref().and_then(|got| got.signed_by.clone()),
        change: got
            .as_ref()
            .map_or(Change::Unchanged, |got| change(&got.file)),
    });
    Ok(Vendored {
        dependencies: dependencies.collect(),
        removed: placed.removed,
        lock: lock_change,
        warnings,
    })
}

/// Returns the dependencies with their sources.
pub(crate) fn located(
    dependencies: &[Dependency],
    config: &Config,
) -> Result<Vec<LocatedDependency>, Error> {
    let all = dependencies.iter().cloned();
    all.map(|dependency| locate(dependency, config)).collect()
}

/// Returns the locked versions, if they are to be used.
fn from_lock(chart: &Chart, request: &Request<'_>) -> Result<Option<Vec<Dependency>>, Error> {
    let name = lock_name(chart);
    let stale = match &chart.lock {
        None => format!("there is no {name}"),
        Some(lock) => match lock.fault(&chart.metadata) {
            Some(fault) => format!("{name} is out of sync with the chart: {fault}"),
            None => match strayed(lock, request.chart)? {
                Some(name) => format!("the folder of {name} has another version than the lock"),
                None if request.versions == Versions::Newest => return Ok(None),
                None => return Ok(Some(lock.dependencies.clone())),
            },
        },
    };
    match request.versions {
        Versions::OnlyLocked => Err(Error::hinted(
            stale,
            "flotilla chart vendor without --locked makes it anew; commit what it writes",
        )),
        Versions::Locked | Versions::Newest => Ok(None),
    }
}

/// Returns a folder of the tree whose version differs from the lock.
fn strayed(lock: &Lock, root: &Path) -> Result<Option<String>, Error> {
    for locked in &lock.dependencies {
        if let Some(path) = locked.repository.strip_prefix("file://") {
            let folder = read(&folder_of(root, path))?;
            if !choose::same(&folder.metadata.version, &locked.version) {
                return Ok(Some(locked.name.clone()));
            }
        }
    }
    Ok(None)
}

/// Returns the newest versions that the chart allows.
async fn resolve(
    requested: &[LocatedDependency],
    root: &Path,
    sources: &Sources<'_>,
) -> Result<Vec<LocatedDependency>, Error> {
    let mut locked = Vec::new();
    for entry in requested {
        let dependency = &entry.dependency;
        let version = match &entry.location {
            // Helm does not check the version of a folder in `charts/`.
            Location::Beside => dependency.version.clone(),
            Location::Folder(path) => {
                let folder = read(&folder_of(root, path))?;
                fits(dependency, &folder.metadata.version)?;
                folder.metadata.version
            }
            Location::Http(_) | Location::Oci(_) => sources.resolve(entry).await?,
        };
        locked.push(LocatedDependency {
            dependency: Dependency::new(&dependency.name, &version, &dependency.repository),
            location: entry.location.clone(),
        });
    }
    Ok(locked)
}

fn fits(dependency: &Dependency, version: &str) -> Result<(), Error> {
    let name = &dependency.name;
    let range = choose::range(&dependency.version)
        .map_err(|error| error.of(&format!("the version of {name}")))?;
    let has = flotilla_helm::semver::Version::parse(version);
    if has.is_ok_and(|version| range.matches(&version)) {
        return Ok(());
    }
    Err(Error::refused(format!(
        "{name} has version {version}, and the chart asks for {}",
        dependency.version
    )))
}

/// An archive that was fetched and checked.
struct CheckedArchive {
    file: String,
    archive: Vec<u8>,
    sha256: String,
    checked: Vec<Checked>,
    signed_by: Option<String>,
}

/// Fetches the archive of a locked dependency; none for a folder in `charts/`.
async fn get(
    entry: &LocatedDependency,
    request: &Request<'_>,
    sources: &Sources<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<CheckedArchive>, Error> {
    let dependency = &entry.dependency;
    match &entry.location {
        Location::Beside => {
            let path = request.chart.join("charts").join(&dependency.name);
            let folder = read(&path)?;
            fits(dependency, &folder.metadata.version)?;
            Ok(None)
        }
        Location::Folder(path) => {
            let (chart, archive) = package::pack(of_folder(&folder_of(request.chart, path))?)?;
            let version = &chart.metadata.version;
            named(&chart, dependency)?;
            Ok(Some(CheckedArchive {
                file: format!("{}-{version}.tgz", chart.name()),
                sha256: sha256(&archive),
                archive,
                checked: Vec::new(),
                signed_by: None,
            }))
        }
        Location::Http(_) | Location::Oci(_) => {
            let with = match request.keyring {
                Some(_) => Provenance::Requested,
                None => Provenance::Skipped,
            };
            let found = sources.pull(entry, &dependency.version, with).await?;
            let chart = Chart::from_archive(&found.archive)
                .map_err(|error| Error::refused(format!("what came is no chart: {error}")))?;
            named(&chart, dependency)?;
            warnings.extend(found.warning.clone());
            signed(found, request, &dependency.name, warnings).map(Some)
        }
    }
}

/// Checks that the archive is the requested chart and version.
fn named(chart: &Chart, dependency: &Dependency) -> Result<(), Error> {
    let (name, version) = (chart.name(), &chart.metadata.version);
    if name == dependency.name && choose::same(version, &dependency.version) {
        return Ok(());
    }
    Err(Error::refused(format!(
        "it is the chart {name} {version}, and {} {} was asked for",
        dependency.name, dependency.version
    )))
}

/// Verifies an archive with its provenance file.
fn signed(
    found: FetchedArchive,
    request: &Request<'_>,
    name: &str,
    warnings: &mut Vec<String>,
) -> Result<CheckedArchive, Error> {
    let mut got = CheckedArchive {
        file: found.file,
        archive: found.archive,
        sha256: found.sha256,
        checked: found.checked,
        signed_by: None,
    };
    let Some(keyring) = request.keyring else {
        return Ok(got);
    };
    match found.provenance {
        Some(text) => {
            let key = provenance::verify(&text, &got.file, &got.sha256, keyring, request.now)
                .map_err(|error| error.of("its provenance file"))?;
            got.checked.push(Checked::Provenance);
            got.signed_by = Some(key);
        }
        None if request.needs_provenance => {
            return Err(Error::hinted(
                "it has no provenance file",
                "leave --verify out to take what nobody has signed",
            ));
        }
        None => warnings.push(format!(
            "{name} has no provenance file: nobody has signed it"
        )),
    }
    Ok(got)
}

/// Returns the lock's content, if it has to be written.
fn new_lock(
    chart: &Chart,
    requested: &[LocatedDependency],
    locked: &[LocatedDependency],
    now: Timestamp,
) -> Result<Option<Vec<u8>>, Error> {
    let plain = |all: &[LocatedDependency]| -> Vec<Dependency> {
        all.iter().map(|entry| entry.dependency.clone()).collect()
    };
    let dependencies = plain(locked);
    let digest = helm::digest(&plain(requested), &dependencies);
    // An equal lock stays unchanged, with its original time.
    let is_same = |lock: &Lock| {
        lock.fault(&chart.metadata).is_none() && same(&lock.dependencies, &dependencies)
    };
    if chart.lock.as_ref().is_some_and(is_same) {
        return Ok(None);
    }
    let lock = Lock {
        generated: now.to_string(),
        digest,
        dependencies,
    };
    let text = lock.to_yaml().map_err(Error::refused)?;
    Ok(Some(text.as_bytes().to_vec()))
}

fn same(left: &[Dependency], other: &[Dependency]) -> bool {
    let parts = |dependency: &Dependency| {
        (
            dependency.name.clone(),
            dependency.version.clone(),
            dependency.repository.clone(),
        )
    };
    left.iter().map(parts).eq(other.iter().map(parts))
}
