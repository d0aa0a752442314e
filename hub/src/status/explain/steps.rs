//! The chain's links.

use flotilla_proto::v1;
use flotilla_shared::reason::Reason;
use flotilla_shared::wire::{reason_to_wire, timestamp_to_wire};
use jiff::Timestamp;

use crate::fleet::gates::{Gate, Open};

/// The chain, link by link.
pub(super) struct Steps(pub(super) Vec<v1::ExplainStep>);

impl Steps {
    pub(super) fn add(
        &mut self,
        step: &str,
        subject: &str,
        state: v1::StepState,
        text: String,
        reason: Option<Reason>,
        at: Option<Timestamp>,
    ) {
        self.0.push(v1::ExplainStep {
            step: step.to_owned(),
            subject: subject.to_owned(),
            state: state.into(),
            text,
            reason: reason_to_wire(reason),
            at: at.map(timestamp_to_wire),
            may_open: false,
            opens_at: None,
        });
    }
}

/// A gate as a step.
#[must_use]
pub fn gate_step(gate: Gate) -> v1::ExplainStep {
    v1::ExplainStep {
        step: gate.gate.to_owned(),
        may_open: gate.holds_back() && !gate.lasting,
        subject: gate.subject,
        state: match gate.open {
            Open::Yes => v1::StepState::Ok,
            Open::NotYet => v1::StepState::Waiting,
            Open::No => v1::StepState::Failed,
            Open::Skipped => v1::StepState::Skipped,
        }
        .into(),
        text: gate.text,
        reason: reason_to_wire(gate.reason),
        at: gate.at.map(timestamp_to_wire),
        opens_at: gate.opens_at.map(timestamp_to_wire),
    }
}
