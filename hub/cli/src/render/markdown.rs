//! Markdown for pull requests, with texts of others escaped.

pub(crate) use flotilla_status::markdown::plain;
