//! What cargo-mutants would change.

use std::path::PathBuf;

use serde::Deserialize;

/// One line of `cargo mutants --list --json`.
#[derive(Debug, Deserialize)]
pub struct Mutant {
    /// What cargo-mutants calls it.
    pub name: String,
    /// Below the crate.
    pub file: PathBuf,
    pub genre: Genre,
    /// What is written in place of what is there.
    pub replacement: String,
    pub span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

#[derive(Debug, Deserialize)]
pub struct Span {
    pub start: Place,
}

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl From<proc_macro2::LineColumn> for Place {
    fn from(place: proc_macro2::LineColumn) -> Self {
        Self {
            line: place.line,
            column: place.column + 1,
        }
    }
}
