//! Facts of the cluster for charts: the APIs that it serves, and earlier releases.

use flotilla_render::Capabilities;
use flotilla_shared::reason::Reason;
use serde_json::Value;

use super::{Cluster, WhenMissing};
use crate::api::Error;
use crate::api::discovery::Sought;
use crate::source::Ground;

/// Whether the agent's own record says what ran before a chart.
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
        discovery.refresh(&self.api, Sought::Known).await?;
        let why = "the API server does not report its version of Kubernetes";
        let capabilities = discovery.capabilities.clone();
        capabilities.ok_or_else(|| Error::new(0, Reason::ClusterUnavailable, why))
    }

    /// What a chart has to know. `release`: under which name and in which namespace Helm may have installed
    /// it; `derives`: the chart may have generated values, and what becomes of the secret that they come
    /// from where it is not there.
    pub(crate) async fn ground(
        &self,
        application: &str,
        release: Option<(&str, &str)>,
        ran_before: RanBefore,
        derives: Option<WhenMissing>,
    ) -> Ground {
        let mut ground = Ground::default();
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

    /// The revision of what ran before: of Helm's newest release of that name, or 0 where objects of the
    /// application were applied otherwise.
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
        // Without the right to list Secrets there, there is none to be found.
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
