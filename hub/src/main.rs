//! Wires the hub's command line to its library.

use std::process::ExitCode;

use clap::Parser as _;
use flotilla_hub::{args::Args, command};

#[tokio::main]
async fn main() -> ExitCode {
    match command::run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => flotilla_shared::telemetry::exit_with(error.as_ref()),
    }
}
