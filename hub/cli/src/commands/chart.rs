//! `chart`: fetches dependencies of charts into the tree that is committed.

use flotilla_shared::report::plain_line;
use flotilla_trust::Certificates;
use flotilla_vendor::{Config, Request, Standing, Transport, Versions};
use jiff::Timestamp;

use crate::args::{ChartCommand, ReachArgs, VendorArgs};
use crate::error::Error;
use crate::printed::OutdatedCharts;
use crate::printer::Printer;
use crate::render;

/// Longest message of a repository that is shown, bytes.
const MAX_MESSAGE: usize = 4096;

pub(super) async fn run(command: ChartCommand, printer: &Printer) -> Result<(), Error> {
    match command {
        ChartCommand::Vendor(args) => vendor(args, printer).await,
        ChartCommand::Outdated {
            chart,
            reach,
            output,
        } => {
            let config = config(&reach)?;
            let standings = flotilla_vendor::outdated(&chart, &config)
                .await
                .map_err(vendor_error)?;
            if output.output.is_structured() {
                let value = OutdatedCharts {
                    dependencies: &standings,
                };
                printer.value(output.output, &value)?;
            } else {
                printer.out(&render::outdated(&standings, printer.paint))?;
            }
            let is_well = |standing| matches!(standing, Standing::Current | Standing::Local);
            match standings.iter().all(|chart| is_well(chart.standing)) {
                true => Ok(()),
                false => Err(Error::Differs),
            }
        }
    }
}

async fn vendor(args: VendorArgs, printer: &Printer) -> Result<(), Error> {
    let config = config(&args.reach)?;
    let keyring = args
        .keyring
        .as_ref()
        .map(|path| {
            let file = |cause| Error::File {
                path: path.clone(),
                cause,
            };
            let bytes = std::fs::read(path).map_err(file)?;
            Certificates::parse(&bytes).map_err(|why| {
                Error::refused(
                    format!("{} is not a keyring: {why}", path.display()),
                    "gpg --export KEY... > FILE writes one",
                )
            })
        })
        .transpose()?;
    let request = Request {
        chart: &args.chart,
        versions: match (args.update, args.locked) {
            (true, _) => Versions::Newest,
            (_, true) => Versions::OnlyLocked,
            _ => Versions::Locked,
        },
        keyring: keyring.as_ref(),
        needs_provenance: args.verify,
        now: Timestamp::now(),
    };
    let vendored = flotilla_vendor::vendor(&request, &config)
        .await
        .map_err(vendor_error)?;
    for warning in &vendored.warnings {
        printer.warn(&plain_line(warning, MAX_MESSAGE));
    }
    match args.output.output.is_structured() {
        true => printer.value(args.output.output, &vendored),
        false => printer.out(&render::vendored(&vendored, printer.paint)),
    }
}

fn config(reach: &ReachArgs) -> Result<Config, Error> {
    let variable = |name: &str| std::env::var_os(name).map(Into::into);
    let transport = match reach.plain_http {
        true => Transport::PlainHttp,
        false => Transport::Tls,
    };
    Config::load(variable, transport, reach.ca_file.as_deref()).map_err(vendor_error)
}

/// Cleans a server's text, which may contain anything.
fn vendor_error(error: flotilla_vendor::Error) -> Error {
    match error {
        flotilla_vendor::Error::File { path, cause } => Error::File { path, cause },
        flotilla_vendor::Error::Refused { message, hint } => Error::Refused {
            message: plain_line(&message, MAX_MESSAGE),
            hint,
        },
    }
}
