//! Several hub processes on one real PostgreSQL: agents on any of them, one decides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_hub::app::{self, Config, Running};
use flotilla_hub::authority::Authority;
use flotilla_hub::enrolment::{Attempt, NewToken};
use flotilla_hub::fleet::{AuditEntry, ClusterRecord, Effect};
use flotilla_hub::serve::{oidc, web};
use flotilla_hub::store::{self, Store, Wait};
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::tls;
use flotilla_tests::eventually;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::issuer::Issuer;
use flotilla_tests::postgres::Postgres;
use flotilla_tests::proxy::Proxy;
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, Enrolled, Seen};
use flotilla_tests::tab::{Answer, Tab};
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
/// What people type who come to the pages of any replica.
const SITE: &str = "https://flotilla.example";

struct World {
    directory: tempfile::TempDir,
    database: Postgres,
    repository: Repository,
    _git: GitServer,
    enrolled: Enrolled,
}

impl World {
    async fn new() -> Option<Self> {
        Self::with("  strategy: {waves: [{name: half, share: '50%'}], soak: 1s}\n").await
    }

    /// With such lines of the environment.
    async fn with(environment: &str) -> Option<Self> {
        tls::install_provider();
        let database = Postgres::start().unwrap()?;
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::init(directory.path(), Timestamp::now()).unwrap();
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
            enrolled: Enrolled::with(authority).unwrap(),
        })
    }

    async fn replica(&self) -> Running {
        self.replica_with(None).await
    }

    /// With pages for people of an issuer.
    async fn replica_with(&self, issuer: Option<&Issuer>) -> Running {
        self.replica_on("127.0.0.1:0", issuer).await
    }

    async fn replica_on(&self, address: &str, issuer: Option<&Issuer>) -> Running {
        let oidc = issuer.map(|issuer| {
            let path = self.directory.path().join("oidc.yaml");
            let grants = "grants: [{group: sre, role: admin}]";
            let text = format!("issuer: {}\nclientId: flotilla\n{grants}\n", issuer.url);
            std::fs::write(&path, text).unwrap();
            oidc::Config::read(&path).unwrap()
        });
        let config = || Config {
            web: issuer.map(|_| web::Config {
                listen: "127.0.0.1:0".to_owned(),
                url: SITE.to_owned(),
                behind_proxy: true,
                ..web::Config::default()
            }),
            oidc: oidc.clone(),
            data_dir: self.directory.path().to_owned(),
            fleet: self.directory.path().join("fleet.yaml"),
            listen: address.to_owned(),
            poll_interval: Some(Duration::from_millis(300)),
            store_url: Some(self.database.url()),
            ..Config::default()
        };
        // A database that is busy takes no connection within seconds; whoever runs a hub starts it again.
        let running = eventually("the replica starts", LIMIT, async || {
            app::start(config()).await.ok()
        });
        match running.await {
            Ok(running) => running,
            // Once more, for the reason.
            Err(_) => app::start(config()).await.unwrap(),
        }
    }

    async fn api(&self, hub: &Running) -> FleetServiceClient<Channel> {
        let uri = "spiffe://flotilla/operator/ada".parse().unwrap();
        let identity = self.enrolled.identity(&uri).unwrap();
        let tls = tls::client_config(self.enrolled.trust_bundle(), Some(&identity)).unwrap();
        let channel = dial(&hub.address.to_string(), Arc::new(tls)).await.unwrap();
        FleetServiceClient::new(channel)
    }

    /// Accepted clusters, as rows.
    async fn seed(&self, count: usize) {
        let store = Store::connect(&self.database.url()).await.unwrap();
        store.acquire("seed", "").await.unwrap().unwrap();
        let effects: Vec<Effect> = (0..count)
            .map(|index| {
                let record = ClusterRecord {
                    environment: Some("prod".parse().unwrap()),
                    ..ClusterRecord::default()
                };
                Effect::StoreCluster(format!("c{index}").parse().unwrap(), Box::new(record))
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
