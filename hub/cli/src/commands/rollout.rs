//! `rollout` and `history`.

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::id::EnvironmentName;
use jiff::Timestamp;

use crate::args::{Output, RolloutCommand};
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;
use crate::render;
use crate::view::{Decisions, Rollout};

/// How often a watched rollout is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Clears the terminal and goes to its first line (ECMA-48 ED and CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

pub(super) async fn run(
    client: &Client,
    command: RolloutCommand,
    printer: &Printer,
) -> Result<(), Error> {
    match command {
        RolloutCommand::List {
            environment,
            limit,
            output,
        } => list(client, environment.as_ref(), limit, output.output, printer).await,
        RolloutCommand::Show { subject, output } => {
            let (rollout, decisions) = get(client, &subject).await?;
            if output.output.is_structured() {
                let value = serde_json::json!({ "rollout": rollout, "decisions": decisions });
                return printer.value(output.output, &value);
            }
            let now = Timestamp::now();
            match rollout {
                Some(rollout) => {
                    printer.out(&render::rollout(&rollout, &decisions, printer.paint, now))
                }
                None => {
                    printer.say(&format!("{subject} has had no rollout"));
                    printer.out(&render::decisions(&decisions, now))
                }
            }
        }
        RolloutCommand::Watch { subject, output } => {
            watch(client, &subject, output.output, printer).await
        }
    }
}

pub(super) async fn list(
    client: &Client,
    environment: Option<&EnvironmentName>,
    limit: u32,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let request = client.request(v1::ListRolloutsRequest {
        environment: environment.map(ToString::to_string).unwrap_or_default(),
        limit,
    });
    let wire = client.api().list_rollouts(request).await?.into_inner();
    let rollouts: Vec<Rollout> = wire.rollouts.iter().map(Rollout::from).collect();
    if output.is_structured() {
        return printer.value(output, &rollouts);
    }
    printer.out(&render::rollouts(
        &rollouts,
        printer.paint,
        Timestamp::now(),
    ))
}

pub(super) async fn get(
    client: &Client,
    subject: &str,
) -> Result<(Option<Rollout>, Decisions), Error> {
    let request = client.request(v1::GetRolloutRequest {
        subject: subject.to_owned(),
    });
    let wire = client.api().get_rollout(request).await?.into_inner();
    let decisions = wire.decisions.as_ref().map(Decisions::from);
    Ok((
        wire.rollout.as_ref().map(Rollout::from),
        decisions.unwrap_or_default(),
    ))
}

/// Shows a rollout until it is over: redrawn on a terminal, else a line for each change, for programs
/// a JSON document on each. Fails where it ended badly or needs a person.
pub(super) async fn watch(
    client: &Client,
    subject: &str,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    if output == Output::Yaml {
        return Err(Error::refused(
            "YAML cannot be watched",
            "use -o json: it gives one document on each line",
        ));
    }
    let mut shown = String::new();
    loop {
        let (rollout, decisions) = match get(client, subject).await {
            // A hub that restarts meanwhile does not end the watch.
            Err(Error::Hub {
                code: tonic::Code::Unavailable,
                ..
            }) => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            other => other?,
        };
        let Some(rollout) = rollout else {
            return Err(Error::refused(
                format!("{subject} has had no rollout"),
                "an environment has rollouts once it has a strategy in the fleet file",
            ));
        };
        if printer.terminal && !output.is_structured() {
            let text = render::rollout(&rollout, &decisions, printer.paint, Timestamp::now());
            printer.out(&format!("{CLEAR}{text}"))?;
        } else {
            let line = if output.is_structured() {
                serde_json::json!({ "rollout": rollout, "decisions": decisions }).to_string()
            } else {
                line(&rollout)
            };
            if line != shown {
                printer.out(&format!("{line}\n"))?;
                shown = line;
            }
        }
        match rollout.state.as_str() {
            "succeeded" => return Ok(()),
            "halted" => {
                return Err(Error::refused(
                    format!("{} is halted: {}", rollout.id, rollout.note),
                    format!(
                        "`flotilla retry {0}` tries the failed clusters again, `flotilla abort {0}` \
                         returns them; a newer commit takes over",
                        rollout.environment
                    ),
                ));
            }
            "rolledBack" | "superseded" => {
                return Err(Error::refused(
                    format!("{} was {}: {}", rollout.id, rollout.state, rollout.note),
                    format!("`flotilla explain {}` says more", rollout.environment),
                ));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

fn line(rollout: &Rollout) -> String {
    let waves: Vec<String> = rollout
        .waves
        .iter()
        .map(|wave| {
            let total = wave.waiting
                + wave.started
                + wave.soaking
                + wave.unavailable
                + wave.done
                + wave.failed;
            format!("{} {}/{total}", wave.name, wave.done)
        })
        .collect();
    let note = if rollout.note.is_empty() {
        String::new()
    } else {
        format!(": {}", rollout.note)
    };
    format!(
        "{} {} [{}]{note}",
        rollout.id,
        rollout.state,
        waves.join(", ")
    )
}
