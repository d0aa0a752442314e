//! Settings of an application's Helm chart.

use std::collections::BTreeMap;

use flotilla_shared::assignment::Renderer;
use flotilla_shared::chart::{
    ChartOptions, Crds, Generated, MAX_VALUES_BYTES, MAX_VALUES_FILES, ValuesFile,
};
use flotilla_shared::id::{ClusterName, EnvironmentName};
use flotilla_shared::revision::TreePath;
use serde::{Deserialize, Serialize};

use super::template::{PathTemplate, TemplateError};

/// Longest name of a release, as in Helm.
const MAX_RELEASE_NAME: usize = 53;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct HelmEntry {
    release_name: String,
    values_files: Vec<String>,
    values: serde_json::Map<String, serde_json::Value>,
    crds: Crds,
    strict: bool,
    generated: Generated,
    skip_schema: bool,
}

/// Settings for rendering an application's chart, for any cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Helm {
    values_files: Vec<ValuesTemplate>,
    /// All options except the values files.
    options: ChartOptions,
}

/// Template of a values file for each cluster: `values-{environment}.yaml` next to the chart, `/shared/{cluster}.yaml`
/// from the repository's root, either with `?` at its end where it may be missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValuesTemplate {
    template: PathTemplate,
    optional: bool,
}

impl HelmEntry {
    /// Reads the settings; each problem is added with its key.
    pub(super) fn read(&self, renderer: Renderer, problems: &mut Vec<(String, String)>) -> Helm {
        if !renderer.may_be(Renderer::Helm) {
            let message = format!("it has no effect with renderer: {}", renderer.as_str());
            problems.push(("helm".to_owned(), message));
        }
        let mut problem =
            |key: &str, message: String| problems.push((format!("helm.{key}"), message));
        if !is_release_name(&self.release_name) {
            problem(
                "releaseName",
                format!(
                    "{:?} is not a release name: lower-case letters, digits, `-` and `.`, at \
                     most {MAX_RELEASE_NAME}, a letter or digit at both ends",
                    self.release_name
                ),
            );
        }
        if self.values_files.len() > MAX_VALUES_FILES {
            problem(
                "valuesFiles",
                format!("there are more than {MAX_VALUES_FILES}"),
            );
        }
        let mut values_files = Vec::with_capacity(self.values_files.len());
        for text in &self.values_files {
            match ValuesTemplate::parse(text) {
                Ok(template) => values_files.push(template),
                Err(error) => problem("valuesFiles", error.to_string()),
            }
        }
        let values = match self.values.is_empty() {
            true => String::new(),
            false => serde_json::Value::Object(self.values.clone()).to_string(),
        };
        if values.len() > MAX_VALUES_BYTES {
            problem(
                "values",
                format!(
                    "they are longer than {} KiB; put them into a values file",
                    MAX_VALUES_BYTES >> 10
                ),
            );
        }
        Helm {
            values_files,
            options: ChartOptions {
                release_name: self.release_name.clone(),
                values_files: Vec::new(),
                values: values.into(),
                crds: self.crds,
                strict: self.strict,
                generated: self.generated,
                skip_schema: self.skip_schema,
            },
        }
    }
}

/// Returns whether a text is a release name; empty stands for the application's name.
fn is_release_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= MAX_RELEASE_NAME
        && name
            .bytes()
            .all(|byte| plain(byte) || b"-.".contains(&byte))
        && name.bytes().next().is_none_or(plain)
        && name.bytes().last().is_none_or(plain)
        && !name.contains("..")
}

impl ValuesTemplate {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let (path, optional) = match text.strip_suffix('?') {
            Some(path) => (path, true),
            None => (text, false),
        };
        let template = PathTemplate::parse(path)?;
        // Checked with a deeply nested chart, since the real chart's depth, and so how far up a name may lead, is not
        // known here.
        let chart: TreePath = "a/a/a/a/a/a/a/a".parse().unwrap_or_default();
        place(&chart, &template.example())?;
        Ok(Self { template, optional })
    }
}

/// Resolves the name of a file for a chart at `chart`: a `/` at its beginning stands for the repository's root.
fn place(chart: &TreePath, name: &str) -> Result<TreePath, TemplateError> {
    let refused = |why: &str| TemplateError::Path(format!("{name:?}, {why}"));
    // Relative to the directory of a chart archive, or to the chart's own directory.
    let chart = chart.as_str();
    let folder = match chart.strip_suffix(".tgz") {
        Some(_) => chart.rsplit_once('/').map_or("", |(folder, _)| folder),
        None => chart,
    };
    let mut parts: Vec<&str> = match name.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => folder.split('/').filter(|part| !part.is_empty()).collect(),
    };
    for part in name.strip_prefix('/').unwrap_or(name).split('/') {
        match part {
            "" => return Err(refused("which has an empty part")),
            "." => {}
            ".." => {
                parts
                    .pop()
                    .ok_or_else(|| refused("which is outside the repository"))?;
            }
            part => parts.push(part),
        }
    }
    let path: TreePath = parts
        .join("/")
        .parse()
        .map_err(|error| TemplateError::Path(format!("{error}")))?;
    if path.as_str().is_empty() {
        return Err(refused("which is not a file"));
    }
    Ok(path)
}

impl Helm {
    /// Returns the options for one cluster.
    ///
    /// # Errors
    /// When the cluster lacks a label that a file which must be there is named by, or a name leads out of
    /// the repository.
    pub fn fill(
        &self,
        chart: &TreePath,
        cluster: &ClusterName,
        environment: &EnvironmentName,
        labels: &BTreeMap<String, String>,
    ) -> Result<ChartOptions, TemplateError> {
        let mut options = self.options.clone();
        for file in &self.values_files {
            let name = match file.template.text(cluster, environment, labels) {
                // An optional file counts as missing if the cluster lacks the label.
                Err(TemplateError::NoLabel(_)) if file.optional => continue,
                name => name?,
            };
            options.values_files.push(ValuesFile {
                path: place(chart, &name)?,
                optional: file.optional,
            });
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn spec(helm: &str) -> Result<Option<Helm>, String> {
        let text = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Fleet\nrepositories: [{{name: r, url: \
             'https://h/r'}}]\napplications:\n- name: a\n  repository: r\n  path: charts/web\n{helm}"
        );
        match parse("f", &text) {
            Ok(spec) => Ok(spec.applications.values().next().unwrap().helm.clone()),
            Err(errors) => Err(errors[0].to_string()),
        }
    }

    fn filled(files: &str) -> Result<Vec<(String, bool)>, String> {
        let helm = spec(&format!("  helm: {{valuesFiles: [{files}]}}\n"))?.unwrap();
        let labels = [("region".to_owned(), "eu".to_owned())].into();
        let chart = "charts/web".parse().unwrap();
        let options = helm
            .fill(
                &chart,
                &"c-1".parse().unwrap(),
                &"prod".parse().unwrap(),
                &labels,
            )
            .map_err(|error| error.to_string())?;
        let files = options.values_files.into_iter();
        Ok(files
            .map(|file| (file.path.to_string(), file.optional))
            .collect())
    }

    #[test]
    fn values_files_are_beside_the_chart_or_below_the_root() {
        let file = |path: &str, optional| (path.to_owned(), optional);
        assert_eq!(
            filled(
                "values.yaml, 'values-{environment}.yaml', 'clusters/{cluster}.yaml?', '/shared/{labels.region}.yaml', \
                 '../all.yaml', './x.yaml', '{labels.zone}.yaml?'"
            ),
            Ok(vec![
                file("charts/web/values.yaml", false),
                file("charts/web/values-prod.yaml", false),
                file("charts/web/clusters/c-1.yaml", true),
                file("shared/eu.yaml", false),
                file("charts/all.yaml", false),
                file("charts/web/x.yaml", false),
            ])
        );
        for bad in [
            "'../../../x.yaml'",
            "'{labels.zone}.yaml'",
            "'{env}.yaml'",
            "'a//b'",
            "'/'",
            "'../..'",
            "'/.git/x'",
            "''",
        ] {
            assert!(filled(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn beside_an_archive_means_in_its_folder() {
        let chart: TreePath = "vendor/web-1.2.3.tgz".parse().unwrap();
        let path = place(&chart, "values-prod.yaml").unwrap();
        assert_eq!(path.as_str(), "vendor/values-prod.yaml");
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line() {
        for (helm, wrong) in [
            (
                "  renderer: plain\n  helm: {}\n",
                "f:9:3: applications[0].helm: it has no effect with renderer: plain",
            ),
            (
                "  helm: {releaseName: Web}\n",
                "applications[0].helm.releaseName: \"Web\" is not a release name",
            ),
            ("  helm: {crds: always}\n", "always"),
            ("  helm: {generated: allow}\n", "allow"),
            ("  helm: {valuesFile: []}\n", "did you mean `valuesFiles`"),
            ("  helm: {values: [1]}\n", "values"),
        ] {
            let error = spec(helm).unwrap_err();
            assert!(error.contains(wrong), "{helm}: {error}");
        }
        let long = "x".repeat(MAX_VALUES_BYTES);
        assert!(spec(&format!("  helm: {{values: {{a: {long}}}}}\n")).is_err());
        let helm =
            spec("  renderer: helm\n  helm: {values: {a: {b: 1}}, crds: skip, strict: true}\n");
        let options = helm.unwrap().unwrap().options;
        assert_eq!(&*options.values, r#"{"a":{"b":1}}"#);
        assert_eq!((options.crds, options.strict), (Crds::Skip, true));
    }
}
