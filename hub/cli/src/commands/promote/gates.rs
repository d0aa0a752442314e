//! Gates that hold a promotion back: refused, overridden, or waited for.

use std::collections::BTreeMap;

use flotilla_proto::v1;
use flotilla_status::{GateKind, Promotion, Step, StepKind, StepState, digits};
use jiff::Timestamp;
use tokio::time::Instant;

use super::super::patience::{LOOK, Patience};
use crate::args::Promote;
use crate::client::Client;
use crate::error::Error;
use crate::printer::{Canvas, Printer};
use crate::reader;
use crate::render;

/// When a promotion continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timing {
    /// No gate is closed, the closed ones are overridden, or it is a dry run.
    Now,
    /// Once the gates are open.
    Later,
}

/// Outcome of a wait for gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitOutcome {
    /// The gates are open.
    Gates,
    /// The branch was moved by others meanwhile.
    Moved,
}

/// Returns whether a promotion continues, by the current state of its gates.
pub(super) fn judge(
    promotion: &Promotion,
    args: &Promote,
    printer: &Printer,
) -> Result<Timing, Error> {
    let held = held(&promotion.gates);
    if held.is_empty() {
        return Ok(Timing::Now);
    }
    if let (true, Some(reason)) = (args.force, &args.reason) {
        printer.warn(&format!("overrode {}: {reason}", names(&held)));
        return Ok(Timing::Now);
    }
    if args.dry_run {
        printer.warn(&format!("held back by {}", names(&held)));
        return Ok(Timing::Now);
    }
    if args.wait {
        refuse_lasting(&held)?;
        return Ok(Timing::Later);
    }
    let way = approving(promotion, args).map_or(String::new(), |way| format!("{way}; "));
    Err(Error::not_yet(
        format!("the promotion is held back by {}", names(&held)),
        format!("{way}wait until they open (--wait), or override them with --force --reason TEXT"),
    ))
}

/// Waits until all gates are open. The commits stay those that the person confirmed.
pub(super) async fn wait(
    client: &Client,
    promotion: &Promotion,
    args: &Promote,
    deadline: Instant,
    printer: &Printer,
) -> Result<WaitOutcome, Error> {
    if let Some(way) = approving(promotion, args) {
        printer.say(&way);
    }
    let mut patience = Patience::default();
    let mut progress = Progress::default();
    let mut gates = promotion.gates.clone();
    loop {
        let held = held(&gates);
        refuse_lasting(&held)?;
        let manner = if printer.terminal && !args.output.output.is_structured() {
            DisplayMode::Redrawn
        } else {
            DisplayMode::Lines
        };
        progress.show(&held, manner, printer)?;
        if held.is_empty() {
            return Ok(WaitOutcome::Gates);
        }
        if Instant::now() >= deadline {
            return Err(Error::not_yet(
                format!(
                    "nothing was moved: still held back by {}",
                    with_evidence(&held)
                ),
                "--wait-timeout TIME waits longer, --force --reason TEXT overrides them",
            ));
        }
        if reader::pause(LOOK).await.is_err() {
            return Err(Error::refused(
                "nothing was moved: the output was closed",
                "run it again without the pipe, or keep its reader open",
            ));
        }
        // A restart of the hub does not end the wait.
        match again(client, promotion).await {
            Ok(next) => {
                patience.answered(printer);
                if next.moves.is_empty() {
                    return Ok(WaitOutcome::Moved);
                }
                refuse_other(promotion, &next)?;
                gates = next.gates;
            }
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(error) => patience.wait(error, printer).await?,
        }
    }
}

fn held(gates: &[Step]) -> Vec<&Step> {
    let closed = gates.iter().filter(|gate| gate.state.holds_back());
    closed.collect()
}

fn name(gate: &Step) -> String {
    let name = format!("{} {}", gate.step, gate.subject);
    name.trim_end().to_owned()
}

fn names(gates: &[&Step]) -> String {
    let all: Vec<String> = gates.iter().map(|gate| name(gate)).collect();
    all.join(", ")
}

fn with_evidence(gates: &[&Step]) -> String {
    let all: Vec<String> = gates
        .iter()
        .map(|gate| format!("{} ({})", name(gate), gate.text))
        .collect();
    all.join(", ")
}

/// Refuses to wait for gates that do not open by waiting.
fn refuse_lasting(held: &[&Step]) -> Result<(), Error> {
    let lasting = held.iter().copied().filter(|gate| !gate.may_open);
    let lasting: Vec<&Step> = lasting.collect();
    if lasting.is_empty() {
        return Ok(());
    }
    Err(Error::not_yet(
        format!(
            "the promotion is held back by gates that waiting does not open: {}",
            with_evidence(&lasting)
        ),
        "promote another commit, or override the gates with --force --reason TEXT",
    ))
}

/// Refuses to promote other commits than those that the person confirmed.
fn refuse_other(promotion: &Promotion, next: &Promotion) -> Result<(), Error> {
    for moved in &promotion.moves {
        let now = next
            .moves
            .iter()
            .find(|now| now.repository == moved.repository);
        if let Some(now) = now.filter(|now| now.to_commit != moved.to_commit) {
            return Err(Error::refused(
                format!(
                    "nothing was moved: {} of {} moved from {} to {} meanwhile",
                    moved.source_branch,
                    moved.repository,
                    digits(&moved.to_commit),
                    digits(&now.to_commit)
                ),
                "promote again; with --repository, one at a time, each keeps its commit",
            ));
        }
    }
    Ok(())
}

/// Reads the promotion again, of the same commit where there is only one.
async fn again(client: &Client, promotion: &Promotion) -> Result<Promotion, Error> {
    let (repository, commit) = match promotion.moves.as_slice() {
        [moved] => (moved.repository.clone(), moved.to_commit.clone()),
        _ => (String::new(), String::new()),
    };
    let request = client.request(v1::PreviewPromotionRequest {
        environment: promotion.environment.clone(),
        commit,
        repository,
    });
    let wire = client.api().preview_promotion(request).await?.into_inner();
    let mut next = Promotion::from(&wire);
    let asked = |name: &str| promotion.moves.iter().any(|moved| moved.repository == name);
    next.moves.retain(|moved| asked(&moved.repository));
    Ok(next)
}

/// Returns the command that approves, where an approval is missing.
fn approving(promotion: &Promotion, args: &Promote) -> Option<String> {
    let approval = StepKind::Gate(GateKind::Approval);
    let mut gates = promotion.gates.iter();
    gates.find(|gate| gate.step == approval && gate.state == StepState::Waiting)?;
    let moved = promotion.moves.first()?;
    Some(format!(
        "someone else can approve with flotilla approve {} --commit {}",
        args.environment,
        digits(&moved.to_commit)
    ))
}

/// Form in which closed gates are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DisplayMode {
    /// All of them, redrawn in place on a terminal.
    Redrawn,
    /// A line for each gate that closes or opens.
    Lines,
}

/// State of the display of closed gates.
#[derive(Default)]
struct Progress {
    /// Start of the wait, by step and subject.
    since: BTreeMap<(String, String), Timestamp>,
    canvas: Canvas,
}

impl Progress {
    /// Shows the closed gates.
    fn show(
        &mut self,
        held: &[&Step],
        manner: DisplayMode,
        printer: &Printer,
    ) -> Result<(), Error> {
        let now = Timestamp::now();
        let key = |gate: &Step| (gate.step.to_string(), gate.subject.clone());
        let before = std::mem::take(&mut self.since);
        for gate in held {
            let since = before.get(&key(gate)).copied();
            self.since.insert(key(gate), since.unwrap_or(now));
            if since.is_none() && manner == DisplayMode::Lines {
                let at = now.strftime("%H:%M:%S UTC");
                printer.say(&format!(
                    "waits for {} since {at}: {}",
                    name(gate),
                    gate.text
                ));
            }
        }
        for (gate, since) in before {
            if manner == DisplayMode::Lines && !self.since.contains_key(&gate) {
                let name = format!("{} {}", gate.0, gate.1);
                let took = render::age(Some(since), now);
                printer.say(&format!("{} is open after {took}", name.trim_end()));
            }
        }
        if manner == DisplayMode::Lines {
            return Ok(());
        }
        let rows: Vec<(&Step, Option<Timestamp>)> = held
            .iter()
            .map(|gate| (*gate, self.since.get(&key(gate)).copied()))
            .collect();
        let text = render::waiting(&rows, printer.paint, now, printer.columns());
        printer.draw(&mut self.canvas, &text)
    }
}
