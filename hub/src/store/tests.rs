mod broken_off;
mod order;

use std::sync::Arc;

use flotilla_shared::id::{ClusterName, Epoch};
use flotilla_shared::report::Report;
use jiff::Timestamp;

use super::*;
use crate::enrolment::{NewToken, Redeemer};
use crate::fleet::{AuditEntry, ClusterRecord, Effect, Event, Fleet};
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
        Some(now()),
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

/// A task that outlived a shutdown held a clone, and the hub's successor was refused.
#[tokio::test]
async fn s04_a_store_that_was_closed_is_free_though_a_task_still_holds_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let held = store.clone();
    store.close().await;
    let next = Store::open(directory.path()).await.unwrap();
    assert!(held.epoch().await.is_err(), "it writes and reads no more");
    drop((store, held));
    assert!(matches!(
        Store::open(directory.path()).await,
        Err(Error::InUse(_))
    ));
    next.close().await;
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
async fn e01_a_token_is_found_by_its_secret_only_and_what_became_of_it_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let new = NewToken {
        cluster: Some(name()),
        expires_at: now(),
        ..NewToken::default()
    };
    let (text, made) = store.create_token(&new).await.unwrap();
    for wrong in ["flt_00_00", "nonsense", &text[..text.len() - 1]] {
        assert!(store.token_of(wrong).await.unwrap().is_none(), "{wrong}");
    }
    let by = Redeemer {
        at: now(),
        cluster: name(),
        key: "key".to_owned(),
    };
    let effects = [Effect::RedeemToken(made.id.clone(), by.clone())];
    store.apply("1", &effects, now()).await.unwrap();
    let token = store.token_of(&text).await.unwrap().unwrap();
    assert_eq!((token.redeemed, token.revoked_at), (Some(by), None));
    assert_eq!(store.tokens().await.unwrap().len(), 1);
    let effects = [Effect::RevokeToken(made.id, now())];
    store.apply("2", &effects, now()).await.unwrap();
    let token = store.token_of(&text).await.unwrap().unwrap();
    assert_eq!(token.revoked_at, Some(now()), "who shows it is told");
    assert!(store.tokens().await.unwrap().is_empty());
    let dump = std::fs::read(directory.path().join("hub.db")).unwrap();
    let secret = text.rsplit('_').next().unwrap().as_bytes();
    assert!(
        !dump.windows(secret.len()).any(|window| window == secret),
        "only a hash is kept"
    );
}

fn audit(text: &str) -> Effect {
    Effect::Audit(crate::fleet::AuditEntry {
        at: now(),
        actor: "ada".to_owned(),
        action: "pin".to_owned(),
        detail: text.to_owned(),
        ..crate::fleet::AuditEntry::default()
    })
}

#[tokio::test]
async fn s13_an_audit_entry_that_was_changed_removed_or_moved_is_named() {
    let tamperings = [
        ("UPDATE audit SET reason = 'other' WHERE seq = 3", 3),
        (
            "UPDATE audit SET happened_at = happened_at + 1 WHERE seq = 2",
            2,
        ),
        ("DELETE FROM audit WHERE seq = 3", 4),
        ("UPDATE audit SET seq = 99 WHERE seq = 2", 3),
        ("UPDATE audit SET hash = 'x' WHERE seq = 5", 5),
    ];
    for (sql, place) in tamperings {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).await.unwrap();
        for index in 0..5 {
            let batch = format!("{index}");
            store.apply(&batch, &[audit(&batch)], now()).await.unwrap();
        }
        assert_eq!(store.verify_audit().await.unwrap().unwrap().0, 5);
        sqlx::query(sql).execute(&store.pool).await.unwrap();
        let broken = store.verify_audit().await.unwrap().unwrap_err();
        assert_eq!(broken.seq, place, "{sql}: {broken}");
    }
}

#[tokio::test]
async fn s13_an_end_that_was_cut_off_or_a_chain_made_anew_is_found_by_who_wrote_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let entries: Vec<Effect> = (0..5).map(|index| audit(&format!("{index}"))).collect();
    store.apply("1", &entries, now()).await.unwrap();
    assert_eq!(store.verify_audit().await.unwrap().unwrap().0, 5);
    let delete = |after: i64| {
        let statement = format!("DELETE FROM audit WHERE seq > {after}");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&store.pool)
    };
    delete(4).await.unwrap();
    let broken = store.verify_audit().await.unwrap().unwrap_err();
    assert!(broken.to_string().contains("5 is gone"), "{broken}");
    // The chain holds in itself again, with another fifth entry.
    let mut transaction = store.pool.begin().await.unwrap();
    let forged = AuditEntry::default();
    store
        .append(&mut transaction, &mut None, &forged)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let broken = store.verify_audit().await.unwrap().unwrap_err();
    assert!(broken.to_string().contains("written anew"), "{broken}");
    delete(0).await.unwrap();
    assert!(store.verify_audit().await.unwrap().is_err(), "all of it");
}

#[tokio::test]
async fn p08_a_restore_and_a_raised_epoch_are_in_the_log_with_what_they_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (data, copy) = (
        directory.path().join("hub"),
        directory.path().join("backup.db"),
    );
    let store = Store::open(&data).await.unwrap();
    store.apply("1", &effects(), now()).await.unwrap();
    store.apply("2", &[audit("kept")], now()).await.unwrap();
    let kept = store.audit_end().await.unwrap();
    backup(&data, &copy).await.unwrap();
    store.apply("3", &[audit("lost")], now()).await.unwrap();
    let lost = store.audit_end().await.unwrap();
    let refused = raise_epoch(&data, "x", now()).await.unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");
    store.close().await;
    drop(store);
    assert_eq!(restore(&data, &copy, now()).await.unwrap(), Epoch(2));
    assert_eq!(
        raise_epoch(&data, "a snapshot", now()).await.unwrap(),
        Epoch(3)
    );
    let store = Store::open(&data).await.unwrap();
    assert_eq!(store.epoch_since().await.unwrap(), Some(now()));
    let entries = store.audit_newest("", 10).await.unwrap();
    let [.., restored, raised] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    let text = &restored.entry.detail;
    assert_eq!(restored.entry.action, "hub restore");
    for said in ["backup.db", &kept.hash, &lost.hash, "the epoch is 2"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(raised.entry.action, "epoch raise");
    assert_eq!(raised.entry.reason, "a snapshot");
    assert!(raised.entry.detail.contains("epoch 2 to 3"));
    assert!(store.verify_audit().await.unwrap().is_ok());
    // Branches are read anew before anything follows from them.
    let heads = store.row("SELECT COUNT(*) FROM heads").await.unwrap();
    assert_eq!(heads.try_get::<i64, _>(0).unwrap(), 0);
}

#[tokio::test]
async fn s04_a_process_with_another_authority_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let roots = |all: &[&str]| -> Vec<String> { all.iter().map(ToString::to_string).collect() };
    store.prove_authority(&roots(&["a"])).await.unwrap();
    store.prove_authority(&roots(&["a"])).await.unwrap();
    let refused = store.prove_authority(&roots(&["b"])).await.unwrap_err();
    assert!(matches!(refused, Error::OtherAuthority { .. }), "{refused}");
    // While it changes both roots are known; afterwards the old one alone opens nothing.
    store.name_authority(&roots(&["b", "a"])).await.unwrap();
    store.prove_authority(&roots(&["b"])).await.unwrap();
    store.prove_authority(&roots(&["a"])).await.unwrap();
    store.name_authority(&roots(&["b"])).await.unwrap();
    assert!(store.prove_authority(&roots(&["a"])).await.is_err());
    store.adopt_authority(&roots(&["c"]), now()).await.unwrap();
    store.prove_authority(&roots(&["c"])).await.unwrap();
    let entries = store.audit_newest("", 1).await.unwrap();
    assert_eq!(entries[0].entry.action, "authority adopt");
}

#[tokio::test]
async fn e15_a_store_and_its_directory_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("hub");
    let store = Store::open(&data).await.unwrap();
    store.apply("1", &[audit("x")], now()).await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in std::fs::read_dir(&data).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

/// What could not be stored may be gone after a crash: nobody is shown it.
#[tokio::test]
async fn s01_what_is_not_stored_is_not_shown_and_the_hub_is_not_ready() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let mut fleet = Fleet::new(Epoch(1));
    let spec = spec::parse("f", include_str!("../../examples/fleet.yaml")).unwrap();
    fleet.step(Event::SpecChanged(Arc::new(spec)), now());
    fleet.step(Event::ClusterPut(name(), ClusterRecord::default()), now());
    let health = crate::driver::Health::default();
    let stop = tokio_util::sync::CancellationToken::new();
    let (handle, driver) = crate::driver::spawn(
        fleet,
        store.clone(),
        crate::metrics::Metrics::new(),
        health.clone(),
        stop.clone(),
    );
    let pages = store.row("PRAGMA page_count").await.unwrap();
    let full = |more: i64| {
        let pages: i64 = pages.try_get::<i64, _>(0).unwrap() + more;
        let limit = format!("PRAGMA max_page_count = {pages}");
        sqlx::query(sqlx::AssertSqlSafe(limit)).execute(&store.pool)
    };
    full(0).await.unwrap();
    let label = |text: String| {
        let record = ClusterRecord {
            labels: [("size".to_owned(), text)].into(),
            ..ClusterRecord::default()
        };
        Event::ClusterPut(name(), record)
    };
    let large = "x".repeat(100_000);
    let refused = handle.commit(label(large), AuditEntry::default()).await;
    assert_eq!(refused.unwrap(), Err(crate::driver::Refused::Store));
    assert!(health.is_failing());
    // What comes meanwhile is not decided, and is told so: the first is tried again, this is not.
    let next = handle.commit(label("small".to_owned()), AuditEntry::default());
    let refused = next.await.unwrap().unwrap_err();
    assert_eq!(refused, crate::driver::Refused::Undecided);
    assert!(refused.to_string().contains("nothing was changed"));
    let shown = || handle.query(|fleet| fleet.labels_of(&name()).contains_key("size"));
    assert!(!shown().await.unwrap(), "it is not stored");
    // There is room again: what was decided is stored, and then it is shown.
    full(1000).await.unwrap();
    while health.is_failing() {
        tokio::task::yield_now().await;
    }
    assert!(shown().await.unwrap());
    let is_first = |fleet: &Fleet| fleet.labels_of(&name())["size"].len() > 1000;
    assert!(handle.query(is_first).await.unwrap());
    stop.cancel();
    drop(handle);
    driver.await.unwrap();
}

#[tokio::test]
async fn s07_a_batch_that_arrived_is_not_written_twice() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    for _ in 0..3 {
        store.apply("same", &[audit("once")], now()).await.unwrap();
    }
    assert_eq!(store.audit_newest("", 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn s03_a_damaged_file_is_found_at_the_start_and_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    for index in 0..200 {
        let batch = format!("{index}");
        store
            .apply(&batch, &[audit(&"x".repeat(500))], now())
            .await
            .unwrap();
    }
    store.close().await;
    drop(store);
    let path = directory.path().join("hub.db");
    let good = std::fs::read(&path).unwrap();
    let mut found = 0;
    // The first bytes of a page say what it is; any of them wrong is a wrong tree.
    for page in 4..(good.len() / 4096).min(24) {
        let mut bad = good.clone();
        for byte in &mut bad[page * 4096..page * 4096 + 64] {
            *byte ^= 0x55;
        }
        std::fs::write(&path, &bad).unwrap();
        let opened = Store::open(directory.path()).await;
        found += usize::from(opened.is_err());
        if let Ok(store) = opened {
            store.close().await;
        }
    }
    assert!(found >= 10, "only {found} of 20 damaged pages were found");
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    let error = Store::open(directory.path()).await.err().unwrap();
    assert!(error.to_string().contains("restore"), "{error}");
}

#[tokio::test]
async fn s05_a_migration_that_was_cut_short_is_not_there_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    // As the first version left it, with a cluster in it.
    for sql in [
        "INSERT INTO clusters (name, labels, created_at, cluster_uid) VALUES ('old', '{}', 0, '')",
        "ALTER TABLE clusters DROP COLUMN pin",
        "ALTER TABLE clusters DROP COLUMN suspended",
        "ALTER TABLE clusters DROP COLUMN credential",
        "ALTER TABLE clusters DROP COLUMN let_go",
        "ALTER TABLE tokens DROP COLUMN revoked_at",
        "DROP TABLE retired",
        "DROP TABLE facts",
        "DROP TABLE sessions",
        "ALTER TABLE heads DROP COLUMN moved",
        "DROP TABLE specifications",
        "ALTER TABLE reports DROP COLUMN current_since",
        "DROP TABLE environments",
        "DROP TABLE rollouts",
        "DROP TABLE progress",
        "DROP TABLE audit",
        "DROP TABLE operators",
        "DROP TABLE decider",
        "DROP TABLE commit_statuses",
        "DROP TABLE outbox",
        "DROP TABLE told",
        "PRAGMA user_version = 1",
    ] {
        sqlx::query(sql).execute(&store.pool).await.unwrap();
    }
    // Something stands in the way of the migration's last statements, as a kill would.
    sqlx::query("CREATE TABLE decider (id INTEGER)")
        .execute(&store.pool)
        .await
        .unwrap();
    store.close().await;
    drop(store);
    assert!(Store::open(directory.path()).await.is_err());
    let path = directory.path().join("hub.db");
    let half = Store::sqlite(&path, None).await.unwrap();
    assert_eq!(half.schema().await.unwrap(), 1);
    assert!(
        half.row("SELECT COUNT(*) FROM rollouts").await.is_err(),
        "none of it is there"
    );
    sqlx::query("DROP TABLE decider")
        .execute(&half.pool)
        .await
        .unwrap();
    half.close().await;
    let store = Store::open(directory.path()).await.unwrap();
    let mut fleet = Fleet::new(Epoch(1));
    fleet.step(store.load().await.unwrap(), now());
    assert_eq!(fleet.clusters().len(), 1, "what was there is there");
}

#[tokio::test]
async fn s01_a_full_disk_refuses_changes_and_recovers_whole() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    store.apply("first", &[audit("kept")], now()).await.unwrap();
    // SQLite itself says SQLITE_FULL from this many pages on, as it does on ENOSPC.
    let row = store.row("PRAGMA page_count").await.unwrap();
    let pages: i64 = row.try_get(0).unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 2);
    sqlx::query(sqlx::AssertSqlSafe(limit))
        .execute(&store.pool)
        .await
        .unwrap();
    let large: Vec<Effect> = (0..50).map(|_| audit(&"x".repeat(2000))).collect();
    let refused = store.apply("large", &large, now()).await;
    assert!(refused.unwrap_err().to_string().contains("full"));
    assert_eq!(
        store.audit_newest("", 100).await.unwrap().len(),
        1,
        "reads go on"
    );
    sqlx::query("PRAGMA max_page_count = 1000000")
        .execute(&store.pool)
        .await
        .unwrap();
    store.apply("large", &large, now()).await.unwrap();
    assert_eq!(store.verify_audit().await.unwrap().unwrap().0, 51);
    let row = store.row("PRAGMA integrity_check").await.unwrap();
    assert_eq!(row.try_get::<String, _>(0).unwrap(), "ok");
}

#[tokio::test]
async fn s02_copies_of_the_file_at_any_moment_hold_all_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let copies = tempfile::tempdir().unwrap();
    for acknowledged in 1..=60i64 {
        let batch = format!("{acknowledged}");
        store.apply(&batch, &[audit(&batch)], now()).await.unwrap();
        // What a disk holds after the power went: the file and its log, without the shared memory.
        let image = copies.path().join(&batch);
        std::fs::create_dir(&image).unwrap();
        for name in ["hub.db", "hub.db-wal"] {
            std::fs::copy(directory.path().join(name), image.join(name)).unwrap();
        }
        let booted = Store::open(&image).await.unwrap();
        let (held, _) = booted.verify_audit().await.unwrap().unwrap();
        assert_eq!(held, acknowledged);
        booted.close().await;
    }
}

#[tokio::test]
async fn s14_a_year_of_rollouts_is_forgotten_and_the_audit_log_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let day = |n: i64| {
        now()
            .saturating_add(jiff::SignedDuration::from_hours(24 * n))
            .unwrap()
    };
    let mut effects = Vec::new();
    for n in 0..1500i64 {
        let at = day(n / 3);
        let rollout = crate::fleet::rollout::Rollout {
            strategy: None,
            stepped_at: None,
            changes: Vec::new(),
            id: format!("prod-{n}"),
            environment: "prod".parse().unwrap(),
            target: std::collections::BTreeMap::new(),
            from: std::collections::BTreeMap::new(),
            from_id: String::new(),
            state: crate::fleet::rollout::State::Succeeded,
            carried: Vec::new(),
            waves: Vec::new(),
            wave: 0,
            epoch: 1,
            created_at: at
                .saturating_add(jiff::SignedDuration::from_secs(n % 3))
                .unwrap(),
            started_at: None,
            // The oldest of all is still under way.
            ended_at: (n != 0).then_some(at),
            note: String::new(),
            blameless: false,
            clusters: std::collections::BTreeMap::new(),
        };
        effects.push(Effect::StoreRollout(Box::new(rollout)));
        effects.push(audit(&format!("{n}")));
    }
    store.apply("year", &effects, now()).await.unwrap();
    store.retain(day(500)).await.unwrap();
    let kept = store.rollouts("prod", 10_000).await.unwrap();
    assert!(kept.len() <= 1001 && kept.len() >= 100, "{}", kept.len());
    assert!(
        kept.iter().any(|rollout| rollout.id == "prod-0"),
        "what is under way stays"
    );
    store.retain(day(2000)).await.unwrap();
    assert_eq!(store.rollouts("prod", 10_000).await.unwrap().len(), 101);
    assert_eq!(store.verify_audit().await.unwrap().unwrap().0, 1500);
}

#[tokio::test]
async fn of_many_rows_in_one_batch_the_newest_counts_and_a_deletion_takes_what_came_before() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let name = |index: usize| -> ClusterName { format!("c{index}").parse().unwrap() };
    let report = |sequence| Report {
        sequence,
        ..Report::default()
    };
    let mut effects = Vec::new();
    // Odd numbers of rows: full statements and the rest in powers of two.
    for index in 0..777 {
        effects.push(Effect::StoreCluster(name(index), Box::default()));
        effects.push(Effect::StoreReport(name(index), report(1), None));
        effects.push(Effect::StoreReport(name(index), report(2), Some(now())));
    }
    effects.push(Effect::DeleteCluster(name(5)));
    effects.push(Effect::DeleteCluster(name(6)));
    effects.push(Effect::StoreCluster(name(6), Box::default()));
    store.apply("1", &effects, now()).await.unwrap();
    let mut fleet = Fleet::new(store.epoch().await.unwrap());
    fleet.step(store.load().await.unwrap(), now());
    assert_eq!(fleet.clusters().len(), 776);
    assert!(!fleet.clusters().contains_key(&name(5)));
    for (cluster, state) in fleet.clusters() {
        let sequence = state.report.as_ref().map(|report| report.sequence);
        let want = (*cluster != name(6)).then_some(2);
        assert_eq!(sequence, want, "{cluster}");
    }
}

#[tokio::test]
async fn what_forges_were_told_last_is_known_after_a_restart() {
    use crate::forge::status::{Key, Sent};
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let key = |digit: &str| Key {
        environment: "prod".parse().unwrap(),
        repository: "fleet".parse().unwrap(),
        commit: digit.repeat(40).parse().unwrap(),
    };
    let sent = |change: &str, second| Sent {
        change: change.to_owned(),
        at: Timestamp::from_second(second).unwrap(),
    };
    store
        .put_status(&key("a"), &sent("running/0", 1))
        .await
        .unwrap();
    store
        .put_status(&key("a"), &sent("succeeded", 2))
        .await
        .unwrap();
    store
        .put_status(&key("b"), &sent("running/0", 3))
        .await
        .unwrap();
    store.close().await;
    let store = Store::open(directory.path()).await.unwrap();
    let all = store.statuses().await.unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[&key("a")], sent("succeeded", 2));
    store.close().await;
}

/// What fails and is not tried again by anybody leaves the hub unready until something was written.
#[tokio::test]
async fn s01_after_a_failed_write_the_hub_is_not_ready_until_one_succeeds() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let health = store.health();
    let pages = store.row("PRAGMA page_count").await.unwrap();
    let pages: i64 = pages.try_get(0).unwrap();
    let limit = format!("PRAGMA max_page_count = {pages}");
    let full = sqlx::query(sqlx::AssertSqlSafe(limit));
    full.execute(&store.pool).await.unwrap();
    assert!(!health.is_failing());
    let mut entry = AuditEntry {
        at: now(),
        detail: "x".repeat(100_000),
        ..AuditEntry::default()
    };
    let error = store.record(&entry).await.unwrap_err();
    assert!(health.is_failing() && health.is_doubted());
    let told = error.to_string();
    let path = directory.path().display().to_string();
    for words in [path.as_str(), "no space is left", "16 MiB"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    store.prove().await.unwrap();
    assert!(!health.is_failing(), "there is room for something");
    // The driver tries again by itself, and nobody else's success says that it could write.
    health.fails();
    store.prove().await.unwrap();
    assert!(health.is_failing());
    health.works();
    // Words that were asked wrongly say nothing of the store.
    entry.detail.clear();
    let twice = "INSERT INTO decider SELECT * FROM decider";
    let refused = sqlx::query(twice).execute(&store.pool).await.unwrap_err();
    let _ = store.error()(refused);
    assert!(!health.is_failing());
}
