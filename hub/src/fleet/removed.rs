//! Reports on applications that were removed on purpose.

use flotilla_shared::health::SyncState;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::reason::Reason;
use flotilla_shared::report::{ApplicationReport, Report};

/// Returns whether an application was removed and its agent reports that nothing of it is left there.
pub(super) fn is_removed(report: Option<&Report>, name: &ApplicationName) -> bool {
    let report = report.and_then(|report| report.applications.get(name));
    report.is_some_and(|report| is_over(report))
}

/// Returns whether nothing else is left to report about an application that was removed.
#[must_use]
pub fn is_over(report: &ApplicationReport) -> bool {
    report.reason == Some(Reason::Removed)
}

/// Returns whether the agent still manages it: neither deleted, nor left unmanaged.
pub(super) fn is_managed(report: &ApplicationReport) -> bool {
    !is_over(report) && report.sync != SyncState::Orphaned
}
