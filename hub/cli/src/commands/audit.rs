//! `audit` and `events`.

use flotilla_proto::v1;
use flotilla_status::Entry;

use super::patience::Patience;
use crate::args::{AuditArgs, AuditCommand, EventsArgs, Output};
use crate::checkpoint::{self, Checkpoint, Checkpoints, Mismatch};
use crate::client::Client;
use crate::error::Error;
use crate::printed::VerifiedLog;
use crate::printer::Printer;
use crate::reader;
use crate::render;

/// Number of recent entries to request after a reconnect.
const MISSED: u32 = 1000;

/// Highest number of entries that a hub returns at once.
const MOST: usize = 1000;

/// Shows or verifies the log; `remembered` holds the checkpoints of this user.
pub(super) async fn audit(
    client: &Client,
    args: AuditArgs,
    remembered: Option<(&str, Result<Checkpoints, Error>)>,
    printer: &Printer,
) -> Result<(), Error> {
    if let Some(AuditCommand::Verify { accept, output }) = args.command {
        let Some((hub, remembered)) = remembered else {
            return Err(Error::Answer("a place to remember it at"));
        };
        let before = match accept {
            true => Baseline::Forgotten,
            false => Baseline::Compared,
        };
        return verify(client, hub, remembered?, before, output.output, printer).await;
    }
    let request = client.request(v1::ListAuditRequest {
        environment: args
            .environment
            .map(|name| name.to_string())
            .unwrap_or_default(),
        after: 0,
        // One entry more than shown, to learn whether there are more.
        limit: args.limit.saturating_add(1),
    });
    let wire = client.api().list_audit(request).await?.into_inner();
    let mut entries: Vec<Entry> = wire.entries.iter().map(Entry::from).collect();
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    // Entries come oldest first, so the surplus is at the front.
    let older = entries.len().saturating_sub(limit);
    entries.drain(..older);
    if entries.len() >= MOST && limit >= entries.len() {
        printer.warn(&format!(
            "only the newest {} are shown, the most that the hub returns at once",
            entries.len()
        ));
    }
    if args.output.output.is_structured() {
        return printer.value(args.output.output, &entries);
    }
    printer.out(&render::entries(&entries, printer.paint, printer.columns()))?;
    if older > 0 {
        printer.say(&format!(
            "only the newest {} are shown; --limit NUMBER shows more",
            entries.len()
        ));
    }
    Ok(())
}

/// What happens to the earlier checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Baseline {
    /// The log must still contain it.
    Compared,
    /// The current log replaces it.
    Forgotten,
}

async fn verify(
    client: &Client,
    hub: &str,
    mut remembered: Checkpoints,
    before: Baseline,
    output: Output,
    printer: &Printer,
) -> Result<(), Error> {
    let request = client.request(v1::VerifyAuditRequest {});
    let answer = client.api().verify_audit(request).await?.into_inner();
    let plain = flotilla_status::text;
    if !answer.broken.is_empty() {
        return Err(Error::refused(
            format!("the audit log was tampered with: {}", plain(&answer.broken)),
            format!(
                "valid entries before it: {}; compare with a backup",
                answer.entries
            ),
        ));
    }
    if let Some(known) = remembered.of(hub).filter(|_| before == Baseline::Compared) {
        let there = hash_at(client, known.entries, &answer).await?;
        if let Some(fault) = checkpoint::compare(known, answer.entries, there.as_deref()) {
            let what = match fault {
                Mismatch::Cut => format!("its end was cut off, {} are left", answer.entries),
                Mismatch::Rewritten => "it has another entry in that place".to_owned(),
            };
            return Err(Error::refused(
                format!(
                    "the audit log is not the one that you saw on {}: it had {} then, the last with hash \
                     {}; {what}",
                    known.seen_at,
                    entries(known.entries),
                    known.last_hash
                ),
                "a restore does that, and says so in the log (flotilla audit: \"hub restore\", \"epoch \
                 raise\"). If that explains it: flotilla audit verify --accept; otherwise somebody wrote \
                 to the store: compare with a backup",
            ));
        }
    }
    let since = remembered.of(hub).cloned();
    // A checkpoint at the first entry cannot be queried later, and would prove nothing.
    if answer.entries > 1 {
        let checkpoint = Checkpoint {
            entries: answer.entries,
            last_hash: plain(&answer.last_hash),
            seen_at: jiff::Timestamp::now()
                .strftime("%Y-%m-%d %H:%M UTC")
                .to_string(),
        };
        // The log was verified although the checkpoint could not be stored.
        if let Err(error) = remembered.keep(hub, checkpoint) {
            printer.warn(&format!("cannot remember this for the next time: {error}"));
        }
    }
    if output.is_structured() {
        let verified = VerifiedLog {
            entries: answer.entries,
            last_hash: plain(&answer.last_hash),
            compared_with: since,
        };
        return printer.value(output, &verified);
    }
    let compared = match since {
        Some(_) if before == Baseline::Forgotten => {
            "; the earlier baseline is discarded".to_owned()
        }
        Some(since) => format!(
            "; the {} that you verified on {} are unchanged",
            since.entries, since.seen_at
        ),
        None => String::new(),
    };
    printer.out(&format!(
        "{} verified; the last hash is {}{compared}\n",
        entries(answer.entries),
        plain(&answer.last_hash)
    ))
}

fn entries(number: u64) -> String {
    flotilla_shared::words::counted(usize::try_from(number).unwrap_or(usize::MAX), "entry")
}

/// Returns the hash of an entry; none: it does not exist.
async fn hash_at(
    client: &Client,
    seq: u64,
    verified: &v1::VerifyAuditResponse,
) -> Result<Option<String>, Error> {
    if seq == verified.entries {
        return Ok(Some(verified.last_hash.clone()));
    }
    if seq > verified.entries {
        return Ok(None);
    }
    let request = client.request(v1::ListAuditRequest {
        environment: String::new(),
        after: seq.saturating_sub(1).max(1),
        limit: 1,
    });
    let wire = client.api().list_audit(request).await?.into_inner();
    let entry = wire.entries.into_iter().find(|entry| entry.seq == seq);
    Ok(entry.map(|entry| entry.hash))
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
        return audit(client, list, None, printer).await;
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
            // Includes entries of the time without a connection; those shown before are left out.
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
                    let message = tokio::select! {
                        message = stream.message() => message,
                        () = reader::gone() => return Err(reader::closed()),
                    };
                    match message {
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
        if !was_there {
            return Err(ended);
        }
        patience.wait(ended, printer).await?;
    }
}

fn event(entry: &Entry, output: Output, printer: &Printer) -> Result<(), Error> {
    if output.is_structured() {
        // One object a line, so that a reader need not wait for the end.
        return printer.out(&format!("{}\n", serde_json::to_string(entry)?));
    }
    printer.out(&render::entry(entry, printer.paint))
}
