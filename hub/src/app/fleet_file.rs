//! The fleet file: read, checked, and read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::digest::Digest;
use flotilla_shared::words::without_numbers;
use flotilla_yaml::config::ConfigError;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::driver::Handle;
use crate::fleet::Event;
use crate::poll::Pollers;
use crate::problems::lines;
use crate::serve::FleetFileStatus;
use crate::spec::{self, MAX_FILE_BYTES, Spec};

/// Interval at which the fleet file is read. Its text is compared, because the symlink swap of a mounted ConfigMap
/// leaves no reliable modification time.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// Why a fleet file is refused.
#[derive(Debug, thiserror::Error)]
pub enum FleetFileError {
    #[error("{}: {}", path.display(), without_numbers(&cause.to_string()))]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    #[error("{path}: {size} bytes are more than the {MAX_FILE_BYTES} allowed")]
    TooLarge { path: PathBuf, size: u64 },
    #[error("{}", lines(.0))]
    Wrong(Vec<ConfigError>),
}

/// Reads and checks a fleet file. Returns the digest of its text, too.
///
/// # Errors
/// See [`FleetFileError`].
pub fn read(path: &Path) -> Result<(Spec, String), FleetFileError> {
    let failed = |cause| FleetFileError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_FILE_BYTES as u64 {
        return Err(FleetFileError::TooLarge {
            path: path.to_owned(),
            size,
        });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let spec = spec::parse(&path.display().to_string(), &text).map_err(FleetFileError::Wrong)?;
    Ok((spec, Digest::of(text.as_bytes()).to_string()))
}

/// Applies changes of the fleet file until stopped.
pub(super) async fn watch(
    path: PathBuf,
    mut current: Arc<Spec>,
    mut pollers: Pollers,
    handle: Handle,
    status: Arc<RwLock<FleetFileStatus>>,
    refresh: Arc<Notify>,
    stop: CancellationToken,
) {
    pollers.fit(&current);
    loop {
        tokio::select! {
            () = tokio::time::sleep(FILE_INTERVAL) => {}
            () = refresh.notified() => {
                pollers.hint();
                continue;
            }
            () = stop.cancelled() => return,
        }
        match read(&path) {
            Ok((spec, digest)) => {
                let changed = status.read().digest != digest;
                if !status.read().error.is_empty() || changed {
                    *status.write() = FleetFileStatus {
                        digest,
                        loaded_at: Some(Timestamp::now()),
                        error: String::new(),
                    };
                }
                if changed && *current != spec {
                    tracing::info!(file = %path.display(), "fleet file changed");
                    current = Arc::new(spec);
                    pollers.fit(&current);
                    if handle
                        .event(Event::SpecChanged(Arc::clone(&current)))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
            Err(error) => {
                // The last valid file stays in force. The error is kept for display, and logged once.
                let error = error.to_string();
                if status.read().error != error {
                    tracing::error!(
                        error,
                        "fleet file rejected; the last valid one stays in force"
                    );
                    status.write().error = error;
                }
            }
        }
    }
}
