//! A chart's folder as an archive. Pure: the same folder gives the same bytes, so that Git sees no change.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use flotilla_helm::chart::{Chart, File};

use crate::error::Error;
use crate::tar;

/// Makes the chart's archive in the layout of `helm package`: everything in a folder of the chart's name.
pub(crate) fn pack(files: Vec<File>) -> Result<(Chart, Vec<u8>), Error> {
    let refused = |error: &dyn std::fmt::Display| Error::refused(error.to_string());
    let kept = Chart::kept(files).map_err(|error| refused(&error))?;
    let chart = Chart::from_folder(kept.clone()).map_err(|error| refused(&error))?;
    let mut named: Vec<(String, &[u8])> = kept
        .iter()
        .map(|file| (format!("{}/{}", chart.name(), file.name), &*file.data))
        .collect();
    // Helm's order: the chart's own Chart.yaml comes first.
    named.sort_by_key(|(name, _)| !name.ends_with("/Chart.yaml") || name.matches('/').count() > 1);
    let tar = tar::archive(
        named.iter().map(|(name, data)| (name.as_str(), *data)),
        0o644,
        0,
    );
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let packed = gzip.write_all(&tar).and_then(|()| gzip.finish());
    Ok((chart, packed.map_err(|error| refused(&error))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_chart_is_the_chart_without_what_it_ignores() {
        let files = || {
            vec![
                File::new("templates/a.yaml", b"a: 1\n".as_slice()),
                File::new(
                    "Chart.yaml",
                    b"apiVersion: v2\nname: web\nversion: 1.2.3\n".as_slice(),
                ),
                File::new(".helmignore", b"*.secret\n".as_slice()),
                File::new("key.secret", b"x".as_slice()),
                File::new("values.yaml", b"b: 2\n".as_slice()),
            ]
        };
        let (chart, archive) = pack(files()).unwrap();
        assert_eq!(chart.metadata.version, "1.2.3");
        assert_eq!(pack(files()).unwrap().1, archive, "the same bytes again");
        let read = Chart::from_archive(&archive).unwrap();
        assert_eq!(read.templates, chart.templates);
        assert!(read.values.contains("b"));
        assert!(!read.files.iter().any(|file| file.name == "key.secret"));
    }
}
