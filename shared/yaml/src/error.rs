//! Why a text is not read.

/// Error of a text, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// 1 is the first.
    pub line: usize,
    /// 1 is the first.
    pub column: usize,
    /// Message for operators.
    pub message: String,
}
