//! Names in a policy that could never match anything: whoever wrote them meant something else, and a
//! list that protects would protect nothing. Pure.

use flotilla_shared::id::dns_label;

use super::Policy;

impl Policy {
    pub(super) fn check_names(&self) -> Result<(), String> {
        for (key, kinds) in [
            ("kinds", &self.kinds),
            ("protectedKinds", &self.protected_kinds),
        ] {
            if let Some(kind) = kinds.iter().find(|kind| !is_kind(kind)) {
                return Err(format!(
                    "{key}: {kind:?} is not a kind: write it as manifests do, with its group where it has \
                     one, such as ConfigMap or Deployment.apps"
                ));
            }
        }
        if let Some(name) = self.namespaces.iter().find(|name| !is_label(name)) {
            return Err(format!(
                "namespaces: {name:?} is not the name of a namespace; each is named in full"
            ));
        }
        for (key, paths) in [
            ("paths", &self.paths),
            ("gateJobs.paths", &self.gate_jobs.paths),
        ] {
            if let Some(path) = paths.iter().find(|path| path.as_str().contains('*')) {
                return Err(format!(
                    "{key}: {:?} is taken as it is written, a `*` stands for nothing: name the directory \
                     above, whatever is below it is meant, too",
                    path.as_str()
                ));
            }
        }
        if self.requests_per_second == 0 {
            return Err(
                "requestsPerSecond: with 0 nothing could ever be asked; to stop all writes, annotate the \
                 agent's namespace with flotilla.dev/freeze"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

/// Kubernetes would take a kind in small letters, too; nobody names one so, and many write a resource.
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

    fn said(text: &str) -> Result<(), String> {
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
            let error = said(text).unwrap_err();
            assert!(error.starts_with(&format!("{key}: ")), "{text}: {error}");
        }
        let good = "kinds: [ConfigMap, Deployment.apps, My-Kind.example.org, TLSRoute.gateway.networking.k8s.io]\n\
                    protectedKinds: []\nnamespaces: [a, kube-system, 1a]\npaths: [apps, '']\n";
        assert_eq!(said(good), Ok(()));
        assert_eq!(Policy::default().check(), Ok(()));
    }
}
