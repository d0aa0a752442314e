use flotilla_helm::semver::Version;
use flotilla_vendor::{Challenge, Index, Reference, tag};

/// A repository's index with a chart `web`: each version that it offers can be read, and the newest comes first.
pub(crate) fn chart_index(data: &[u8]) {
    let Ok(index) = Index::parse(data) else {
        return;
    };
    let versions = index.versions("web").unwrap_or_default();
    let read: Vec<Version> = versions
        .iter()
        .map(|entry| Version::parse(&entry.version).expect("only what can be read is offered"))
        .collect();
    for pair in read.windows(2) {
        assert!(pair[0].compare(&pair[1]).is_ge(), "{} {}", pair[0], pair[1]);
    }
    let digests = versions.iter().filter_map(|entry| entry.digest.as_ref());
    for digest in digests {
        assert!(
            !digest.is_empty() && !digest.starts_with("sha256:"),
            "{digest}"
        );
    }
}

/// Addresses and challenges of chart registries, one per line: an `oci://` address and a chart's name separated by a
/// space, a version, or a challenge.
pub(crate) fn chart_registry(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        let (url, chart) = line.split_once(' ').unwrap_or((line, "web"));
        if let Ok(reference) = Reference::new(url, chart) {
            let path = format!("/{}", reference.repository);
            let plain = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/._-".contains(&byte)
            };
            assert!(path.bytes().all(plain) && !path.contains("//"), "{line:?}");
            assert!(
                !path.split('/').any(|part| part.starts_with('.')),
                "{line:?}"
            );
            let host = reference.host();
            assert!(!host.contains(['@', '/', '?', '#', '\\', ' ']), "{line:?}");
        }
        if let Ok(tag) = tag(line) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            assert!(
                tag.bytes().all(plain) && tag != "." && tag != "..",
                "{line:?}"
            );
        }
        if let Some(Challenge::Bearer {
            realm,
            service,
            scope,
        }) = Challenge::parse(line)
        {
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let mut again = format!("Bearer realm=\"{}\"", quoted(&realm));
            for (name, value) in [("service", &service), ("scope", &scope)] {
                if let Some(value) = value {
                    again.push_str(&format!(",{name}=\"{}\"", quoted(value)));
                }
            }
            // With its quotes escaped, the text may exceed the limit of the parser.
            if again.len() <= 8 << 10 {
                let read = Challenge::parse(&again);
                let meant = Challenge::Bearer {
                    realm,
                    service,
                    scope,
                };
                assert_eq!(read, Some(meant), "{line:?}");
            }
        }
    }
}
