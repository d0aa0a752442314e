//! The database fails over to a standby. The hub notices if an asynchronous one lacks acknowledged writes; a
//! synchronous one lacks none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flotilla_hub::fleet::{AuditEntry, Effect};
use flotilla_hub::store::Store;
use flotilla_proto::v1;
use flotilla_proto::v1::fleet_service_client::FleetServiceClient;
use flotilla_tests::eventually;
use flotilla_tests::git_server::GitServer;
use flotilla_tests::postgres::Postgres;
use flotilla_tests::repository::Repository;
use flotilla_tests::simulated::{Agent, FleetState, accepted};
use flotilla_tests::test_hub::TestHub;
use jiff::Timestamp;
use tokio::sync::watch;
use tonic::transport::Channel;

const LIMIT: Duration = Duration::from_secs(90);

async fn api(hub: &TestHub) -> FleetServiceClient<Channel> {
    hub.operator("ada").await.unwrap().api
}

/// Waits until the hub shows the cluster as expected.
async fn cluster(
    api: FleetServiceClient<Channel>,
    what: &str,
    expected: impl Fn(&v1::ClusterStatus) -> bool,
) -> v1::ClusterStatus {
    eventually(what, LIMIT, || {
        let mut api = api.clone();
        let expected = &expected;
        async move {
            let name = "c0".to_owned();
            let answer = api.get_cluster(v1::GetClusterRequest { name }).await.ok()?;
            answer.into_inner().cluster.filter(expected)
        }
    })
    .await
    .unwrap()
}

fn runs(cluster: &v1::ClusterStatus, commit: &str) -> bool {
    cluster.current_since.is_some()
        && cluster.applications.iter().all(|status| {
            let assigned = status.assigned.as_ref();
            assigned.is_some_and(|revision| revision.commit == commit)
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_what_an_asynchronous_standby_lacks_is_noticed_and_a_higher_epoch_goes_on() {
    let Some(mut primary) = Postgres::start().unwrap() else {
        return;
    };
    let mut standby = primary.standby().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let repository = Repository::create(path, "fleet").unwrap();
    repository.write("apps/a.yaml", "# 0\n").unwrap();
    let first = repository.push("first", &["prod"]).unwrap();
    let git = GitServer::start(&path.join("served"), "127.0.0.1:0")
        .await
        .unwrap();
    let fleet = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories:\n- {{name: fleet, url: '{}'}}\n\
         environments:\n- {{name: prod, branch: prod}}\n\
         applications:\n- {{name: web, repository: fleet, path: apps}}\n",
        git.url("fleet.git")
    );
    let (name, record) = accepted("c0", "prod").unwrap();
    let store = Store::connect(&primary.url()).await.unwrap();
    store.acquire("seed", "").await.unwrap().unwrap();
    let seed = [Effect::StoreCluster(name.clone(), Box::new(record))];
    store.apply("seed", &seed, Timestamp::now()).await.unwrap();
    store.release().await.unwrap();
    store.close().await;

    let mut hub = TestHub::builder()
        .at(path)
        .fleet(&fleet)
        .poll(Duration::from_millis(300))
        .store(primary.url())
        .retry_for(LIMIT)
        .start()
        .await
        .unwrap();
    let hubs = Arc::new(vec![hub.address.to_string()]);
    let (stop, stopped) = watch::channel(false);
    let agent = Agent::new(&hub.enrolled, &name, &hubs, Duration::ZERO).unwrap();
    tokio::spawn(agent.run(Arc::new(FleetState::default()), stopped));
    let calls = api(&hub).await;
    cluster(calls.clone(), "the first commit", |cluster| {
        runs(cluster, &first)
    })
    .await;
    let place = primary.sql("SELECT pg_current_wal_lsn()").unwrap();
    eventually("the standby has followed", LIMIT, || async {
        let ask = format!("SELECT pg_last_wal_replay_lsn() >= '{place}'");
        (standby.sql(&ask).ok()? == "t").then_some(())
    })
    .await
    .unwrap();
    // What is written now reaches only the primary, which then fails together with its hub.
    standby.kill().unwrap();
    let second = repository.push("second", &["prod"]).unwrap();
    cluster(calls, "the second commit", |cluster| runs(cluster, &second)).await;
    hub.kill().await.unwrap();
    primary.kill().unwrap();
    standby.resume().unwrap();
    standby.sql("SELECT pg_promote()").unwrap();

    hub.config.store_url = Some(standby.url());
    hub.start().await.unwrap();
    let calls = api(&hub).await;
    let shown = cluster(calls, "the loss is noticed", |cluster| {
        cluster.reason == "AgentAhead"
    })
    .await;
    assert!(
        shown
            .message
            .contains("raise its epoch: flotilla-hub raise-epoch"),
        "{}",
        shown.message
    );
    let [accepted, assigned] = [shown.accepted.unwrap(), shown.assigned.unwrap()];
    assert!(
        accepted.generation >= assigned.generation,
        "I4: nothing older was sent"
    );
    hub.stop().await.unwrap();
    let store = Store::connect(&standby.url()).await.unwrap();
    let epoch = store
        .raise_epoch("failover", Timestamp::now())
        .await
        .unwrap();
    store.close().await;
    hub.start().await.unwrap();
    let calls = api(&hub).await;
    cluster(calls, "everything goes on", |cluster| {
        runs(cluster, &second)
            && cluster
                .accepted
                .as_ref()
                .is_some_and(|own| own.epoch == epoch.0)
    })
    .await;
    let _ = stop.send(true);
    hub.stop().await.unwrap();
}

fn entry(text: &str) -> Effect {
    Effect::Audit(AuditEntry {
        at: Timestamp::now(),
        detail: text.to_owned(),
        ..AuditEntry::default()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn s08_with_a_synchronous_standby_nothing_acknowledged_is_lost() {
    let Some(mut primary) = Postgres::start().unwrap() else {
        return;
    };
    let mut standby = primary.standby().unwrap();
    let store = Store::connect(&primary.url()).await.unwrap();
    store.acquire("one", "").await.unwrap().unwrap();
    primary
        .sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        .unwrap();
    primary.sql("SELECT pg_reload_conf()").unwrap();
    eventually("it is waited for", LIMIT, || async {
        let ask = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        (primary.sql(ask).ok()? == "1").then_some(())
    })
    .await
    .unwrap();
    // With no standby to confirm it, the hub acknowledges nothing.
    let now = Timestamp::now();
    standby.kill().unwrap();
    assert!(store.apply("alone", &[entry("alone")], now).await.is_err());
    standby.resume().unwrap();
    eventually("it is acknowledged with it", LIMIT, || async {
        store.apply("alone", &[entry("alone")], now).await.ok()
    })
    .await
    .unwrap();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writer = {
        let (store, acknowledged) = (store.clone(), Arc::clone(&acknowledged));
        tokio::spawn(async move {
            for index in 0usize.. {
                let text = index.to_string();
                let kept = store.apply(&text, &[entry(&text)], Timestamp::now()).await;
                if kept.is_err() {
                    return;
                }
                acknowledged.store(index + 1, Ordering::SeqCst);
            }
        })
    };
    eventually("some are acknowledged", LIMIT, || async {
        (acknowledged.load(Ordering::SeqCst) >= 50).then_some(())
    })
    .await
    .unwrap();
    // Fails in the middle of the next write.
    primary.kill().unwrap();
    writer.await.unwrap();
    standby.sql("SELECT pg_promote()").unwrap();
    let promised = acknowledged.load(Ordering::SeqCst);
    let store = Store::connect(&standby.url()).await.unwrap();
    let rows = store.audit_newest("", 100_000).await.unwrap();
    for index in 0..promised {
        let text = index.to_string();
        assert!(
            rows.iter().any(|row| row.entry.detail == text),
            "{index} of {promised} is lost"
        );
    }
    assert!(store.verify_audit().await.unwrap().is_ok());
}
