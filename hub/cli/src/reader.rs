//! Whether somebody still reads our output: who only waits writes nothing, and would learn of a closed pipe
//! at the next change, which may be tomorrow.

use std::io::ErrorKind;
use std::os::fd::AsFd as _;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use crate::error::Error;

/// Returns once nobody reads standard output any more; never where that cannot be known, as of a file.
pub(crate) async fn gone() {
    // Only looked at, never written to: so it need not be a pipe, and stays as blocking as it is.
    let copy = std::io::stdout().as_fd().try_clone_to_owned();
    let Ok(output) = copy.and_then(Sender::from_owned_fd_unchecked) else {
        return std::future::pending().await;
    };
    match output.ready(Interest::ERROR).await {
        Ok(ready) if ready.is_error() || ready.is_write_closed() => {}
        _ => std::future::pending().await,
    }
}

/// What a command ends with that nobody reads any more: as if it had written.
pub(crate) fn closed() -> Error {
    Error::Output(ErrorKind::BrokenPipe.into())
}

/// A pause of a command that only shows what happens.
///
/// # Errors
/// When nobody reads it any more.
pub(crate) async fn pause(time: Duration) -> Result<(), Error> {
    tokio::select! {
        () = tokio::time::sleep(time) => Ok(()),
        () = gone() => Err(closed()),
    }
}
