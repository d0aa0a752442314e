//! Wires the hub's command line to its library.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use flotilla_hub::{args::Args, command};

#[tokio::main]
async fn main() -> ExitCode {
    match command::run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            let text = flotilla_shared::words::with_causes(error.as_ref());
            // Nobody is left to tell if stderr is gone too.
            let _ = writeln!(std::io::stderr(), "error: {text}");
            ExitCode::from(2)
        }
    }
}
