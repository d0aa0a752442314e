//! One gate: what must hold before an environment takes commits, and how that stands.

use flotilla_shared::id::EnvironmentName;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::Commit;
pub use flotilla_status::GateKind;
use flotilla_status::StepState;
use jiff::Timestamp;

/// State of the gates other than Jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OtherGates {
    Open,
    /// At least one holds the commits back.
    Closed,
}

/// State of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    Yes,
    /// Not open yet; time or a person may open it.
    NotYet,
    /// Closed, because something is wrong.
    No,
    /// Irrelevant: overridden or skipped.
    Skipped,
}

/// A gate, or one item of evidence for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    pub gate: GateKind,
    /// What it is about: a cluster, a check or a person.
    pub subject: String,
    /// State of the gate.
    pub open: Open,
    /// Whether waiting will not open it.
    pub lasting: bool,
    pub text: String,
    pub reason: Option<Reason>,
    pub at: Option<Timestamp>,
    /// When it opens by itself, where that is known.
    pub opens_at: Option<Timestamp>,
    /// The commit that it is about; none: all commits together.
    pub commit: Option<Commit>,
}

impl Gate {
    pub(super) fn new(
        gate: GateKind,
        subject: impl Into<String>,
        open: Open,
        text: String,
    ) -> Self {
        let reason = match open {
            Open::Yes | Open::Skipped => None,
            Open::NotYet => Some(gate.reason(StepState::Waiting)),
            Open::No => Some(gate.reason(StepState::Failed)),
        };
        Self {
            gate,
            subject: subject.into(),
            open,
            lasting: false,
            text,
            reason,
            at: None,
            opens_at: None,
            commit: None,
        }
    }

    /// Makes a gate that the environment before will never open.
    pub(super) fn never(source: &EnvironmentName, text: String) -> Self {
        let mut gate = Self::new(GateKind::Health, source.to_string(), Open::No, text);
        gate.lasting = true;
        gate
    }

    /// Returns whether it holds the commits back.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        matches!(self.open, Open::NotYet | Open::No)
    }

    /// Returns whether it is opened by something that begins only when all other gates are open: nothing of a commit
    /// runs before that.
    pub(super) fn runs_last(&self) -> bool {
        self.gate == GateKind::Job
    }
}

/// Returns the first gate that holds something back, in words.
#[must_use]
pub fn closed(gates: &[Gate]) -> Option<String> {
    let held: Vec<&Gate> = gates.iter().filter(|gate| gate.holds_back()).collect();
    let first = held.first()?;
    let subject = if first.subject.is_empty() {
        String::new()
    } else {
        format!(" {}", first.subject)
    };
    let more = match held.len() {
        1 => String::new(),
        more => format!(" (and {} more)", more - 1),
    };
    Some(format!("{}{subject}: {}{more}", first.gate, first.text))
}
