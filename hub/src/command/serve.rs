//! The `run` command.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{forges, say, secret};
use crate::app::{self, Config};
use crate::args::Run;
use crate::authority::ExternalAuthority;
use crate::promote::Credential;
use crate::serve::connection_limits::Limits;
use crate::serve::{oidc, web};

/// Serves until a signal, or until the hub ends by itself, which has its own exit code.
pub(super) async fn serve(run: Run) -> anyhow::Result<ExitCode> {
    let running = app::start(config(run)?).await?;
    // One line on standard output for whatever started the hub, such as the demo and the tests.
    say(&format!("hub listens on {}", running.address))?;
    if let Some(link) = &running.web {
        say(&format!("pages at {link}"))?;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut code = ExitCode::SUCCESS;
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
        // The supervisor restarts the process, which then stands by.
        () = running.ended() => code = ExitCode::from(3),
    }
    tracing::info!("stopping");
    running.shutdown().await;
    Ok(code)
}

/// Makes the configuration from the command line and its files.
fn config(run: Run) -> anyhow::Result<Config> {
    let optional = |path: Option<PathBuf>| path.as_deref().map(secret).transpose();
    let push = run.push_credentials_file.as_deref().map(Credential::open);
    let external = run.trust_bundle_file.map(|trust_bundle| ExternalAuthority {
        trust_bundle,
        issuer: run.issuer_certificate_file.zip(run.issuer_key_file),
        hub: run.certificate_file.zip(run.key_file),
    });
    Ok(Config {
        limits: Limits::default(),
        oidc: run
            .oidc_config_file
            .as_deref()
            .map(oidc::Config::read)
            .transpose()?,
        external,
        oidc_file: run.oidc_config_file,
        data_dir: run.data_dir,
        fleet: run.fleet,
        listen: run.listen,
        address: run.address,
        hostnames: run.hostname,
        poll_interval: run.poll_interval,
        store_url: optional(run.store_url_file)?,
        replica_address: run.replica_address,
        metrics_listen: run.metrics_listen,
        webhook_listen: run.webhook_listen,
        webhook_secret: optional(run.webhook_secret_file)?.map(String::into_bytes),
        git_credentials: run.git_credentials,
        forges: run.forge_file.as_deref().map(forges).transpose()?,
        notifications: run.notifications_file,
        push: push.transpose()?,
        web: run.web_listen.map(|listen| web::Config {
            listen,
            url: run.web_url,
            certificate: run.web_certificate_file.zip(run.web_key_file),
            behind_proxy: run.web_behind_proxy,
        }),
    })
}
