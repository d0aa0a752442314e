//! Helm's `repositories.yaml`, which `helm repo add` writes. Pure.

use flotilla_helm::{Value, yaml};
use reqwest::Url;

use crate::credentials::Login;
use crate::error::Error;

/// A named repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Repository {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) login: Option<Login>,
    pub(crate) ca_file: String,
    pub(crate) cert_file: String,
    pub(crate) key_file: String,
    /// Certificates are not verified: not supported.
    pub(crate) is_insecure: bool,
    /// Credentials are also sent for archives on other hosts.
    pub(crate) pass_credentials_all: bool,
}

/// Parses `repositories.yaml`.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Repository>, Error> {
    let document = yaml::parse(text).map_err(|error| Error::refused(error.to_string()))?;
    let list = document.as_map().and_then(|map| map.get("repositories"));
    let Some(Value::List(list)) = list else {
        return Ok(Vec::new());
    };
    let items = list.items();
    let read = |item: &Value| {
        let map = item.as_map()?;
        let text = |key: &str| match map.get(key) {
            Some(Value::Str(text)) => text.lossy().into_owned(),
            _ => String::new(),
        };
        let flag = |key: &str| matches!(map.get(key), Some(Value::Bool(true)));
        let (user, password) = (text("username"), text("password"));
        let has_login = !user.is_empty() || !password.is_empty();
        Some(Repository {
            name: text("name"),
            url: text("url"),
            login: has_login.then(|| Login::new(user, password)),
            ca_file: text("caFile"),
            cert_file: text("certFile"),
            key_file: text("keyFile"),
            is_insecure: flag("insecure_skip_tls_verify"),
            pass_credentials_all: flag("pass_credentials_all"),
        })
    };
    Ok(items.iter().filter_map(read).collect())
}

/// Whether two URLs are one repository; a trailing slash is ignored.
pub(crate) fn same(left: &str, other: &str) -> bool {
    let (Ok(left), Ok(other)) = (Url::parse(left), Url::parse(other)) else {
        return left == other;
    };
    let rest = |url: &Url| {
        let mut url = url.clone();
        url.set_path("");
        url
    };
    let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
    rest(&left) == rest(&other) && path(&left) == path(&other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helm_notes_is_read_and_a_password_is_shown_to_nobody() {
        let text = b"apiVersion: \"\"\nrepositories:\n- name: team\n  url: https://charts.example.com/\n  \
            username: ci\n  password: geheim\n  pass_credentials_all: true\n- null\n- name: open\n  url: https://o.example.com\n";
        let repositories = parse(text).unwrap();
        assert_eq!(repositories.len(), 2);
        assert!(repositories[0].login.is_some() && repositories[1].login.is_none());
        assert!(repositories[0].pass_credentials_all);
        assert!(!format!("{repositories:?}").contains("geheim"));
        assert!(parse(b"").unwrap().is_empty());
        assert!(parse(b"repositories: 7").unwrap().is_empty());
    }

    #[test]
    fn a_slash_at_the_end_is_no_other_repository() {
        assert!(same("https://a.example/x", "https://a.example/x/"));
        assert!(same("https://A.example", "https://a.example/"));
        assert!(!same("https://a.example/x", "https://a.example/y"));
        assert!(!same("https://a.example/x", "http://a.example/x"));
        assert!(!same("https://a.example", "https://a.example:8443"));
        assert!(same("@x", "@x"));
    }
}
