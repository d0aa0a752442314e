//! Kinds of field managers: a person, a controller, or unknown. Pure.

use crate::policy::ManagerNames;

/// Kind of a field manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterKind {
    /// A person, by an interactive tool: additions to a managed object are drift.
    Person,
    /// A program that writes its fields again, so that removing them would start a fight.
    Controller,
    /// Neither is known. Left alone like a controller.
    Unknown,
}

/// Field managers of interactive tools. `*` at either end is a wildcard; case does not matter.
const PEOPLE: &[&str] = &[
    "kubectl*",
    "oc",
    "oc-*",
    "k9s*",
    "lens*",
    "openlens*",
    "freelens*",
    "headlamp*",
    "dashboard*",
    "kubernetes-dashboard*",
    "octant*",
    "kuboard*",
    "portainer*",
    "kubenav*",
    "aptakube*",
    "seabird*",
    "vscode*",
    "kubecolor*",
    // A browser: web consoles pass its name on.
    "mozilla*",
    "curl*",
    "wget*",
    "httpie*",
    "postman*",
    "insomnia*",
    "helm",
];

/// Names of field managers of controllers, autoscalers, aggregators and webhooks.
const CONTROLLERS: &[&str] = &[
    "kube-*",
    "kubelet*",
    "cloud-controller-manager*",
    "*controller*",
    "*operator*",
    "*webhook*",
    "*injector*",
    "*autoscaler*",
    "*scheduler*",
    "*provisioner*",
    "*reconciler*",
    "*-manager",
    "manager",
    "vpa-*",
    "keda*",
    "cert-manager*",
    "istio*",
    "pilot-discovery",
    "linkerd*",
    "cilium*",
    "kyverno*",
    "gatekeeper*",
    "argocd*",
    "flagger*",
    "reloader*",
    "velero*",
    "karpenter*",
    "crossplane*",
    "rancher*",
    "openshift*",
    "glbc",
];

/// Names from the agent's own policy; they take precedence over the built-in ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Managers {
    pub people: Vec<String>,
    pub controllers: Vec<String>,
}

impl From<&ManagerNames> for Managers {
    fn from(names: &ManagerNames) -> Self {
        Self {
            people: names.people.clone(),
            controllers: names.controllers.clone(),
        }
    }
}

/// One entry of `metadata.managedFields`, but for its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer<'a> {
    pub manager: &'a str,
    /// `Apply` or `Update`.
    pub operation: &'a str,
    /// Empty: the object itself.
    pub subresource: &'a str,
    /// The same manager writes the object's status as well.
    pub writes_status: bool,
}

impl Managers {
    /// Returns the kind of the field manager.
    #[must_use]
    pub fn who(&self, writer: Writer<'_>) -> WriterKind {
        let any = |patterns: &[String]| patterns.iter().any(|p| fits(p, writer.manager));
        let built_in = |patterns: &[&str]| patterns.iter().any(|p| fits(p, writer.manager));
        if any(&self.controllers) {
            return WriterKind::Controller;
        }
        if any(&self.people) {
            return WriterKind::Person;
        }
        // Status and scale are not configuration.
        if !writer.subresource.is_empty() {
            return WriterKind::Controller;
        }
        if built_in(PEOPLE) {
            return WriterKind::Person;
        }
        // A manager that writes the status is a controller, and server-side apply under a name of its
        // own declares the fields of a program.
        if built_in(CONTROLLERS) || writer.writes_status || writer.operation == "Apply" {
            return WriterKind::Controller;
        }
        WriterKind::Unknown
    }

    /// Whether a conflict with this name is with a person.
    #[must_use]
    pub fn is_person(&self, manager: &str) -> bool {
        let writer = Writer {
            manager,
            operation: "Update",
            subresource: "",
            writes_status: false,
        };
        self.who(writer) == WriterKind::Person
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(rest), Some(_)) => name.contains(rest.trim_end_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_operations_and_sub_resources_say_who_it_is() {
        use WriterKind::{Controller, Person, Unknown};
        let table = [
            ("kubectl-edit", "Update", "", false, Person),
            ("kubectl-patch", "Update", "", false, Person),
            ("kubectl-client-side-apply", "Update", "", false, Person),
            ("kubectl", "Apply", "", false, Person),
            ("kubectl", "Update", "scale", false, Controller),
            ("Lens", "Update", "", false, Person),
            ("k9s", "Update", "", false, Person),
            ("kubectl-edit", "Update", "", true, Person),
            ("dashboard", "Update", "", false, Person),
            ("Mozilla", "Update", "", false, Person),
            ("curl", "Update", "", false, Person),
            (
                "kube-controller-manager",
                "Update",
                "scale",
                false,
                Controller,
            ),
            ("kube-controller-manager", "Update", "", false, Controller),
            (
                "clusterrole-aggregation-controller",
                "Apply",
                "",
                false,
                Controller,
            ),
            ("cert-manager-cainjector", "Update", "", false, Controller),
            ("vpa-updater", "Update", "", false, Controller),
            ("manager", "Update", "", false, Controller),
            ("prometheus-operator", "Update", "", false, Controller),
            ("our-platform", "Apply", "", false, Controller),
            ("our-platform", "Update", "", false, Unknown),
            ("OpenAPI-Generator", "Update", "", false, Unknown),
            ("OpenAPI-Generator", "Update", "", true, Controller),
            ("ancient-changes", "Update", "", false, Unknown),
        ];
        let managers = Managers::default();
        for (manager, operation, subresource, writes_status, expected) in table {
            let writer = Writer {
                manager,
                operation,
                subresource,
                writes_status,
            };
            assert_eq!(managers.who(writer), expected, "{writer:?}");
        }
    }

    #[test]
    fn the_agents_own_policy_has_the_last_word() {
        let managers = Managers {
            people: vec!["our-*".to_owned()],
            controllers: vec!["kubectl-cron".to_owned(), "our-bot".to_owned()],
        };
        assert!(managers.is_person("our-script"));
        assert!(!managers.is_person("our-bot"));
        assert!(!managers.is_person("kubectl-cron"));
        assert!(managers.is_person("kubectl-edit"));
    }
}
