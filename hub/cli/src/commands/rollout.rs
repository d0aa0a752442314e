//! `rollout` and `history`.

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::id::EnvironmentName;
use flotilla_status::{Decisions, Rollout, RolloutState, RolloutSummary};
use jiff::Timestamp;
use tokio::time::Instant;

use super::patience::Patience;
use crate::args::{Output, RolloutCommand};
use crate::client::Client;
use crate::error::Error;
use crate::printed::RolloutWithDecisions;
use crate::printer::{Canvas, Printer};
use crate::reader;
use crate::render;

/// Interval at which a watched rollout is read.
const LOOK: Duration = Duration::from_secs(1);

/// Highest number of rollouts that a hub lists at once.
const MOST: usize = 200;

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
                let value = RolloutWithDecisions {
                    rollout: rollout.as_ref(),
                    decisions: &decisions,
                };
                return printer.value(output.output, &value);
            }
            let now = Timestamp::now();
            match rollout {
                Some(rollout) => printer.out(&render::rollout(
                    &rollout,
                    &decisions,
                    printer.paint,
                    now,
                    printer.columns(),
                )),
                None => {
                    printer.say(&format!("{subject} has no rollouts"));
                    printer.out(&render::decisions(&decisions, now))
                }
            }
        }
        RolloutCommand::Watch { subject, output } => {
            watch(client, &subject, output.output, None, printer).await
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
        // One rollout more than shown, to learn whether there are more.
        limit: limit.saturating_add(1),
    });
    let wire = client.api().list_rollouts(request).await?.into_inner();
    let mut rollouts: Vec<Rollout> = wire.rollouts.iter().map(Rollout::from).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_cut = rollouts.len() > limit;
    rollouts.truncate(limit);
    if output.is_structured() {
        let all: Vec<RolloutSummary<'_>> = rollouts.iter().map(RolloutSummary::from).collect();
        return printer.value(output, &all);
    }
    printer.out(&render::rollouts(
        &rollouts,
        printer.paint,
        Timestamp::now(),
        printer.columns(),
    ))?;
    let shown = rollouts.len();
    if is_cut && shown < MOST {
        printer.say(&format!(
            "only the newest {shown} are shown; --limit NUMBER shows more"
        ));
    } else if shown >= MOST {
        printer.say(&format!(
            "only the newest {shown} are shown, the most that the hub returns at once"
        ));
    }
    Ok(())
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

/// Shows a rollout until it is over: redrawn on a terminal, else a line for each change, or a JSON document for
/// programs. Fails if it did not succeed, needs a person, or is not over at `deadline`.
pub(super) async fn watch(
    client: &Client,
    subject: &str,
    output: Output,
    deadline: Option<Instant>,
    printer: &Printer,
) -> Result<(), Error> {
    if output == Output::Yaml {
        return Err(Error::refused(
            "YAML cannot be watched",
            "use -o json: it gives one document on each line",
        ));
    }
    let mut patience = Patience::default();
    let mut canvas = Canvas::default();
    let (mut shown, mut told) = (String::new(), None::<String>);
    let mut subject = subject.to_owned();
    let mut was_there = false;
    loop {
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let (rollout, decisions) = match get(client, &subject).await {
            Ok(answer) => answer,
            Err(error) if late || !was_there => return Err(error),
            Err(error) => {
                patience.wait(error, printer).await?;
                continue;
            }
        };
        was_there = true;
        patience.answered(printer);
        let Some(rollout) = rollout else {
            return Err(Error::refused(
                format!("{subject} has no rollouts"),
                "an environment has rollouts once it has a strategy in the fleet file",
            ));
        };
        // From now on by id: a rollout that supersedes this one is not what the caller watches.
        subject.clone_from(&rollout.id);
        if printer.terminal && !output.is_structured() {
            let (paint, now) = (printer.paint, Timestamp::now());
            let text = render::rollout(&rollout, &decisions, paint, now, printer.columns());
            printer.draw(&mut canvas, &text)?;
        } else {
            let line = if output.is_structured() {
                serde_json::to_string(&RolloutWithDecisions {
                    rollout: Some(&rollout),
                    decisions: &decisions,
                })?
            } else {
                line(&rollout)
            };
            if line != shown {
                printer.out(&format!("{line}\n"))?;
                shown = line;
            }
            let next = render::next(&rollout).filter(|_| rollout.state.goes_on());
            if let Some(next) = next.filter(|next| told.as_deref() != Some(*next)) {
                printer.say(&format!("next: {next}"));
            }
            told = next.map(ToOwned::to_owned);
        }
        if let Some(end) = end(&rollout) {
            return end;
        }
        if late {
            return Err(takes_longer(&rollout));
        }
        reader::pause(LOOK).await?;
    }
}

/// Returns the result of the watch at the end of a rollout; none: it continues.
fn end(rollout: &Rollout) -> Option<Result<(), Error>> {
    // The reason is in the text that was shown last.
    let (id, environment) = (&rollout.id, &rollout.environment);
    let (message, hint) = match &rollout.state {
        RolloutState::Succeeded => return Some(Ok(())),
        RolloutState::Halted => (
            format!("{id} is halted"),
            format!(
                "`flotilla retry {environment}` retries the failed clusters, `flotilla abort \
                 {environment} --reason TEXT` takes them back; a newer commit supersedes it"
            ),
        ),
        RolloutState::RolledBack => (
            format!("{id} was rolled back"),
            format!("`flotilla explain {environment}` says more"),
        ),
        RolloutState::Superseded => (
            format!("{id} was superseded"),
            format!("`flotilla rollout watch {environment}` shows its successor"),
        ),
        RolloutState::Pending
        | RolloutState::Running
        | RolloutState::Soaking
        | RolloutState::Paused
        | RolloutState::Other(_) => return None,
    };
    Some(Err(Error::not_yet(message, hint)))
}

/// The error when the time limit passed and the rollout continues.
fn takes_longer(rollout: &Rollout) -> Error {
    Error::not_yet(
        format!("timed out waiting: {}", line(rollout)),
        format!(
            "the rollout continues; `flotilla rollout watch {}` shows it",
            rollout.id
        ),
    )
}

fn line(rollout: &Rollout) -> String {
    let waves: Vec<String> = rollout
        .waves
        .iter()
        .map(|wave| format!("{} {}/{}", wave.name, wave.done, wave.total()))
        .collect();
    let note = if rollout.note.is_empty() {
        String::new()
    } else {
        format!(": {}", rollout.note)
    };
    format!(
        "{} {} [{}]{note}",
        rollout.id,
        rollout.state.phrase(),
        waves.join(", ")
    )
}
