//! Facts of the cluster for charts: the APIs that it serves, and earlier releases.

use flotilla_render::Capabilities;
use flotilla_shared::reason::Reason;
use serde_json::Value;

use super::{Cluster, WhenMissing};
use crate::api::Error;
use crate::api::discovery::KindLookup;
use crate::source::ChartContext;

/// Whether the agent's own record has an earlier release of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RanBefore {
    Recorded,
    /// The cluster is asked.
    Unrecorded,
}

impl Cluster {
    /// Returns the APIs that the cluster serves, in the form that charts query.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn capabilities(&self) -> Result<Capabilities, Error> {
        let mut discovery = self.discovery.lock().await;
        discovery.refresh(&self.api, KindLookup::Known).await?;
        let why = "the API server does not report its version of Kubernetes";
        let capabilities = discovery.capabilities.clone();
        capabilities.ok_or_else(|| Error::new(0, Reason::ClusterUnavailable, why))
    }

    /// What a chart needs to know about the cluster. `release`: the name and namespace under which Helm may
    /// have installed it. `derives`: the chart may generate values; says whether the secret that they are
    /// derived from is created if it is missing.
    pub(crate) async fn ground(
        &self,
        application: &str,
        release: Option<(&str, &str)>,
        ran_before: RanBefore,
        derives: Option<WhenMissing>,
    ) -> ChartContext {
        let mut ground = ChartContext::default();
        let asked = async {
            ground.capabilities = Ok(self.capabilities().await?);
            if ran_before == RanBefore::Unrecorded {
                ground.before = self.before(application, release).await?;
            }
            let key = match derives {
                Some(WhenMissing::Make) => Some(self.make_seal_key().await?),
                Some(WhenMissing::Leave) => self.seal_key().await?,
                None => None,
            };
            if let Some(key) = key {
                let parts = [b"generated".as_slice(), application.as_bytes()];
                ground.seed = Some(key.seal(parts));
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = asked.await {
            ground.capabilities = Err(error.message);
        }
        ground
    }

    /// The revision before this record starts: of Helm's newest release of that name, or 0 if objects of
    /// the application were applied in another way.
    async fn before(
        &self,
        application: &str,
        release: Option<(&str, &str)>,
    ) -> Result<Option<u64>, Error> {
        if let Some(release) = release
            && let Some(revision) = self.helm_revision(release).await?
        {
            return Ok(Some(revision));
        }
        let stored = self.read_inventory(application).await?;
        Ok((!stored.inventory.is_empty()).then_some(0))
    }

    /// The revision of Helm's newest release of a name.
    async fn helm_revision(&self, (name, namespace): (&str, &str)) -> Result<Option<u64>, Error> {
        let path = format!(
            "/api/v1/namespaces/{namespace}/secrets?labelSelector=owner%3Dhelm%2Cname%3D{name}"
        );
        // Without the right to list Secrets, no Helm release can be found there.
        let list = match self.api.find(&path).await {
            Ok(list) => list.unwrap_or_default(),
            Err(error) if error.code == 403 => Value::Null,
            Err(error) => return Err(error),
        };
        let items = list.get("items").and_then(Value::as_array);
        let revision = |item: &Value| {
            let version = item.pointer("/metadata/labels/version")?;
            version.as_str()?.parse::<u64>().ok()
        };
        Ok(items.into_iter().flatten().filter_map(revision).max())
    }
}
