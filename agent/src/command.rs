//! Subcommands.

mod check;
mod plan;
mod render;
mod run;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use flotilla_shared::{telemetry, tls};

use crate::args::{Args, Command, PlanOutput, PolicyCommand};
use crate::policy_file;

/// Runs a command to its end.
///
/// # Errors
/// When it cannot do what it was asked; the text is for the operator.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    tls::install_provider();
    telemetry::start(&args.log, args.log_format)?;
    match args.command {
        Command::Run(args) => run::run(*args).await?,
        Command::Render(args) => render::run(*args).await?,
        Command::Plan(args) => return plan::run(*args).await,
        Command::Man { directory } => {
            clap_mangen::generate_to(Args::command(), &directory)
                .with_context(|| directory.display().to_string())?;
        }
        Command::Check(args) => return check::run(*args).await,
        Command::Policy {
            command: PolicyCommand::Check { file },
        } => {
            policy_file::read(Some(&file))?;
            writeln!(std::io::stdout(), "{}: a valid policy", file.display())?;
        }
        Command::Policy {
            command: PolicyCommand::Explain { file, output },
        } => {
            let statements = policy_file::read(Some(&file))?.explain();
            let mut out = std::io::stdout();
            match output {
                PlanOutput::Json => {
                    serde_json::to_writer_pretty(&mut out, &statements)?;
                    writeln!(out)?;
                }
                PlanOutput::Text => {
                    for statement in statements {
                        let mark = if statement.open { "open " } else { "     " };
                        writeln!(out, "{mark}{:<20} {}", statement.key, statement.says)?;
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
