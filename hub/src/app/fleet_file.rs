//! The fleet file: read, checked, and read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flotilla_shared::digest::Digest;
use flotilla_shared::words::without_numbers;
use jiff::Timestamp;
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::driver::Handle;
use crate::fleet::Event;
use crate::poll::Pollers;
use crate::serve::FleetFileStatus;
use crate::spec::{self, Spec};

/// How often the fleet file is looked at. A ConfigMap's swap of links changes no time stamp that can
/// be trusted, so its text is read and compared.
const FILE_INTERVAL: Duration = Duration::from_secs(1);

/// Reads and checks a fleet file.
///
/// # Errors
/// A text with every problem, one a line.
pub fn read(path: &Path) -> Result<(Spec, String), String> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| format!("{name}: {}", without_numbers(&error.to_string()));
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > spec::MAX_FILE_BYTES as u64 {
        return Err(format!(
            "{name}: {size} bytes are more than the {} allowed",
            spec::MAX_FILE_BYTES
        ));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    match spec::parse(&name, &text) {
        Ok(spec) => Ok((spec, Digest::of(text.as_bytes()).to_string())),
        Err(errors) => {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Err(lines.join("\n"))
        }
    }
}

/// Keeps the fleet as the file says, until stopped.
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
                // The last good file stays in force; the fault is shown, once in the log.
                if status.read().error != error {
                    tracing::error!(
                        error,
                        "fleet file refused; the last good one stays in force"
                    );
                    status.write().error = error;
                }
            }
        }
    }
}
