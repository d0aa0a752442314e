//! `audit` and `events`.

use flotilla_proto::v1;

use super::patience::Patience;
use crate::args::{AuditArgs, AuditCommand, EventsArgs, Output};
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;
use crate::render;
use crate::view::Entry;

/// Entries asked for after the hub was away.
const MISSED: u32 = 1000;

pub(super) async fn audit(
    client: &Client,
    args: AuditArgs,
    printer: &Printer,
) -> Result<(), Error> {
    if let Some(AuditCommand::Verify { output }) = args.command {
        let request = client.request(v1::VerifyAuditRequest {});
        let answer = client.api().verify_audit(request).await?.into_inner();
        if !answer.broken.is_empty() {
            return Err(Error::refused(
                format!(
                    "the audit log was tampered with: {}",
                    crate::view::text(&answer.broken)
                ),
                format!(
                    "{} entries before it hold; compare with a backup",
                    answer.entries
                ),
            ));
        }
        if output.output.is_structured() {
            let value = serde_json::json!({
                "entries": answer.entries,
                "lastHash": crate::view::text(&answer.last_hash),
            });
            return printer.value(output.output, &value);
        }
        return printer.out(&format!(
            "{} entries hold, the last hash is {}\n",
            answer.entries,
            crate::view::text(&answer.last_hash)
        ));
    }
    let request = client.request(v1::ListAuditRequest {
        environment: args
            .environment
            .map(|name| name.to_string())
            .unwrap_or_default(),
        after: 0,
        limit: args.limit,
    });
    let wire = client.api().list_audit(request).await?.into_inner();
    let entries: Vec<Entry> = wire.entries.iter().map(Entry::from).collect();
    if args.output.output.is_structured() {
        return printer.value(args.output.output, &entries);
    }
    printer.out(&render::entries(&entries, printer.paint, printer.columns()))
}

pub(super) async fn events(
    client: &Client,
    args: EventsArgs,
    printer: &Printer,
) -> Result<(), Error> {
    if !args.follow {
        let list = AuditArgs {
            command: None,
            environment: args.environment,
            limit: args.limit,
            output: args.output,
        };
        return audit(client, list, printer).await;
    }
    if args.output.output == Output::Yaml {
        return Err(Error::refused(
            "YAML cannot be followed",
            "use -o json: it gives one document on each line",
        ));
    }
    let environment = args
        .environment
        .map(|name| name.to_string())
        .unwrap_or_default();
    let mut patience = Patience::default();
    let mut was_there = false;
    let mut last = 0;
    loop {
        let newest = match last {
            0 => args.limit,
            // What happened while we were away comes with it; what was shown is left out.
            _ => MISSED,
        };
        let request = v1::FollowAuditRequest {
            environment: environment.clone(),
            newest,
        };
        let ended = match client.api().follow_audit(request).await {
            Ok(stream) => {
                was_there = true;
                patience.answered(printer);
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(wire)) if wire.seq <= last => {}
                        Ok(Some(wire)) => {
                            last = wire.seq;
                            event(&Entry::from(&wire), args.output.output, printer)?;
                        }
                        Ok(None) => break Error::from(tonic::Status::unavailable("it stops")),
                        Err(status) => break Error::from(status),
                    }
                }
            }
            Err(status) => Error::from(status),
        };
        patience.wait(ended, was_there, printer).await?;
    }
}

fn event(entry: &Entry, output: Output, printer: &Printer) -> Result<(), Error> {
    if output.is_structured() {
        // One object a line, so that a reader need not wait for an end.
        return printer.out(&format!("{}\n", serde_json::to_string(entry)?));
    }
    printer.out(&render::entry(entry, printer.paint))
}
