use jiff::{SignedDuration, Timestamp};

use super::{OF_PERSON, SessionRow};
use crate::store::Store;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).unwrap()
}

fn row(hash: &str, person: &str) -> SessionRow {
    SessionRow {
        hash: hash.to_owned(),
        person: person.to_owned(),
        sealed: vec![1, 2, 3],
        version: 0,
        expires_at: at(3600),
    }
}

#[tokio::test]
async fn a_session_lasts_until_it_is_over_or_ended() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    store.open_session(&row("a", "ada"), at(0)).await.unwrap();
    store.open_session(&row("b", "bob"), at(0)).await.unwrap();
    let found = store.session("a", at(1)).await.unwrap().unwrap();
    assert_eq!(found, row("a", "ada"));
    assert_eq!(store.session("a", at(3600)).await.unwrap(), None);
    store.end_session("a").await.unwrap();
    assert_eq!(store.session("a", at(1)).await.unwrap(), None);
    assert!(store.session("b", at(1)).await.unwrap().is_some());
    // A session that was ended since the backup must not be valid after a restore.
    store.raise_epoch("test", at(2)).await.unwrap();
    assert_eq!(store.session("b", at(3)).await.unwrap(), None);
}

#[tokio::test]
async fn of_two_that_renew_one_session_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    store.open_session(&row("a", "ada"), at(0)).await.unwrap();
    assert!(store.renew_session(&row("a", "ada")).await.unwrap());
    assert!(!store.renew_session(&row("a", "ada")).await.unwrap());
    assert_eq!(store.session("a", at(1)).await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn nobody_fills_the_store_with_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    store.open_session(&row("b", "bob"), at(0)).await.unwrap();
    for number in 0..OF_PERSON + 3 {
        let now = at(0) + SignedDuration::from_secs(number);
        let own = row(&format!("a{number}"), "ada");
        store.open_session(&own, now).await.unwrap();
    }
    let rows = store.rows("SELECT hash FROM sessions").await.unwrap();
    assert_eq!(i64::try_from(rows.len()).unwrap(), OF_PERSON + 1);
    assert_eq!(store.session("a0", at(60)).await.unwrap(), None);
    assert!(store.session("a18", at(60)).await.unwrap().is_some());
    assert!(store.session("b", at(60)).await.unwrap().is_some());
}
