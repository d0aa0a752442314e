//! The meaning of the words that controllers use for states, reasons and conditions. Words are compared
//! one by one, however they are joined (`CamelCase`, `snake_case`, `kebab-case`, spaces).

/// Meaning of a word of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sense {
    /// Nothing against it.
    Good,
    /// On its way.
    Going,
    /// Waits for an operator.
    Paused,
    /// Will not recover by itself.
    Bad,
}

const BAD: &[&str] = &[
    "abort",
    "aborted",
    "broken",
    "cancelled",
    "canceled",
    "conflict",
    "conflicted",
    "corrupt",
    "crash",
    "crashed",
    "crashloopbackoff",
    "critical",
    "dead",
    "degraded",
    "denied",
    "err",
    "error",
    "errored",
    "errors",
    "exceeded",
    "expired",
    "fail",
    "failed",
    "failing",
    "failure",
    "failures",
    "fatal",
    "fault",
    "faulted",
    "forbidden",
    "inconsistent",
    "invalid",
    "lost",
    "misconfigured",
    "misconfiguration",
    "mismatch",
    "red",
    "rejected",
    "refused",
    "stalled",
    "stuck",
    "unauthorized",
    "unhealthy",
    "unrecoverable",
    "unreachable",
    "unschedulable",
    "unsupported",
    "violated",
    "violation",
    "warn",
];

const GOING: &[&str] = &[
    "activating",
    "allocating",
    "applying",
    "assigning",
    "attaching",
    "bootstrapping",
    "binding",
    "building",
    "changing",
    "cloning",
    "configuring",
    "connecting",
    "converging",
    "copying",
    "creating",
    "deleting",
    "deploying",
    "detaching",
    "detecting",
    "draining",
    "downloading",
    "enabling",
    "evaluating",
    "executing",
    "expanding",
    "finalising",
    "finalizing",
    "importing",
    "init",
    "initializing",
    "initialising",
    "installing",
    "joining",
    "launching",
    "loading",
    "migrating",
    "modifying",
    "pending",
    "preparing",
    "processing",
    "progress",
    "progressing",
    "promoting",
    "provisioning",
    "queued",
    "rebalancing",
    "rebooting",
    "rebuilding",
    "reconciling",
    "reconfiguring",
    "recovering",
    "recreating",
    "registering",
    "reloading",
    "replacing",
    "resizing",
    "restarting",
    "restoring",
    "retrying",
    "rolling",
    "rollout",
    "scaling",
    "scheduling",
    "starting",
    "stopping",
    "switching",
    "syncing",
    "synchronizing",
    "terminating",
    "testing",
    "unavailable",
    "uninstalling",
    "unprovisioned",
    "unknown",
    "unsynced",
    "updating",
    "upgrading",
    "validating",
    "verifying",
    "waiting",
    "yellow",
    "uninitialized",
];

const PAUSED: &[&str] = &[
    "disabled",
    "halted",
    "hibernated",
    "hibernating",
    "paused",
    "stopped",
    "suspended",
    "suspend",
];

/// Words that ask for a failing reason's benefit of the doubt: they say what is waited for.
const NOT: &[&str] = &["no", "not", "non", "without", "un"];

/// Splits a compound into lower-case words.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before: Option<char> = None;
    let mut letters = text.chars().take(200).peekable();
    while let Some(c) = letters.next() {
        if !c.is_alphanumeric() {
            before = None;
            continue;
        }
        let starts = match before {
            None => true,
            Some(last) => {
                c.is_uppercase()
                    && (!last.is_uppercase()
                        || letters.peek().is_some_and(|next| next.is_lowercase()))
            }
        };
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
        before = Some(c);
    }
    words
}

/// The meaning of a state of the whole object.
pub(super) fn of_state(text: &str) -> Sense {
    let words = split(text);
    let any = |list: &[&str]| {
        words.iter().enumerate().any(|(at, word)| {
            let negated = at > 0 && words.get(at - 1).is_some_and(|w| NOT.contains(&w.as_str()));
            !negated && list.contains(&word.as_str())
        })
    };
    let negates = words.first().is_some_and(|w| w == "not" || w == "non")
        || words.iter().any(|w| w == "unready");
    // A condition of type Warning is about a detail; a state of "warning" is about the whole object.
    let warns = words.iter().any(|w| w == "warning")
        || words
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a == "limit" && b == "reached"));
    // A long text is a message and not a state.
    if words.len() > 6 {
        Sense::Good
    } else if warns || any(BAD) {
        Sense::Bad
    } else if any(GOING) || negates {
        Sense::Going
    } else if any(PAUSED) {
        Sense::Paused
    } else {
        Sense::Good
    }
}

/// A reason of a condition that does not hold.
pub(super) fn of_reason(text: &str) -> Sense {
    let words = split(text);
    let found = words
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a == "not" && (b == "found" || b == "allowed")));
    if found || words.iter().any(|w| w == "missing" || w == "timeout") {
        return Sense::Bad;
    }
    of_state(text)
}

/// What it means for an object if a condition of this type holds. None: the type is unknown.
pub(super) fn of_type(text: &str) -> Option<Sense> {
    const GOOD: &[&str] = &[
        "accepted",
        "active",
        "admitted",
        "alive",
        "allocated",
        "applied",
        "approved",
        "attached",
        "available",
        "bound",
        "complete",
        "completed",
        "configured",
        "connected",
        "created",
        "deployed",
        "ensured",
        "established",
        "exists",
        "finished",
        "found",
        "granted",
        "healthy",
        "imported",
        "initialized",
        "installed",
        "issued",
        "joined",
        "loaded",
        "online",
        "operational",
        "passed",
        "programmed",
        "promoted",
        "propagated",
        "provisioned",
        "published",
        "ready",
        "reachable",
        "reconciled",
        "registered",
        "resolved",
        "running",
        "satisfied",
        "scheduled",
        "serving",
        "stable",
        "started",
        "succeeded",
        "success",
        "successful",
        "synced",
        "synchronized",
        "updated",
        "valid",
        "validated",
        "verified",
        "ok",
    ];
    let mut words = split(text);
    // UpToDate and InSync describe the whole object. In other types the words before `for`, `in` and the like
    // decide: ReadyForTraffic, AvailableInRegion.
    if matches!(words.as_slice(), [.., a, b, c] if a == "up" && b == "to" && c == "date")
        || matches!(words.as_slice(), [.., a, b] if a == "in" && b == "sync")
    {
        return Some(Sense::Good);
    }
    const JOINTS: &[&str] = &["for", "by", "in", "on", "to", "with"];
    if let Some(at) = words.iter().position(|w| JOINTS.contains(&w.as_str()))
        && at > 0
    {
        words.truncate(at);
    }
    let (last, rest) = words.split_last()?;
    let negated = rest.last().is_some_and(|w| NOT.contains(&w.as_str()));
    let last = last.as_str();
    if negated {
        // NotReady is still in progress; NoErrors is healthy.
        return Some(if GOOD.contains(&last) {
            Sense::Going
        } else {
            Sense::Good
        });
    }
    if words.iter().any(|w| BAD.contains(&w.as_str())) {
        return Some(Sense::Bad);
    }
    let senses = [
        (GOOD, Sense::Good),
        (GOING, Sense::Going),
        (PAUSED, Sense::Paused),
    ];
    senses
        .iter()
        .find(|(list, _)| list.contains(&last))
        .map(|(_, sense)| *sense)
}
