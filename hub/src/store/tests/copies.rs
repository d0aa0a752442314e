//! Copies that are taken while a batch is being written: a volume's snapshot, and `flotilla-hub backup`. Each is the
//! store as of some commit, with all that was acknowledged before, and with nothing uncommitted.

use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;

use flotilla_shared::assignment::Assignment;
use flotilla_shared::id::Generation;
use flotilla_shared::wire::DecodedAssignment;

use super::*;
use crate::fleet::StoredAssignment;
use crate::fleet::rollout::{Phase, Progress, State};

/// Number of clusters in each batch.
const CLUSTERS: usize = 16;
/// Time limit of each wait.
const DEADLINE: Duration = Duration::from_secs(30);
/// Environment variable with the directory of the writing process; set for that process only.
const WRITER: &str = "FLOTILLA_STORE_WRITER";
/// Subdirectory for its store and the numbers of its batches.
const DATA: &str = "data";
const BEGUN: &str = "begun";
const ACKNOWLEDGED: &str = "acknowledged";

/// Effects that belong together: every cluster is assigned and reports, in a rollout with this number that replaces the
/// one before, with one entry in the log. Numbers begin at one.
fn batch(number: u64) -> Vec<Effect> {
    let id = |number: u64| format!("prod-{number}");
    let mut effects = vec![order::rollout(number, now(), State::Running)];
    for index in 0..CLUSTERS {
        let cluster: ClusterName = format!("c{index}").parse().unwrap();
        let report = Report {
            sequence: number,
            ..Report::default()
        };
        effects.extend([
            Effect::StoreCluster(cluster.clone(), Box::default()),
            Effect::StoreAssignment(cluster.clone(), assignment(&cluster, number)),
            Effect::StoreReport(cluster.clone(), report, None),
            Effect::StoreProgress(id(number), cluster.clone(), Box::new(progress())),
            Effect::DeleteProgress(id(number - 1), cluster),
        ]);
    }
    effects.push(audit(&number.to_string()));
    effects
}

fn assignment(cluster: &ClusterName, number: u64) -> StoredAssignment {
    let assignment = Assignment {
        generation: Generation(number),
        ..Assignment::empty(cluster.clone(), "prod".parse().unwrap(), now())
    };
    StoredAssignment {
        decoded: Arc::new(DecodedAssignment::of(assignment).unwrap()),
    }
}

fn progress() -> Progress {
    Progress {
        phase: Phase::Started,
        started_at: Some(now()),
        // So large that a batch does not fit into a few pages.
        message: "x".repeat(6_000),
        ..Progress::waiting(0, now())
    }
}

async fn count(store: &Store, sql: &'static str) -> u64 {
    let row = store.row(sql).await.unwrap();
    u64::try_from(row.try_get::<i64, _>(0).unwrap()).unwrap()
}

/// Returns the last batch in a store; it has to be complete, with all batches before it, and a hub has to be able to
/// start from it.
async fn last_batch(directory: &Path) -> u64 {
    let store = Store::open(directory).await.unwrap();
    let sound = store.row("PRAGMA integrity_check").await.unwrap();
    assert_eq!(sound.try_get::<String, _>(0).unwrap(), "ok");
    let (entries, _) = store.verify_audit().await.unwrap().unwrap();
    let number = u64::try_from(entries).unwrap();
    let newest = store.audit_newest("", 1).await.unwrap();
    assert_eq!(newest.len(), 1);
    assert_eq!(newest[0].entry.detail, number.to_string());
    assert_eq!(count(&store, "SELECT COUNT(*) FROM rollouts").await, number);
    let progress = count(&store, "SELECT COUNT(*) FROM progress").await;
    assert_eq!(progress, CLUSTERS as u64);
    let Event::Restored {
        clusters, rollouts, ..
    } = store.load().await.unwrap()
    else {
        panic!("what was stored comes first");
    };
    assert_eq!(clusters.len(), CLUSTERS);
    for one in &clusters {
        let assigned = one.assignment.as_ref();
        let assigned = assigned.map(|one| one.decoded.reference.generation.0);
        let reported = one.report.as_ref().map(|report| report.sequence);
        let rows = (assigned, reported);
        assert_eq!(rows, (Some(number), Some(number)), "{}", one.name);
    }
    let rollouts: Vec<(u64, usize)> = rollouts
        .iter()
        .map(|one| (one.number(), one.clusters.len()))
        .collect();
    assert_eq!(rollouts, [(number, CLUSTERS)]);
    store.close().await;
    number
}

/// Copies a store's files as they are: a snapshot, if no process writes meanwhile.
fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in ["hub.db", "hub.db-wal", "hub.db-shm"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// The copy is taken during a batch, after each of its statements in turn: the uncommitted part must not count.
#[tokio::test]
async fn s02_a_copy_in_the_middle_of_a_batch_is_as_of_the_last_commit() {
    let directory = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    store.apply("1", &batch(1), now()).await.unwrap();
    for number in 2..=4u64 {
        let mut transaction = store.pool.begin().await.unwrap();
        let name = number.to_string();
        let fence = store.fence(&mut transaction, &name).await.unwrap();
        assert_eq!(fence, lease::Fence::Open);
        let mut end = None;
        for (index, part) in batch(number).chunks(9).enumerate() {
            let put = store.put_all(&mut transaction, part, now()).await;
            end = end.or(put.unwrap());
            let image = copies.path().join(format!("{number}-{index}"));
            copy_files(directory.path(), &image);
            let held = last_batch(&image).await;
            assert_eq!(held, number - 1, "after part {index} of {number}");
        }
        transaction.commit().await.unwrap();
        store.remember(end);
        let image = copies.path().join(name);
        copy_files(directory.path(), &image);
        assert_eq!(last_batch(&image).await, number);
    }
    assert!(store.verify_audit().await.unwrap().is_ok());
}

/// A hub's store in a process of its own, which writes one batch after another, without pause.
struct Writer {
    process: Child,
    directory: tempfile::TempDir,
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Writer {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (_, here) = module_path!().split_once("::").unwrap();
        let test = format!("{here}::the_process_that_writes_without_pause");
        let process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test, "--nocapture"])
            .env(WRITER, directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let writer = Self { process, directory };
        writer.writes_on(0).await;
        writer
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join(DATA)
    }

    fn number(&self, name: &str) -> u64 {
        let bytes = std::fs::read(self.directory.path().join(name)).unwrap_or_default();
        <[u8; 8]>::try_from(bytes).map_or(0, u64::from_be_bytes)
    }

    /// Returns the last acknowledged batch, and the last one that was begun.
    fn numbers(&self) -> (u64, u64) {
        (self.number(ACKNOWLEDGED), self.number(BEGUN))
    }

    /// Waits until it is within a batch. Returns the last acknowledged batch, and the one that was begun.
    async fn amid(&self) -> (u64, u64) {
        let is_amid = |(acknowledged, begun)| begun > acknowledged;
        until("it is in the middle of a batch", || is_amid(self.numbers())).await;
        self.numbers()
    }

    /// Waits until a batch after this one was acknowledged.
    async fn writes_on(&self, number: u64) {
        until("it writes", || self.number(ACKNOWLEDGED) > number).await;
    }

    fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        let sent = Command::new("kill").args([name, &process]).status();
        assert!(sent.unwrap().success());
    }

    /// Returns whether each of its threads is stopped (state T of proc_pid_stat(5)).
    fn is_stopped(&self) -> bool {
        let path = format!("/proc/{}/task", self.process.id());
        let mut threads = std::fs::read_dir(path).unwrap();
        threads.all(|thread| {
            let state = std::fs::read_to_string(thread.unwrap().path().join("stat"));
            let state = state.unwrap_or_default();
            let state = state.rsplit_once(')').map(|(_, rest)| rest);
            state.is_some_and(|rest| rest.starts_with(" T"))
        })
    }

    /// Stops it wherever it is, so that nothing is written meanwhile.
    async fn stop(&self) {
        self.signal("-STOP");
        until("it stands still", || self.is_stopped()).await;
    }

    fn go_on(&self) {
        self.signal("-CONT");
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(DEADLINE, async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}, within {DEADLINE:?}");
}

/// Not a test, but the process that [`Writer`] starts: it ends with its parent.
#[tokio::test]
async fn the_process_that_writes_without_pause() {
    let Some(directory) = std::env::var_os(WRITER).map(PathBuf::from) else {
        return;
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&is_over);
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ends.store(true, Ordering::Release);
    });
    let store = Store::open(&directory.join(DATA)).await.unwrap();
    let file = |name: &str| std::fs::File::create(directory.join(name)).unwrap();
    let (begun, acknowledged) = (file(BEGUN), file(ACKNOWLEDGED));
    let mut number = 0u64;
    while !is_over.load(Ordering::Acquire) {
        number += 1;
        let effects = batch(number);
        begun.write_all_at(&number.to_be_bytes(), 0).unwrap();
        let name = number.to_string();
        store.apply(&name, &effects, now()).await.unwrap();
        acknowledged.write_all_at(&number.to_be_bytes(), 0).unwrap();
    }
    store.close().await;
}

/// A snapshot is of one moment for all files: the process is stopped while they are copied, at any point of a
/// statement, a commit or a checkpoint. Forty moments; with `FLOTILLA_FULL` a thousand. Writes that the kernel has not
/// flushed are not lost here: SQLite itself is relied on to sync before it acknowledges.
#[tokio::test]
async fn s02_a_snapshot_at_any_moment_holds_all_that_was_acknowledged() {
    let moments = flotilla_needs::size(40, 1000);
    let writer = Writer::start().await;
    let copies = tempfile::tempdir().unwrap();
    let mut amid = 0;
    for moment in 0..moments {
        writer.amid().await;
        writer.stop().await;
        let (acknowledged, begun) = writer.numbers();
        let image = copies.path().join(moment.to_string());
        copy_files(&writer.data(), &image);
        assert_eq!(writer.numbers(), (acknowledged, begun), "it was held");
        writer.go_on();
        amid += usize::from(begun > acknowledged);
        let held = last_batch(&image).await;
        assert!(
            (acknowledged..=begun).contains(&held),
            "{acknowledged} were acknowledged and {begun} begun, and the copy holds {held}"
        );
        std::fs::remove_dir_all(&image).unwrap();
        writer.writes_on(begun).await;
    }
    assert!(amid > 0, "none of {moments} in the middle of a batch");
}

/// The command runs beside the hub, in another process, and nothing stops the hub.
#[tokio::test]
async fn s02_a_backup_while_the_hub_writes_holds_all_that_was_acknowledged() {
    const BACKUPS: usize = 15;
    let writer = Writer::start().await;
    let copies = tempfile::tempdir().unwrap();
    for index in 0..BACKUPS {
        let image = copies.path().join(index.to_string());
        std::fs::create_dir(&image).unwrap();
        let (acknowledged, _) = writer.amid().await;
        backup(&writer.data(), &image.join("hub.db")).await.unwrap();
        let (_, newest) = writer.numbers();
        let held = last_batch(&image).await;
        assert!(
            (acknowledged..=newest).contains(&held),
            "between {acknowledged} and {newest}, and the backup holds {held}"
        );
        writer.writes_on(newest).await;
    }
}
