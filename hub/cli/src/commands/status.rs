//! `status`, once and live.

use std::collections::BTreeMap;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::watch_response::Event;
use flotilla_status::{Cluster, Environment, Fleet, Hub};
use jiff::Timestamp;
use tokio::time::Instant;

use super::patience::Patience;
use super::{filter, names};
use crate::args::{FilterArgs, Output};
use crate::client::{Client, Detail};
use crate::error::Error;
use crate::printed::StatusChange;
use crate::printer::{Canvas, Printer};
use crate::reader;
use crate::render::{self, Paint, StatusOptions};

/// Changes within this time are drawn together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Interval of drawing without changes, because ages grow.
const REDRAW: Duration = Duration::from_secs(1);

fn options(output: Output, paint: Paint) -> StatusOptions {
    StatusOptions {
        wide: output == Output::Wide,
        paint,
        now: Timestamp::now(),
    }
}

fn asked(environment: &Environment, args: &FilterArgs) -> bool {
    args.environments.is_empty()
        || args
            .environments
            .iter()
            .any(|name| name.as_str() == environment.name)
}

pub(super) async fn once(
    client: &Client,
    args: &FilterArgs,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let only = names(&args.applications);
    let environments = client.environments().await?;
    let clusters = client.clusters(&filter(args), Detail::Summary).await?;
    for name in &args.environments {
        if !environments
            .iter()
            .any(|environment| environment.name == name.as_str())
        {
            return Err(Error::refused(
                format!("there is no environment {name}"),
                "`flotilla get environments` lists them",
            ));
        }
    }
    let fleet = Fleet {
        environments: environments
            .into_iter()
            .filter(|environment| asked(environment, args))
            .collect(),
        clusters: clusters
            .into_iter()
            .map(|cluster| cluster.only(&only))
            .collect(),
    };
    if output.is_structured() {
        return printer.value(output, &fleet);
    }
    printer.out(&render::status(&fleet, options(output, printer.paint)))?;
    // A user who has just changed the fleet file looks here. A failure is ignored: an older hub does not report it, and
    // the requested output is complete.
    let request = client.request(v1::GetHubRequest {});
    if let Ok(answer) = client.api().get_hub(request).await
        && let Some(first) = Hub::from(&answer.into_inner()).fleet_errors.first()
    {
        printer.warn(&format!(
            "the fleet file on the hub's disk is not in force: {first}; `flotilla hub` lists \
             every mistake"
        ));
    }
    Ok(())
}

/// State of a watch.
#[derive(Default)]
struct State {
    environments: Vec<Environment>,
    clusters: BTreeMap<String, Cluster>,
    /// Whether the initial state is complete.
    complete: bool,
    patience: Patience,
}

impl State {
    fn fleet(&self) -> Fleet {
        Fleet {
            environments: self.environments.clone(),
            clusters: self.clusters.values().cloned().collect(),
        }
    }
}

/// Form in which changes are shown.
enum Format {
    /// The whole table, redrawn.
    Screen,
    /// A line for each change.
    Lines,
    /// A JSON document for each change.
    Json,
}

pub(super) async fn watch(
    client: &Client,
    args: &FilterArgs,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let show = match output {
        Output::Yaml => {
            return Err(Error::refused(
                "YAML cannot be watched",
                "use -o json: it gives one document on each line",
            ));
        }
        Output::Json => Format::Json,
        Output::Table | Output::Wide if printer.terminal => Format::Screen,
        Output::Table | Output::Wide => Format::Lines,
    };
    let mut seen = State::default();
    let mut canvas = Canvas::default();
    loop {
        let ended = follow(client, args, output, printer, &show, &mut seen, &mut canvas).await;
        seen.complete = false;
        // The hub restarted, or closed a stream that was too slow: start again.
        match ended {
            Ok(()) => seen.patience.pause().await?,
            Err(error) => seen.patience.wait(error, printer).await?,
        }
    }
}

/// Follows one stream to its end.
async fn follow(
    client: &Client,
    args: &FilterArgs,
    output: Output,
    printer: &Printer,
    show: &Format,
    seen: &mut State,
    canvas: &mut Canvas,
) -> Result<(), Error> {
    let only = names(&args.applications);
    let mut stream = client.watch(&filter(args)).await?;
    // Clusters that the new stream does not repeat have been removed.
    let mut told = std::collections::BTreeSet::new();
    let mut draw_at: Option<Instant> = None;
    let forever = Duration::from_secs(3600);
    loop {
        let wait = match (show, seen.complete) {
            (Format::Screen, true) => REDRAW,
            _ => forever,
        };
        let due = draw_at.unwrap_or_else(|| Instant::now() + wait);
        let message = tokio::select! {
            message = stream.message() => message?,
            () = tokio::time::sleep_until(due) => {
                draw_at = None;
                if matches!(show, Format::Screen) && seen.complete {
                    draw(seen, canvas, output, printer)?;
                }
                continue;
            }
            () = reader::gone() => return Err(reader::closed()),
        };
        let Some(message) = message else {
            return Ok(());
        };
        match message.event {
            None => continue,
            Some(Event::Environment(wire)) => {
                environment(&wire, args, show, seen, printer)?;
            }
            Some(Event::Cluster(wire)) => {
                let cluster = Cluster::from(&wire).only(&only);
                told.insert(cluster.name.clone());
                let before = seen.clusters.insert(cluster.name.clone(), cluster.clone());
                match show {
                    Format::Screen => {}
                    Format::Lines => {
                        let now = options(output, Paint::Plain);
                        let line = render::change(&cluster, now);
                        // A heartbeat does not change the line.
                        let same =
                            before.is_some_and(|earlier| render::change(&earlier, now) == line);
                        if !same {
                            printer.out(&line)?;
                        }
                    }
                    Format::Json => line(printer, &StatusChange::Cluster { cluster: &cluster })?,
                }
            }
            Some(Event::ClusterRemoved(name)) => removed(&name, show, seen, printer)?,
            Some(Event::Bookmark(_)) => {
                let gone: Vec<String> = seen
                    .clusters
                    .keys()
                    .filter(|name| !told.contains(*name))
                    .cloned()
                    .collect();
                for name in gone {
                    removed(&name, show, seen, printer)?;
                }
                seen.complete = true;
                seen.patience.answered(printer);
                if matches!(show, Format::Json) {
                    line(printer, &StatusChange::Bookmark)?;
                }
            }
        }
        draw_at.get_or_insert_with(|| Instant::now() + DEBOUNCE);
    }
}

fn environment(
    wire: &v1::EnvironmentStatus,
    args: &FilterArgs,
    show: &Format,
    seen: &mut State,
    printer: &Printer,
) -> Result<(), Error> {
    let environment = Environment::from(wire);
    if !asked(&environment, args) {
        return Ok(());
    }
    if matches!(show, Format::Json) {
        let environment = &environment;
        line(printer, &StatusChange::Environment { environment })?;
    }
    if matches!(show, Format::Lines) {
        let before = seen
            .environments
            .iter()
            .find(|old| old.name == environment.name);
        for branch in &environment.branches {
            let same = before.is_some_and(|old| {
                old.branches.iter().any(|known| {
                    (&known.repository, &known.head, &known.reason)
                        == (&branch.repository, &branch.head, &branch.reason)
                })
            });
            if !same {
                printer.out(&render::moved(&environment, branch, Timestamp::now()))?;
            }
        }
    }
    match seen
        .environments
        .iter_mut()
        .find(|known| known.name == environment.name)
    {
        Some(known) => *known = environment,
        None => seen.environments.push(environment),
    }
    Ok(())
}

fn removed(name: &str, show: &Format, seen: &mut State, printer: &Printer) -> Result<(), Error> {
    if seen.clusters.remove(name).is_none() {
        return Ok(());
    }
    match show {
        Format::Screen => Ok(()),
        Format::Lines => {
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            printer.out(&format!("{now} {name} was removed, or no longer matches\n"))
        }
        Format::Json => line(printer, &StatusChange::ClusterRemoved { name }),
    }
}

fn line(printer: &Printer, change: &StatusChange<'_>) -> Result<(), Error> {
    printer.out(&format!("{}\n", serde_json::to_string(change)?))
}

fn draw(seen: &State, canvas: &mut Canvas, output: Output, printer: &Printer) -> Result<(), Error> {
    let text = render::status(&seen.fleet(), options(output, printer.paint));
    printer.draw(canvas, &text)
}
