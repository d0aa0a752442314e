//! `check --fleet-file`: what a fleet file would change at a hub.

use std::path::Path;

use flotilla_proto::v1;
use flotilla_status::EnvironmentDifference;

use super::check::read_fleet_file;
use crate::args::Output;
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;
use crate::render;

/// Size of a message of the upload, bytes.
const PART: usize = 32 << 10;

/// Reads the file and reports its errors before the hub is asked.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let name = path.display().to_string();
    let refused = |message: String| Error::Refused {
        message,
        hint: None,
    };
    let bytes = read_fleet_file(path).map_err(|missing| refused(missing.why))?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| refused(format!("{name}: not UTF-8 text")))?;
    let spec = flotilla_spec::parse(&name, text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        refused(lines.join("\n"))
    })?;
    let never = flotilla_spec::can_never_work(&spec);
    if never.is_empty() {
        return Ok(bytes);
    }
    let lines = never.iter();
    let lines: Vec<String> = lines
        .map(|(place, wrong)| format!("{name}: {place}: {wrong}"))
        .collect();
    Err(refused(lines.join("\n")))
}

pub(super) async fn run(
    client: &Client,
    text: &[u8],
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let parts: Vec<v1::CompareFleetFileRequest> = text
        .chunks(PART)
        .map(|part| v1::CompareFleetFileRequest {
            part: part.to_vec(),
        })
        .collect();
    let request = client.request(tokio_stream::iter(parts));
    let answer = client.api().compare_fleet_file(request).await?.into_inner();
    let all: Vec<EnvironmentDifference> = answer
        .environments
        .iter()
        .map(EnvironmentDifference::from)
        .collect();
    if output.is_structured() {
        printer.value(output, &all)?;
    } else {
        printer.out(&render::compared(&all, printer.paint))?;
    }
    if all.is_empty() {
        return Ok(());
    }
    Err(Error::Differs)
}
