//! Versions and archives from all kinds of sources.

use flotilla_shared::percent;
use reqwest::Url;

use crate::choose;
use crate::config::Config;
use crate::error::Error;
use crate::fetch::is_loopback;
use crate::locate::{LocatedDependency, Location};
use crate::pulled::{Provenance, PulledChart, sha256};
use crate::reference::Reference;
use crate::registry::Registries;
use crate::report::Checked;
use crate::repository::{Repositories, place};

/// An archive, with the result of its checks.
pub(crate) struct FetchedArchive {
    /// File name in `charts/`.
    pub(crate) file: String,
    pub(crate) archive: Vec<u8>,
    pub(crate) sha256: String,
    pub(crate) provenance: Option<Vec<u8>>,
    pub(crate) checked: Vec<Checked>,
    pub(crate) warning: Option<String>,
}

/// All sources of one run.
pub(crate) struct Sources<'c> {
    repositories: Repositories<'c>,
    registries: Registries<'c>,
}

impl<'c> Sources<'c> {
    pub(crate) fn new(config: &'c Config) -> Result<Self, Error> {
        Ok(Self {
            repositories: Repositories::new(config),
            registries: Registries::new(config)?,
        })
    }

    /// Returns all available versions, newest first. A folder in the tree has no versions to choose from.
    pub(crate) async fn versions(&self, located: &LocatedDependency) -> Result<Vec<String>, Error> {
        let name = &located.dependency.name;
        match &located.location {
            Location::Beside | Location::Folder(_) => Ok(Vec::new()),
            Location::Http(url) => {
                let entries = self.repositories.index(url).await?.versions(name);
                let entries = entries
                    .ok_or_else(|| Error::refused(format!("{url} offers no chart {name}")))?;
                let usable = entries.into_iter().filter(|entry| !entry.urls.is_empty());
                Ok(usable.map(|entry| entry.version).collect())
            }
            Location::Oci(reference) => {
                let versions = self.registries.versions(reference).await?;
                let sorted = choose::newest_first(versions.iter().map(String::as_str));
                let sorted = sorted.into_iter();
                Ok(sorted
                    .filter_map(|(at, _)| versions.get(at).cloned())
                    .collect())
            }
        }
    }

    /// Returns the newest version in the range.
    pub(crate) async fn resolve(&self, located: &LocatedDependency) -> Result<String, Error> {
        let dependency = &located.dependency;
        let range = choose::range(&dependency.version)
            .map_err(|error| error.of(&format!("the version of {}", dependency.name)))?;
        // An exact version is used as the tag, without listing the registry's tags.
        if matches!(located.location, Location::Oci(_))
            && flotilla_helm::semver::Version::parse(&dependency.version).is_ok()
        {
            return Ok(dependency.version.clone());
        }
        let versions = self.versions(located).await?;
        let fits = |version: &&String| {
            flotilla_helm::semver::Version::parse(version)
                .is_ok_and(|version| range.matches(&version))
        };
        versions.iter().find(fits).cloned().ok_or_else(|| {
            Error::hinted(
                format!(
                    "{} offers no version of {} that is {}{}",
                    dependency.repository,
                    dependency.name,
                    dependency.version,
                    newest(&versions)
                ),
                "change its version in Chart.yaml; a pre-release is only in a range that names one, such as \
                 >=1.0.0-0",
            )
        })
    }

    /// Fetches the archive of an exact version.
    pub(crate) async fn pull(
        &self,
        located: &LocatedDependency,
        version: &str,
        with: Provenance,
    ) -> Result<FetchedArchive, Error> {
        let name = &located.dependency.name;
        match &located.location {
            Location::Oci(reference) => {
                let pulled = self.registries.pull(reference, version, with).await?;
                Ok(found(
                    format!("{name}-{version}.tgz"),
                    pulled,
                    vec![Checked::Manifest],
                    None,
                ))
            }
            Location::Http(repository) => {
                let index = self.repositories.index(repository).await?;
                let entries = index.versions(name).unwrap_or_default();
                let mut entries = entries.into_iter();
                let entry = entries
                    .find(|entry| !entry.urls.is_empty() && choose::same(&entry.version, version))
                    .ok_or_else(|| {
                        Error::hinted(
                            format!("{repository} offers no {name} {version} any more"),
                            "flotilla chart vendor --update takes the newest that Chart.yaml allows",
                        )
                    })?;
                let url = place(repository, &entry)?;
                if url.scheme() == "oci" {
                    let (reference, tag) = in_registry(&url)?;
                    let pulled = self.registries.pull(&reference, &tag, with).await?;
                    let base = reference.repository.rsplit('/').next().unwrap_or_default();
                    let file = format!("{base}-{tag}.tgz");
                    // The digest of an index entry with an OCI URL is not specified: it may be that of the archive or
                    // of the manifest.
                    let known = [Some(sha256(&pulled.archive)), pulled.manifest.clone()];
                    let is_told = known.contains(&entry.digest);
                    let warning = (entry.digest.is_some() && !is_told).then(|| {
                        format!(
                            "{name}: the index of {repository} has another sum than the registry that it \
                             names; the registry's was taken"
                        )
                    });
                    let mut checked = vec![Checked::Manifest];
                    checked.extend(is_told.then_some(Checked::Index));
                    return Ok(found(file, pulled, checked, warning));
                }
                let pulled = self
                    .repositories
                    .pull(repository, &url, &entry, with)
                    .await?;
                let file = file_name(&url).unwrap_or_else(|| format!("{name}-{version}.tgz"));
                let (mut checked, mut warning) = (Vec::new(), None);
                if entry.digest.is_some() {
                    checked.push(Checked::Index);
                } else if repository.scheme() != "https" && !is_loopback(repository) {
                    warning = Some(format!(
                        "{name} came without TLS, and the index has no sum of it"
                    ));
                } else {
                    warning = Some(format!(
                        "{name}: the index of {repository} has no sum of it"
                    ));
                }
                Ok(found(file, pulled, checked, warning))
            }
            Location::Beside | Location::Folder(_) => {
                Err(Error::refused(format!("{name} is in the tree already")))
            }
        }
    }
}

fn found(
    file: String,
    pulled: PulledChart,
    checked: Vec<Checked>,
    warning: Option<String>,
) -> FetchedArchive {
    FetchedArchive {
        file,
        sha256: sha256(&pulled.archive),
        archive: pulled.archive,
        provenance: pulled.provenance,
        checked,
        warning,
    }
}

fn newest(versions: &[String]) -> String {
    match versions.first() {
        Some(version) => format!("; the newest is {version}"),
        None => "; it has none at all".to_owned(),
    }
}

/// Splits `oci://host/team/web:1.2.3`, which some indexes have.
fn in_registry(url: &Url) -> Result<(Reference, String), Error> {
    let text = url.as_str();
    let refused = |why: &str| Error::refused(format!("{text}: {why}"));
    let (rest, tag) = text
        .rsplit_once(':')
        .filter(|(_, tag)| !tag.contains('/'))
        .ok_or_else(|| refused("it has no tag"))?;
    let (parent, name) = rest
        .rsplit_once('/')
        .ok_or_else(|| refused("it names no chart"))?;
    let reference = Reference::new(parent, name).map_err(|error| error.of(text))?;
    Ok((reference, tag.to_owned()))
}

/// Returns the last part of a URL's path, if it can be the name of an archive.
fn file_name(url: &Url) -> Option<String> {
    let last = percent::decode(url.path())?;
    let last = last.rsplit('/').next()?;
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    let is_name = last.bytes().all(allowed)
        && !last.starts_with(['.', '_'])
        && last.len() <= 250
        && last.len() > ".tgz".len()
        && last.ends_with(".tgz");
    is_name.then(|| last.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_archives_never_leave_charts() {
        for (url, expected) in [
            (
                "https://a.example/x/web-1.2.3.tgz?sig=1",
                Some("web-1.2.3.tgz"),
            ),
            (
                "https://a.example/web-1.2.3%2Bx.tgz",
                Some("web-1.2.3+x.tgz"),
            ),
            ("https://a.example/..%2f..%2fetc%2fweb.tgz", Some("web.tgz")),
            ("https://a.example/%2e%2e.tgz", None),
            ("https://a.example/..%5c..%5cweb.tgz", None),
            ("https://a.example/_web.tgz", None),
            ("https://a.example/.tgz", None),
            ("https://a.example/download", None),
            ("https://a.example/web.tar.gz", None),
            ("https://a.example/%ff.tgz", None),
            ("https://a.example/a%00.tgz", None),
            ("https://a.example/%zz.tgz", None),
        ] {
            let name = file_name(&Url::parse(url).unwrap());
            assert_eq!(name.as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_place_in_a_registry_has_a_tag() {
        let read = |text: &str| in_registry(&Url::parse(text).unwrap());
        let (reference, tag) =
            read("oci://registry-1.docker.io/bitnamicharts/redis:20.1.0").unwrap();
        assert_eq!(reference.repository, "bitnamicharts/redis");
        assert_eq!(tag, "20.1.0");
        for text in [
            "oci://a.example/x/redis",
            "oci://a.example:5000/redis",
            "oci://a.example/A/b:1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
