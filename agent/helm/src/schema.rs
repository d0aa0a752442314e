//! `values.schema.json`: JSON schema from draft 4 to 2020-12, with nothing loaded from anywhere.

mod cost;

use std::error::Error;
use std::sync::Arc;

use boon::{Compiler, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::{Number, Value as Json};

use self::cost::TooExpensive;
use crate::chart::Chart;
use crate::template::Cache;
use crate::value::{Map, Value};
use crate::yaml::{float64_text, json};

const LOCATION: &str = "file:///values.schema.json";

/// Values that the schemas reject, chart by chart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "values don't meet the specifications of the schema(s) in the following chart(s):\n{findings}"
)]
pub(crate) struct SchemaViolations {
    findings: String,
}

/// Why values failed one schema.
#[derive(Debug, thiserror::Error)]
enum Finding {
    /// The schema is not JSON.
    #[error("{0}")]
    Unreadable(String),
    #[error(transparent)]
    TooExpensive(#[from] TooExpensive),
    /// The schema is not valid.
    #[error("{0}")]
    Unusable(String),
    /// The paths of the values that it rejects, one per line.
    #[error("{0}")]
    Unmet(String),
}

/// Checks the values of a chart and of its subcharts against the schemas that they have.
pub(crate) fn validate(
    chart: &Chart,
    values: &Map,
    cache: Option<&Cache>,
) -> Result<(), SchemaViolations> {
    let mut findings = String::new();
    collect(chart, values, cache, &mut findings);
    if findings.is_empty() {
        return Ok(());
    }
    Err(SchemaViolations { findings })
}

fn collect(chart: &Chart, values: &Map, cache: Option<&Cache>, findings: &mut String) {
    if let Some(schema) = &chart.schema
        && let Err(error) = check(schema, values, cache)
    {
        findings.push_str(&format!("{}:\n{error}", chart.name()));
    }
    for subchart in &chart.dependencies {
        match values.get(subchart.name()) {
            None | Some(Value::Nil) => {}
            Some(Value::Map(section)) => collect(subchart, &section, cache, findings),
            Some(_) => findings.push_str(&format!(
                "{}:\ninvalid type for values: expected object (map)\n",
                subchart.name()
            )),
        }
    }
}

/// Never fetches other schemas; only those that Helm itself accepts as "anything" resolve.
struct NoRemoteSchemas;

impl UrlLoader for NoRemoteSchemas {
    fn load(&self, url: &str) -> Result<Json, Box<dyn Error>> {
        if url.starts_with("urn:") {
            return Ok(Json::Bool(true));
        }
        Err("schemas of other files and hosts are not loaded; put it into values.schema.json itself".into())
    }
}

/// A schema that was read and compiled.
struct Compiled {
    schema: Json,
    schemas: Schemas,
    index: SchemaIndex,
}

fn read(text: &[u8]) -> Result<Json, Finding> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let schema = json::parse(text).map_err(|error| match error.as_str() {
        "unexpected end of JSON input" => Finding::Unreadable("unexpected EOF".to_owned()),
        _ => Finding::Unreadable(error.into()),
    })?;
    Ok(as_json(&schema))
}

fn compile(schema: Json) -> Result<Compiled, Finding> {
    let mut compiler = Compiler::new();
    compiler.use_loader(Box::new(NoRemoteSchemas));
    compiler
        .add_resource(LOCATION, schema.clone())
        .map_err(|error| Finding::Unusable(error.to_string()))?;
    let mut schemas = Schemas::new();
    let index = compiler
        .compile(LOCATION, &mut schemas)
        .map_err(|error| Finding::Unusable(compile_error(&error)))?;
    Ok(Compiled {
        schema,
        schemas,
        index,
    })
}

fn check(text: &[u8], values: &Map, cache: Option<&Cache>) -> Result<(), Finding> {
    let values = as_json(&Value::Map(values.clone()));
    // The cost of validation is estimated before the schema is compiled.
    let mut is_asked = false;
    let mut compile = || -> Result<Compiled, Finding> {
        let schema = read(text)?;
        cost::check(&schema, &values)?;
        is_asked = true;
        compile(schema)
    };
    let compiled = match cache {
        Some(cache) => cache.schema(text, compile)?,
        None => Arc::new(compile()?),
    };
    if !is_asked {
        cost::check(&compiled.schema, &values)?;
    }
    let checked = compiled.schemas.validate(&values, compiled.index);
    checked.map_err(|error| {
        let mut text = String::new();
        for cause in sorted(&error) {
            display(cause, 1, &mut text);
        }
        Finding::Unmet(text)
    })
}

/// Formats an error with its causes.
fn compile_error(error: &boon::CompileError) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Whole numbers as integers, since JSON's data model knows no difference.
fn as_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(number, _) => Json::Number(Number::from(*number)),
        Value::Uint(number, _) => Json::Number(Number::from(*number)),
        #[allow(
            clippy::cast_possible_truncation,
            reason = "whole and far inside the range"
        )]
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            Json::Number(Number::from(*number as i64))
        }
        Value::Float(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
        Value::Str(text) => Json::String(text.lossy().into_owned()),
        Value::List(list) => Json::Array(list.items().iter().map(as_json).collect()),
        Value::Map(map) => Json::Object(
            map.entries()
                .iter()
                .map(|(key, value)| (key.lossy().into_owned(), as_json(value)))
                .collect(),
        ),
        Value::Host(host) => as_json(&host.to_data()),
    }
}

/// Sorts causes by the paths that they are about; boon's own order changes from run to run.
fn sorted<'e, 's, 'v>(error: &'e ValidationError<'s, 'v>) -> Vec<&'e ValidationError<'s, 'v>> {
    let mut causes: Vec<_> = error.causes.iter().collect();
    causes.sort_by_cached_key(|cause| (cause.instance_location.to_string(), text(&cause.kind)));
    causes
}

fn display(error: &ValidationError<'_, '_>, indent: usize, out: &mut String) {
    let skipped = error.causes.len() == 1 && matches!(error.kind, ErrorKind::Reference { .. });
    let mut deeper = indent;
    if !skipped {
        out.extend(std::iter::repeat_n("  ", indent - 1));
        out.push_str(&format!(
            "- at '{}': {}\n",
            error.instance_location,
            text(&error.kind)
        ));
        deeper += 1;
    }
    for cause in sorted(error) {
        display(cause, deeper, out);
    }
}

/// The words of the library that Helm uses.
fn text(kind: &ErrorKind<'_, '_>) -> String {
    let quoted = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        names.join(", ")
    };
    let numbers = |keyword: &str, got: &Number, want: &Number| {
        format!("{keyword}: got {}, want {}", grouped(got), grouped(want))
    };
    match kind {
        ErrorKind::Type { got, want } => {
            let want: Vec<_> = want.iter().map(|want| want.to_string()).collect();
            format!("got {got}, want {}", want.join(" or "))
        }
        ErrorKind::Required { want } if want.len() == 1 => {
            format!("missing property {}", quoted(want))
        }
        ErrorKind::Required { want } => format!("missing properties {}", quoted(want)),
        ErrorKind::AdditionalProperties { got } => {
            let got: Vec<&str> = got.iter().map(AsRef::as_ref).collect();
            format!("additional properties {} not allowed", quoted(&got))
        }
        ErrorKind::Dependency { prop, missing }
        | ErrorKind::DependentRequired { prop, missing } => {
            format!(
                "properties {} required, if '{prop}' exists",
                quoted(missing)
            )
        }
        ErrorKind::PropertyName { prop } => format!("invalid propertyName '{prop}'"),
        ErrorKind::MinProperties { got, want } => format!("minProperties: got {got}, want {want}"),
        ErrorKind::MaxProperties { got, want } => format!("maxProperties: got {got}, want {want}"),
        ErrorKind::MinItems { got, want } => format!("minItems: got {got}, want {want}"),
        ErrorKind::MaxItems { got, want } => format!("maxItems: got {got}, want {want}"),
        ErrorKind::MinLength { got, want } => format!("minLength: got {got}, want {want}"),
        ErrorKind::MaxLength { got, want } => format!("maxLength: got {got}, want {want}"),
        ErrorKind::Minimum { got, want } => numbers("minimum", got, want),
        ErrorKind::Maximum { got, want } => numbers("maximum", got, want),
        ErrorKind::ExclusiveMinimum { got, want } => numbers("exclusiveMinimum", got, want),
        ErrorKind::ExclusiveMaximum { got, want } => numbers("exclusiveMaximum", got, want),
        ErrorKind::MultipleOf { got, want } => numbers("multipleOf", got, want),
        ErrorKind::AdditionalItems { got } => format!("last {got} additionalItem(s) not allowed"),
        other => other.to_string(),
    }
}

/// Go's printer groups digits.
fn grouped(number: &Number) -> String {
    let text = float64_text(number.as_f64().unwrap_or(f64::NAN));
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (text.as_str(), String::new()),
    };
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", whole),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text;
    }
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{sign}{out}{fraction}")
}
