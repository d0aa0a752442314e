//! Names in a policy that can never match: their author meant something else, and a list for
//! protection would protect nothing. Pure.

use flotilla_shared::id::dns_label;

use super::{Policy, PolicyError};

impl Policy {
    pub(super) fn check_names(&self) -> Result<(), PolicyError> {
        for (key, kinds) in [
            ("kinds", &self.kinds),
            ("protectedKinds", &self.protected_kinds),
        ] {
            if let Some(kind) = kinds.iter().find(|kind| !is_kind(kind)) {
                let kind = kind.clone();
                return Err(PolicyError::Kind { key, kind });
            }
        }
        if let Some(name) = self.namespaces.iter().find(|name| !is_label(name)) {
            return Err(PolicyError::Namespace(name.clone()));
        }
        for (key, paths) in [
            ("paths", &self.paths),
            ("gateJobs.paths", &self.gate_jobs.paths),
        ] {
            if let Some(path) = paths.iter().find(|path| path.as_str().contains('*')) {
                let path = path.as_str().to_owned();
                return Err(PolicyError::Wildcard { key, path });
            }
        }
        if self.requests_per_second == 0 {
            return Err(PolicyError::NoRequests);
        }
        Ok(())
    }
}

/// Kubernetes accepts a kind in lower case as well; nearly always such a name is meant as a resource.
fn is_kind(text: &str) -> bool {
    let (kind, group) = text.split_once('.').unwrap_or((text, "v1"));
    kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && group.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    dns_label("label", text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), PolicyError> {
        let policy = flotilla_yaml::config::mapping::<Policy>("p", text, &[]);
        policy.unwrap().value.check()
    }

    #[test]
    fn names_that_match_nothing_are_mistakes() {
        for (text, key) in [
            ("kinds: [configmap]", "kinds"),
            ("kinds: [Deployment.apps/v1]", "kinds"),
            ("kinds: [apps/Deployment]", "kinds"),
            ("kinds: ['*']", "kinds"),
            ("protectedKinds: [statefulset.apps]", "protectedKinds"),
            ("protectedKinds: [StatefulSet.Apps]", "protectedKinds"),
            ("namespaces: ['guest*']", "namespaces"),
            ("namespaces: ['']", "namespaces"),
            ("paths: ['apps/*']", "paths"),
            ("gateJobs: {paths: ['**']}", "gateJobs.paths"),
            ("requestsPerSecond: 0", "requestsPerSecond"),
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key}: ")), "{text}: {error}");
        }
        let good = "kinds: [ConfigMap, Deployment.apps, My-Kind.example.org, TLSRoute.gateway.networking.k8s.io]\n\
                    protectedKinds: []\nnamespaces: [a, kube-system, 1a]\npaths: [apps, '']\n";
        assert_eq!(check(good), Ok(()));
        assert_eq!(Policy::default().check(), Ok(()));
    }
}
