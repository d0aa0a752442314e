//! Wires the agent's command line to its library.

use std::process::ExitCode;

use clap::Parser as _;
use flotilla_agent::{args::Args, command};

/// Gives freed memory back, which a reconciler of many objects has much of between two passes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Two workers are enough for one cluster, and each thread costs memory on every node.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match command::run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => flotilla_shared::telemetry::exit_with(error.as_ref()),
    }
}
