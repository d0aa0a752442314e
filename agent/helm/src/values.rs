//! Values: read from files, merged, and combined with the defaults of a chart and its subcharts.

mod coalesce;
pub(crate) mod path;
pub(crate) mod read;
pub mod strvals;
#[cfg(test)]
mod tests;

use crate::chart::Chart;
use crate::value::Map;

pub use read::{ValuesError, load, merge};

/// How `null` is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It removes a default.
    Coalesce,
    /// It is kept, for a later coalescing.
    Merge,
}

/// Returns the values that a chart's templates see: the given ones over the charts' defaults.
pub(crate) fn coalesce(chart: &Chart, given: &Map, mode: Mode) -> Result<Map, ValuesError> {
    let values = given.deep_copy();
    coalesce::chart(chart, &values, mode)?;
    Ok(values)
}

/// Puts into `into` what it does not have yet; `null`s stay.
pub(crate) fn merge_tables(into: &Map, from: &Map) {
    coalesce::tables(into, from, Mode::Merge);
}
