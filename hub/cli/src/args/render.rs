//! Arguments of rendering.

use std::path::PathBuf;
use std::str::FromStr;

use flotilla_shared::id::{ClusterName, EnvironmentName};

/// What to render.
#[derive(Debug, clap::Args)]
pub(crate) struct RenderArgs {
    /// The directory or file.
    #[arg(default_value = ".")]
    pub(crate) directory: PathBuf,
    /// The renderer.
    #[arg(
        long,
        value_name = "RENDERER",
        default_value = "auto",
        help = format!("How: {}", flotilla_render::Renderer::listed("or"))
    )]
    pub(crate) renderer: Renderer,
    /// Output format: yaml, json, or files-read for the files that it depends on.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    pub(crate) output: flotilla_render::Output,
    /// Substitute facts of this cluster, as for an application with `substitute: true`.
    #[arg(long, value_name = "CLUSTER", requires = "environment")]
    pub(crate) cluster: Option<ClusterName>,
    /// The cluster's environment.
    #[arg(long = "env", value_name = "ENV", requires = "cluster")]
    pub(crate) environment: Option<EnvironmentName>,
    /// A label of the cluster, `name=value`; may be repeated.
    #[arg(long = "label", value_name = "LABEL", requires = "cluster", value_parser = fact)]
    pub(crate) labels: Vec<(String, String)>,
    /// Keep references to facts that the cluster does not have.
    #[arg(long, requires = "cluster")]
    pub(crate) lenient: bool,
    /// For a chart.
    #[command(flatten)]
    pub(crate) chart: ChartArgs,
}

/// Who renders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renderer {
    /// What an agent does with a directory.
    Tree(flotilla_render::Renderer),
    /// A chart, printed as `helm template` prints it.
    Helm,
}

impl FromStr for Renderer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "helm" {
            return Ok(Self::Helm);
        }
        text.parse().map(Self::Tree)
    }
}

/// What `helm template` takes, with Helm's names and meaning.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "With --renderer helm, as for helm template")]
pub(crate) struct ChartArgs {
    /// The release's name.
    #[arg(long, value_name = "NAME", default_value = "release-name")]
    pub(crate) release_name: String,
    /// The release's namespace.
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    pub(crate) namespace: String,
    /// A file of values, `-` for standard input; may be repeated, the last wins.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) values: Vec<PathBuf>,
    /// `key=value`, with Helm's typing of numbers, booleans and null; may be repeated.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) set: Vec<String>,
    /// `key=value`, the value is always text; may be repeated.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) set_string: Vec<String>,
    /// `key=file`, the value is the content of the file; may be repeated.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) set_file: Vec<String>,
    /// `key=JSON`, or a whole JSON object; may be repeated.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) set_json: Vec<String>,
    /// `key=value`, everything after `=` taken literally; may be repeated.
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) set_literal: Vec<String>,
    /// The Kubernetes version that the chart sees.
    #[arg(long, value_name = "VERSION")]
    pub(crate) kube_version: Option<String>,
    /// API versions that the chart sees besides Helm's own; may be repeated.
    #[arg(short, long, value_name = "VERSION", value_delimiter = ',')]
    pub(crate) api_versions: Vec<String>,
    /// Include `crds/`.
    #[arg(long)]
    pub(crate) include_crds: bool,
    /// Omit hooks.
    #[arg(long)]
    pub(crate) no_hooks: bool,
    /// Omit hooks of `helm test`.
    #[arg(long)]
    pub(crate) skip_tests: bool,
    /// Render as an upgrade instead of an installation.
    #[arg(long)]
    pub(crate) is_upgrade: bool,
    /// Show only the output of this template; may be repeated.
    #[arg(short, long, value_name = "TEMPLATE")]
    pub(crate) show_only: Vec<String>,
    /// Ignore `values.schema.json`.
    #[arg(long)]
    pub(crate) skip_schema_validation: bool,
    /// Random and time functions: `refuse`, or `allow-for-display` for constant placeholders.
    #[arg(long, value_name = "HOW", default_value = "refuse")]
    pub(crate) generated: GeneratedChoice,
    /// Treat `lookup` as an error instead of an empty result.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl ChartArgs {
    /// Whether any of them was given, besides names.
    pub(crate) fn given(&self) -> bool {
        let lists = [
            &self.set,
            &self.set_string,
            &self.set_file,
            &self.set_json,
            &self.set_literal,
        ];
        let more = [&self.api_versions, &self.show_only];
        let flags = [
            self.include_crds,
            self.no_hooks,
            self.skip_tests,
            self.is_upgrade,
            self.skip_schema_validation,
            self.strict,
        ];
        !self.values.is_empty()
            || lists.iter().chain(&more).any(|list| !list.is_empty())
            || flags.contains(&true)
            || self.kube_version.is_some()
            || self.generated != GeneratedChoice::Refuse
            || self.release_name != "release-name"
            || self.namespace != "default"
    }
}

/// What becomes of functions of chance and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum GeneratedChoice {
    /// They are errors.
    Refuse,
    /// They give constant placeholders, for display only.
    AllowForDisplay,
}

fn fact(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "it should be name=value".to_owned())
}
