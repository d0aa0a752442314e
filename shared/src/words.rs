//! Words in messages: counts, and errors.

use std::borrow::Cow;

/// Beginning of a hub's message that it could not store something; the rest says what to do. Programs recognise it by
/// [`crate::dial::NOT_STORED`], which older hubs do not send.
pub const STORE_FAILED: &str = "the hub's store failed";

/// End of a hub's message that it does not replace a certificate that has not expired.
pub const CERTIFICATE_GOOD: &str = "is good: use it";

/// `1 cluster`, `2 clusters`, `3 repositories`.
#[must_use]
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {}", plural(number, noun))
}

/// Returns the noun for a number: `cluster`, `clusters`.
#[must_use]
pub fn plural(number: usize, noun: &str) -> String {
    if number == 1 {
        return noun.to_owned();
    }
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{noun}s"),
    }
}

/// Returns ` of fleet` or ` of charts and fleet`; without names, empty: all repositories.
#[must_use]
pub fn of_repositories<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.split_last() {
        None => String::new(),
        Some((last, [])) => format!(" of {last}"),
        Some((last, others)) => format!(" of {} and {last}", others.join(", ")),
    }
}

/// Returns an error with its causes; a cause whose text is already included is left out.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    without_numbers(&text)
}

/// Like [`without_numbers`], without a copy of a text that has no numbers.
#[must_use]
pub fn numberless(text: &str) -> Cow<'_, str> {
    match text.contains(" (os error ") {
        true => Cow::Owned(without_numbers(text)),
        false => Cow::Borrowed(text),
    }
}

/// Returns an error's text without the numbers that the standard library adds to system errors (`(os error 2)`).
#[must_use]
pub fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                plain.push_str(rest);
            }
            _ => {
                plain.push_str(" (os error ");
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural() {
        for (number, noun, text) in [
            (0, "cluster", "0 clusters"),
            (1, "cluster", "1 cluster"),
            (2, "cluster", "2 clusters"),
            (1, "entry", "1 entry"),
            (2, "entry", "2 entries"),
            (3, "repository", "3 repositories"),
            (2, "day", "2 days"),
            (2, "changed object", "2 changed objects"),
        ] {
            assert_eq!(counted(number, noun), text);
        }
    }

    #[test]
    fn repositories_are_named_or_none_is() {
        for (names, text) in [
            (&[][..], ""),
            (&["a"], " of a"),
            (&["a", "b"], " of a and b"),
            (&["a", "b", "c"], " of a, b and c"),
        ] {
            assert_eq!(of_repositories(names.iter().copied()), text);
        }
    }

    #[test]
    fn a_cause_that_is_in_the_text_is_not_told_again() {
        #[derive(Debug, thiserror::Error)]
        #[error("store hub.db: {source}")]
        struct Store {
            source: std::io::Error,
        }
        #[derive(Debug, thiserror::Error)]
        #[error("cannot start")]
        struct Start(#[source] Store);
        let full = std::io::Error::from_raw_os_error(28);
        let text = with_causes(&Start(Store { source: full }));
        assert_eq!(text, "cannot start: store hub.db: No space left on device");
    }

    #[test]
    fn the_systems_words_need_no_number() {
        for (text, plain) in [
            (
                "fleet.yaml: No such file or directory (os error 2)",
                "fleet.yaml: No such file or directory",
            ),
            ("a (os error 13): b (os error 2), c", "a: b, c"),
            ("nothing (os error", "nothing (os error"),
            ("x (os error y) z", "x (os error y) z"),
            ("x (os error 2", "x (os error 2"),
        ] {
            assert_eq!(without_numbers(text), plain);
        }
    }
}
