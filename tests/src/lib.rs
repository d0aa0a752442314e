//! Shared by cross-process tests and the demo: real Git over smart HTTP, real processes, embedded clusters, and
//! waiting for a condition with a deadline.

#![allow(
    missing_docs,
    reason = "a program: nobody else builds on its rooms, and docs say what names do not"
)]

pub mod browser;
pub mod cluster;
pub mod envtest;
pub mod fleet;
pub mod forge;
pub mod git_server;
pub mod installation;
pub mod issuer;
pub mod kubeconfig;
pub mod open_pages;
pub mod ports;
pub mod postgres;
pub mod programs;
pub mod proxy;
pub mod raw_codec;
pub mod raw_frames;
pub mod red_git;
pub mod red_hub;
pub mod repository;
pub mod script;
pub mod simulated;
pub mod ssh_server;
pub mod tab;
pub mod test_hub;

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// Waits until `condition` gives a value.
///
/// # Errors
/// When it does not within `limit`; the text names what was awaited.
pub async fn eventually<T, F>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if tokio::time::Instant::now() > deadline {
            anyhow::bail!("not within {limit:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The peak memory of a process in KiB.
///
/// # Errors
/// When the system does not report it.
pub fn most_memory(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kib.context("the system tells no VmHWM")?.parse()?)
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, content: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let options = options.create(true).truncate(true).write(true).mode(0o600);
    options.open(path)?.write_all(content.as_bytes())?;
    Ok(())
}
