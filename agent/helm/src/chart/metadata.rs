//! `Chart.yaml`, read into the types that Helm gives it.

use std::collections::BTreeMap;

use super::LoadError;
use crate::fields::{Fields, Mismatch};
use crate::functions::semver::Version;
use crate::value::{Map, MapKind, Str, Value};

/// Content of `Chart.yaml`.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "named as in Chart.yaml")]
pub struct Metadata {
    pub name: String,
    pub home: String,
    pub sources: Vec<String>,
    pub version: String,
    pub description: String,
    pub keywords: Vec<String>,
    pub maintainers: Vec<Maintainer>,
    pub icon: String,
    pub api_version: String,
    pub condition: String,
    pub tags: String,
    pub app_version: String,
    pub deprecated: bool,
    pub annotations: BTreeMap<String, String>,
    pub kube_version: String,
    pub dependencies: Vec<Dependency>,
    /// `type`
    pub kind: String,
}

/// A maintainer of the chart.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "named as in Chart.yaml")]
pub struct Maintainer {
    pub name: String,
    pub email: String,
    pub url: String,
    null: bool,
}

/// A chart that this chart needs.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "named as in Chart.yaml")]
pub struct Dependency {
    pub name: String,
    pub version: String,
    pub repository: String,
    pub condition: String,
    pub tags: Vec<String>,
    pub enabled: bool,
    pub import_values: Vec<Value>,
    pub alias: String,
    null: bool,
}

impl PartialEq for Dependency {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.version, &self.alias) == (&other.name, &other.version, &other.alias)
    }
}

impl Metadata {
    /// Takes over the fields of a document; fields that it lacks stay as they are.
    pub(super) fn update(&mut self, document: &Value) -> Result<(), Mismatch> {
        let map = match document {
            Value::Nil => return Ok(()),
            Value::Map(map) => map,
            other => return Err(Mismatch::new(other, "value of type v2.Metadata")),
        };
        let fields = Fields::new(map, "Metadata");
        fields.text("name", &mut self.name)?;
        fields.text("home", &mut self.home)?;
        fields.texts("sources", &mut self.sources)?;
        fields.text("version", &mut self.version)?;
        fields.text("description", &mut self.description)?;
        fields.texts("keywords", &mut self.keywords)?;
        if let Some(maintainers) = fields.maps("maintainers", "[]*v2.Maintainer")? {
            self.maintainers = maintainers
                .into_iter()
                .map(Maintainer::read)
                .collect::<Result<_, _>>()?;
        }
        fields.text("icon", &mut self.icon)?;
        fields.text("apiVersion", &mut self.api_version)?;
        fields.text("condition", &mut self.condition)?;
        fields.text("tags", &mut self.tags)?;
        fields.text("appVersion", &mut self.app_version)?;
        fields.flag("deprecated", &mut self.deprecated)?;
        fields.text_map("annotations", &mut self.annotations)?;
        fields.text("kubeVersion", &mut self.kube_version)?;
        if let Some(dependencies) = Dependency::read_all(&fields)? {
            self.dependencies = dependencies;
        }
        fields.text("type", &mut self.kind)
    }

    /// Helm's checks, and its cleaning of texts.
    pub(super) fn validate(&mut self) -> Result<(), LoadError> {
        for text in [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ] {
            sanitize(text);
        }
        self.sources.iter_mut().for_each(sanitize);
        self.keywords.iter_mut().for_each(sanitize);
        if self.api_version.is_empty() {
            return Err("chart.metadata.apiVersion is required".into());
        }
        let name = &self.name;
        if name.is_empty() {
            return Err("chart.metadata.name is required".into());
        }
        if name == "." || name == ".." {
            return Err(format!("chart.metadata.name {name:?} is not allowed").into());
        }
        if name.contains('/') {
            return Err(format!("chart.metadata.name {name:?} is invalid").into());
        }
        if self.version.is_empty() {
            return Err("chart.metadata.version is required".into());
        }
        if Version::parse(&self.version).is_err() {
            return Err(format!("chart.metadata.version {:?} is invalid", self.version).into());
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return Err("chart.metadata.type must be application or library".into());
        }
        for maintainer in &mut self.maintainers {
            if maintainer.null {
                return Err("maintainers must not contain empty or null nodes".into());
            }
            sanitize(&mut maintainer.name);
            sanitize(&mut maintainer.email);
            sanitize(&mut maintainer.url);
        }
        let mut seen = std::collections::BTreeSet::new();
        for dependency in &mut self.dependencies {
            dependency.validate()?;
            let key = if dependency.alias.is_empty() {
                &dependency.name
            } else {
                &dependency.alias
            };
            if !seen.insert(key.clone()) {
                return Err(format!("more than one dependency with name or alias {key:?}").into());
            }
        }
        Ok(())
    }

    /// With Go's names of the fields, as `.Chart` has them.
    pub(super) fn as_map(&self) -> Map {
        let any =
            |items: &[String]| Value::list(items.iter().map(|item| item.as_str().into()).collect());
        let annotations = self
            .annotations
            .iter()
            .map(|(key, value)| (Str::from(key.as_str()), value.as_str().into()))
            .collect();
        let maintainers = self.maintainers.iter().map(|maintainer| {
            map([
                ("Name", maintainer.name.as_str().into()),
                ("Email", maintainer.email.as_str().into()),
                ("URL", maintainer.url.as_str().into()),
            ])
        });
        let dependencies = self.dependencies.iter().map(|dependency| {
            map([
                ("Name", dependency.name.as_str().into()),
                ("Version", dependency.version.as_str().into()),
                ("Repository", dependency.repository.as_str().into()),
                ("Condition", dependency.condition.as_str().into()),
                ("Tags", any(&dependency.tags)),
                ("Enabled", dependency.enabled.into()),
                (
                    "ImportValues",
                    Value::list(dependency.import_values.clone()),
                ),
                ("Alias", dependency.alias.as_str().into()),
            ])
        });
        let fields = [
            ("Name", self.name.as_str().into()),
            ("Home", self.home.as_str().into()),
            ("Sources", any(&self.sources)),
            ("Version", self.version.as_str().into()),
            ("Description", self.description.as_str().into()),
            ("Keywords", any(&self.keywords)),
            ("Maintainers", Value::list(maintainers.collect())),
            ("Icon", self.icon.as_str().into()),
            ("APIVersion", self.api_version.as_str().into()),
            ("Condition", self.condition.as_str().into()),
            ("Tags", self.tags.as_str().into()),
            ("AppVersion", self.app_version.as_str().into()),
            ("Deprecated", self.deprecated.into()),
            (
                "Annotations",
                Value::Map(Map::of(MapKind::Str, annotations)),
            ),
            ("KubeVersion", self.kube_version.as_str().into()),
            ("Dependencies", Value::list(dependencies.collect())),
            ("Type", self.kind.as_str().into()),
        ];
        fields
            .into_iter()
            .map(|(key, value)| (Str::from(key), value))
            .collect()
    }
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|(key, value)| (Str::from(key), value))
            .collect(),
    )
}

impl Maintainer {
    fn read(map: Option<Map>) -> Result<Self, Mismatch> {
        let mut maintainer = Self::default();
        let Some(map) = map else {
            maintainer.null = true;
            return Ok(maintainer);
        };
        let fields = Fields::new(&map, "Maintainer");
        fields.text("name", &mut maintainer.name)?;
        fields.text("email", &mut maintainer.email)?;
        fields.text("url", &mut maintainer.url)?;
        Ok(maintainer)
    }
}

impl Dependency {
    /// Creates a dependency with only a name, a version and a repository, as in a lock.
    #[must_use]
    pub fn new(name: &str, version: &str, repository: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            repository: repository.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn read_all(fields: &Fields<'_>) -> Result<Option<Vec<Self>>, Mismatch> {
        let Some(maps) = fields.maps("dependencies", "[]*v2.Dependency")? else {
            return Ok(None);
        };
        let all: Result<_, _> = maps.into_iter().map(Self::read).collect();
        all.map(Some)
    }

    fn read(map: Option<Map>) -> Result<Self, Mismatch> {
        let mut dependency = Self::default();
        let Some(map) = map else {
            dependency.null = true;
            return Ok(dependency);
        };
        let fields = Fields::new(&map, "Dependency");
        fields.text("name", &mut dependency.name)?;
        fields.text("version", &mut dependency.version)?;
        fields.text("repository", &mut dependency.repository)?;
        fields.text("condition", &mut dependency.condition)?;
        fields.texts("tags", &mut dependency.tags)?;
        fields.flag("enabled", &mut dependency.enabled)?;
        if let Some(values) = fields.list("import-values", "[]interface {}")? {
            dependency.import_values = values;
        }
        fields.text("alias", &mut dependency.alias)?;
        Ok(dependency)
    }

    fn validate(&mut self) -> Result<(), LoadError> {
        if self.null {
            return Err("dependencies must not contain empty or null nodes".into());
        }
        sanitize(&mut self.name);
        sanitize(&mut self.version);
        sanitize(&mut self.repository);
        sanitize(&mut self.condition);
        self.tags.iter_mut().for_each(sanitize);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !self.alias.bytes().all(allowed) {
            return Err(format!(
                "dependency {:?} has disallowed characters in the alias",
                self.name
            )
            .into());
        }
        Ok(())
    }
}

/// Replaces all kinds of white space by spaces, and removes unprintable characters.
fn sanitize(text: &mut String) {
    let odd = |character: char| {
        (character.is_whitespace() && character != ' ')
            || character.is_control()
            || matches!(character, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{E000}'..='\u{F8FF}')
    };
    if text.contains(odd) {
        *text = text
            .chars()
            .filter_map(|character| match character {
                space if space.is_whitespace() => Some(' '),
                unprintable if odd(unprintable) => None,
                other => Some(other),
            })
            .collect();
    }
}
