//! A hub in this process.

use anyhow::Context as _;
use flotilla_hub::app::{self, Config, Running};
use flotilla_hub::args::{Args, Command};
use flotilla_shared::telemetry::LogFormat;

use crate::fleet::Operator;

/// Makes the data directory of a new hub, starts it, and connects the operator `admin`.
///
/// # Errors
/// When one of it fails.
pub async fn start_hub(config: Config) -> anyhow::Result<(Running, Operator)> {
    let data_dir = config.data_dir.clone();
    std::fs::create_dir_all(&data_dir)?;
    let init = Args {
        log: "warn".to_owned(),
        log_format: LogFormat::Text,
        command: Command::Init {
            data_dir: data_dir.clone(),
            operator: "admin".parse()?,
            address: String::new(),
            pod_name: None,
        },
    };
    flotilla_hub::command::run(init).await?;
    let hub = app::start(config).await.context("the hub does not start")?;
    let context = data_dir.join("operator/admin.yaml");
    let operator = Operator::connect(&context, &hub.address.to_string()).await?;
    Ok((hub, operator))
}
