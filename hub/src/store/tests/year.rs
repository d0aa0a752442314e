//! Size of a store after years.

use super::*;
use crate::fleet::rollout::{Progress, State};

const YEARS: u64 = 3;
/// Number of rollouts in a month; a year has more than are kept of an environment.
const OF_A_MONTH: u64 = 110;
const KEPT: usize = 1000;
const CLUSTERS: usize = 4;

/// Sizes on disk, in bytes.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// The audit log.
    audit: i64,
    /// All other used pages.
    rest: i64,
    /// The whole file, with free pages.
    file: i64,
}

async fn number(store: &Store, sql: &'static str) -> i64 {
    store.row(sql).await.unwrap().try_get(0).unwrap()
}

async fn size(store: &Store) -> Size {
    // Pages by table and index (<https://sqlite.org/dbstat.html>).
    let audit = "SELECT COALESCE(SUM(pgsize), 0) FROM dbstat WHERE name = 'audit'";
    let rest = "SELECT COALESCE(SUM(pgsize), 0) FROM dbstat WHERE name <> 'audit'";
    Size {
        audit: number(store, audit).await,
        rest: number(store, rest).await,
        file: number(store, "PRAGMA page_count").await * 4096,
    }
}

/// Returns a month's rollouts, each with its clusters' progress, a report of each cluster, and an audit entry that
/// causes a notification.
fn month(index: u64, at: Timestamp) -> Vec<Effect> {
    let mut effects = Vec::new();
    for number in index * OF_A_MONTH + 1..=(index + 1) * OF_A_MONTH {
        let id = format!("prod-{number}");
        effects.push(order::rollout(number, at, State::Succeeded));
        for cluster in 0..CLUSTERS {
            let cluster: ClusterName = format!("c{cluster}").parse().unwrap();
            let report = Report {
                sequence: number,
                ..Report::default()
            };
            let progress = Box::new(Progress::waiting(0, at));
            effects.extend([
                Effect::StoreCluster(cluster.clone(), Box::default()),
                Effect::StoreReport(cluster.clone(), report, None),
                Effect::StoreProgress(id.clone(), cluster, progress),
            ]);
        }
        effects.push(Effect::Audit(AuditEntry {
            at,
            actor: flotilla_status::HUB_ACTOR.to_owned(),
            action: flotilla_status::AuditAction::RolloutSucceeded,
            environment: "prod".to_owned(),
            rollout: Some(id),
            ..AuditEntry::default()
        }));
    }
    effects
}

/// Apart from the audit log a store takes at most 4 KiB for each rollout that is kept, with the progress of four
/// clusters: it does not grow in the second and third year, since freed pages are used again.
#[tokio::test]
async fn s14_from_year_to_year_only_the_audit_log_grows() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    let mut sizes = Vec::new();
    for index in 0..YEARS * 12 {
        let hours = i64::try_from(index).unwrap() * 730;
        let at = now().saturating_add(jiff::SignedDuration::from_hours(hours));
        let at = at.unwrap();
        let batch = index.to_string();
        store.apply(&batch, &month(index, at), at).await.unwrap();
        store.retain(at).await.unwrap();
        if index % 12 == 11 {
            sizes.push(size(&store).await);
        }
    }
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    let bound = i64::try_from(KEPT * 4096).unwrap();
    assert!(first.rest <= bound, "over {bound}: {sizes:?}");
    assert!(last.rest <= first.rest + first.rest / 10, "{sizes:?}");
    assert!(last.audit > 2 * first.audit, "{sizes:?}");
    let held = last.rest + last.audit;
    assert!(last.file <= held + held / 2, "{sizes:?}");
    // The newest rollouts, the whole log, and the present state are kept.
    let all = YEARS * 12 * OF_A_MONTH;
    let kept = store.rollouts("prod", 10_000).await.unwrap();
    assert_eq!(kept.len(), KEPT);
    assert_eq!(kept[0].number(), all);
    let progress = number(&store, "SELECT COUNT(*) FROM progress").await;
    assert_eq!(usize::try_from(progress).unwrap(), KEPT * CLUSTERS);
    let (entries, _) = store.verify_audit().await.unwrap().unwrap();
    assert_eq!(u64::try_from(entries).unwrap(), all);
    let Event::Restored { clusters, .. } = store.load().await.unwrap() else {
        panic!("what was stored comes first");
    };
    for cluster in &clusters {
        let report = cluster.report.as_ref();
        assert_eq!(report.map(|report| report.sequence), Some(all));
    }
    assert_eq!(clusters.len(), CLUSTERS);
}
