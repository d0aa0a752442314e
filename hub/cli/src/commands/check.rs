//! `check`: collects the facts that are judged. A fact that is not available is a finding, too.

use std::io::Read as _;
use std::path::Path;

use flotilla_proto::v1;
use flotilla_shared::digest::Digest;
use flotilla_shared::findings::{Findings, Outcome};
use flotilla_spec::MAX_FILE_BYTES;
use flotilla_status::Hub;
use jiff::Timestamp;

use super::Connector;
use crate::args::CheckArgs;
use crate::check::{
    self, CheckFacts, ContextFacts, Fact, FactError, FleetFile, HubFacts, validities,
};
use crate::client::{Client, Detail};
use crate::context::{Context, Contexts};
use crate::error::Error;
use crate::printer::Printer;
use crate::render::Tone;

/// Checks, prints the findings, and returns the worst outcome as exit code.
pub(super) async fn run(
    reach: &Connector,
    args: CheckArgs,
    printer: &Printer,
) -> Result<(), Error> {
    let findings = check::judge(&gather(reach, args.fleet.as_deref()).await);
    print(&findings, &args, printer)?;
    match findings.exit_code() {
        0 => Ok(()),
        1 => Err(Error::Differs),
        _ => Err(Error::Unseen),
    }
}

fn print(findings: &Findings, args: &CheckArgs, printer: &Printer) -> Result<(), Error> {
    let output = args.output.output;
    if output.is_structured() {
        return printer.value(output, findings);
    }
    let paint = |outcome: Outcome, mark: &str| {
        let tone = match outcome {
            Outcome::Well => Tone::Good,
            Outcome::Look | Outcome::Unknown => Tone::Warn,
            Outcome::Wrong => Tone::Bad,
        };
        printer.paint.paint(tone, mark)
    };
    printer.out(&findings.to_text(&paint))
}

fn missing(error: &Error) -> FactError {
    FactError {
        why: error.to_string(),
        hint: error.hint().unwrap_or_default(),
    }
}

/// Collects all available facts.
pub(super) async fn gather(reach: &Connector, fleet: Option<&Path>) -> CheckFacts {
    let mut facts = CheckFacts {
        now: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION"),
        context: context(reach),
        hub: None,
        environments: None,
        clusters: None,
        fleet_file: fleet.map(fleet_file),
    };
    if facts.context.is_err() {
        return facts;
    }
    let client = match reach.connect().await {
        Ok(client) => client,
        // The expired certificate is already a finding of the context.
        Err(Error::Expired { .. }) => return facts,
        Err(error) => {
            facts.hub = Some(Err(missing(&error)));
            return facts;
        }
    };
    let hub = hub(&client).await;
    let answers = hub.is_ok();
    facts.hub = Some(hub.map_err(|error| missing(&error)));
    if answers {
        let environments = client.environments().await;
        facts.environments = Some(environments.map_err(|error| missing(&error)));
        let clusters = client
            .clusters(&v1::ClusterFilter::default(), Detail::Summary)
            .await;
        facts.clusters = Some(clusters.map_err(|error| missing(&error)));
    }
    facts
}

fn context(reach: &Connector) -> Fact<ContextFacts> {
    let chosen = || -> Result<Context, Error> {
        let contexts = Contexts::load(reach.context_file.as_deref())?;
        Ok(contexts.reach(reach.context.as_deref())?.clone())
    };
    let context = chosen().map_err(|error| missing(&error))?;
    Ok(ContextFacts {
        certificate: validities(&context.certificate).into_iter().next(),
        roots: validities(&context.trust_bundle),
        name: context.name,
        hub: context.hub,
    })
}

/// Asks the hub about itself.
pub(super) async fn hub(client: &Client) -> Result<HubFacts, Error> {
    let before = Timestamp::now();
    let request = client.request(v1::GetHubRequest {});
    let answer = client.api().get_hub(request).await?.into_inner();
    let after = Timestamp::now();
    Ok(HubFacts {
        roots: validities(&answer.trust_bundle),
        hub: Hub::from(&answer),
        asked: (before, after),
    })
}

fn fleet_file(path: &Path) -> Fact<FleetFile> {
    Ok(FleetFile {
        digest: Digest::of(&read_fleet_file(path)?).to_string(),
        path: path.display().to_string(),
    })
}

/// Reads a fleet file, up to the size that a hub accepts.
pub(super) fn read_fleet_file(path: &Path) -> Fact<Vec<u8>> {
    let name = path.display().to_string();
    let mut text = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text))
        .map_err(|error| FactError {
            why: format!("{name}: {error}"),
            hint: String::new(),
        })?;
    if text.len() > MAX_FILE_BYTES {
        return Err(FactError {
            why: format!("{name}: larger than the 8 MiB that a hub takes"),
            hint: String::new(),
        });
    }
    Ok(text)
}
