//! `audit` and `events`.

use flotilla_proto::v1;

use crate::args::{AuditArgs, AuditCommand, EventsArgs};
use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;
use crate::render;
use crate::view::Entry;

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
    printer.out(&render::entries(&entries, printer.paint))
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
    let request = v1::FollowAuditRequest {
        environment: args
            .environment
            .map(|name| name.to_string())
            .unwrap_or_default(),
        newest: args.limit,
    };
    let mut stream = client.api().follow_audit(request).await?.into_inner();
    while let Some(wire) = stream.message().await? {
        let entry = Entry::from(&wire);
        if args.output.output.is_structured() {
            // One object a line, so that a reader need not wait for an end.
            printer.out(&format!("{}\n", serde_json::to_string(&entry)?))?;
        } else {
            printer.out(&render::entry(&entry, printer.paint))?;
        }
    }
    Ok(())
}
