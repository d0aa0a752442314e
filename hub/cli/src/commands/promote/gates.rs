//! What holds a promotion back: refused, overridden, or waited for.

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

/// When a promotion goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Go {
    /// Nothing holds it back, or somebody overrode what does.
    Now,
    /// Once the gates are open.
    Later,
}

/// How a wait for gates ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// They are open.
    Gates,
    /// Somebody else moved the branch meanwhile.
    Moved,
}

/// Whether a promotion goes on, as its gates stand when it is asked for.
pub(super) fn judge(promotion: &Promotion, args: &Promote, printer: &Printer) -> Result<Go, Error> {
    let held = held(&promotion.gates);
    if held.is_empty() {
        return Ok(Go::Now);
    }
    if let (true, Some(reason)) = (args.force, &args.reason) {
        printer.warn(&format!("overrode {}: {reason}", names(&held)));
        return Ok(Go::Now);
    }
    if args.dry_run {
        printer.warn(&format!("held back by {}", names(&held)));
        return Ok(Go::Now);
    }
    if args.wait {
        refuse_lasting(&held)?;
        return Ok(Go::Later);
    }
    let way = approving(promotion, args).map_or(String::new(), |way| format!("{way}; "));
    Err(Error::not_yet(
        format!("the promotion is held back by {}", names(&held)),
        format!("{way}wait until they open (--wait), or override them with --force --reason TEXT"),
    ))
}

/// Waits until all gates are open. The commits stay those that the person was shown.
pub(super) async fn wait(
    client: &Client,
    promotion: &Promotion,
    args: &Promote,
    deadline: Instant,
    printer: &Printer,
) -> Result<Opened, Error> {
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
            Manner::Redrawn
        } else {
            Manner::Lines
        };
        progress.show(&held, manner, printer)?;
        if held.is_empty() {
            return Ok(Opened::Gates);
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
        // A hub that restarts meanwhile does not end the wait.
        match again(client, promotion).await {
            Ok(next) => {
                patience.answered(printer);
                if next.moves.is_empty() {
                    return Ok(Opened::Moved);
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

/// Refuses to wait for what waiting does not open.
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

/// Refuses to bring other commits than those that the person was shown.
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

/// The promotion as it stands now, of the same commit where there is one.
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

/// The command that gives an approval, where one is wanted.
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

/// How closed gates are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// All of them, again and again in one place of a terminal.
    Redrawn,
    /// A line where one closes or opens.
    Lines,
}

/// What a person was shown of closed gates.
#[derive(Default)]
struct Progress {
    /// By step and subject: since when it is waited for.
    since: BTreeMap<(String, String), Timestamp>,
    canvas: Canvas,
}

impl Progress {
    /// Shows what is waited for.
    fn show(&mut self, held: &[&Step], manner: Manner, printer: &Printer) -> Result<(), Error> {
        let now = Timestamp::now();
        let key = |gate: &Step| (gate.step.to_string(), gate.subject.clone());
        let before = std::mem::take(&mut self.since);
        for gate in held {
            let since = before.get(&key(gate)).copied();
            self.since.insert(key(gate), since.unwrap_or(now));
            if since.is_none() && manner == Manner::Lines {
                let at = now.strftime("%H:%M:%S UTC");
                printer.say(&format!(
                    "waits for {} since {at}: {}",
                    name(gate),
                    gate.text
                ));
            }
        }
        for (gate, since) in before {
            if manner == Manner::Lines && !self.since.contains_key(&gate) {
                let name = format!("{} {}", gate.0, gate.1);
                let took = render::age(Some(since), now);
                printer.say(&format!("{} is open after {took}", name.trim_end()));
            }
        }
        if manner == Manner::Lines {
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
