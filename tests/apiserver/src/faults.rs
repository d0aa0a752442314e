//! Fault injection.

use std::time::Duration;

/// The fault to inject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// No fault: delays the faults after it.
    Pass,
    /// Answers with this status, without effect.
    Status(u16),
    /// 429 with Retry-After, seconds.
    Throttle(u32),
    /// The request takes effect, but the answer is an error, so the client does not know the outcome.
    AnswerLost,
    /// Answers only after this time.
    Hang(Duration),
    /// The request takes effect, and the connection ends without an answer after this time.
    HangAfter(Duration),
    /// The connection is cut before the request takes effect.
    Cut,
    /// The connection is cut after the request took effect.
    CutAfter,
}

/// What discovery still returns for a group/version whose API server (an APIService) is unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StaleDiscovery {
    /// Its resources, which the aggregator has cached.
    Remembered,
    /// Only the version: kube-apiserver has restarted since, and never reached its API server.
    Unknown,
}

/// A fault for a number of matching requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// get, list, watch, create, update, patch, delete, deletecollection, discovery; empty: any.
    pub verb: String,
    /// Plural name of a kind; empty: any.
    pub resource: String,
    /// The fault.
    pub kind: FaultKind,
    /// How many requests it affects.
    pub times: usize,
}

/// Takes the first fault that matches a request.
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
