//! The embedded API server as a program, to try kubectl and the agent against.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use flotilla_apiserver::{ApiServer, Config};

/// An embedded Kubernetes API server without nodes: for trying things out, never for real work.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: String,
    /// Keeps the objects over a restart, and the certificate authority beside it.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Where to write the administrator's kubeconfig.
    #[arg(long, default_value = "kubeconfig")]
    kubeconfig: PathBuf,
    /// Writes every write that is asked for to this file, one JSON object a line.
    #[arg(long)]
    audit: Option<PathBuf>,
    /// Milliseconds until a workload is ready.
    #[arg(long, default_value_t = 1000)]
    ready_after: u64,
    /// No controllers: nothing becomes ready, nothing is collected.
    #[arg(long)]
    bare: bool,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let server = ApiServer::open(Config {
        ready_after: (!args.bare).then(|| Duration::from_millis(args.ready_after)),
        data: args.data,
        audit: args.audit,
        ..Config::default()
    })?;
    let serving = server.serve_tls(&args.listen).await?;
    std::fs::write(&args.kubeconfig, serving.kubeconfig())?;
    writeln!(
        std::io::stdout(),
        "https://{} is ready; try: kubectl --kubeconfig {} get namespaces",
        serving.address,
        args.kubeconfig.display()
    )?;
    tokio::select! {
        () = serving.wait() => Ok(()),
        result = tokio::signal::ctrl_c() => result,
    }
}
