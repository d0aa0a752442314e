//! What a restart makes of clocks that were set back, and of stored decisions.

use super::*;
use crate::fleet::rollout::{Rollout, State};

pub(super) fn rollout(number: u64, at: Timestamp, state: State) -> Effect {
    Effect::StoreRollout(Box::new(Rollout {
        strategy: None,
        stepped_at: None,
        changes: Vec::new(),
        id: format!("prod-{number}"),
        environment: "prod".parse().unwrap(),
        target: std::collections::BTreeMap::new(),
        from: std::collections::BTreeMap::new(),
        from_id: String::new(),
        state,
        carried: Vec::new(),
        waves: Vec::new(),
        wave: 0,
        epoch: 1,
        created_at: at,
        started_at: None,
        ended_at: state.is_over().then_some(at),
        note: String::new(),
        blameless: false,
        clusters: std::collections::BTreeMap::new(),
    }))
}

async fn last(store: &Store) -> Vec<String> {
    match store.load().await.unwrap() {
        Event::Restored { rollouts, .. } => {
            rollouts.into_iter().map(|rollout| rollout.id).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// The last rollout is the one that was decided last, whatever the clocks were.
#[tokio::test]
async fn s14_the_last_rollout_goes_by_the_order_of_decisions_when_the_clock_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let back = |hours: i64| {
        let hours = jiff::SignedDuration::from_hours(hours);
        now().checked_sub(hours).unwrap()
    };
    let effects = [
        rollout(9, now(), State::Succeeded),
        rollout(10, back(5), State::Succeeded),
        rollout(11, back(3), State::Superseded),
    ];
    store.apply("1", &effects, now()).await.unwrap();
    assert_eq!(last(&store).await, ["prod-11"]);
    let shown = store.rollouts("prod", 10).await.unwrap();
    let shown: Vec<&str> = shown.iter().map(|rollout| rollout.id.as_str()).collect();
    assert_eq!(shown, ["prod-11", "prod-10", "prod-9"]);
    // Nor is the newest one deleted as the oldest.
    let many: Vec<Effect> = (12..1200)
        .map(|n| rollout(n, back(0), State::Succeeded))
        .chain([rollout(1200, back(24 * 9000), State::Succeeded)])
        .collect();
    store.apply("2", &many, now()).await.unwrap();
    store.retain(now()).await.unwrap();
    assert_eq!(last(&store).await, ["prod-1200"]);
}

/// A store of an older version, whose rollouts have no numbers yet.
#[tokio::test]
async fn s05_rollouts_of_an_older_store_get_their_number_from_their_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let effects = [
        rollout(9, now(), State::Succeeded),
        rollout(10, now(), State::Succeeded),
    ];
    store.apply("1", &effects, now()).await.unwrap();
    let before = schema::known() - 1;
    for sql in [
        "DROP INDEX rollouts_by_number".to_owned(),
        "ALTER TABLE rollouts DROP COLUMN number".to_owned(),
        "CREATE INDEX rollouts_by_environment ON rollouts (environment, created_at)".to_owned(),
        "ALTER TABLE clusters DROP COLUMN let_go".to_owned(),
        format!("PRAGMA user_version = {before}"),
    ] {
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::query(sql).execute(&store.pool).await.unwrap();
    }
    store.close().await;
    drop(store);
    let store = Store::open(directory.path()).await.unwrap();
    assert_eq!(last(&store).await, ["prod-10"]);
}

/// The release of a cluster by an operator survives a restart.
#[tokio::test]
async fn who_was_let_go_after_a_restore_is_so_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let record = ClusterRecord {
        let_go: Some(Epoch(7)),
        ..ClusterRecord::default()
    };
    let effects = [Effect::StoreCluster(name(), Box::new(record.clone()))];
    store.apply("1", &effects, now()).await.unwrap();
    store.close().await;
    drop(store);
    let store = Store::open(directory.path()).await.unwrap();
    let mut fleet = Fleet::new(Epoch(7));
    fleet.step(store.load().await.unwrap(), now());
    assert_eq!(fleet.clusters()[&name()].record.let_go, Some(Epoch(7)));
}
