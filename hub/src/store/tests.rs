mod audit_log;
mod broken_off;
mod copies;
mod damage;
mod disk;
mod order;
mod versions;
mod year;

use std::sync::Arc;

use flotilla_shared::id::{ClusterName, Epoch};
use flotilla_shared::report::Report;
use flotilla_status::AuditAction;
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

/// A batch of effects, as the real state machine makes them.
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

/// A task that survived the shutdown held a clone, and the hub's successor was refused.
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
        action: AuditAction::Pin,
        detail: text.to_owned(),
        ..crate::fleet::AuditEntry::default()
    })
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
    assert_eq!(restored.entry.action, AuditAction::HubRestore);
    for expected in ["backup.db", &kept.hash, &lost.hash, "the epoch is now 2"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(raised.entry.action, AuditAction::EpochRaise);
    assert_eq!(raised.entry.reason, "a snapshot");
    assert!(raised.entry.detail.contains("epoch 2 to 3"));
    assert!(store.verify_audit().await.unwrap().is_ok());
    // Branches are read again before anything follows from them.
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
    // During a rotation both roots are known; afterwards the old one alone is refused.
    store.name_authority(&roots(&["b", "a"])).await.unwrap();
    store.prove_authority(&roots(&["b"])).await.unwrap();
    store.prove_authority(&roots(&["a"])).await.unwrap();
    store.name_authority(&roots(&["b"])).await.unwrap();
    assert!(store.prove_authority(&roots(&["a"])).await.is_err());
    store.adopt_authority(&roots(&["c"]), now()).await.unwrap();
    store.prove_authority(&roots(&["c"])).await.unwrap();
    let entries = store.audit_newest("", 1).await.unwrap();
    assert_eq!(entries[0].entry.action, AuditAction::AuthorityAdopt);
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
            // The oldest one is still in progress.
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
    // Odd numbers of rows: full statements, and the rest in powers of two.
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
    use crate::forge::status::{Key, SentStatus};
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let key = |digit: &str| Key {
        environment: "prod".parse().unwrap(),
        repository: "fleet".parse().unwrap(),
        commit: digit.repeat(40).parse().unwrap(),
    };
    let sent = |change: &str, second| SentStatus {
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
