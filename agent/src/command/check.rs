//! `flotilla-agent check`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::args::{Check, PlanOutput};
use crate::check::look;

/// Runs the checks, prints the findings, and returns the exit code.
///
/// # Errors
/// When the output cannot be written.
pub(super) async fn run(args: Check) -> anyhow::Result<ExitCode> {
    let findings = look(&args).await;
    let text = match args.output {
        PlanOutput::Json => serde_json::to_string_pretty(&findings)? + "\n",
        PlanOutput::Text => findings.to_text(&|_, mark| mark.to_owned()),
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("the output cannot be written")?;
    Ok(ExitCode::from(findings.exit_code()))
}
