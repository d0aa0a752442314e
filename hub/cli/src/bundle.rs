//! Content of a support bundle: named texts without secrets, in a tar archive. Pure.

mod redact;

pub(crate) use redact::redact;

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BundleFile {
    /// Its name in the archive.
    pub(crate) name: String,
    /// Description for the list.
    pub(crate) what: &'static str,
    /// Its text, or why it is not available.
    pub(crate) text: Result<String, String>,
    /// Number of secrets that were redacted.
    pub(crate) redacted: usize,
}

impl BundleFile {
    /// Makes a part of a text, with secrets redacted.
    pub(crate) fn new(name: impl Into<String>, what: &'static str, text: &str) -> Self {
        let (text, redacted) = redact(text);
        Self {
            name: name.into(),
            what,
            text: Ok(text),
            redacted,
        }
    }

    /// Makes a part that is not available.
    pub(crate) fn missing(name: impl Into<String>, what: &'static str, why: &str) -> Self {
        Self {
            name: name.into(),
            what,
            text: Err(redact(why).0),
            redacted: 0,
        }
    }
}

/// Returns the list of a bundle's content, one part a line.
pub(crate) fn contents(parts: &[BundleFile]) -> String {
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
            BundleFile::new("hub.json", "the hub", "token: flt_abc_def\n"),
            BundleFile::missing("operators.json", "who may what", "refused"),
        ];
        assert_eq!(
            contents(&parts),
            "hub.json        the hub; 16 bytes, 1 redacted\n\
             operators.json  who may what; not collected: refused\n"
        );
    }
}
