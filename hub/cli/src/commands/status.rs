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

/// Changes that come this close together are drawn once.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// Ages go on without changes.
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
    // Whoever has just changed that file looks here. An older hub does not say, and what was asked for is
    // told already.
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

/// What a watcher knows.
#[derive(Default)]
struct Seen {
    environments: Vec<Environment>,
    clusters: BTreeMap<String, Cluster>,
    /// The first state is complete.
    complete: bool,
    patience: Patience,
}

impl Seen {
    fn fleet(&self) -> Fleet {
        Fleet {
            environments: self.environments.clone(),
            clusters: self.clusters.values().cloned().collect(),
        }
    }
}

/// How changes are shown.
enum Show {
    /// The whole table, again and again.
    Screen,
    /// A line each.
    Lines,
    /// A JSON document each.
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
        Output::Json => Show::Json,
        Output::Table | Output::Wide if printer.terminal => Show::Screen,
        Output::Table | Output::Wide => Show::Lines,
    };
    let mut seen = Seen::default();
    let mut canvas = Canvas::default();
    loop {
        let ended = follow(client, args, output, printer, &show, &mut seen, &mut canvas).await;
        seen.complete = false;
        // A hub that restarts, or that cut us because we were too slow: begin anew.
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
    show: &Show,
    seen: &mut Seen,
    canvas: &mut Canvas,
) -> Result<(), Error> {
    let only = names(&args.applications);
    let mut stream = client.watch(&filter(args)).await?;
    // What was there before and is not told again is gone.
    let mut told = std::collections::BTreeSet::new();
    let mut draw_at: Option<Instant> = None;
    let forever = Duration::from_secs(3600);
    loop {
        let wait = match (show, seen.complete) {
            (Show::Screen, true) => REDRAW,
            _ => forever,
        };
        let due = draw_at.unwrap_or_else(|| Instant::now() + wait);
        let message = tokio::select! {
            message = stream.message() => message?,
            () = tokio::time::sleep_until(due) => {
                draw_at = None;
                if matches!(show, Show::Screen) && seen.complete {
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
                    Show::Screen => {}
                    Show::Lines => {
                        let now = options(output, Paint::Plain);
                        let line = render::change(&cluster, now);
                        // Heartbeats change nothing that a line shows.
                        let same =
                            before.is_some_and(|earlier| render::change(&earlier, now) == line);
                        if !same {
                            printer.out(&line)?;
                        }
                    }
                    Show::Json => line(printer, &StatusChange::Cluster { cluster: &cluster })?,
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
                if matches!(show, Show::Json) {
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
    show: &Show,
    seen: &mut Seen,
    printer: &Printer,
) -> Result<(), Error> {
    let environment = Environment::from(wire);
    if !asked(&environment, args) {
        return Ok(());
    }
    if matches!(show, Show::Json) {
        let environment = &environment;
        line(printer, &StatusChange::Environment { environment })?;
    }
    if matches!(show, Show::Lines) {
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

fn removed(name: &str, show: &Show, seen: &mut Seen, printer: &Printer) -> Result<(), Error> {
    if seen.clusters.remove(name).is_none() {
        return Ok(());
    }
    match show {
        Show::Screen => Ok(()),
        Show::Lines => {
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            printer.out(&format!("{now} {name} was removed, or no longer matches\n"))
        }
        Show::Json => line(printer, &StatusChange::ClusterRemoved { name }),
    }
}

fn line(printer: &Printer, change: &StatusChange<'_>) -> Result<(), Error> {
    printer.out(&format!("{}\n", serde_json::to_string(change)?))
}

fn draw(seen: &Seen, canvas: &mut Canvas, output: Output, printer: &Printer) -> Result<(), Error> {
    let text = render::status(&seen.fleet(), options(output, printer.paint));
    printer.draw(canvas, &text)
}
