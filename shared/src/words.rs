//! Numbers of things in words.

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
}
