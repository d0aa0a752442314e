//! `.Capabilities`: the cluster's version and APIs, as charts may query them.

mod asked;

use std::fmt::Write as _;
use std::sync::Arc;

use crate::value::{Host, Str, Value};

pub use asked::{Answers, Queries};

/// API versions that Helm 4.1.4 assumes without a cluster.
const KNOWN: [&str; 57] = [
    "v1",
    "admissionregistration.k8s.io/v1",
    "admissionregistration.k8s.io/v1alpha1",
    "admissionregistration.k8s.io/v1beta1",
    "internal.apiserver.k8s.io/v1alpha1",
    "apps/v1",
    "apps/v1beta1",
    "apps/v1beta2",
    "authentication.k8s.io/v1",
    "authentication.k8s.io/v1alpha1",
    "authentication.k8s.io/v1beta1",
    "authorization.k8s.io/v1",
    "authorization.k8s.io/v1beta1",
    "autoscaling/v1",
    "autoscaling/v2",
    "autoscaling/v2beta1",
    "autoscaling/v2beta2",
    "batch/v1",
    "batch/v1beta1",
    "certificates.k8s.io/v1",
    "certificates.k8s.io/v1beta1",
    "certificates.k8s.io/v1alpha1",
    "coordination.k8s.io/v1alpha2",
    "coordination.k8s.io/v1beta1",
    "coordination.k8s.io/v1",
    "discovery.k8s.io/v1",
    "discovery.k8s.io/v1beta1",
    "events.k8s.io/v1",
    "events.k8s.io/v1beta1",
    "extensions/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1",
    "flowcontrol.apiserver.k8s.io/v1beta1",
    "flowcontrol.apiserver.k8s.io/v1beta2",
    "flowcontrol.apiserver.k8s.io/v1beta3",
    "networking.k8s.io/v1",
    "networking.k8s.io/v1beta1",
    "node.k8s.io/v1",
    "node.k8s.io/v1alpha1",
    "node.k8s.io/v1beta1",
    "policy/v1",
    "policy/v1beta1",
    "rbac.authorization.k8s.io/v1",
    "rbac.authorization.k8s.io/v1beta1",
    "rbac.authorization.k8s.io/v1alpha1",
    "resource.k8s.io/v1",
    "resource.k8s.io/v1beta2",
    "resource.k8s.io/v1beta1",
    "resource.k8s.io/v1alpha3",
    "scheduling.k8s.io/v1alpha1",
    "scheduling.k8s.io/v1beta1",
    "scheduling.k8s.io/v1",
    "storage.k8s.io/v1beta1",
    "storage.k8s.io/v1",
    "storage.k8s.io/v1alpha1",
    "storagemigration.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1beta1",
    "apiextensions.k8s.io/v1",
];

/// A text is not a version of Kubernetes, in Helm's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubeVersionError {
    /// It does not begin with numbers separated by dots.
    #[error("invalid kube version '{0}': could not parse {0:?} as version")]
    Malformed(String),
    /// It has only one number.
    #[error("invalid kube version '{0}': illegal version string {0:?}")]
    NoMinor(String),
}

/// The cluster's version of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeVersion {
    /// As given, with a `v`: `v1.31.2-gke.5`.
    version: String,
    /// The numbers only, for comparisons.
    normalized: String,
    major: String,
    minor: String,
}

impl KubeVersion {
    /// Reads a version with at least two numbers.
    ///
    /// # Errors
    ///
    /// When it is not a version.
    pub fn parse(text: &str) -> Result<Self, KubeVersionError> {
        let trimmed = text.trim_start();
        let numbers = trimmed.strip_prefix('v').unwrap_or(trimmed);
        let end = numbers
            .find(|character: char| !character.is_ascii_digit() && character != '.')
            .unwrap_or(numbers.len());
        let numbers = numbers[..end].trim_end_matches('.');
        let parts: Vec<&str> = numbers.split('.').collect();
        let good = parts.iter().all(|part| {
            !part.is_empty() && (part.len() == 1 || !part.starts_with('0')) && part.len() < 10
        });
        if !good {
            return Err(KubeVersionError::Malformed(text.to_owned()));
        }
        let [major, minor, ..] = parts.as_slice() else {
            return Err(KubeVersionError::NoMinor(text.to_owned()));
        };
        Ok(Self {
            version: if text.starts_with('v') {
                text.to_owned()
            } else {
                format!("v{text}")
            },
            normalized: format!("v{numbers}"),
            major: (*major).to_owned(),
            minor: (*minor).to_owned(),
        })
    }

    /// As it was given.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// For comparison with a range.
    #[must_use]
    pub(crate) fn normalized(&self) -> &str {
        &self.normalized
    }
}

impl Host for KubeVersion {
    fn type_name(&self) -> &'static str {
        "common.KubeVersion"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Version" => Some(self.version.as_str().into()),
            "Major" => Some(self.major.as_str().into()),
            "Minor" => Some(self.minor.as_str().into()),
            _ => None,
        }
    }

    fn has_method(&self, name: &str) -> bool {
        matches!(name, "String" | "GitVersion")
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        no_arguments(name, arguments)?;
        match name {
            "String" => Ok(self.normalized.as_str().into()),
            _ => Ok(self.version.as_str().into()),
        }
    }

    fn display(&self) -> String {
        self.normalized.clone()
    }

    fn to_data(&self) -> Value {
        Value::Map(
            ["Version", "Major", "Minor"]
                .into_iter()
                .filter_map(|name| Some((Str::from(name), self.field(name)?)))
                .collect(),
        )
    }
}

fn no_arguments(name: &str, arguments: &[Value]) -> Result<(), String> {
    if arguments.is_empty() {
        return Ok(());
    }
    Err(format!(
        "wrong number of args for {name}: want 0 got {}",
        arguments.len()
    ))
}

/// API versions, with or without kinds: `apps/v1`, `apps/v1/Deployment`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ApiVersions(Arc<[String]>, Queries);

impl Host for ApiVersions {
    fn type_name(&self) -> &'static str {
        "common.VersionSet"
    }

    fn kind(&self) -> &'static str {
        "slice"
    }

    fn has_method(&self, name: &str) -> bool {
        name == "Has"
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Result<Value, String> {
        match arguments {
            [Value::Str(version)] => {
                let has = self.0.iter().any(|known| version == known.as_str());
                self.1.asked_for(&version.lossy());
                Ok(Value::Bool(has))
            }
            [_] => Err("wrong type for value; expected string".to_owned()),
            _ => Err(format!(
                "wrong number of args for {name}: want 1 got {}",
                arguments.len()
            )),
        }
    }

    fn display(&self) -> String {
        self.1.all();
        format!("[{}]", self.0.join(" "))
    }

    fn truth(&self) -> bool {
        !self.0.is_empty()
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        self.1.all();
        let items = (0..).zip(self.0.iter());
        Some(
            items
                .map(|(index, version)| (Value::int(index), version.as_str().into()))
                .collect(),
        )
    }

    fn to_data(&self) -> Value {
        self.1.all();
        Value::list(
            self.0
                .iter()
                .map(|version| version.as_str().into())
                .collect(),
        )
    }
}

/// The Helm that charts are rendered as.
#[derive(Clone, Copy, Debug)]
struct HelmVersion;

const HELM: [(&str, &str); 5] = [
    ("Version", "v4.1.4"),
    ("GitCommit", "05fa37973dc9e42b76e1d2883494c87174b6074f"),
    ("GitTreeState", "clean"),
    ("GoVersion", "go1.25.9"),
    ("KubeClientVersion", "v1.35"),
];

impl Host for HelmVersion {
    fn type_name(&self) -> &'static str {
        "version.BuildInfo"
    }

    fn field(&self, name: &str) -> Option<Value> {
        let (_, value) = HELM.iter().find(|(known, _)| *known == name)?;
        Some((*value).into())
    }

    fn display(&self) -> String {
        format!("{{{}}}", HELM.map(|(_, value)| value).join(" "))
    }

    fn to_data(&self) -> Value {
        let names = [
            "version",
            "git_commit",
            "git_tree_state",
            "go_version",
            "kube_client_version",
        ];
        Value::Map(
            names
                .into_iter()
                .zip(HELM)
                .map(|(name, (_, value))| (Str::from(name), value.into()))
                .collect(),
        )
    }
}

/// Facts about the cluster that a chart may query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    kube_version: KubeVersion,
    api_versions: ApiVersions,
}

impl Default for Capabilities {
    /// As Helm 4.1.4 without a cluster.
    fn default() -> Self {
        Self {
            kube_version: KubeVersion {
                version: "v1.35.0".to_owned(),
                normalized: "v1.35.0".to_owned(),
                major: "1".to_owned(),
                minor: "35".to_owned(),
            },
            api_versions: ApiVersions(
                KNOWN.iter().map(|known| (*known).to_owned()).collect(),
                Queries::default(),
            ),
        }
    }
}

impl Capabilities {
    /// Creates capabilities from a cluster's version and the APIs that it serves, with and without kinds.
    #[must_use]
    pub fn of_cluster(
        kube_version: KubeVersion,
        api_versions: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            kube_version,
            api_versions: ApiVersions(api_versions.into_iter().collect(), Queries::default()),
        }
    }

    /// The same with another version of Kubernetes.
    #[must_use]
    pub fn with_kube_version(mut self, kube_version: KubeVersion) -> Self {
        self.kube_version = kube_version;
        self
    }

    /// The same with more API versions.
    #[must_use]
    pub fn and_api_versions(mut self, more: impl IntoIterator<Item = String>) -> Self {
        let known = self.api_versions.0.iter().cloned();
        let asked = self.api_versions.1.clone();
        self.api_versions = ApiVersions(known.chain(more).collect(), asked);
        self
    }

    /// The version of Kubernetes.
    #[must_use]
    pub fn kube_version(&self) -> &KubeVersion {
        &self.kube_version
    }

    /// Returns the same capabilities, which record all queries, and the record.
    #[must_use]
    pub fn noting(mut self) -> (Self, Queries) {
        let asked = Queries::default();
        self.api_versions.1 = asked.clone();
        (self, asked)
    }

    /// Records that the version of Kubernetes affected the render.
    pub(crate) fn note_version(&self) {
        self.api_versions.1.version();
    }

    /// Returns this cluster's answers to the recorded queries.
    #[must_use]
    pub fn answers(&self, asked: &Queries) -> Answers {
        let has = |version: &str| self.api_versions.0.iter().any(|known| known == version);
        asked.answered(self.kube_version.version(), &self.api_versions.0, has)
    }

    /// Whether a cluster of these capabilities would have answered the same.
    #[must_use]
    pub fn agrees(&self, answers: &Answers) -> bool {
        let has = |version: &str| self.api_versions.0.iter().any(|known| known == version);
        answers.hold(self.kube_version.version(), &self.api_versions.0, has)
    }
}

impl Host for Capabilities {
    fn type_name(&self) -> &'static str {
        "*common.Capabilities"
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "KubeVersion" => {
                self.note_version();
                Some(Value::host(self.kube_version.clone()))
            }
            "APIVersions" => Some(Value::host(self.api_versions.clone())),
            "HelmVersion" => Some(Value::host(HelmVersion)),
            _ => None,
        }
    }

    fn display(&self) -> String {
        self.note_version();
        let mut text = String::new();
        let version = &self.kube_version;
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "&{{{{{} {} {} {}}} {} {}}}",
            version.version,
            version.normalized,
            version.major,
            version.minor,
            self.api_versions.display(),
            HelmVersion.display()
        );
        text
    }

    fn to_data(&self) -> Value {
        self.note_version();
        let hosts = [
            ("KubeVersion", self.kube_version.to_data()),
            ("APIVersions", self.api_versions.to_data()),
            ("HelmVersion", HelmVersion.to_data()),
        ];
        Value::Map(
            hosts
                .into_iter()
                .map(|(name, value)| (Str::from(name), value))
                .collect(),
        )
    }
}
