//! The steps of a decision chain.

use flotilla_shared::reason::Reason;
use flotilla_status::{StepKind, StepState};
use jiff::Timestamp;

use crate::fleet::gate::{Gate, Open};
use crate::status::code;

/// The steps of a chain.
pub(super) struct Steps(pub(super) Vec<flotilla_status::Step>);

impl Steps {
    pub(super) fn add(&mut self, step: Step) {
        self.0.push(step.0);
    }

    /// Adds a gate with this text.
    pub(super) fn add_gate(&mut self, gate: Gate, text: String) {
        self.0.push(gate_step(Gate { text, ..gate }));
    }
}

/// One step of a decision chain.
pub(super) struct Step(flotilla_status::Step);

impl Step {
    /// Makes a step without subject, reason and time.
    pub(super) fn new(step: StepKind, state: StepState, text: String) -> Self {
        Self(flotilla_status::Step {
            step,
            subject: String::new(),
            state,
            text,
            reason: String::new(),
            at: None,
            may_open: false,
            opens_at: None,
        })
    }

    /// Sets its subject, such as an application.
    pub(super) fn of(mut self, subject: &str) -> Self {
        self.0.subject = subject.to_owned();
        self
    }

    pub(super) fn because(mut self, reason: impl Into<Option<Reason>>) -> Self {
        self.0.reason = code(reason.into());
        self
    }

    /// Sets since when it is in this state.
    pub(super) fn at(mut self, at: impl Into<Option<Timestamp>>) -> Self {
        self.0.at = at.into();
        self
    }
}

/// Converts a gate to a step.
#[must_use]
pub fn gate_step(gate: Gate) -> flotilla_status::Step {
    flotilla_status::Step {
        step: StepKind::Gate(gate.gate),
        may_open: gate.holds_back() && !gate.lasting,
        subject: gate.subject,
        state: match gate.open {
            Open::Yes => StepState::Ok,
            Open::NotYet => StepState::Waiting,
            Open::No => StepState::Failed,
            Open::Skipped => StepState::Skipped,
        },
        text: gate.text,
        reason: code(gate.reason),
        at: gate.at,
        opens_at: gate.opens_at,
    }
}
