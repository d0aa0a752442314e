//! The kinds that are served, and those that definitions add.

/// How a kind is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) group: String,
    /// Preferred first.
    pub(crate) versions: Vec<String>,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
    /// From a definition.
    pub(crate) custom: bool,
}

/// group, versions, namespaced, kinds with their plurals.
type Group = (
    &'static str,
    &'static [&'static str],
    bool,
    &'static [(&'static str, &'static str)],
);

/// The usual groups of a cluster.
const TABLE: &[Group] = &[
    (
        "",
        &["v1"],
        true,
        &[
            ("ConfigMap", "configmaps"),
            ("Secret", "secrets"),
            ("Service", "services"),
            ("ServiceAccount", "serviceaccounts"),
            ("Pod", "pods"),
            ("PersistentVolumeClaim", "persistentvolumeclaims"),
            ("Endpoints", "endpoints"),
            ("Event", "events"),
            ("LimitRange", "limitranges"),
            ("ResourceQuota", "resourcequotas"),
            ("ReplicationController", "replicationcontrollers"),
            ("PodTemplate", "podtemplates"),
        ],
    ),
    (
        "",
        &["v1"],
        false,
        &[
            ("Namespace", "namespaces"),
            ("Node", "nodes"),
            ("PersistentVolume", "persistentvolumes"),
        ],
    ),
    (
        "apps",
        &["v1"],
        true,
        &[
            ("Deployment", "deployments"),
            ("ReplicaSet", "replicasets"),
            ("StatefulSet", "statefulsets"),
            ("DaemonSet", "daemonsets"),
            ("ControllerRevision", "controllerrevisions"),
        ],
    ),
    (
        "batch",
        &["v1"],
        true,
        &[("Job", "jobs"), ("CronJob", "cronjobs")],
    ),
    (
        "networking.k8s.io",
        &["v1"],
        true,
        &[
            ("Ingress", "ingresses"),
            ("NetworkPolicy", "networkpolicies"),
        ],
    ),
    (
        "networking.k8s.io",
        &["v1"],
        false,
        &[("IngressClass", "ingressclasses")],
    ),
    (
        "rbac.authorization.k8s.io",
        &["v1"],
        true,
        &[("Role", "roles"), ("RoleBinding", "rolebindings")],
    ),
    (
        "rbac.authorization.k8s.io",
        &["v1"],
        false,
        &[
            ("ClusterRole", "clusterroles"),
            ("ClusterRoleBinding", "clusterrolebindings"),
        ],
    ),
    (
        "policy",
        &["v1"],
        true,
        &[("PodDisruptionBudget", "poddisruptionbudgets")],
    ),
    (
        "autoscaling",
        &["v2", "v1"],
        true,
        &[("HorizontalPodAutoscaler", "horizontalpodautoscalers")],
    ),
    ("coordination.k8s.io", &["v1"], true, &[("Lease", "leases")]),
    ("events.k8s.io", &["v1"], true, &[("Event", "events")]),
    (
        "discovery.k8s.io",
        &["v1"],
        true,
        &[("EndpointSlice", "endpointslices")],
    ),
    (
        "storage.k8s.io",
        &["v1"],
        false,
        &[
            ("StorageClass", "storageclasses"),
            ("CSIDriver", "csidrivers"),
        ],
    ),
    (
        "scheduling.k8s.io",
        &["v1"],
        false,
        &[("PriorityClass", "priorityclasses")],
    ),
    (
        "node.k8s.io",
        &["v1"],
        false,
        &[("RuntimeClass", "runtimeclasses")],
    ),
    (
        "admissionregistration.k8s.io",
        &["v1"],
        false,
        &[
            (
                "MutatingWebhookConfiguration",
                "mutatingwebhookconfigurations",
            ),
            (
                "ValidatingWebhookConfiguration",
                "validatingwebhookconfigurations",
            ),
        ],
    ),
    (
        "apiextensions.k8s.io",
        &["v1"],
        false,
        &[("CustomResourceDefinition", "customresourcedefinitions")],
    ),
    (
        "apiregistration.k8s.io",
        &["v1"],
        false,
        &[("APIService", "apiservices")],
    ),
];

/// The built-in kinds.
pub(crate) fn builtin() -> Vec<Kind> {
    TABLE
        .iter()
        .flat_map(|(group, versions, namespaced, kinds)| {
            kinds.iter().map(|(kind, plural)| Kind {
                group: (*group).to_owned(),
                versions: versions.iter().map(|v| (*v).to_owned()).collect(),
                kind: (*kind).to_owned(),
                plural: (*plural).to_owned(),
                namespaced: *namespaced,
                custom: false,
            })
        })
        .collect()
}

/// How the items of a list are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListType {
    /// Replaced as a whole.
    Atomic,
    /// Values of their own.
    Set,
    /// Objects by these keys; a missing key has the default beside it.
    Map(Vec<(&'static str, Option<&'static str>)>),
}

/// How the list at a field of a built-in kind is merged (`x-kubernetes-list-type` of the OpenAPI).
pub(crate) fn list_type(parent: Option<&str>, field: &str, custom: bool) -> ListType {
    let by = |key| ListType::Map(vec![(key, None)]);
    match field {
        "finalizers" => return ListType::Set,
        "ownerReferences" => return by("uid"),
        _ if custom => return ListType::Atomic,
        _ => {}
    }
    match (parent, field) {
        (_, "containers" | "initContainers" | "ephemeralContainers" | "volumes" | "env") => {
            by("name")
        }
        (_, "imagePullSecrets" | "secrets") => by("name"),
        (_, "volumeMounts") => by("mountPath"),
        (_, "volumeDevices") => by("devicePath"),
        (_, "hostAliases") => by("ip"),
        (_, "conditions") => by("type"),
        (_, "topologySpreadConstraints") => {
            ListType::Map(vec![("topologyKey", None), ("whenUnsatisfiable", None)])
        }
        (_, "webhooks") => by("name"),
        (Some("containers" | "initContainers"), "ports") => {
            ListType::Map(vec![("containerPort", None), ("protocol", Some("TCP"))])
        }
        (Some("spec"), "ports") => ListType::Map(vec![("port", None), ("protocol", Some("TCP"))]),
        _ => ListType::Atomic,
    }
}

/// Whether the mapping at a field is replaced as a whole.
pub(crate) fn is_atomic_map(parent: Option<&str>, field: &str, custom: bool) -> bool {
    !custom
        && matches!(
            (parent, field),
            (
                Some("spec"),
                "selector" | "podSelector" | "namespaceSelector" | "nodeSelector"
            )
        )
}
