//! Commands: each asks the hub, converts the answer to the operators' model, and prints it.

mod application;
mod approval;
mod audit;
mod bundle;
mod chart;
mod check;
mod cluster;
mod commit;
mod compare;
mod context;
mod diff;
mod fleet_file;
mod join;
mod operator;
mod overriding;
mod patience;
mod plan;
mod promote;
mod render;
mod render_chart;
mod repository;
mod rollback;
mod rollout;
mod show;
mod status;
mod steer;
mod token;
mod unpushed;
mod web;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::Shell;
use flotilla_proto::v1;
use flotilla_shared::id::EnvironmentName;
use jiff::Timestamp;

use crate::args::{
    Args, AuditArgs, CheckArgs, ClusterCommand, Command, Describe, DiffArgs, FilterArgs, Get,
    Output, ReasonArgs,
};
use crate::checkpoint::Checkpoints;
use crate::client::Client;
use crate::context::{Context, Contexts};
use crate::error::Error;
use crate::oidc;
use crate::printed::Version;
use crate::printer::Printer;

/// Settings of the connection to a hub.
struct Connector {
    context_file: Option<PathBuf>,
    context: Option<String>,
    timeout: Duration,
}

impl Connector {
    async fn connect(&self) -> Result<Client, Error> {
        Client::connect(&self.context().await?, self.timeout).await
    }

    /// Returns the selected context, with a fresh login.
    async fn context(&self) -> Result<Context, Error> {
        let file = self.context_file.as_deref().map(Path::new);
        let mut contexts = Contexts::load(file)?;
        let mut context = contexts.reach(self.context.as_deref())?.clone();
        let now = Timestamp::now();
        if let Some(login) = &context.login
            && oidc::ends_soon(&login.id_token, now)
        {
            let roots = login.issuer_trust_bundle.as_str();
            let client = oidc::Client::new((!roots.is_empty()).then_some(roots))?;
            context.login = Some(client.fresh(login, now).await?);
            contexts.put(context.clone());
            contexts.save()?;
        }
        Ok(context)
    }
}

/// Runs a command to its end.
pub(crate) async fn run(args: Args, printer: &Printer) -> Result<(), Error> {
    let reach = Connector {
        context_file: args.context_file,
        context: args.context,
        timeout: args.timeout,
    };
    match args.command {
        Command::Check(args) => look_over(&reach, args, printer).await,
        Command::SupportBundle(args) => bundle::run(&reach, args, printer).await,
        Command::Man { directory } => manual(directory),
        Command::Render(args) => render::run(args, printer).await,
        Command::Chart { command } => chart::run(command, printer).await,
        Command::Version { output } => version(output.output, printer),
        Command::Completions { shell } => completions(shell, printer),
        Command::Status {
            filter,
            watch: false,
            output,
        } => status::once(&reach.connect().await?, &filter, output.output, printer).await,
        Command::Status {
            filter,
            watch: true,
            output,
        } => status::watch(&reach.connect().await?, &filter, output.output, printer).await,
        Command::Login(args) => {
            context::login(reach.context_file.as_deref(), args, reach.timeout, printer).await
        }
        Command::Context { command } => {
            let (file, named) = (reach.context_file, reach.context.as_deref());
            context::run(file, named, command, reach.timeout, printer).await
        }
        Command::Get { what } => get(&reach.connect().await?, what, printer).await,
        Command::Describe {
            what: Describe::Cluster { name, output },
        } => show::describe(&reach.connect().await?, &name, output.output, printer).await,
        Command::Explain { subject, output } => {
            show::explain(&reach.connect().await?, subject, output.output, printer).await
        }
        Command::Diff(args) => show_difference(&reach, &args, printer).await,
        Command::Web { listen, open } => {
            web::run(&reach.connect().await?, listen, open.into(), printer).await
        }
        Command::Hub { output } => show::hub(&reach.connect().await?, output.output, printer).await,
        Command::Plan(args) => plan::run(&reach.connect().await?, args, printer).await,
        Command::Promote(promote) => promote::run(&reach.connect().await?, promote, printer).await,
        Command::Rollback(args) => rollback::run(&reach.connect().await?, args, printer).await,
        Command::Rollout { command } => {
            rollout::run(&reach.connect().await?, command, printer).await
        }
        Command::History {
            environment,
            env,
            limit,
            output,
        } => {
            let client = reach.connect().await?;
            let only = environment.or(env);
            rollout::list(&client, only.as_ref(), limit, output.output, printer).await
        }
        Command::Pause(args) => steer::pause(&reach.connect().await?, args, printer).await,
        Command::Resume { subject } => {
            steer::resume(&reach.connect().await?, subject, printer).await
        }
        Command::Suspend(args) => steer::suspend(&reach.connect().await?, args, printer).await,
        Command::Application { command } => {
            application::run(&reach.connect().await?, command, printer).await
        }
        Command::Retry { environment } => {
            retry(&reach.connect().await?, &environment, printer).await
        }
        Command::Abort(args) => abort(&reach.connect().await?, &args, printer).await,
        Command::Pin(args) => steer::pin(&reach.connect().await?, args, printer).await,
        Command::Unpin(args) => steer::unpin(&reach.connect().await?, &args, printer).await,
        Command::Approve(args) => steer::approve(&reach.connect().await?, args, printer).await,
        Command::Audit(args) => audit_log(&reach, args, printer).await,
        Command::Events(args) => audit::events(&reach.connect().await?, args, printer).await,
        Command::Operator { command } => {
            let hub = reach.context().await?.hub;
            operator::run(&reach.connect().await?, &hub, command, printer).await
        }
        Command::Token { command } => token::run(&reach.connect().await?, command, printer).await,
        Command::Cluster {
            command: ClusterCommand::JoinManifest(join),
        } => join::run(&reach.connect().await?, join, printer).await,
        Command::Cluster { command } => {
            cluster::run(&reach.connect().await?, command, printer).await
        }
    }
}

/// Checks the way to the fleet, or compares a fleet file where one is given.
async fn look_over(reach: &Connector, args: CheckArgs, printer: &Printer) -> Result<(), Error> {
    match &args.fleet_file {
        Some(file) => {
            let text = compare::read(file)?;
            let client = reach.connect().await?;
            compare::run(&client, &text, args.output.output, printer).await
        }
        None => check::run(reach, args, printer).await,
    }
}

/// Writes the manual's pages into an existing directory.
fn manual(directory: PathBuf) -> Result<(), Error> {
    let made = clap_mangen::generate_to(Args::command(), &directory);
    made.map_err(|cause| Error::File {
        path: directory,
        cause,
    })
}

/// Prints this program's version: a value for programs, with its name for people.
fn version(output: Output, printer: &Printer) -> Result<(), Error> {
    if output.is_structured() {
        let version = env!("CARGO_PKG_VERSION");
        return printer.value(output, &Version { version });
    }
    printer.out(concat!("flotilla ", env!("CARGO_PKG_VERSION"), "\n"))
}

/// Prints the completion script of a shell.
fn completions(shell: Shell, printer: &Printer) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "flotilla", &mut script);
    printer.out(&String::from_utf8_lossy(&script))
}

/// Lists things of one kind.
async fn get(client: &Client, what: Get, printer: &Printer) -> Result<(), Error> {
    match what {
        Get::Clusters { filter, output } => {
            let all = show::Selection::All;
            show::clusters(client, &filter, all, output.output, printer).await
        }
        Get::Applications { name, output } => {
            show::applications(client, name, output.output, printer).await
        }
        Get::Environments { output } => show::environments(client, output.output, printer).await,
    }
}

/// Compares two trees of a local repository where a base is given, else a cluster's state with its desired state.
async fn show_difference(
    reach: &Connector,
    args: &DiffArgs,
    printer: &Printer,
) -> Result<(), Error> {
    match (&args.base, &args.cluster) {
        (Some(base), _) => diff::offline(base, args, printer).await,
        (None, Some(cluster)) => {
            let client = reach.connect().await?;
            let application = args.application.clone();
            diff::run(&client, cluster, application, args.output, printer).await
        }
        (None, None) => Err(Error::refused(
            "there is nothing to compare",
            "name a cluster, or --base",
        )),
    }
}

/// Retries what failed in an environment's rollout: clusters and gate Jobs.
async fn retry(
    client: &Client,
    environment: &EnvironmentName,
    printer: &Printer,
) -> Result<(), Error> {
    let name = environment.as_str();
    let (action, done) = (
        v1::SteerAction::Retry,
        "failed clusters and gate Jobs are retried",
    );
    steer::environment(client, action, name, "", done, printer).await
}

/// Aborts an environment's rollout, with the given reason.
async fn abort(client: &Client, args: &ReasonArgs, printer: &Printer) -> Result<(), Error> {
    let name = args.environment.as_str();
    let done = "the rollout was aborted; its clusters go back to the last good commit";
    let action = v1::SteerAction::Abort;
    steer::environment(client, action, name, &args.reason, done, printer).await
}

/// Shows or verifies the audit log of the context's hub. The checkpoint is beside the context file.
async fn audit_log(reach: &Connector, args: AuditArgs, printer: &Printer) -> Result<(), Error> {
    let file = reach.context_file.as_deref().map(Path::new);
    let remembered = Checkpoints::beside(Contexts::load(file)?.path());
    let hub = reach.context().await?.hub;
    let client = reach.connect().await?;
    audit::audit(&client, args, Some((&hub, remembered)), printer).await
}

fn names<T: ToString>(names: &[T]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn filter(args: &FilterArgs) -> v1::ClusterFilter {
    v1::ClusterFilter {
        environments: names(&args.environments),
        clusters: names(&args.clusters),
        applications: names(&args.applications),
        selector: args.selector.clone(),
        not_ready: args.not_ready,
    }
}

fn labels(labels: Vec<(String, String)>) -> Vec<v1::Label> {
    labels
        .into_iter()
        .map(|(key, value)| v1::Label { key, value })
        .collect()
}
