//! Failures on request.

use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing: so that the faults after it begin later.
    Pass,
    /// An answer with this status and no effect.
    Status(u16),
    /// 429 with Retry-After, seconds.
    Throttle(u32),
    /// The request takes effect and its answer is an error: the outcome is unknown to the client.
    AnswerLost,
    /// No answer for so long.
    Hang(Duration),
    /// The request takes effect, and there is no answer for so long.
    HangAfter(Duration),
    /// The connection ends before the request takes effect.
    Cut,
    /// The connection ends after the request took effect.
    CutAfter,
}

/// What discovery still says of a group/version whose own API server is away (an APIService that is down).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The resources that it had: it was asked before it went away.
    Remembered,
    /// That there is such a version, and nothing else: kube-apiserver began anew since, and could never ask it.
    Unknown,
}

/// A fault, for so many matching requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// get, list, watch, create, update, patch, delete, deletecollection, discovery; empty: any.
    pub verb: String,
    /// Plural name of a kind; empty: any.
    pub resource: String,
    /// What goes wrong.
    pub kind: FaultKind,
    /// How often; it is gone after that.
    pub times: usize,
}

/// Takes the first fault that fits a request.
pub(crate) fn take(faults: &mut Vec<Fault>, verb: &str, resource: &str) -> Option<FaultKind> {
    let fits = |fault: &Fault| {
        (fault.verb.is_empty() || fault.verb == verb)
            && (fault.resource.is_empty() || fault.resource == resource)
            && fault.times > 0
    };
    let index = faults.iter().position(fits)?;
    let fault = faults.get_mut(index)?;
    fault.times -= 1;
    let kind = fault.kind.clone();
    if fault.times == 0 {
        faults.remove(index);
    }
    Some(kind)
}
