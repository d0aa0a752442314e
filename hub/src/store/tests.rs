use std::sync::Arc;

use flotilla_shared::id::{ClusterName, Epoch};
use flotilla_shared::report::Report;
use jiff::Timestamp;

use super::*;
use crate::fleet::{ClusterRecord, Event, Fleet};
use crate::spec;

fn now() -> Timestamp {
    Timestamp::new(1_790_000_000, 0).unwrap()
}

fn name() -> ClusterName {
    "prod-eu-1".parse().unwrap()
}

/// A fleet's worth of effects, as the real state machine makes them.
fn effects() -> Vec<Effect> {
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", include_str!("../../examples/fleet.yaml")).unwrap();
    let mut effects = fleet.step(Event::SpecChanged(Arc::new(spec)), now());
    effects.extend(fleet.step(Event::ClusterPut(name(), ClusterRecord::default()), now()));
    let commit = "3f2a9c1d".repeat(5).parse().unwrap();
    effects.extend(fleet.step(
        Event::HeadsRead {
            repository: "fleet".parse().unwrap(),
            asked: vec!["prod".parse().unwrap()],
            found: [("prod".parse().unwrap(), commit)].into(),
        },
        now(),
    ));
    effects.push(Effect::StoreReport(
        name(),
        Report {
            observed_at: now(),
            sequence: 7,
            ..Report::default()
        },
    ));
    effects
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let effects = effects();
    let store = Store::open(directory.path()).await.unwrap();
    store.apply("1", &effects, now()).await.unwrap();
    store.close().await;
    drop(store);

    let store = Store::open(directory.path()).await.unwrap();
    let mut fleet = Fleet::new(store.epoch().await.unwrap());
    fleet.step(store.load().await.unwrap(), now());
    let cluster = &fleet.clusters()[&name()];
    let assigned = effects.iter().rev().find_map(|effect| match effect {
        Effect::StoreAssignment(_, assignment) => Some(assignment.decoded.clone()),
        _ => None,
    });
    assert_eq!(cluster.assigned, assigned);
    assert_eq!(
        cluster.report.as_ref().map(|report| report.sequence),
        Some(7)
    );
    assert_eq!(fleet.heads().len(), 1);
}

#[tokio::test]
async fn s04_a_second_hub_on_the_same_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _store = Store::open(directory.path()).await.unwrap();
    assert!(matches!(
        Store::open(directory.path()).await,
        Err(Error::InUse(_))
    ));
}

#[tokio::test]
async fn s05_a_newer_schema_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    sqlx::query("PRAGMA user_version = 99")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    drop(store);
    let error = Store::open(directory.path()).await.err().unwrap();
    assert!(
        matches!(error, Error::NewerSchema { found: 99, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn e01_tokens_are_good_once_in_time_and_for_their_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let later = now()
        .saturating_add(jiff::SignedDuration::from_hours(1))
        .unwrap();
    let new = NewToken {
        cluster: Some(name()),
        expires_at: later,
        ..NewToken::default()
    };
    let (text, _) = store.create_token(&new).await.unwrap();
    let other: ClusterName = "other".parse().unwrap();
    let refused = |result: Result<Redeemed, TokenError>| matches!(result, Err(TokenError::Invalid));
    assert!(
        refused(store.redeem(&text, &other, "key", now()).await),
        "another cluster"
    );
    assert!(
        refused(store.redeem(&text, &name(), "key", later).await),
        "expired"
    );
    assert!(
        refused(store.redeem("flt_00_00", &name(), "key", now()).await),
        "unknown"
    );
    assert!(
        refused(store.redeem("nonsense", &name(), "key", now()).await),
        "malformed"
    );
    assert!(
        store
            .redeem(&text, &name(), "key", now())
            .await
            .unwrap()
            .first
    );
    assert!(
        !store
            .redeem(&text, &name(), "key", now())
            .await
            .unwrap()
            .first,
        "a repeat is a poll"
    );
    assert!(
        refused(store.redeem(&text, &name(), "other key", now()).await),
        "replayed"
    );
    let tokens = store.tokens().await.unwrap();
    assert_eq!(tokens.len(), 1);
    assert!(store.revoke_token(&tokens[0].id).await.unwrap());
    assert!(
        refused(store.redeem(&text, &name(), "key", now()).await),
        "revoked"
    );
    let dump = std::fs::read(directory.path().join("hub.db")).unwrap();
    let secret = text.rsplit('_').next().unwrap().as_bytes();
    assert!(
        !dump.windows(secret.len()).any(|window| window == secret),
        "only a hash is kept"
    );
}

#[tokio::test]
async fn e02_of_fifty_redeeming_at_once_one_is_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let later = now()
        .saturating_add(jiff::SignedDuration::from_hours(1))
        .unwrap();
    let new = NewToken {
        expires_at: later,
        ..NewToken::default()
    };
    let (text, _) = store.create_token(&new).await.unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|index| {
            let (store, text) = (store.clone(), text.clone());
            tokio::spawn(async move {
                store
                    .redeem(&text, &name(), &format!("key{index}"), now())
                    .await
                    .is_ok()
            })
        })
        .collect();
    let mut good = 0;
    for task in tasks {
        good += usize::from(task.await.unwrap());
    }
    assert_eq!(good, 1);
}
