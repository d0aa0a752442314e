//! Selects a version among many. Pure.

use flotilla_helm::semver::{Constraint, Version};

use crate::error::Error;

/// Parses a range of `Chart.yaml`.
pub(crate) fn range(text: &str) -> Result<Constraint, Error> {
    Constraint::parse(text).map_err(|error| {
        Error::refused(format!(
            "{text:?} is no version and no range of versions: {error}"
        ))
    })
}

/// Returns the indices of versions, newest first; texts that are not versions are left out. Versions that differ only
/// in metadata stay in their order.
pub(crate) fn newest_first<'v>(versions: impl Iterator<Item = &'v str>) -> Vec<(usize, Version)> {
    let mut sorted: Vec<(usize, Version)> = versions
        .enumerate()
        .filter_map(|(at, text)| Some((at, Version::parse(text).ok()?)))
        .collect();
    sorted.sort_by(|(_, left), (_, other)| other.compare(left));
    sorted
}

/// Whether two texts are one version; metadata is ignored, as by Helm.
pub(crate) fn same(left: &str, other: &str) -> bool {
    match (Version::parse(left), Version::parse(other)) {
        (Ok(left), Ok(other)) => left.compare(&other).is_eq(),
        _ => left == other,
    }
}

/// Whether the first is newer.
pub(crate) fn newer(left: &str, other: &str) -> bool {
    match (Version::parse(left), Version::parse(other)) {
        (Ok(left), Ok(other)) => left.compare(&other).is_gt(),
        _ => false,
    }
}

/// Whether it is a full version of three numbers, as tags of registries must be.
pub(crate) fn is_strict(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && (part.len() == 1 || !part.starts_with('0'))
    };
    core.split('.').count() == 3 && core.split('.').all(is_number) && Version::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_sorted_as_versions() {
        let texts = ["1.9.0", "x", "v1.10.0", "1.10.0-rc.1", "2.0.0+b", "2.0.0+a"];
        let sorted: Vec<&str> = newest_first(texts.into_iter())
            .into_iter()
            .map(|(at, _)| texts[at])
            .collect();
        assert_eq!(
            sorted,
            ["2.0.0+b", "2.0.0+a", "v1.10.0", "1.10.0-rc.1", "1.9.0"]
        );
        assert!(same("v1.2", "1.2.0+x") && !same("1.2.1", "1.2.0"));
        assert!(newer("1.10.0", "1.9.0") && !newer("1.9.0", "1.9.0+1") && !newer("x", "1.0.0"));
        for (text, strict) in [
            ("1.2.3", true),
            ("1.2.3-rc.1+x", true),
            ("v1.2.3", false),
            ("1.2", false),
            ("01.2.3", false),
            ("latest", false),
        ] {
            assert_eq!(is_strict(text), strict, "{text}");
        }
    }
}
