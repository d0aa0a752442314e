//! Locks on files: one process at a time. The kernel releases a lock when the process ends (flock(2)).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Error;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The right to use what lies beside the file; given back when dropped, or before.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock on a file, which is made when it is not there; none: another process has it.
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

    /// Gives the lock back, also where a child process that was just forked, and has not yet become
    /// another program, holds a copy of the descriptor: closing ours would leave the lock with it.
    pub fn release(&self) {
        // It fails for a descriptor that is none; then there is no lock to give back.
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
        // What a fork makes: a second descriptor of the same open file.
        let copy = first.0.try_clone().unwrap();
        drop(first);
        let second = Lock::take(&path).unwrap();
        assert!(second.is_some());
        drop(copy);
        assert!(Lock::take(&path).unwrap().is_none(), "the second has it");
    }
}
