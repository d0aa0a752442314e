//! From files to a chart.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::archive::MAX_FILE;
use super::{Chart, File, LoadError, Lock, Metadata, archive, ignore::Rules};
use crate::value::{Map, Value};
use crate::values::read;
use crate::yaml;

/// Deepest nesting of subcharts, deeper than any chart in use.
const MAX_DEPTH: usize = 20;

fn failed(message: impl Into<LoadError>) -> LoadError {
    message.into()
}

pub(super) fn folder(files: Vec<File>) -> Result<Chart, LoadError> {
    from_files(kept(files)?.into_iter().map(without_mark).collect(), 0)
}

/// Returns the files of a folder that belong to the chart, in the order of a directory walk.
pub(super) fn kept(files: Vec<File>) -> Result<Vec<File>, LoadError> {
    let Some(metadata) = files.iter().find(|file| file.name == "Chart.yaml") else {
        return Err(failed("Chart.yaml file is missing"));
    };
    supported(&metadata.data)?;
    let rules = match files.iter().find(|file| file.name == ".helmignore") {
        Some(file) => Rules::parse(&file.data)?,
        None => Rules::default(),
    };
    let rules = rules.with_defaults();
    let mut kept: Vec<File> = files
        .into_iter()
        .filter(|file| !rules.ignores(&file.name))
        .collect();
    if let Some(large) = kept.iter().find(|file| file.data.len() > MAX_FILE) {
        let base = large.name.rsplit('/').next().unwrap_or_default();
        return Err(failed(format!(
            "chart file {base:?} is larger than the maximum file size {MAX_FILE}"
        )));
    }
    kept.sort_by(|a, b| a.name.split('/').cmp(b.name.split('/')));
    Ok(kept)
}

pub(super) fn archive(bytes: &[u8]) -> Result<Chart, LoadError> {
    let files = archive::unpack(bytes)?;
    if let Some(metadata) = files.iter().find(|file| file.name == "Chart.yaml") {
        supported(&metadata.data)?;
    }
    from_files(files.into_iter().map(without_mark).collect(), 0)
}

/// Refuses the chart version that Helm 4 has under development and its command line refuses.
fn supported(chart_yaml: &[u8]) -> Result<(), LoadError> {
    let value = yaml::parse(chart_yaml)
        .map_err(|error| failed(format!("cannot load Chart.yaml: {error}")))?;
    let version = value.as_map().and_then(|map| map.get("apiVersion"));
    match version {
        Some(Value::Str(version)) if version == "v3" => Err(failed("invalid chart apiVersion")),
        Some(Value::Str(version)) if version != "v1" && version != "v2" && !version.is_empty() => {
            Err(failed("unsupported chart version"))
        }
        _ => Ok(()),
    }
}

fn without_mark(file: File) -> File {
    match file.data.strip_prefix(b"\xEF\xBB\xBF") {
        Some(rest) => File::new(file.name, rest),
        None => file,
    }
}

fn from_files(files: Vec<File>, depth: usize) -> Result<Chart, LoadError> {
    if depth > MAX_DEPTH {
        return Err(failed(format!(
            "charts are nested more than {MAX_DEPTH} deep"
        )));
    }
    let mut found = Metadata::default();
    let mut has_metadata = false;
    if let Some(file) = files.iter().find(|file| file.name == "Chart.yaml") {
        read_metadata(&mut found, file)?;
        has_metadata = true;
        if found.api_version.is_empty() {
            found.api_version = "v1".to_owned();
        }
    }
    let mut chart = Chart {
        metadata: found,
        templates: Vec::new(),
        files: Vec::new(),
        values: Map::new(),
        schema: None,
        dependencies: Vec::new(),
        lock: None,
    };
    let mut below: BTreeMap<String, Vec<File>> = BTreeMap::new();
    for file in files {
        match file.name.as_str() {
            "Chart.yaml" => {}
            "Chart.lock" => chart.lock = Some(read_lock(&file)?),
            "values.yaml" => {
                chart.values = read::load(&file.data)
                    .map_err(|error| failed(format!("cannot load values.yaml: {error}")))?;
            }
            "values.schema.json" => chart.schema = Some(file.data),
            "requirements.yaml" => {
                has_metadata = true;
                read_metadata(&mut chart.metadata, &file)?;
                if chart.metadata.api_version == "v1" {
                    chart.files.push(file);
                }
            }
            "requirements.lock" => {
                chart.lock = Some(read_lock(&file)?);
                if chart.metadata.api_version == "v1" {
                    chart.files.push(file);
                }
            }
            name if name.starts_with("templates/") => chart.templates.push(file),
            name if name.starts_with("charts/") && !name.ends_with(".prov") => {
                let path = name.trim_start_matches("charts/").to_owned();
                let folder = path.split('/').next().unwrap_or_default().to_owned();
                let file = File { name: path, ..file };
                below.entry(folder).or_default().push(file);
            }
            _ => chart.files.push(file),
        }
    }
    if !has_metadata {
        return Err(failed("Chart.yaml file is missing"));
    }
    chart
        .metadata
        .validate()
        .map_err(|error| failed(format!("validation: {error}")))?;
    for (name, files) in below {
        if name.starts_with(['_', '.']) {
            continue;
        }
        let loaded = subchart(&name, files, chart.name(), depth + 1)?;
        chart.dependencies.push(loaded);
    }
    Ok(chart)
}

fn subchart(name: &str, files: Vec<File>, parent: &str, depth: usize) -> Result<Chart, LoadError> {
    let loaded = if name.ends_with(".tgz") {
        let first = files.first().map(|file| (file.name.as_str(), &file.data));
        match first {
            Some((path, data)) if path == name => archive::unpack(data)
                .and_then(|files| from_files(files.into_iter().map(without_mark).collect(), depth)),
            Some((path, _)) => {
                return Err(failed(format!(
                    "error unpacking subchart tar in {parent}: expected {name}, got {path}"
                )));
            }
            None => Err(failed("no files in chart archive")),
        }
    } else {
        let files = files
            .into_iter()
            .filter_map(|file| {
                let (_, rest) = file.name.split_once('/')?;
                Some(File::new(rest, file.data))
            })
            .collect();
        from_files(files, depth)
    };
    loaded.map_err(|error| {
        failed(format!(
            "error unpacking subchart {name} in {parent}: {error}"
        ))
    })
}

fn read_metadata(metadata: &mut Metadata, file: &File) -> Result<(), LoadError> {
    let unread = |error: &dyn Display| failed(format!("cannot load {}: {error}", file.name));
    let value = yaml::parse_typed(&file.data).map_err(|error| unread(&error))?;
    metadata.update(&value).map_err(|error| unread(&error))
}

fn read_lock(file: &File) -> Result<Lock, LoadError> {
    Lock::parse(&file.data).map_err(|error| failed(format!("cannot load {}: {error}", file.name)))
}
