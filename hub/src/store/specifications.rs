//! Specifications of environments, as far as a rollout, a pin or an environment uses them.

use flotilla_shared::revision::Commit;
use sqlx::Row as _;

use super::{Error, Store};
use crate::spec::Specification;

impl Store {
    /// Returns all of them.
    pub(super) async fn specifications(&self) -> Result<Vec<(Commit, Specification)>, Error> {
        let rows = self
            .rows("SELECT revision, content FROM specifications")
            .await?;
        rows.iter()
            .map(|row| {
                let revision: String = row.try_get(0).map_err(self.error())?;
                let content: String = row.try_get(1).map_err(self.error())?;
                let damaged = || self.damaged(&format!("the specification {revision}"));
                let specification = serde_json::from_str(&content).map_err(|_| damaged())?;
                Ok((revision.parse().map_err(|_| damaged())?, specification))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flotilla_shared::id::Epoch;
    use jiff::Timestamp;

    use super::*;
    use crate::fleet::{Effect, Event, Fleet};
    use crate::spec;

    const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments: [{name: prod, branch: prod, strategy: {soak: 1s}}]
applications: [{name: web, repository: fleet, path: 'web/{cluster}', placement: {selector: 'a in (b),c'}}]
";

    /// After a crash a change is compared with what was rolled out before it.
    #[tokio::test]
    async fn s05_what_is_declared_outlives_the_hub_and_what_nobody_needs_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let spec = Arc::new(spec::parse("f", FILE).unwrap());
        let mut fleet = Fleet::new(Epoch(1));
        let effects = fleet.step(Event::SpecChanged(spec), now);
        let first = Store::open(directory.path()).await.unwrap();
        first.apply("1", &effects, now).await.unwrap();
        first.close().await;
        drop(first);
        let store = Store::open(directory.path()).await.unwrap();
        let kept = store.specifications().await.unwrap();
        let [(revision, specification)] = kept.as_slice() else {
            panic!("{kept:?}");
        };
        assert_eq!(specification.revision().as_ref(), Some(revision));
        let gone = Effect::DeleteSpecification(revision.clone());
        store.apply("2", &[gone], now).await.unwrap();
        assert!(store.specifications().await.unwrap().is_empty());
    }
}
