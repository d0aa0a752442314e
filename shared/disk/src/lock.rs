//! Locks on files: one process at a time. The kernel releases a lock when the process ends (flock(2)).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Error;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Exclusive use of the directory that the file is in; released when dropped, or before.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock on a file, which is created if necessary; none: another process has it.
    ///
    /// # Errors
    /// When the file cannot be opened or locked.
    pub fn take(path: &Path) -> Result<Option<Self>, Error> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Releases the lock, even while a child process between fork and exec holds a copy of the descriptor: closing this
    /// one only would leave the lock with the child.
    pub fn release(&self) {
        // It fails only for an invalid descriptor; then there is no lock to release.
        let _ = self.0.unlock();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::Lock;

    #[test]
    fn one_holder_at_a_time_and_released_means_free_although_a_copy_is_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let first = Lock::take(&path).unwrap().unwrap();
        assert!(Lock::take(&path).unwrap().is_none());
        // As after a fork: a second descriptor of the same open file.
        let copy = first.0.try_clone().unwrap();
        drop(first);
        let second = Lock::take(&path).unwrap();
        assert!(second.is_some());
        drop(copy);
        assert!(Lock::take(&path).unwrap().is_none(), "the second has it");
    }
}
