//! The project's own programs, as processes.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

/// Hub, agent and CLI.
const ALL: [&str; 3] = ["flotilla-hub", "flotilla-agent", "flotilla"];

/// Builds hub, agent and CLI in the profile of the caller; returns their directory.
///
/// # Errors
/// When cargo fails.
pub async fn build() -> anyhow::Result<PathBuf> {
    build_some(&ALL).await
}

/// The same, with cargo's output on the terminal.
///
/// # Errors
/// When cargo fails.
pub async fn build_in_sight() -> anyhow::Result<PathBuf> {
    run_cargo(&ALL, !std::io::stderr().is_terminal()).await
}

/// The same for some of the programs. It selects the whole workspace, so that packages have the same features as in
/// tests, and nothing is compiled twice.
///
/// # Errors
/// When cargo fails.
pub async fn build_some(programs: &[&str]) -> anyhow::Result<PathBuf> {
    run_cargo(programs, true).await
}

async fn run_cargo(programs: &[&str], quiet: bool) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let own = std::env::current_exe()?;
    let mut directory = own
        .parent()
        .context("this program is in no directory")?
        .to_owned();
    // Test programs are in target/PROFILE/deps, one directory deeper.
    if directory.ends_with("deps") {
        directory.pop();
    }
    let mut command = Command::new(cargo);
    command.args(["build", "--workspace"]);
    if quiet {
        command.arg("--quiet");
    }
    for program in programs {
        command.args(["--bin", program]);
    }
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    forget_cargo(&mut command);
    if directory.ends_with("release") {
        command.arg("--release");
    }
    anyhow::ensure!(
        command.status().await?.success(),
        "the programs cannot be built"
    );
    Ok(directory)
}

/// Prepares a cargo that is started by a program which cargo runs.
pub fn forget_cargo(command: &mut Command) {
    // cargo sets these variables for programs that it runs. A cargo called by hand has none of them, so build scripts
    // that read them (such as that of ring) would run again, and all that depends on them would be built again.
    for (name, _) in std::env::vars_os() {
        let told = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        let name = name.to_string_lossy();
        if told.iter().any(|start| name.starts_with(start)) {
            command.env_remove(name.as_ref());
        }
    }
}

/// The output of a program that has exited.
///
/// # Errors
/// When it failed; the text is what it wrote to stderr.
pub fn printed(output: std::process::Output) -> anyhow::Result<Vec<u8>> {
    let beside = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{beside}");
    Ok(output.stdout)
}

/// The output of `cargo metadata` for this workspace; `more` are additional arguments.
///
/// # Errors
/// When cargo fails.
pub fn metadata(more: &[&str]) -> anyhow::Result<serde_json::Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(more)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()?;
    Ok(serde_json::from_slice(&printed(output)?)?)
}
