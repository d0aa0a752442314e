//! The chain's links.

use flotilla_proto::v1;
use flotilla_shared::reason::Reason;
use flotilla_shared::wire::{reason_to_wire, timestamp_to_wire};
use jiff::Timestamp;

use crate::fleet::gates::{Gate, Open};

/// The chain, link by link.
pub(super) struct Steps(pub(super) Vec<v1::ExplainStep>);

impl Steps {
    pub(super) fn add(&mut self, step: Step) {
        self.0.push(step.0);
    }
}

/// One step of a decision chain.
pub(super) struct Step(v1::ExplainStep);

impl Step {
    /// Of nothing in particular, for no reason and at no moment that is known.
    pub(super) fn new(step: &str, state: v1::StepState, text: String) -> Self {
        Self(v1::ExplainStep {
            step: step.to_owned(),
            state: state.into(),
            text,
            ..v1::ExplainStep::default()
        })
    }

    /// What it speaks of, such as an application.
    pub(super) fn of(mut self, subject: &str) -> Self {
        self.0.subject = subject.to_owned();
        self
    }

    pub(super) fn because(mut self, reason: impl Into<Option<Reason>>) -> Self {
        self.0.reason = reason_to_wire(reason.into());
        self
    }

    /// Since when it is so.
    pub(super) fn at(mut self, at: impl Into<Option<Timestamp>>) -> Self {
        self.0.at = at.into().map(timestamp_to_wire);
        self
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
