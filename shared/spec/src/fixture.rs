//! Fixtures for tests of several rules.

use crate::{can_never_work, parse};

/// Returns what can never work in a file with one repository `r` and these lines, by place.
pub(crate) fn never_works(rest: &str) -> Vec<(String, String)> {
    let text = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\n\
         repositories: [{{name: r, url: 'https://h/r'}}]\n{rest}"
    );
    can_never_work(&parse("f", &text).unwrap())
}

/// Returns the places of what can never work in such a file.
pub(crate) fn places(rest: &str) -> Vec<String> {
    let found = never_works(rest);
    found.into_iter().map(|(place, _)| place).collect()
}
