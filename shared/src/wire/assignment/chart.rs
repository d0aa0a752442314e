//! Options of a Helm chart on the wire.

use flotilla_proto::v1;

use super::super::{WireError, bounded};
use crate::chart::{ChartOptions, Crds, Generated, MAX_VALUES_BYTES, MAX_VALUES_FILES, ValuesFile};

/// Longest name of a release, as Helm has it.
const MAX_RELEASE_NAME: usize = 53;

pub(super) fn chart_within_limits(chart: &ChartOptions) -> Result<(), WireError> {
    within_limits(&chart.release_name, chart.values_files.len(), &chart.values)
}

fn within_limits(release_name: &str, files: usize, values: &str) -> Result<(), WireError> {
    bounded("helm.release_name", release_name.len(), MAX_RELEASE_NAME)?;
    bounded("helm.values_files", files, MAX_VALUES_FILES)?;
    bounded("helm.values", values.len(), MAX_VALUES_BYTES)
}

pub(super) fn chart_to_wire(chart: &ChartOptions) -> v1::HelmOptions {
    v1::HelmOptions {
        release_name: chart.release_name.clone(),
        values_files: chart
            .values_files
            .iter()
            .map(|file| v1::ValuesFile {
                path: file.path.to_string(),
                optional: file.optional,
            })
            .collect(),
        values: chart.values.to_string(),
        crds: match chart.crds {
            Crds::Apply => v1::Crds::Apply,
            Crds::Create => v1::Crds::Create,
            Crds::Skip => v1::Crds::Skip,
        }
        .into(),
        strict: chart.strict,
        generated: match chart.generated {
            Generated::Refuse => v1::Generated::Refuse,
            Generated::Derived => v1::Generated::Derived,
        }
        .into(),
        skip_schema: chart.skip_schema,
    }
}

pub(super) fn chart_from_wire(wire: v1::HelmOptions) -> Result<ChartOptions, WireError> {
    within_limits(&wire.release_name, wire.values_files.len(), &wire.values)?;
    let files = wire.values_files.into_iter().map(|file| {
        Ok(ValuesFile {
            path: file.path.parse()?,
            optional: file.optional,
        })
    });
    Ok(ChartOptions {
        release_name: wire.release_name,
        values_files: files.collect::<Result<_, WireError>>()?,
        values: wire.values.into(),
        // An unknown value is read as the variant that writes less.
        crds: match v1::Crds::try_from(wire.crds) {
            Ok(v1::Crds::Unspecified | v1::Crds::Apply) => Crds::Apply,
            Ok(v1::Crds::Create) => Crds::Create,
            Ok(v1::Crds::Skip) | Err(_) => Crds::Skip,
        },
        strict: wire.strict,
        generated: match v1::Generated::try_from(wire.generated) {
            Ok(v1::Generated::Derived) => Generated::Derived,
            Ok(v1::Generated::Unspecified | v1::Generated::Refuse) | Err(_) => Generated::Refuse,
        },
        skip_schema: wire.skip_schema,
    })
}
