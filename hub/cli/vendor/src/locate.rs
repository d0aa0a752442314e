//! Source of a dependency. Pure.

use flotilla_helm::chart::{Dependency, is_named};
use reqwest::Url;

use crate::config::Config;
use crate::error::Error;
use crate::reference::Reference;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A folder in `charts/`.
    Beside,
    /// A folder of the tree: the path as in the chart.
    Folder(String),
    /// A repository with an index.
    Http(Url),
    Oci(Reference),
}

/// A dependency with its source; names of repositories are resolved, as in Helm's lock.
#[derive(Debug, Clone)]
pub(crate) struct LocatedDependency {
    pub(crate) dependency: Dependency,
    pub(crate) location: Location,
}

/// Determines the source of a dependency.
pub(crate) fn locate(
    mut dependency: Dependency,
    config: &Config,
) -> Result<LocatedDependency, Error> {
    let name = dependency.name.clone();
    if !is_name(&name) {
        return Err(Error::refused(format!(
            "a dependency is named {name:?}, which cannot be the name of a chart's folder"
        )));
    }
    if is_named(&dependency.repository) {
        let Some(known) = config.named(&dependency.repository) else {
            return Err(Error::hinted(
                format!(
                    "the repository of {name} is {}, and no repository has that name here",
                    dependency.repository
                ),
                "helm repo add NAME URL gives it one, or write its URL into Chart.yaml",
            ));
        };
        dependency.repository.clone_from(&known.url);
    }
    let repository = dependency.repository.as_str();
    let location = if repository.is_empty() {
        Location::Beside
    } else if let Some(path) = repository.strip_prefix("file://") {
        Location::Folder(path.to_owned())
    } else if repository.starts_with("oci://") {
        let reference = Reference::new(repository, &name)
            .map_err(|error| error.of(&format!("the repository of {name} cannot be used")))?;
        Location::Oci(reference)
    } else {
        let url = Url::parse(repository)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        let Some(url) = url else {
            return Err(Error::hinted(
                format!("the repository of {name}, {repository:?}, is no URL"),
                "give https://..., oci://..., file://..., or @NAME after helm repo add NAME URL",
            ));
        };
        Location::Http(url)
    };
    if let Location::Http(url) = &location
        && (!url.username().is_empty() || url.password().is_some())
    {
        return Err(Error::hinted(
            format!("the repository of {name} is a URL that holds a login"),
            "take it out of Chart.yaml, and note it with helm repo add --username NAME --password-stdin",
        ));
    }
    Ok(LocatedDependency {
        dependency,
        location,
    })
}

/// Whether a chart may have that name: not a path, and not hidden.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    !name.is_empty() && name.len() <= 250 && !name.starts_with('.') && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(name: &str, repository: &str) -> Result<Location, String> {
        let dependency = Dependency::new(name, "1.0.0", repository);
        locate(dependency, &Config::default())
            .map(|located| located.location)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn places_of_every_kind() {
        assert_eq!(location("web", "").unwrap(), Location::Beside);
        let folder = Location::Folder("../web".to_owned());
        assert_eq!(location("web", "file://../web").unwrap(), folder);
        let http = location("web", "https://charts.example.com/x").unwrap();
        assert!(matches!(http, Location::Http(_)));
        let oci = location("web", "oci://ghcr.io/team").unwrap();
        assert!(matches!(oci, Location::Oci(_)));
        for (name, repository, why) in [
            ("../web", "", "cannot be the name"),
            (".hidden", "", "cannot be the name"),
            ("a/b", "oci://ghcr.io/x", "cannot be the name"),
            ("web", "stable", "is no URL"),
            ("web", "ftp://charts.example.com", "is no URL"),
            ("web", "@team", "no repository has that name"),
            ("web", "alias:team", "no repository has that name"),
            ("Web", "oci://ghcr.io/x", "cannot be used"),
            (
                "web",
                "https://me:geheim@charts.example.com",
                "holds a login",
            ),
        ] {
            let error = location(name, repository).unwrap_err();
            assert!(error.contains(why), "{name} {repository}: {error}");
            assert!(!error.contains("geheim"));
        }
    }
}
