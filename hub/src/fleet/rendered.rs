//! Digests of what a report was rendered from, and of what that depends on.

use std::collections::BTreeSet;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::report::{ApplicationReport, Report};
use flotilla_shared::revision::Commit;
use flotilla_shared::wire::{DecodedAssignment, specified};

use super::removed::is_over;

/// Digest over what all of a report's applications were rendered from and applied as; none where one of them does not
/// report it, or where the report is of another assignment.
pub(super) fn rendered_from(report: &Report, assigned: Option<&DecodedAssignment>) -> Digest {
    let Some(assigned) = assigned.filter(|assigned| assigned.reference == report.assignment) else {
        return Digest::default();
    };
    let runs = &assigned.assignment.applications;
    // An application that is no longer assigned is not rendered.
    let reported = report.applications.iter();
    let rendered = reported.filter(|(name, _)| runs.contains_key(*name));
    if rendered.clone().next().is_none() {
        return Digest::default();
    }
    let told = rendered.map(|(name, app)| (name, Some(&**app)));
    let specified = specified(runs, &assigned.assignment.labels);
    over(specified.as_bytes(), told)
}

/// Like the function above, over the applications that count, as a specification declares them; none where one of them
/// does not report it.
pub(super) fn rendered_without(
    aside: &BTreeSet<ApplicationName>,
    report: &Report,
    assigned: &DecodedAssignment,
    specification: Option<&Commit>,
) -> Digest {
    let counted = assigned.assignment.applications.keys();
    let counted = counted.filter(|name| !aside.contains(*name));
    let told = counted.map(|name| (name, report.applications.get(name).map(|app| &**app)));
    over(specification.map_or("", Commit::as_str).as_bytes(), told)
}

/// Digest over the declarations of applications and what each was rendered from; none where one of them does not report
/// it.
fn over<'r>(
    declared: &'r [u8],
    told: impl Iterator<Item = (&'r ApplicationName, Option<&'r ApplicationReport>)>,
) -> Digest {
    let mut parts = vec![declared];
    for (name, app) in told {
        match app.filter(|app| !app.source_digest.is_none()) {
            Some(app) => parts.extend([name.as_str().as_bytes(), app.source_digest.as_bytes()]),
            None => return Digest::default(),
        }
    }
    Digest::of_parts(parts)
}

/// Digest over what a report's applications run and depend on; none where one of them does not report it.
pub(super) fn reads(report: &Report) -> Option<Digest> {
    let mut parts: Vec<&[u8]> = Vec::new();
    // A removed application renders nothing.
    let all = report.applications.iter();
    for (name, application) in all.filter(|(_, report)| !is_over(report)) {
        let revision = application.revision.as_ref()?;
        if !application.source_paths.is_known() {
            return None;
        }
        // No path is empty, so that an empty part can end the list of paths.
        let own = [
            name.as_str(),
            revision.repository.as_str(),
            revision.commit.as_str(),
        ];
        parts.extend(own.map(str::as_bytes));
        parts.extend(application.source_paths.iter().map(str::as_bytes));
        parts.push(b"");
    }
    // Without applications there is nothing that could render the same.
    (!parts.is_empty()).then(|| Digest::of_parts(parts))
}
