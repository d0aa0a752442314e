//! `encoding/json`.

mod parse;
mod write;

pub use parse::parse;
pub(crate) use parse::parse_first;
pub(crate) use write::TOO_LARGE;
pub(super) use write::{as_yaml_reads, bytes, check_key, cycle, number, too_large};
pub use write::{emit, emit_pretty, emit_raw};
