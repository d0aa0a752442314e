//! The target of a request, parsed from its path and query.

use std::collections::BTreeMap;

/// A request's target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

impl Target {
    /// Parses `/api/v1/...` and `/apis/GROUP/VERSION/...`.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(decode)
            .collect::<Option<_>>()?;
        let mut parts = parts.into_iter();
        let mut target = Self::default();
        match parts.next()?.as_str() {
            "api" => {}
            "apis" => target.group = parts.next()?,
            _ => return None,
        }
        target.version = parts.next()?;
        let rest: Vec<String> = parts.collect();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (plural, name, subresource) = match rest.as_slice() {
            ["namespaces", namespace, plural, tail @ ..]
                if !matches!(*plural, "status" | "finalize") =>
            {
                target.namespace = (*namespace).to_owned();
                (*plural, tail.first().copied(), tail.get(1).copied())
            }
            [plural, tail @ ..] => (*plural, tail.first().copied(), tail.get(1).copied()),
            [] => return None,
        };
        target.plural = plural.to_owned();
        target.name = name.unwrap_or_default().to_owned();
        target.subresource = subresource.unwrap_or_default().to_owned();
        Some(target)
    }
}

/// A query string's parameters.
pub(crate) fn query(text: &str) -> BTreeMap<String, String> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .filter_map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(key)?, decode(&value.replace('+', " "))?))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let target = Target::parse("/apis/apps/v1/namespaces/web/deployments/x/status").unwrap();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            target,
            Target {
                group: text("apps"),
                version: text("v1"),
                plural: text("deployments"),
                namespace: text("web"),
                name: text("x"),
                subresource: text("status"),
            }
        );
        let target = Target::parse("/api/v1/namespaces/web").unwrap();
        assert_eq!(
            (target.plural.as_str(), target.name.as_str()),
            ("namespaces", "web")
        );
        assert_eq!(Target::parse("/healthz"), None);
        assert_eq!(query("a=b%3Dc&d").get("a").map(String::as_str), Some("b=c"));
    }
}
