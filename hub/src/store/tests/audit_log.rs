//! The audit log: entries that are changed, removed or rewritten are found.

use super::*;

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
    assert!(broken.to_string().contains("5 is missing"), "{broken}");
    // The chain is consistent again, but with another fifth entry.
    let mut transaction = store.pool.begin().await.unwrap();
    let forged = AuditEntry::default();
    store
        .append(&mut transaction, &mut None, &forged)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let broken = store.verify_audit().await.unwrap().unwrap_err();
    assert!(broken.to_string().contains("rewritten"), "{broken}");
    delete(0).await.unwrap();
    assert!(store.verify_audit().await.unwrap().is_err(), "all of it");
}

#[tokio::test]
async fn s13_hashes_are_over_the_words_of_actions_also_over_those_of_other_versions() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let entry = |action: AuditAction| AuditEntry {
        at: now(),
        actor: "ada".to_owned(),
        action,
        detail: "x".to_owned(),
        ..AuditEntry::default()
    };
    // An unknown action of a newer hub, with a control character.
    let newer = AuditAction::Other("pause\u{7} all".to_owned());
    for action in [AuditAction::RolloutHalted, newer] {
        store.record(&entry(action)).await.unwrap();
    }
    let rows = store.audit_after(0, "", 10).await.unwrap();
    let words: Vec<&str> = rows.iter().map(|row| row.entry.action.as_str()).collect();
    assert_eq!(words, ["rollout halted", "pause\u{7} all"]);
    assert_eq!(
        rows[0].hash, "b125a7032cd20dd06c4089edd8168cd8f502adfabc79339f9b17e4a8b8af98e6",
        "as hubs have always made it"
    );
    assert!(store.verify_audit().await.unwrap().is_ok());
}
