//! Detects whether stdout is still read: a command that only waits writes nothing, and would notice a closed pipe only
//! at the next change.

use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use crate::error::Error;

/// Returns once the reader of stdout is gone; never where that cannot be detected, as with a file.
pub(crate) async fn gone() {
    // Only polled, never written to: so it need not be a pipe, and stays in blocking mode.
    let copy = std::io::stdout().as_fd().try_clone_to_owned();
    let Ok(output) = copy.and_then(Sender::from_owned_fd_unchecked) else {
        return std::future::pending().await;
    };
    match output.ready(Interest::ERROR).await {
        Ok(ready) if ready.is_error() || ready.is_write_closed() => {}
        _ => std::future::pending().await,
    }
}

/// Returns the error of a command whose reader is gone, as if a write had failed.
pub(crate) fn closed() -> Error {
    Error::Output(ErrorKind::BrokenPipe.into())
}

/// A delay of a command that only shows changes.
///
/// # Errors
/// When the reader of stdout is gone.
pub(crate) async fn pause(time: Duration) -> Result<(), Error> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = gone() => Err(closed()),
    }
}
