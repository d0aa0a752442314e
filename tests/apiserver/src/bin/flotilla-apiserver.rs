//! The embedded API server as a program, to try kubectl and the agent with.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
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
    /// The file that keeps the objects over a restart, with the certificate authority beside it.
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
async fn main() -> ExitCode {
    let Err(error) = run(Args::parse()).await else {
        return ExitCode::SUCCESS;
    };
    // The standard library appends "(os error N)" to the system's message; it adds nothing.
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    // If stderr is closed as well, there is no place left to report it.
    let _ = writeln!(std::io::stderr(), "error: {text}");
    ExitCode::from(2)
}

async fn run(args: Args) -> std::io::Result<()> {
    if let Some(data) = args.data.as_deref().filter(|data| data.is_dir()) {
        return Err(std::io::Error::other(format!(
            "{} is a directory; --data names a file, which is made where it is not there",
            data.display()
        )));
    }
    let server = ApiServer::open(Config {
        ready_after: (!args.bare).then(|| Duration::from_millis(args.ready_after)),
        data: args.data,
        audit: args.audit,
        ..Config::default()
    })?;
    let of = |place: String| {
        move |error: std::io::Error| std::io::Error::new(error.kind(), format!("{place}: {error}"))
    };
    let serving = server.serve_tls(&args.listen).await;
    let serving = serving.map_err(of(format!("cannot serve at {}", args.listen)))?;
    std::fs::write(&args.kubeconfig, serving.kubeconfig())
        .map_err(of(args.kubeconfig.display().to_string()))?;
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
