//! What a report was rendered from.

use std::collections::BTreeSet;

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::report::Report;
use flotilla_shared::revision::Commit;
use flotilla_shared::wire::{DecodedAssignment, specified};

/// Over what all of a report's applications were rendered from and applied as; of nothing where one of them
/// did not say, or where the report is of another assignment.
pub(super) fn rendered_from(report: &Report, assigned: Option<&DecodedAssignment>) -> Digest {
    let Some(assigned) = assigned.filter(|one| one.reference == report.assignment) else {
        return Digest::default();
    };
    let specified = specified(&assigned.assignment.applications);
    let mut parts: Vec<&[u8]> = vec![specified.as_bytes()];
    // Of what is to run no more nothing is rendered.
    let runs = &assigned.assignment.applications;
    let rendered = report.applications.iter();
    for (name, app) in rendered.filter(|(name, _)| runs.contains_key(*name)) {
        if app.source_digest.is_none() {
            return Digest::default();
        }
        parts.push(name.as_str().as_bytes());
        parts.push(app.source_digest.as_bytes());
    }
    if parts.len() == 1 {
        return Digest::default();
    }
    Digest::of_parts(parts)
}

/// Likewise over those applications that count, as a specification declares them; of nothing, where one of them
/// did not say.
pub(super) fn rendered_without(
    aside: &BTreeSet<ApplicationName>,
    report: &Report,
    assigned: &DecodedAssignment,
    specification: Option<&Commit>,
) -> Digest {
    let mut parts: Vec<&[u8]> = vec![specification.map_or("", Commit::as_str).as_bytes()];
    for name in assigned.assignment.applications.keys() {
        if aside.contains(name) {
            continue;
        }
        let Some(app) = report.applications.get(name) else {
            return Digest::default();
        };
        if app.source_digest.is_none() {
            return Digest::default();
        }
        parts.push(name.as_str().as_bytes());
        parts.push(app.source_digest.as_bytes());
    }
    Digest::of_parts(parts)
}
