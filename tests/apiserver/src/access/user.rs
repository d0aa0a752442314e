//! Authentication: client certificates, bearer tokens, impersonation.

use std::collections::BTreeMap;

use http::HeaderMap;
use serde_json::json;

use super::MASTERS;
use crate::status::{Failure, failure};

/// The user of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// Name, such as `system:serviceaccount:web:deployer`.
    pub name: String,
    /// Groups; `system:authenticated` is added automatically.
    pub groups: Vec<String>,
}

impl User {
    /// A user with groups.
    #[must_use]
    pub fn new(name: &str, groups: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        }
    }

    /// The administrator, who may do everything.
    #[must_use]
    pub fn admin() -> Self {
        Self::new("system:admin", &[MASTERS])
    }

    pub(crate) fn anonymous() -> Self {
        Self::new("system:anonymous", &["system:unauthenticated"])
    }

    /// Adds the groups that follow from a name.
    pub(crate) fn complete(mut self) -> Self {
        if let Some(rest) = self.name.strip_prefix("system:serviceaccount:") {
            let namespace = rest.split(':').next().unwrap_or_default();
            self.groups.push("system:serviceaccounts".to_owned());
            self.groups
                .push(format!("system:serviceaccounts:{namespace}"));
        }
        let all = "system:authenticated".to_owned();
        if self.name != "system:anonymous" && !self.groups.contains(&all) {
            self.groups.push(all);
        }
        self
    }

    pub(super) fn has(&self, group: &str) -> bool {
        self.groups.iter().any(|have| have == group)
    }
}

pub(crate) fn unauthorized() -> Failure {
    failure(401, "Unauthorized", "Unauthorized")
}

/// The user of a request: a bearer token takes precedence over the client certificate.
pub(crate) fn authenticate(
    headers: &HeaderMap,
    peer: Option<&User>,
    tokens: &BTreeMap<String, User>,
) -> Result<User, Failure> {
    let header = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let user = match header.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) => tokens.get(token.trim()).cloned().ok_or_else(unauthorized)?,
        None => peer.cloned().unwrap_or_else(User::anonymous),
    };
    Ok(user.complete())
}

/// The user that the impersonation headers name, if any.
pub(crate) fn impersonated(headers: &HeaderMap) -> Result<Option<User>, Failure> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let groups: Vec<String> = headers
        .get_all("impersonate-group")
        .iter()
        .map(text)
        .collect();
    let Some(name) = headers.get("impersonate-user").map(text) else {
        if groups.is_empty() {
            return Ok(None);
        }
        let why = "requested groups without impersonating a user";
        return Err(failure(
            500,
            "InternalError",
            format!("Internal error occurred: {why}"),
        )
        .with("details", json!({"causes": [{"message": why}]})));
    };
    Ok(Some(User { name, groups }.complete()))
}
