//! Wires the agent's command line to its library.

use std::io::Write as _;
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
        Err(error) => {
            let text = flotilla_shared::words::with_causes(error.as_ref());
            // Nobody is left to tell if stderr is gone too.
            let _ = writeln!(std::io::stderr(), "error: {text}");
            ExitCode::from(2)
        }
    }
}
