//! Words for people: numbers of things, and errors.

/// How a hub begins to say that it could not store something; what comes after it says what to do.
pub const STORE_FAILED: &str = "the hub's store failed";

/// `1 cluster`, `2 clusters`, `3 repositories`.
#[must_use]
pub fn counted(number: usize, noun: &str) -> String {
    format!("{number} {}", plural(number, noun))
}

/// The noun as it stands after a number: `cluster`, `clusters`.
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

/// An error's text without the numbers that the standard library puts behind the system's words
/// (`(os error 2)`).
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
