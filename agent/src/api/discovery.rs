//! Kinds that the API server serves, by aggregated discovery (KEP-3352).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use flotilla_render::{Capabilities, KubeVersion};
use flotilla_shared::percent;
use serde_json::Value;

use crate::api::{Api, Error};

/// Time for which discovery is cached, unless a kind is missing.
const FRESH: Duration = Duration::from_secs(300);
/// Minimum time between two reads for a missing kind.
const AT_MOST_EVERY: Duration = Duration::from_secs(2);

/// Address of a kind in the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

impl Resource {
    /// Path of the collection, in one namespace or in all of them.
    pub(crate) fn collection(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        if self.namespaced && !namespace.is_empty() {
            format!("{root}/namespaces/{namespace}/{}", self.plural)
        } else {
            format!("{root}/{}", self.plural)
        }
    }

    /// Path of one object.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), escape(name))
    }
}

/// Names of some kinds (for example roles) may contain a colon, and nothing else that needs
/// escaping; an invalid name must not become another path.
fn escape(name: &str) -> String {
    percent::encode(name, b":")
}

/// Whether all requested kinds are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KindLookup {
    Known,
    Missing,
}

impl KindLookup {
    /// Missing where any of these were not found.
    pub(crate) fn of<'r>(found: impl IntoIterator<Item = Option<&'r Resource>>) -> Self {
        match found.into_iter().any(|resource| resource.is_none()) {
            true => Self::Missing,
            false => Self::Known,
        }
    }
}

/// (group, kind) to the resources that serve it, preferred version first.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    kinds: BTreeMap<(String, String), Vec<Resource>>,
    read_at: Option<Instant>,
    /// Whether the API server has contradicted it since it was read.
    doubted: bool,
    /// Groups that the aggregator could not refresh.
    stale: Vec<String>,
    /// The same as charts ask for it: `apps/v1` and `apps/v1/Deployment`, sorted; none: the API server
    /// says of no version that it has.
    pub(crate) capabilities: Option<Capabilities>,
}

impl Discovery {
    /// Returns the resource of a kind at a version; an empty version: the preferred one.
    pub(crate) fn find(&self, group: &str, version: &str, kind: &str) -> Option<&Resource> {
        let all = self.kinds.get(&(group.to_owned(), kind.to_owned()))?;
        if version.is_empty() {
            all.first()
        } else {
            all.iter().find(|r| r.version == version)
        }
    }

    /// The resource that serves the objects of a definition, whose name starts with their plural.
    pub(crate) fn find_plural(&self, group: &str, plural: &str) -> Option<&Resource> {
        let mut all = self.kinds.values().flatten();
        all.find(|resource| resource.group == group && resource.plural == plural)
    }

    /// Whether everything was read: no group was left out because its server is away.
    pub(crate) fn is_complete(&self) -> bool {
        self.read_at.is_some() && self.stale.is_empty()
    }

    /// The groups that were left out, or are only remembered, because their server is away.
    pub(crate) fn stale(&self) -> &[String] {
        &self.stale
    }

    /// Whether a group was left out, or is only remembered, because its server is away.
    pub(crate) fn is_stale(&self, group: &str) -> bool {
        self.stale.iter().any(|stale| stale == group)
    }

    /// Reads discovery again if it is old, or if something is missing and was not read very recently.
    pub(crate) async fn refresh(&mut self, api: &Api, sought: KindLookup) -> Result<(), Error> {
        let age = self.read_at.map(|at| at.elapsed());
        let due = match age {
            None => true,
            Some(age) => {
                let misses =
                    sought == KindLookup::Missing || self.doubted || !self.stale.is_empty();
                age > FRESH || (misses && age > AT_MOST_EVERY)
            }
        };
        if due { self.read(api).await } else { Ok(()) }
    }

    /// Has the next refresh read it again: the API server does not serve a kind as it was discovered.
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
    }

    /// Reads it from the API server again.
    pub(crate) async fn read(&mut self, api: &Api) -> Result<(), Error> {
        let core = api.get("/api").await?;
        let groups = api.get("/apis").await?;
        let version = text(&api.get("/version").await?, "/gitVersion");
        let mut api_versions = BTreeSet::new();
        let mut kinds: BTreeMap<_, Vec<Resource>> = BTreeMap::new();
        let mut stale = Vec::new();
        for item in items(&core).iter().chain(items(&groups)) {
            let group = text(item, "/metadata/name");
            for version in list(item, "/versions") {
                if text(version, "/freshness") == "Stale" {
                    stale.push(group.clone());
                }
                let name = text(version, "/version");
                let served = match group.as_str() {
                    "" => name,
                    group => format!("{group}/{name}"),
                };
                for resource in list(version, "/resources") {
                    let kind = text(resource, "/responseKind/kind");
                    api_versions.insert(format!("{served}/{kind}"));
                    for below in list(resource, "/subresources") {
                        let kind = text(below, "/responseKind/kind");
                        api_versions.insert(format!("{served}/{kind}"));
                    }
                    kinds
                        .entry((group.clone(), kind))
                        .or_default()
                        .push(Resource {
                            group: group.clone(),
                            version: text(version, "/version"),
                            plural: text(resource, "/resource"),
                            namespaced: text(resource, "/scope") == "Namespaced",
                        });
                }
                api_versions.insert(served);
            }
        }
        self.kinds = kinds;
        // Each group once, not once for each of its versions.
        stale.dedup();
        self.stale = stale;
        let version = KubeVersion::parse(&version).ok();
        self.capabilities = version.map(|version| Capabilities::of_cluster(version, api_versions));
        self.read_at = Some(Instant::now());
        self.doubted = false;
        Ok(())
    }
}

fn items(value: &Value) -> &[Value] {
    list(value, "/items")
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
