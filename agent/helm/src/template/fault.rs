//! Errors inside a template, and Helm's words for them.

use super::Error;

const FAIL_START: &str = "HELM_ERR_START";
const FAIL_END: &str = "HELM_ERR_END";

/// An error with everything that wraps it, outermost first when printed.
#[derive(Debug)]
pub(crate) struct EvalError(Box<Kind>);

#[derive(Debug)]
enum Kind {
    /// A message without a place: the words of a function.
    Plain(String),
    /// An error of executing a template: `template: a:1:2: executing "a" at <x>: …`.
    Placed(String, Option<EvalError>),
    /// Prefix of `tpl`, and the error of its text.
    Wrapped(String, EvalError),
}

impl EvalError {
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self(Box::new(Kind::Plain(message.into())))
    }

    pub(crate) fn placed(text: String, cause: Option<EvalError>) -> Self {
        Self(Box::new(Kind::Placed(text, cause)))
    }

    pub(crate) fn wrapped(text: String, cause: EvalError) -> Self {
        Self(Box::new(Kind::Wrapped(text, cause)))
    }

    /// The message of `required` and `fail`, which Helm prints alone.
    pub(crate) fn from_chart(message: &str) -> Self {
        Self::plain(format!("{FAIL_START}{message}{FAIL_END}"))
    }

    fn parts(&self) -> (&str, Option<&EvalError>) {
        match &*self.0 {
            Kind::Plain(text) => (text, None),
            Kind::Placed(text, cause) => (text, cause.as_ref()),
            Kind::Wrapped(text, cause) => (text, Some(cause)),
        }
    }

    /// The whole chain in one line.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let mut current = Some(self);
        while let Some(fault) = current {
            let (text, cause) = fault.parts();
            out.push_str(text);
            current = cause;
        }
        out
    }

    /// Returns Helm's message, with locations on lines of their own where every part has one.
    pub(crate) fn for_people(&self, file: &str) -> Error {
        let text = self.text();
        if !matches!(&*self.0, Kind::Placed(..)) {
            return Error { message: text };
        }
        let mut tokens = text.splitn(3, ": ");
        let (Some(_), Some(location), Some(rest)) = (tokens.next(), tokens.next(), tokens.next())
        else {
            return Error {
                message: format!("execution error in ({file}): {text}"),
            };
        };
        if let Some(reason) = fail_message(rest) {
            return Error {
                message: format!("execution error at ({location}): {reason}"),
            };
        }
        let mut lines: Vec<String> = Vec::new();
        let mut start = 0;
        let mut current = Some(self);
        while let Some(fault) = current {
            let (own, cause) = fault.parts();
            let Some(part) = text.get(start..).and_then(trace) else {
                return Error { message: text };
            };
            if lines.last() != Some(&part) {
                lines.push(part);
            }
            start += own.len();
            current = cause;
        }
        Error {
            message: lines.concat().trim().to_owned(),
        }
    }
}

fn fail_message(text: &str) -> Option<&str> {
    let start = text.find(FAIL_START)? + FAIL_START.len();
    let end = text.rfind(FAIL_END)?;
    text.get(start..end)
}

/// One part of the chain as Helm lays it out, where it has a place.
fn trace(text: &str) -> Option<String> {
    let rest = text.strip_prefix("template: ")?;
    if rest.starts_with("no template ") {
        return Some(format!("{text}\n"));
    }
    let uncut = |message: &str| {
        let end = message.find(" template:").unwrap_or(message.len());
        message[..end].to_owned()
    };
    if let Some((location, after)) = rest.split_once(": executing ")
        && let Some(after) = after.strip_prefix('"')
        && let Some((function, after)) = after.split_once('"')
        && let Some(after) = after.strip_prefix(" at <")
        && let Some((context, message)) = after.split_once(">: ")
    {
        let message = uncut(message);
        let mut out = format!("{location}\n  executing \"{function}\" at <{context}>:\n    ");
        if !message.is_empty() {
            out.push_str(&message);
            out.push('\n');
        }
        return Some(out);
    }
    let (location, message) = rest.rsplit_once(": ")?;
    let message = uncut(message);
    Some(format!("{location}\n  {message}\n"))
}

/// Helm's words for a text that cannot be parsed.
pub(super) fn parse_error(file: &str, text: &str) -> Error {
    let tokens: Vec<&str> = text.split(": ").collect();
    let message = match tokens.as_slice() {
        [_] | [] => format!("parse error in ({file}): {text}"),
        [_, location, .., last] => format!("parse error at ({location}): {last}"),
        [_, location] => format!("parse error at ({location}): {location}"),
    };
    Error { message }
}
