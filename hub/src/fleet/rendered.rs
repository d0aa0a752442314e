//! What a report was rendered from.

use flotilla_shared::digest::Digest;
use flotilla_shared::report::Report;
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
