//! The list of mutants of cargo-mutants.

use std::path::PathBuf;

use serde::Deserialize;

/// One line of `cargo mutants --list --json`.
#[derive(Debug, Deserialize)]
pub struct Mutant {
    /// The name that cargo-mutants gives it.
    pub name: String,
    /// Relative to the crate.
    pub file: PathBuf,
    pub genre: Genre,
    /// The text that replaces the span.
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
    pub start: Position,
}

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl From<proc_macro2::LineColumn> for Position {
    fn from(place: proc_macro2::LineColumn) -> Self {
        Self {
            line: place.line,
            column: place.column + 1,
        }
    }
}
