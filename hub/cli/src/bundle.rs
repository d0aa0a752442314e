//! What a support bundle is made of: named texts without secrets, in a tar archive. Pure.

mod redact;

pub(crate) use redact::redact;

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its name in the archive.
    pub(crate) name: String,
    /// What it is, for the list.
    pub(crate) what: &'static str,
    /// Its text, or why it could not be had.
    pub(crate) text: Result<String, String>,
    /// How many secrets were taken out.
    pub(crate) redacted: usize,
}

impl Part {
    /// A text, without what looks like a secret.
    pub(crate) fn new(name: impl Into<String>, what: &'static str, text: &str) -> Self {
        let (text, redacted) = redact(text);
        Self {
            name: name.into(),
            what,
            text: Ok(text),
            redacted,
        }
    }

    /// What could not be had.
    pub(crate) fn missing(name: impl Into<String>, what: &'static str, why: &str) -> Self {
        Self {
            name: name.into(),
            what,
            text: Err(redact(why).0),
            redacted: 0,
        }
    }
}

/// The list of what is in a bundle, one part a line.
pub(crate) fn contents(parts: &[Part]) -> String {
    let width = parts.iter().map(|part| part.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for part in parts {
        let state = match &part.text {
            Ok(text) => flotilla_shared::words::counted(text.len(), "byte"),
            Err(why) => format!("not collected: {why}"),
        };
        let secrets = match part.redacted {
            0 => String::new(),
            count => format!(", {count} redacted"),
        };
        out += &format!("{:width$}  {}; {state}{secrets}\n", part.name, part.what);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_is_there_what_is_not_and_what_was_taken_out() {
        let parts = [
            Part::new("hub.json", "the hub", "token: flt_abc_def\n"),
            Part::missing("operators.json", "who may what", "refused"),
        ];
        assert_eq!(
            contents(&parts),
            "hub.json        the hub; 16 bytes, 1 redacted\n\
             operators.json  who may what; not collected: refused\n"
        );
    }
}
