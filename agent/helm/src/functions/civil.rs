//! Calendar date and time of day.

/// Calendar date and time of day.
#[derive(Clone, Debug)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: u32,
    pub(super) day: u32,
    pub(super) hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) nanosecond: u32,
    pub(super) weekday: usize,
    pub(super) year_day: u32,
    pub(super) offset: i32,
    pub(super) abbreviation: String,
}
