//! Files that are not as SQLite wrote them (S3): a hub starts from the last complete commit that it finds, or refuses
//! and says what to do.
//!
//! SQLite keeps no checksums of the file. At the start its trees are walked, so that a page with other content is
//! found; a flipped bit within a value leaves the tree intact and is not found then, except in the audit log by its
//! chain. A page outside all trees contains nothing. Each frame of the log has a checksum, and the log ends at the
//! first wrong one: what was acknowledged since the last checkpoint and is behind it is lost, which is shown by agents
//! that are ahead (P8).

use std::ops::RangeInclusive;

use super::*;

/// Size of SQLite's pages.
const PAGE: usize = 4096;
/// Size of the log's header (<https://sqlite.org/fileformat2.html#walformat>).
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// The text of a batch, so long that a page contains only a few.
fn words(number: i64) -> String {
    format!("{number} {}", "x".repeat(500))
}

/// Writes a batch for each of these numbers.
async fn write(store: &Store, numbers: RangeInclusive<i64>) {
    for number in numbers {
        let effects = [audit(&words(number))];
        let batch = number.to_string();
        store.apply(&batch, &effects, now()).await.unwrap();
    }
}

/// Returns the file of a store with this many batches, closed by its hub.
async fn closed(batches: i64) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    write(&store, 1..=batches).await;
    let free = store.row("PRAGMA freelist_count").await.unwrap();
    let free: i64 = free.try_get(0).unwrap();
    assert_eq!(free, 0, "each page is of some tree");
    store.close().await;
    std::fs::read(directory.path().join("hub.db")).unwrap()
}

/// Makes a data directory with this file and this log.
fn image(file: &[u8], log: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("hub.db"), file).unwrap();
    if !log.is_empty() {
        std::fs::write(directory.path().join("hub.db-wal"), log).unwrap();
    }
    directory
}

/// Returns why a hub does not start from these; none: it does.
async fn refusal(file: &[u8], log: &[u8]) -> Option<String> {
    let directory = image(file, log);
    match Store::open(directory.path()).await {
        Ok(store) => {
            store.close().await;
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Returns the last batch that a hub finds in a data directory; all batches up to it have to be complete.
async fn found_in(directory: &Path) -> i64 {
    let store = Store::open(directory).await.unwrap();
    let (entries, _) = store.verify_audit().await.unwrap().unwrap();
    let newest = store.audit_newest("", 1).await.unwrap();
    assert_eq!(newest[0].entry.detail, words(entries));
    let batch = store.row("SELECT last_batch FROM decider").await.unwrap();
    assert_eq!(batch.try_get::<String, _>(0).unwrap(), entries.to_string());
    let sound = store.row("PRAGMA integrity_check").await.unwrap();
    assert_eq!(sound.try_get::<String, _>(0).unwrap(), "ok");
    store.close().await;
    entries
}

async fn found(file: &[u8], log: &[u8]) -> i64 {
    found_in(image(file, log).path()).await
}

#[tokio::test]
async fn s03_every_damaged_page_is_found_at_the_start_and_not_served() {
    let good = closed(200).await;
    assert_eq!(found(&good, &[]).await, 200);
    let pages = good.len() / PAGE;
    assert!(pages > 50, "only {pages} pages");
    let mut served = Vec::new();
    for page in 0..pages {
        let start = page * PAGE;
        // The first bytes of a page contain its type, and any wrong one breaks the tree.
        let mut other = good.clone();
        for byte in &mut other[start..start + 64] {
            *byte ^= 0x55;
        }
        // The page was never written to disk.
        let mut lost = good.clone();
        lost[start..start + PAGE].fill(0);
        for bad in [other, lost] {
            match refusal(&bad, &[]).await {
                Some(told) => assert!(told.contains("restore a backup"), "{page}: {told}"),
                None => served.push(page),
            }
        }
    }
    assert!(
        served.is_empty(),
        "of {pages} these were served: {served:?}"
    );
}

#[tokio::test]
async fn s03_a_file_that_was_cut_is_refused_wherever_it_was() {
    let good = closed(40).await;
    let within = [1, 50, 99, 100, 512, PAGE - 1];
    let whole = (1..good.len() / PAGE).map(|page| page * PAGE);
    for length in within.into_iter().chain(whole) {
        let told = refusal(&good[..length], &[]).await;
        let told = told.unwrap_or_else(|| panic!("{length} bytes were served"));
        assert!(told.contains("restore a backup"), "{length}: {told}");
    }
}

/// SQLite takes an empty file for a new store, and discards its log.
#[tokio::test]
async fn s03_an_emptied_file_is_no_new_store_while_its_log_is_there() {
    let Split { log, .. } = split().await;
    let directory = image(&[], &log);
    for is_there in [true, false] {
        if !is_there {
            std::fs::remove_file(directory.path().join("hub.db")).unwrap();
        }
        let error = Store::open(directory.path()).await.err().unwrap();
        let told = error.to_string();
        assert!(told.contains("0 bytes of it are left"), "{told}");
        assert!(told.contains("restore a backup"), "{told}");
        let kept = std::fs::read(directory.path().join("hub.db-wal")).unwrap();
        assert_eq!(kept, log, "whoever looks into it later finds it");
    }
}

/// Commands that only read the store open its file, too.
#[tokio::test]
async fn s03_a_backup_or_a_look_at_an_emptied_file_leaves_its_log() {
    let Split { log, .. } = split().await;
    let directory = image(&[], &log);
    let to = directory.path().join("copy");
    let errors = [
        backup(directory.path(), &to).await.unwrap_err(),
        issuers(directory.path()).await.unwrap_err(),
        Store::open(directory.path()).await.err().unwrap(),
    ];
    for error in errors {
        let told = error.to_string();
        assert!(told.contains("0 bytes of it are left"), "{told}");
    }
    assert!(!to.exists(), "no backup of an empty store");
    let kept = std::fs::read(directory.path().join("hub.db-wal")).unwrap();
    assert_eq!(kept, log, "whoever looks into it later finds it");
}

/// The log is kept for an analysis, beside the store that was replaced.
#[tokio::test]
async fn s03_restoring_over_an_emptied_file_keeps_its_log() {
    let good = image(&closed(5).await, &[]);
    let Split { log, .. } = split().await;
    let directory = image(&[], &log);
    let from = good.path().join("hub.db");
    restore(directory.path(), &from, now()).await.unwrap();
    let kept = std::fs::read(directory.path().join("hub.db-wal.before-restore")).unwrap();
    assert_eq!(kept, log);
    let store = Store::open(directory.path()).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn s03_a_bit_within_an_audit_entry_is_found_by_the_chain() {
    let mut bad = closed(40).await;
    let text = words(17).into_bytes();
    let windows = bad.windows(text.len()).enumerate();
    let places: Vec<usize> = windows
        .filter(|(_, window)| *window == text)
        .map(|(place, _)| place)
        .collect();
    assert!(!places.is_empty());
    for place in places {
        bad[place + 100] ^= 1;
    }
    let directory = image(&bad, &[]);
    let store = Store::open(directory.path()).await.unwrap();
    let broken = store.verify_audit().await.unwrap().unwrap_err();
    assert_eq!(broken.seq, 17, "{broken}");
    store.close().await;
}

/// A store with five batches in the file and four in the log, as a hub leaves it that was killed.
struct Split {
    file: Vec<u8>,
    log: Vec<u8>,
    /// Length of the log after each of the four.
    ends: Vec<(usize, i64)>,
}

async fn split() -> Split {
    let directory = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    let store = Store::open(directory.path()).await.unwrap();
    write(&store, 1..=5).await;
    // A checkpoint: these are in the file now.
    store.close().await;
    let store = Store::open(directory.path()).await.unwrap();
    let mut ends = Vec::new();
    for number in 6..=9 {
        write(&store, number..=number).await;
        ends.push((read("hub.db-wal").len(), number));
    }
    let split = Split {
        file: read("hub.db"),
        log: read("hub.db-wal"),
        ends,
    };
    store.close().await;
    split
}

impl Split {
    /// Returns the offset of each page in the log.
    fn frames(&self) -> impl Iterator<Item = usize> {
        (LOG_HEADER..self.log.len()).step_by(FRAME_HEADER + PAGE)
    }

    /// Returns the last batch that is complete in the log before this offset, or else the last one in the file.
    fn whole_before(&self, place: usize) -> i64 {
        let whole = self.ends.iter().filter(|(end, _)| *end <= place);
        whole.map(|(_, number)| *number).max().unwrap_or(5)
    }
}

#[tokio::test]
async fn s03_a_flipped_bit_of_the_log_ends_it_at_the_last_whole_commit() {
    let split = split().await;
    assert_eq!(found(&split.file, &split.log).await, 9);
    // The log's type, salts and checksum.
    let mut flips: Vec<(usize, i64)> = [0, 8, 17, 31].map(|place| (place, 5)).into();
    for frame in split.frames() {
        let last = frame + FRAME_HEADER + PAGE - 1;
        // The page's number, its commit flag, its checksum, and its content.
        for place in [frame, frame + 5, frame + 17, last] {
            flips.push((place, split.whole_before(frame)));
        }
    }
    assert!(flips.len() > 30, "{}", flips.len());
    for (place, whole) in flips {
        let mut bad = split.log.clone();
        bad[place] ^= 1;
        assert_eq!(found(&split.file, &bad).await, whole, "bit at {place}");
    }
}

#[tokio::test]
async fn s03_a_log_that_was_cut_or_is_gone_ends_at_the_last_whole_commit() {
    let split = split().await;
    assert_eq!(found(&split.file, &[]).await, 5, "it is gone");
    for frame in split.frames() {
        for length in [frame - 1, frame, frame + 7, frame + PAGE] {
            let held = found(&split.file, &split.log[..length]).await;
            assert_eq!(held, split.whole_before(length), "cut at {length}");
        }
    }
}

/// The shared memory is only an index of the log; it is created again.
#[tokio::test]
async fn s03_shared_memory_of_any_content_loses_nothing() {
    let split = split().await;
    let contents = [
        vec![0xff; 32_768],
        vec![0; 32_768],
        b"short".to_vec(),
        Vec::new(),
    ];
    for content in contents {
        let directory = image(&split.file, &split.log);
        std::fs::write(directory.path().join("hub.db-shm"), content).unwrap();
        assert_eq!(found_in(directory.path()).await, 9);
    }
}
