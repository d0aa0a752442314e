//! Several hub processes on a real PostgreSQL: agents connect to any of them, and one leads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_hub::enrolment::{Attempt, NewToken};
use flotilla_hub::fleet::{AuditEntry, Effect};
use flotilla_hub::store::{self, Store, WaitOutcome};
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_tests::eventually;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::open_pages;
use flotilla_tests::postgres::Postgres;
use flotilla_tests::proxy::{Proxy, Trap};
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, FleetState, accepted};
use flotilla_tests::tab::{Answer, Tab};
use flotilla_tests::test_hub::TestHub;
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tonic::transport::Channel;

#[path = "hub_replicas/agents.rs"]
mod agents;
#[path = "hub_replicas/callers.rs"]
mod callers;
#[path = "hub_replicas/lease.rs"]
mod lease;
#[path = "hub_replicas/once.rs"]
mod once;

const LIMIT: Duration = Duration::from_secs(60);
/// The URL that users type, for the pages of any replica.
const SITE: &str = "https://flotilla.example";

struct World {
    directory: tempfile::TempDir,
    database: Postgres,
    repository: Repository,
    _git: GitServer,
}

impl World {
    async fn new() -> Option<Self> {
        Self::with("  strategy: {waves: [{name: half, share: '50%'}], soak: 1s}\n").await
    }

    /// With these lines in the environment of the fleet file.
    async fn with(environment: &str) -> Option<Self> {
        let database = Postgres::start().unwrap()?;
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::create(directory.path(), "fleet").unwrap();
        repository.write("apps/a.yaml", "# 0\n").unwrap();
        repository.push("first", &["prod"]).unwrap();
        let served = directory.path().join("served");
        let git = GitServer::start(&served, "127.0.0.1:0").await.unwrap();
        let fleet = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{}'}}\n\
             environments:\n- name: prod\n  branch: prod\n{environment}\
             applications:\n- {{name: web, repository: fleet, path: apps}}\n",
            git.url("fleet.git")
        );
        std::fs::write(directory.path().join("fleet.yaml"), fleet).unwrap();
        Some(Self {
            directory,
            database,
            repository,
            _git: git,
        })
    }

    async fn replica(&self) -> TestHub {
        self.replica_with(None).await
    }

    /// With pages for users of an issuer.
    async fn replica_with(&self, issuer: Option<&Issuer>) -> TestHub {
        let mut replica = TestHub::builder()
            .at(self.directory.path())
            .poll(Duration::from_millis(300))
            .store(self.database.url())
            // A busy database may accept no connection for seconds; a supervisor would restart the hub.
            .retry_for(LIMIT);
        if let Some(issuer) = issuer {
            let grants = open_pages::GRANTS;
            replica = replica.issuer(issuer, grants).pages(Some(SITE));
        }
        replica.start().await.unwrap()
    }

    /// Accepted clusters, as records.
    async fn seed(&self, count: usize) {
        let store = Store::connect(&self.database.url()).await.unwrap();
        store.acquire("seed", "").await.unwrap().unwrap();
        let effects: Vec<Effect> = (0..count)
            .map(|index| {
                let (name, record) = accepted(&format!("c{index}"), "prod").unwrap();
                Effect::StoreCluster(name, Box::new(record))
            })
            .collect();
        store
            .apply("seed", &effects, Timestamp::now())
            .await
            .unwrap();
        store.release().await.unwrap();
        store.close().await;
    }
}

fn entry(text: &str) -> Effect {
    Effect::Audit(AuditEntry {
        at: Timestamp::now(),
        detail: text.to_owned(),
        ..AuditEntry::default()
    })
}
