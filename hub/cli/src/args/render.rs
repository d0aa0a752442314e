//! Arguments of rendering.

use std::path::PathBuf;

use flotilla_shared::id::{ClusterName, EnvironmentName};

/// What to render.
#[derive(Debug, clap::Args)]
pub(crate) struct RenderArgs {
    /// The directory, or the single file.
    #[arg(default_value = ".")]
    pub(crate) directory: PathBuf,
    /// How: auto, plain or kustomize.
    #[arg(long, value_name = "RENDERER", default_value = "auto")]
    pub(crate) renderer: flotilla_render::Renderer,
    /// How to show the result: yaml, json, or files-read for the files it depends on.
    #[arg(short, long, value_name = "FORMAT", default_value = "yaml")]
    pub(crate) output: flotilla_render::Output,
    /// Put facts of this cluster into the texts, as for an application with `substitute: true`.
    #[arg(long, value_name = "CLUSTER", requires = "environment")]
    pub(crate) cluster: Option<ClusterName>,
    /// The cluster's environment.
    #[arg(long = "env", value_name = "ENV", requires = "cluster")]
    pub(crate) environment: Option<EnvironmentName>,
    /// A label of the cluster, `name=value`; may be repeated.
    #[arg(long = "label", value_name = "LABEL", requires = "cluster", value_parser = fact)]
    pub(crate) labels: Vec<(String, String)>,
    /// Leave facts that the cluster does not have as they are written.
    #[arg(long, requires = "cluster")]
    pub(crate) lenient: bool,
}

fn fact(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "it should be name=value".to_owned())
}
