//! `render --renderer helm`: what `helm template` would print of a chart on disk.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flotilla_helm::capabilities::{Capabilities, KubeVersion};
use flotilla_helm::chart::Chart;
use flotilla_helm::release::{Print, Release, Rendered, render};
use flotilla_helm::values::{self, strvals};
use flotilla_helm::{Generated, Map, Message, Options, Value};
use flotilla_render::Output;

use crate::args::{ChartArgs, GeneratedChoice, RenderArgs};
use crate::error::Error;
use crate::printer::Printer;

pub(super) fn run(args: &RenderArgs, printer: &Printer) -> Result<(), Error> {
    let mut read = BTreeSet::new();
    let given = given(&args.chart, &mut read)?;
    let chart = load(&args.directory, &mut read)?;
    if chart.metadata.deprecated {
        printer.warn("this chart is deprecated");
    }
    let place = args.directory.display();
    if let Err(missing) = chart.check_dependencies()
        && !chart.is_library()
    {
        return Err(Error::refused(
            missing,
            format!("flotilla chart vendor {place} fetches them, too"),
        ));
    }
    for fault in chart.lock_faults() {
        printer.warn(&format!(
            "{place}: {fault}; flotilla chart vendor {place} brings them together"
        ));
    }
    let rendered = render(chart, &given, &release(&args.chart)?).map_err(refused)?;
    for warning in &rendered.warnings {
        let place = format!("{}:{}", warning.template, warning.line);
        printer.warn(&format!("{place}: {}", warning.message));
    }
    match args.output {
        Output::FilesRead => {
            let lines: String = read
                .iter()
                .map(|path| format!("{}\n", path.display()))
                .collect();
            printer.out(&lines)
        }
        Output::Yaml => {
            let text = rendered.print(&print(&args.chart)).map_err(refused)?;
            printer.out_bytes(&text)
        }
        Output::Json => printer.out(&as_json(&rendered, &args.chart)?),
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Refused {
        message: error.to_string(),
        hint: None,
    }
}

fn print(args: &ChartArgs) -> Print {
    Print {
        include_crds: args.include_crds,
        no_hooks: args.no_hooks,
        skip_tests: args.skip_tests,
        show_only: args.show_only.clone(),
    }
}

fn release(args: &ChartArgs) -> Result<Release, Error> {
    let mut capabilities = Capabilities::default();
    if let Some(version) = &args.kube_version {
        let version = KubeVersion::parse(version).map_err(refused)?;
        capabilities = capabilities.with_kube_version(version);
    }
    Ok(Release {
        name: args.release_name.clone(),
        namespace: args.namespace.clone(),
        revision: 1,
        is_upgrade: args.is_upgrade,
        capabilities: capabilities.and_api_versions(args.api_versions.iter().cloned()),
        skip_schema: args.skip_schema_validation,
        template: Options {
            generated: match args.generated {
                GeneratedChoice::Refuse => Generated::Refuse,
                GeneratedChoice::AllowForDisplay => Generated::Display,
            },
            strict: args.strict,
            ..Options::default()
        },
    })
}

fn read_file(path: &Path, read: &mut BTreeSet<PathBuf>) -> Result<Vec<u8>, Error> {
    let failed = |cause| Error::File {
        path: path.to_owned(),
        cause,
    };
    if path == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text).map_err(failed)?;
        return Ok(text);
    }
    read.insert(path.to_owned());
    std::fs::read(path).map_err(failed)
}

/// Returns the values of the command line, in Helm's order of precedence.
fn given(args: &ChartArgs, read: &mut BTreeSet<PathBuf>) -> Result<Map, Error> {
    let mut given = Map::new();
    for path in &args.values {
        let text = read_file(path, read)?;
        let file = values::load(&text)
            .map_err(|error| refused(format!("failed to parse {}: {error}", path.display())))?;
        given = values::merge(&given, &file);
    }
    let failed =
        |flag: &str, error: &Message| refused(format!("failed parsing {flag} data: {error}"));
    let expressions = [
        (&args.set_json, strvals::Kind::Json, "--set-json"),
        (&args.set, strvals::Kind::Typed, "--set"),
        (&args.set_string, strvals::Kind::Text, "--set-string"),
    ];
    for (expressions, kind, flag) in expressions {
        for expression in expressions {
            strvals::parse_into(expression, kind, &given).map_err(|error| failed(flag, &error))?;
        }
    }
    for expression in &args.set_file {
        let content = |path: &str| match read_file(Path::new(path), read) {
            Ok(bytes) => Ok(Value::Str(bytes.into())),
            Err(error) => Err(error.to_string()),
        };
        strvals::parse_files_into(expression, &given, content)
            .map_err(|error| failed("--set-file", &error))?;
    }
    for expression in &args.set_literal {
        strvals::parse_into(expression, strvals::Kind::Literal, &given)
            .map_err(|error| failed("--set-literal", &error))?;
    }
    Ok(given)
}

fn load(path: &Path, read: &mut BTreeSet<PathBuf>) -> Result<Chart, Error> {
    let failed = |cause| Error::File {
        path: path.to_owned(),
        cause,
    };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        let archive = read_file(path, read)?;
        return Chart::from_archive(&archive)
            .map_err(|error| refused(format!("{}: {error}", path.display())));
    }
    let files = flotilla_vendor::folder::read(path).map_err(failed)?;
    read.extend(files.iter().map(|file| path.join(&file.name)));
    Chart::from_folder(files).map_err(refused)
}

/// Wraps the documents into one `List`.
fn as_json(rendered: &Rendered, args: &ChartArgs) -> Result<String, Error> {
    let text = rendered.print(&print(args)).map_err(refused)?;
    let limits = flotilla_yaml::Limits::default();
    let documents = flotilla_yaml::parse_documents_bytes(&text, &limits).map_err(refused)?;
    let items: Vec<_> = documents
        .into_iter()
        .map(|document| document.value)
        .filter(|value| !value.is_null())
        .collect();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    Ok(format!("{list:#}\n"))
}
