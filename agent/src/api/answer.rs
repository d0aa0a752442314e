//! The meaning of an answer of an API server: one row for each. Pure.
//!
//! `answer/recorded.jsonl` holds what a real kube-apiserver answered in each case.

use flotilla_shared::reason::Reason;
use flotilla_shared::report::plain_line;
use kube::core::Status;
use kube::core::response::StatusCause;

/// Longest message that is kept, bytes.
const MAX_MESSAGE: usize = 600;
/// Longest value that is repeated in a message, bytes.
const MAX_VALUE: usize = 60;

/// One class of answers.
struct Row {
    /// Range of HTTP statuses.
    codes: (u16, u16),
    /// The answer contains one of these texts; empty: any answer.
    says: &'static [&'static str],
    /// The reason to report. Whether a cluster with it counts as failed at once is a property of the
    /// reason ([`Reason::is_final`]).
    reason: Reason,
    /// Whether the very same request may work a moment later.
    retry: bool,
    /// Text in front of the server's own message; may be empty.
    text: &'static str,
}

const fn row(code: u16, says: &'static [&'static str], reason: Reason, text: &'static str) -> Row {
    rows((code, code), says, reason, text)
}

const fn rows(
    codes: (u16, u16),
    says: &'static [&'static str],
    reason: Reason,
    text: &'static str,
) -> Row {
    Row {
        codes,
        says,
        reason,
        retry: false,
        text,
    }
}

impl Row {
    /// The very same request may work a moment later.
    const fn and_again(mut self) -> Self {
        self.retry = true;
        self
    }
}

/// Texts of denials by webhooks and admission policies, which may come with any status.
const DENIED: &[&str] = &[
    "denied the request",
    "denied request",
    "violates PodSecurity",
];

/// The first that fits.
const TABLE: &[Row] = &[
    rows((400, 499), DENIED, Reason::AdmissionDenied, ""),
    row(400, &[], Reason::Invalid, ""),
    row(
        401,
        &[],
        Reason::Unauthorized,
        "the API server rejects the agent's credentials",
    ),
    row(403, &["being terminated"], Reason::NamespaceTerminating, ""),
    row(403, &["exceeded quota"], Reason::QuotaExceeded, ""),
    row(
        403,
        &["not yet ready to handle request"],
        Reason::ClusterUnavailable,
        "",
    )
    .and_again(),
    row(
        403,
        &["error looking up service account"],
        Reason::DependencyNotReady,
        "",
    ),
    row(
        403,
        &[
            "User \"",
            "attempting to grant RBAC permissions",
            "cannot set blockOwnerDeletion",
        ],
        Reason::Forbidden,
        "",
    ),
    row(403, &["is forbidden: "], Reason::AdmissionDenied, ""),
    row(403, &[], Reason::Forbidden, ""),
    row(404, &["namespaces \""], Reason::NamespaceNotFound, ""),
    row(
        404,
        &["page not found", "could not find the requested resource"],
        Reason::UnknownKind,
        "the API server does not serve this kind in this version",
    ),
    row(404, &[], Reason::ApplyFailed, ""),
    row(405, &[], Reason::Invalid, ""),
    row(408, &[], Reason::ClusterUnavailable, "").and_again(),
    row(409, &["Apply failed with"], Reason::Conflict, ""),
    row(409, &["is being deleted"], Reason::WaitingForFinalizer, ""),
    row(409, &["already exists"], Reason::ChangedMeanwhile, "").and_again(),
    row(
        409,
        &[],
        Reason::ChangedMeanwhile,
        "another client changed it at the same time",
    ),
    row(410, &[], Reason::ChangedMeanwhile, ""),
    row(
        413,
        &[],
        Reason::ObjectTooLarge,
        "the request is larger than the API server accepts",
    ),
    row(
        422,
        &["may not be more than 1048576 bytes"],
        Reason::ObjectTooLarge,
        "",
    ),
    row(422, &[], Reason::Invalid, ""),
    row(429, &[], Reason::Throttled, "").and_again(),
    row(
        500,
        &[
            "failed to create typed patch object",
            "failed to convert new object",
        ],
        Reason::Invalid,
        "",
    ),
    row(
        500,
        &["failed calling webhook"],
        Reason::WebhookUnavailable,
        "an admission webhook cannot be reached",
    ),
    row(
        500,
        &["conversion webhook"],
        Reason::WebhookUnavailable,
        "a conversion webhook cannot be reached",
    ),
    row(
        500,
        &["request is too large", "message larger than max"],
        Reason::ObjectTooLarge,
        "the object is larger than etcd accepts",
    ),
    row(
        500,
        &["database space exceeded"],
        Reason::ClusterUnavailable,
        "etcd is full",
    ),
    rows((500, 599), &[], Reason::ClusterUnavailable, "").and_again(),
];

/// Reason and message of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) reason: Reason,
    /// The same request may work a moment later.
    pub(crate) retry: bool,
    /// The server's message, in one line, without long values and without values of Secrets.
    pub(crate) message: String,
    /// Fields (`spec.ports[1].name`) whose value another item already has.
    pub(crate) duplicates: Vec<String>,
}

/// Reads an answer that is not a success.
pub(crate) fn read(status: &Status) -> Meaning {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice())
        .unwrap_or_default();
    let found = TABLE.iter().find(|row| {
        (row.codes.0..=row.codes.1).contains(&status.code)
            && (row.says.is_empty() || row.says.iter().any(|says| status.message.contains(says)))
    });
    let (mut reason, retry, text) = match found {
        Some(row) => (row.reason, row.retry, row.text),
        None => (Reason::ApplyFailed, false, ""),
    };
    if status.code == 422 && reason == Reason::Invalid && is_immutable(causes) {
        reason = Reason::ImmutableField;
    }
    let words = words(status, reason, causes);
    let message = match (text, words.as_str()) {
        ("", _) => words,
        (text, "") => text.to_owned(),
        (text, words) => format!("{text}: {words}"),
    };
    let duplicates = causes
        .iter()
        .filter(|cause| cause.reason == "FieldValueDuplicate")
        .map(|cause| cause.field.clone())
        .collect();
    Meaning {
        reason,
        retry,
        message: plain_line(&message, MAX_MESSAGE),
        duplicates,
    }
}

/// How validations say that a field is immutable. A definition's own rule (CEL) is free in its
/// wording; nearly all say "immutable".
const IMMUTABLE: &[&str] = &[
    "immutable",
    "may not change once set",
    "may not be changed in an update",
    "cannot change roleRef",
    "updates to parameters are forbidden",
    "updates to statefulset spec for fields other than",
    "pod updates may not change fields other than",
    "can only be modified in tandem with",
    "may not be changed once set",
    "cannot be changed",
    "may not be changed",
    "can not be changed",
    "cannot be modified",
    "must not be changed",
];

/// Whether the only fault of a change is that it changes an immutable field. Where there is another
/// fault as well, a recreated object would be refused just the same.
fn is_immutable(causes: &[StatusCause]) -> bool {
    !causes.is_empty()
        && causes
            .iter()
            .all(|cause| IMMUTABLE.iter().any(|says| cause.message.contains(says)))
}

/// Whether values of the object may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    Open,
    Secret,
}

/// The server's message, shortened to one line.
fn words(status: &Status, reason: Reason, causes: &[StatusCause]) -> String {
    let message = status.message.as_str();
    let is_secret = message.contains("Kind=Secret)") || message.starts_with("Secret \"");
    let values = match is_secret {
        true => Values::Secret,
        false => Values::Open,
    };
    for start in [
        "failed to create typed patch object (",
        "failed to convert new object (",
    ] {
        if let Some(rest) = message.strip_prefix(start) {
            return typed(rest, values);
        }
    }
    if matches!(reason, Reason::Invalid | Reason::ImmutableField) && !causes.is_empty() {
        let subject = message.split(" is invalid: ").next().unwrap_or_default();
        let mut lines: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, shorter(&cause.message, values)))
            .collect();
        lines.dedup();
        let verb = if reason == Reason::ImmutableField {
            "cannot be changed"
        } else {
            "is invalid"
        };
        return format!("{subject} {verb}: {}", lines.join("; "));
    }
    let message = message.strip_prefix("Internal error occurred: ");
    message.unwrap_or(&status.message).to_owned()
}

/// A cause without long or secret values, and without the comparison that follows them.
fn shorter(message: &str, values: Values) -> String {
    let message = message.split("\n@@").next().unwrap_or(message);
    let message = message.split("\n").next().unwrap_or(message);
    for label in [
        "Invalid value: ",
        "Unsupported value: ",
        "Duplicate value: ",
    ] {
        let Some(rest) = message.strip_prefix(label) else {
            continue;
        };
        // The value is JSON, and the reason follows it.
        let mut json = serde_json::Deserializer::from_str(rest).into_iter::<serde_json::Value>();
        let end = match json.next() {
            Some(Ok(_)) => json.byte_offset(),
            _ => continue,
        };
        let (value, why) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let why = why.trim_start_matches(": ");
        if value.len() > MAX_VALUE || (values == Values::Secret && label != "Unsupported value: ") {
            return match why {
                "" => label.trim_end_matches(": ").to_owned(),
                why => why.to_owned(),
            };
        }
    }
    message.to_owned()
}

/// `(/name; v1, Kind=ConfigMap): .data.port: expected string, got &value.valueUnstructured{Value:8080}`,
/// from after the parenthesis.
fn typed(rest: &str, values: Values) -> String {
    let (subject, why) = rest.split_once("): ").unwrap_or((rest, ""));
    let kind = subject.rsplit("Kind=").next().unwrap_or_default();
    let name = subject
        .split(';')
        .next()
        .and_then(|object| object.rsplit('/').next())
        .unwrap_or_default();
    let (subject, why) = match rest.split_once(") to proper version: ") {
        Some((_, why)) => {
            let why = why.split_once(", Kind=").map_or(why, |(_, why)| why);
            let why = why.split_once(": ").map_or(why, |(_, why)| why);
            let kind = rest.split(") to proper").next().unwrap_or_default();
            let kind = kind.rsplit("Kind=").next().unwrap_or_default();
            (format!("{kind} {name:?}"), why)
        }
        None => (format!("{kind} {name:?}"), why),
    };
    let lines: Vec<String> = why
        .trim_start_matches("errors:")
        .lines()
        .map(|line| fault(line.trim(), values))
        .filter(|line| !line.is_empty())
        .collect();
    format!("{subject} is invalid: {}", lines.join("; "))
}

/// One fault of a typed patch.
fn fault(line: &str, values: Values) -> String {
    let Some((what, got)) = line.split_once(", got ") else {
        return line.to_owned();
    };
    if values == Values::Secret {
        return what.to_owned();
    }
    let value = got
        .trim_start_matches("&value.valueUnstructured{Value:")
        .trim_end_matches('}');
    if value.len() > MAX_VALUE {
        return what.to_owned();
    }
    format!("{what}, got {value}")
}

#[cfg(test)]
mod tests;
