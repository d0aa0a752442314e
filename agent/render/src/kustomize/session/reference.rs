//! Classifies references: inside, outside, remote.

/// A directory's path for messages: the root has a name as well.
pub(super) fn display(path: &str) -> String {
    if path.is_empty() {
        ".".to_owned()
    } else {
        path.to_owned()
    }
}

/// Joins and cleans without looking at links, as Go's `filepath.Join`; none where it leaves the root.
pub(super) fn clean(directory: &str, reference: &str) -> Option<String> {
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// References that Kustomize would clone or download (`api/internal/git/repospec.go`, `IsRemoteFile`).
pub(super) fn is_remote(reference: &str) -> bool {
    let lower = reference.to_ascii_lowercase();
    let first = lower.split('/').next().unwrap_or_default();
    lower.contains("://")
        || lower.contains("?ref=")
        || lower.contains("_git/")
        || lower.contains(".git/")
        || lower.ends_with(".git")
        || [
            "git@",
            "git::",
            "gh:",
            "github.com:",
            "ssh:",
            "https:",
            "http:",
            "file:",
        ]
        .iter()
        .any(|start| lower.starts_with(start))
        || (first.contains('@') && first.contains(':'))
        || (lower.contains('/')
            && [".com", ".org", ".net", ".io", ".dev"]
                .iter()
                .any(|end| first.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r04_remote_references_are_known_by_their_form() {
        for reference in [
            "https://example.com/x?ref=1",
            "git@github.com:a/b",
            "github.com/a/b",
            "ssh://git@host/x",
            "git::https://x/y",
            "host.example.internal/a/b//c?ref=v1",
            "user@host:repo",
        ] {
            assert!(is_remote(reference), "{reference}");
        }
        for reference in [
            "../base", "./x.yaml", "a/b", "x.yaml", "base.d/x", "../a.b/c",
        ] {
            assert!(!is_remote(reference), "{reference}");
        }
    }

    #[test]
    fn r05_paths_are_cleaned_inside_the_root() {
        assert_eq!(clean("a/b", "../c"), Some("a/c".to_owned()));
        assert_eq!(clean("a", "../.."), None);
        assert_eq!(clean("", "./x//y/."), Some("x/y".to_owned()));
    }
}
