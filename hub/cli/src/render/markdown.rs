//! Markdown for pull requests: texts of others stand in it as they are.

pub(crate) use flotilla_status::markdown::plain;
