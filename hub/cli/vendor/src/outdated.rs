//! `flotilla chart outdated`.

use std::path::Path;

use flotilla_helm::chart::Dependency;

use crate::chart::read;
use crate::choose;
use crate::config::Config;
use crate::error::Error;
use crate::locate::Location;
use crate::report::{Outdated, Standing};
use crate::sources::Sources;
use crate::vendor::located;

/// Compares a chart's dependencies with the versions in their repositories.
///
/// # Errors
/// The chart or a repository is invalid, or cannot be reached.
pub async fn outdated(path: &Path, config: &Config) -> Result<Vec<Outdated>, Error> {
    let chart = read(path)?;
    let sources = Sources::new(config)?;
    let locked = chart
        .lock
        .as_ref()
        .map_or(&[][..], |lock| &lock.dependencies);
    let mut standings = Vec::new();
    for entry in located(&chart.metadata.dependencies, config)? {
        let dependency = &entry.dependency;
        let versions = sources
            .versions(&entry)
            .await
            .map_err(|error| error.of(&dependency.name))?;
        let current = current(dependency, locked);
        let newest_in = |range: &str| -> Result<Option<String>, Error> {
            let range = choose::range(range)
                .map_err(|error| error.of(&format!("the version of {}", dependency.name)))?;
            let fits = |version: &&String| {
                flotilla_helm::semver::Version::parse(version)
                    .is_ok_and(|version| range.matches(&version))
            };
            Ok(versions.iter().find(fits).cloned())
        };
        let is_local = matches!(entry.location, Location::Beside | Location::Folder(_));
        let in_range = newest_in(&dependency.version)?;
        let newest = newest_in("*")?;
        let standing = match is_local {
            true => Standing::Local,
            false => judge(current.as_deref(), in_range.as_deref(), newest.as_deref()),
        };
        standings.push(Outdated {
            name: dependency.name.clone(),
            repository: dependency.repository.clone(),
            range: dependency.version.clone(),
            current,
            in_range,
            newest,
            standing,
        });
    }
    Ok(standings)
}

/// Returns the locked version.
fn current(dependency: &Dependency, locked: &[Dependency]) -> Option<String> {
    let mut same = locked.iter().filter(|locked| {
        locked.name == dependency.name && locked.repository == dependency.repository
    });
    same.next().map(|locked| locked.version.clone())
}

fn judge(current: Option<&str>, in_range: Option<&str>, newest: Option<&str>) -> Standing {
    let Some(current) = current else {
        return Standing::Missing;
    };
    let is_newer = |version: Option<&str>| version.is_some_and(|it| choose::newer(it, current));
    if is_newer(in_range) {
        Standing::Update
    } else if is_newer(newest) {
        Standing::Beyond
    } else {
        Standing::Current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standings() {
        for (current, in_range, newest, expected) in [
            (None, Some("1.0.0"), Some("1.0.0"), Standing::Missing),
            (
                Some("1.0.0"),
                Some("1.0.0"),
                Some("1.0.0"),
                Standing::Current,
            ),
            (
                Some("1.0.0"),
                Some("1.1.0"),
                Some("2.0.0"),
                Standing::Update,
            ),
            (
                Some("1.1.0"),
                Some("1.1.0"),
                Some("2.0.0"),
                Standing::Beyond,
            ),
            // A pre-release that the range requests.
            (
                Some("2.0.0-rc.1"),
                Some("2.0.0-rc.1"),
                Some("1.9.0"),
                Standing::Current,
            ),
            (Some("1.0.0"), None, None, Standing::Current),
        ] {
            assert_eq!(judge(current, in_range, newest), expected, "{current:?}");
        }
    }
}
