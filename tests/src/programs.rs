//! Our own programs, as processes.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

/// Hub, agent and CLI.
const ALL: [&str; 3] = ["flotilla-hub", "flotilla-agent", "flotilla"];

/// Builds hub, agent and CLI in the profile that the caller was built in; returns where they are.
///
/// # Errors
/// When cargo fails.
pub async fn build() -> anyhow::Result<PathBuf> {
    build_some(&ALL).await
}

/// Likewise, and a person at a terminal sees what cargo does meanwhile.
///
/// # Errors
/// When cargo fails.
pub async fn build_in_sight() -> anyhow::Result<PathBuf> {
    run_cargo(&ALL, !std::io::stderr().is_terminal()).await
}

/// Builds some of our programs, likewise. The whole workspace is selected, so that packages have the
/// features that they have in its tests, and nothing is compiled a second time.
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
    // Test programs are one directory deeper.
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

/// For a cargo that is started from what a cargo runs.
pub fn forget_cargo(command: &mut Command) {
    // What cargo tells the program that it runs is not there for who calls cargo by hand, and build scripts
    // that ask for it (ring's does) would run again, and all that is built on them.
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

/// What a program that ended printed.
///
/// # Errors
/// When it failed; the text is what it wrote beside.
pub fn printed(output: std::process::Output) -> anyhow::Result<Vec<u8>> {
    let beside = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{beside}");
    Ok(output.stdout)
}

/// What `cargo metadata` says of this workspace; `more` are further arguments.
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
