//! A repository's `index.yaml`. Pure.

use flotilla_helm::semver::Version;
use flotilla_helm::{Map, Value, yaml};

use crate::choose;
use crate::error::Error;

/// One version of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As written; it is a valid version.
    pub version: String,
    /// URLs of its archive, absolute or relative to the index.
    pub urls: Vec<String>,
    /// SHA-256 in lower-case hexadecimal.
    pub digest: Option<String>,
}

/// Charts of a repository.
#[derive(Debug)]
pub struct Index {
    entries: Map,
}

impl Index {
    /// Parses an index, JSON or YAML.
    ///
    /// # Errors
    /// Why it is not an index; the caller adds the address.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let text = text.trim_ascii();
        if text.is_empty() {
            return Err(Error::refused("it is empty"));
        }
        // A login page, for which the YAML error would be less clear.
        if text.starts_with(b"<") {
            return Err(Error::refused("it is a web page, not an index of charts"));
        }
        let document = if text.starts_with(b"{") {
            yaml::json::parse(text)
        } else {
            yaml::parse(text)
        };
        let document = document.map_err(|error| Error::refused(error.to_string()))?;
        let Value::Map(map) = document else {
            return Err(Error::refused("it is no index of charts"));
        };
        let has_version =
            matches!(map.get("apiVersion"), Some(Value::Str(version)) if !version.is_empty());
        if !has_version {
            return Err(Error::refused(
                "it is no index of charts: it has no apiVersion",
            ));
        }
        let entries = match map.get("entries") {
            Some(Value::Map(entries)) => entries,
            None | Some(Value::Nil) => Map::new(),
            Some(_) => return Err(Error::refused("its entries are no map")),
        };
        Ok(Self { entries })
    }

    /// Returns the versions of a chart, newest first; none: the chart does not exist.
    #[must_use]
    pub fn versions(&self, name: &str) -> Option<Vec<Entry>> {
        let Some(Value::List(list)) = self.entries.get(name) else {
            return None;
        };
        let items = list.items();
        let entries: Vec<Entry> = items.iter().filter_map(|item| entry(item, name)).collect();
        let sorted = choose::newest_first(entries.iter().map(|entry| entry.version.as_str()));
        Some(
            sorted
                .into_iter()
                .filter_map(|(at, _)| entries.get(at).cloned())
                .collect(),
        )
    }
}

/// Skips invalid entries, as Helm does, so that one of thousands does not affect the others.
fn entry(item: &Value, name: &str) -> Option<Entry> {
    let map = item.as_map()?;
    let text = |key: &str| match map.get(key) {
        Some(Value::Str(text)) => Some(text.lossy().into_owned()),
        _ => None,
    };
    if text("name").as_deref() != Some(name) {
        return None;
    }
    let version = text("version")?;
    Version::parse(&version).ok()?;
    let urls = match map.get("urls") {
        Some(Value::List(urls)) => {
            let items = urls.items();
            let texts = items.iter().filter_map(Value::as_str);
            texts.map(|url| url.lossy().into_owned()).collect()
        }
        _ => Vec::new(),
    };
    let digest = match map.get("digest") {
        None | Some(Value::Nil) => None,
        Some(Value::Str(digest)) => {
            let digest = digest.lossy().to_ascii_lowercase();
            let digest = digest.trim_start_matches("sha256:").to_owned();
            (!digest.is_empty()).then_some(digest)
        }
        // YAML read the digest as a number. It matches nothing, but must not count as absent.
        Some(_) => Some("(a number)".to_owned()),
    };
    Some(Entry {
        version,
        urls,
        digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_entries_take_no_other_with_them() {
        let text = b"apiVersion: v1\nentries:\n  web:\n  - null\n  - {name: web, version: 1.2.0, urls: [a.tgz], \
            digest: 'sha256:AB'}\n  - {name: web, version: nope, urls: [b.tgz]}\n  - {name: other, version: 9.0.0}\n  \
            - {name: web, version: 1.10.0, digest: 0012}\n  odd: 7\n";
        let index = Index::parse(text).unwrap();
        let versions = index.versions("web").unwrap();
        let shown: Vec<_> = versions
            .iter()
            .map(|entry| {
                (
                    entry.version.as_str(),
                    entry.urls.len(),
                    entry.digest.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [("1.10.0", 0, Some("(a number)")), ("1.2.0", 1, Some("ab"))]
        );
        assert_eq!(index.versions("odd"), None);
        assert_eq!(index.versions("none"), None);
    }

    #[test]
    fn what_is_no_index_says_what_it_is() {
        for (text, why) in [
            ("", "empty"),
            ("<!DOCTYPE html><html>", "web page"),
            ("- a", "no index"),
            ("entries: {}", "no apiVersion"),
            ("apiVersion: v1\nentries: []", "no map"),
            ("a: [", ""),
        ] {
            let error = Index::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
        assert!(
            Index::parse(b"{\"apiVersion\":\"v1\"}")
                .unwrap()
                .versions("a")
                .is_none()
        );
    }
}
