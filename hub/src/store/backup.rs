//! Backups of an SQLite store, also while the hub serves; and their restore, which raises the epoch so that the older
//! state is never taken for the newer one (P8).

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use flotilla_disk::Move;
use flotilla_shared::id::Epoch;
use flotilla_status::AuditAction;
use jiff::Timestamp;
use sqlx::Row as _;

use super::epoch::HOST;
use super::{Error, Store, lock, schema};
use crate::fleet::AuditEntry;

/// Writes a consistent copy of a data directory's store to a new file, also while a hub serves from it.
///
/// # Errors
/// When the store cannot be read, the file cannot be written, or it exists already.
pub async fn backup(data_dir: &Path, to: &Path) -> Result<(), Error> {
    let path = data_dir.join("hub.db");
    let refused = |why: &str| Error::Backup {
        path: to.to_owned(),
        why: why.to_owned(),
    };
    if !is_there(&path)? {
        return Err(refused(&format!("{} does not exist", path.display())));
    }
    // The file is created empty for its owner alone, and SQLite writes into it: the copy is never readable by others.
    let made = flotilla_disk::create(to, b"");
    made.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => refused("the file already exists; name a new one"),
        _ => refused(&error.to_string()),
    })?;
    let copied = copy(&path, to)
        .await
        .and_then(|()| flotilla_disk::sync_file(to).map_err(|error| refused(&error.to_string())));
    if copied.is_err() {
        // The partial file is no backup, and would block the next attempt. The error is reported anyway.
        let _ = std::fs::remove_file(to);
    }
    copied
}

/// Returns whether a store's file exists. In a directory without access that cannot be determined, and the error says
/// why.
pub(super) fn is_there(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(|cause| Error::Unseen {
        path: path.to_owned(),
        cause,
    })
}

/// VACUUM INTO reads one snapshot and syncs the copy (<https://sqlite.org/lang_vacuum.html>).
async fn copy(path: &Path, to: &Path) -> Result<(), Error> {
    let store = Store::sqlite(path, None).await?;
    let copied = sqlx::query("VACUUM INTO $1")
        .bind(to.display().to_string())
        .execute(&store.pool)
        .await
        .map_err(store.error());
    store.close().await;
    copied.map(|_| ())
}

/// Restricts a file to its owner: a store has hashes of tokens and operators' roles, so a copy must not be more
/// readable than the store.
fn owner_only(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

/// Creates the file of a new store, for its owner alone; one that an older hub left open to others is closed. Files
/// that SQLite creates beside it get its mode.
pub(super) fn for_owner_only(path: &Path) -> Result<(), Error> {
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    made.and_then(|_| owner_only(path))
        .map_err(|error| Error::at(&path.display().to_string())(sqlx::Error::Io(error)))
}

/// Raises the epoch of a data directory's store. No hub may use the store meanwhile.
///
/// # Errors
/// When a hub uses the store, or it cannot be changed.
pub async fn raise_epoch(data_dir: &Path, reason: &str, now: Timestamp) -> Result<Epoch, Error> {
    let path = data_dir.join("hub.db");
    if !is_there(&path)? {
        return Err(Error::Backup {
            path,
            why: "there is no store here".to_owned(),
        });
    }
    let store = Store::open(data_dir).await?;
    let raised = store.raise_epoch(reason, now).await;
    store.close().await;
    raised
}

/// Replaces a data directory's store with a backup, keeps the old store beside it, and raises the epoch above both. No
/// hub may use the store meanwhile.
///
/// # Errors
/// When a hub uses the store, or the backup is damaged or newer than this hub.
pub async fn restore(data_dir: &Path, from: &Path, now: Timestamp) -> Result<Epoch, Error> {
    let path = data_dir.join("hub.db");
    let refused = |why: String| Error::Backup {
        path: from.to_owned(),
        why,
    };
    let held = lock(&path)?;
    // The copy is checked before the old store is moved.
    let copy = data_dir.join("hub.db.restoring");
    std::fs::copy(from, &copy)
        .and_then(|_| owner_only(&copy))
        .map_err(|error| refused(error.to_string()))?;
    let restored = Store::sqlite(&copy, None).await?;
    let checked = check(&restored).await;
    if let Err(error) = checked {
        restored.close().await;
        let _ = std::fs::remove_file(&copy);
        return Err(refused(error.to_string()));
    }
    restored.migrate().await?;
    let held_by_backup = restored.audit_end().await?;
    let mut epoch = restored.epoch().await?;
    let mut replaced = "there was no store before".to_owned();
    if is_there(&path)? {
        // A store that cannot be read may be the reason for the restore; its epoch is then unknown.
        replaced = "it replaced a store that cannot be read".to_owned();
        if let Ok(old) = Store::sqlite(&path, None).await {
            if let (Ok(of_old), Ok(end)) = (old.epoch().await, old.audit_end().await) {
                replaced = format!("it replaced a store of epoch {of_old} with {end}");
                epoch = epoch.max(of_old);
            }
            old.close().await;
        }
    }
    let epoch = Epoch(epoch.0.saturating_add(1));
    let entry = AuditEntry {
        at: now,
        actor: HOST.to_owned(),
        action: AuditAction::HubRestore,
        detail: format!(
            "backup {} with {held_by_backup}; {replaced}; the epoch is now {epoch}",
            from.display()
        ),
        ..AuditEntry::default()
    };
    let number = i64::try_from(epoch.0).unwrap_or(i64::MAX);
    let raised = async {
        let mut transaction = restored.pool.begin().await.map_err(restored.error())?;
        restored
            .begin_epoch(&mut transaction, number, &entry, now)
            .await?;
        transaction.commit().await.map_err(restored.error())
    };
    let raised = raised.await;
    restored.close().await;
    raised?;
    let put = || -> std::io::Result<()> {
        let mut moves = Vec::new();
        for suffix in ["", "-wal", "-shm"] {
            let old = data_dir.join(format!("hub.db{suffix}"));
            if old.try_exists()? {
                let to = data_dir.join(format!("hub.db{suffix}.before-restore"));
                moves.push(Move { from: old, to });
            }
            // The copy's log was folded into its file on closing; a remaining one would be taken for the restored
            // store's.
            if !suffix.is_empty() {
                let _ = std::fs::remove_file(data_dir.join(format!("hub.db.restoring{suffix}")));
            }
        }
        moves.push(Move {
            from: copy.clone(),
            to: path.clone(),
        });
        flotilla_disk::move_all(&moves).map_err(|(_, error)| error)
    };
    put().map_err(|error| refused(error.to_string()))?;
    drop(held);
    Ok(epoch)
}

async fn check(store: &Store) -> Result<(), Error> {
    let row = store.row("PRAGMA integrity_check(1)").await?;
    let text: String = row.try_get(0).map_err(store.error())?;
    if text != "ok" {
        return Err(store.damaged(&format!("the file ({text})")));
    }
    let found = store.schema().await?;
    if found > schema::known() {
        return Err(Error::NewerSchema {
            store: store.name.to_string(),
            found,
            known: schema::known(),
        });
    }
    store.epoch().await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_that_cannot_be_looked_at_is_not_said_to_be_missing() {
        let directory = tempfile::tempdir().unwrap();
        // Like a directory without access: what is below a file cannot be looked up, not even by root.
        let data_dir = directory.path().join("data");
        std::fs::write(&data_dir, "no directory").unwrap();
        let to = directory.path().join("copy");
        let now = Timestamp::now();
        for error in [
            backup(&data_dir, &to).await.unwrap_err(),
            raise_epoch(&data_dir, "moved", now).await.unwrap_err(),
            super::super::issuers(&data_dir).await.unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.contains("data/hub.db: Not a directory"), "{text}");
            assert!(!text.contains("does not exist"), "{text}");
        }
        assert!(!to.exists());
        std::fs::remove_file(&data_dir).unwrap();
        let missing = backup(&data_dir, &to).await.unwrap_err().to_string();
        assert!(missing.contains("hub.db does not exist"), "{missing}");
    }

    #[tokio::test]
    async fn s06_a_backup_that_fails_leaves_nothing_in_the_way_of_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let (path, to) = (
            directory.path().join("hub.db"),
            directory.path().join("copy"),
        );
        std::fs::write(&path, "no database at all. ".repeat(500)).unwrap();
        backup(directory.path(), &to).await.unwrap_err();
        assert!(!to.exists());
        std::fs::remove_file(&path).unwrap();
        Store::sqlite(&path, None).await.unwrap().close().await;
        backup(directory.path(), &to).await.unwrap();
        let before = std::fs::read(&to).unwrap();
        let refused = backup(directory.path(), &to).await.unwrap_err();
        assert!(refused.to_string().contains("already exists"), "{refused}");
        assert_eq!(std::fs::read(&to).unwrap(), before, "what is there stays");
    }
}
