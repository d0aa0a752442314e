//! What each subcommand does.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use flotilla_shared::id::OperatorName;
use flotilla_shared::identity::Identity;
use flotilla_shared::{telemetry, tls};
use jiff::Timestamp;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, Config};
use crate::args::{Args, Command};
use crate::authority::{Authority, write_private};

/// Runs a command to its end.
///
/// # Errors
/// When it cannot do what it was asked; the text is for the operator.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    tls::install_provider();
    telemetry::start(&args.log, args.log_format).map_err(anyhow::Error::msg)?;
    match args.command {
        Command::Init {
            data_dir,
            operator,
            address,
        } => init(&data_dir, &operator, &address),
        Command::Check { file } => check(&file),
        Command::Run {
            data_dir,
            fleet,
            listen,
            address,
            hostname,
            poll_interval,
        } => {
            let config = Config {
                data_dir,
                fleet,
                listen,
                address,
                hostnames: hostname,
                poll_interval,
            };
            let running = app::start(config).await?;
            // One line for whoever started us, such as the demo and the tests.
            say(&format!("hub listens on {}", running.address))?;
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                _ = terminate.recv() => {}
                result = tokio::signal::ctrl_c() => result?,
            }
            tracing::info!("stopping");
            running.shutdown().await;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn say(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn init(data_dir: &Path, operator: &OperatorName, address: &str) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let authority = Authority::init(data_dir, now)?;
    let path = data_dir.join("operator").join(format!("{operator}.yaml"));
    if path.exists() {
        say(&format!(
            "{} is already there and stays as it is",
            path.display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let identity = authority.operator(&Identity::Operator(operator.clone()), now)?;
    let context = json!({
        "apiVersion": "flotilla.dev/v1alpha1",
        "kind": "Context",
        "hub": address,
        "trustBundle": authority.trust_bundle(),
        "certificate": identity.chain_pem,
        "key": identity.key_pem,
    });
    write_private(&path, &flotilla_yaml::to_string(&context))?;
    say(&format!("made {}", path.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn check(file: &Path) -> anyhow::Result<ExitCode> {
    match app::read_fleet_file(file) {
        Ok((spec, _)) => {
            say(&format!(
                "{}: {} repositories, {} environments, {} applications, {} clusters",
                file.display(),
                spec.repositories.len(),
                spec.environments.len(),
                spec.applications.len(),
                spec.clusters.len()
            ))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(errors) => {
            writeln!(std::io::stderr(), "{errors}")?;
            Ok(ExitCode::from(1))
        }
    }
}
