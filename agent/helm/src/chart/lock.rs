//! `Chart.lock`: the versions that the ranges of `Chart.yaml` were resolved to, and whether it still matches
//! `Chart.yaml`.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest as hash};

use super::{Dependency, LoadError, Metadata};
use crate::fields::Fields;
use crate::functions::semver::compatible;
use crate::message::Message;
use crate::value::{Map, Str, Value};
use crate::yaml::{self, json};

/// `Chart.lock`, or the older `requirements.lock`, with the fields that Helm reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lock {
    /// Time of creation, as written in the lock.
    pub generated: String,
    /// Digest of declared and locked dependencies.
    pub digest: String,
    /// Locked dependencies, in the order of `Chart.yaml`.
    pub dependencies: Vec<Dependency>,
}

impl Lock {
    /// Reads a `Chart.lock`.
    ///
    /// # Errors
    ///
    /// What is malformed.
    pub fn parse(text: &[u8]) -> Result<Self, LoadError> {
        let document = yaml::parse_typed(text)?;
        let mut lock = Self::default();
        let map = match &document {
            Value::Nil => return Ok(lock),
            Value::Map(map) => map,
            _ => return Err("it is not a map".into()),
        };
        let fields = Fields::new(map, "Lock");
        fields.text("generated", &mut lock.generated)?;
        fields.text("digest", &mut lock.digest)?;
        lock.dependencies = Dependency::read_all(&fields)?.unwrap_or_default();
        Ok(lock)
    }

    /// The file, byte for byte as Helm writes it.
    ///
    /// # Errors
    ///
    /// As [`yaml::emit`].
    pub fn to_yaml(&self) -> Result<Str, Message> {
        let text = |text: &str| Value::from(text);
        let dependencies = self.dependencies.iter().map(|dependency| {
            let map = Map::new();
            map.insert("name", text(&dependency.name));
            map.insert("repository", text(&dependency.repository));
            if !dependency.version.is_empty() {
                map.insert("version", text(&dependency.version));
            }
            Value::Map(map)
        });
        let lock = Map::new();
        lock.insert("dependencies", Value::list(dependencies.collect()));
        lock.insert("digest", text(&self.digest));
        lock.insert("generated", text(&self.generated));
        yaml::emit(&Value::Map(lock))
    }

    /// Returns why it does not match `Chart.yaml`; none: it does.
    #[must_use]
    pub fn fault(&self, metadata: &Metadata) -> Option<String> {
        let declared = &metadata.dependencies;
        // Helm 2 hashed only the declared dependencies, with the names of repositories as written.
        if metadata.api_version == "v1" && digest_of_question(declared) == self.digest {
            return None;
        }
        if declared.len() != self.dependencies.len() {
            return Some(format!(
                "it has {} dependencies, but the chart asks for {}",
                self.dependencies.len(),
                declared.len()
            ));
        }
        let mut resolved = declared.clone();
        for (asked, locked) in resolved.iter_mut().zip(&self.dependencies) {
            if asked.name != locked.name {
                return Some(format!(
                    "it has {} where the chart asks for {}",
                    locked.name, asked.name
                ));
            }
            // The lock has the URL that this name had on the machine where the lock was made.
            if is_named(&asked.repository) {
                asked.repository.clone_from(&locked.repository);
            }
        }
        if digest(&resolved, &self.dependencies) == self.digest {
            return None;
        }
        let strays = declared
            .iter()
            .zip(&self.dependencies)
            .find(|(asked, locked)| {
                !asked.repository.is_empty() && !compatible(&asked.version, &locked.version)
            });
        Some(match strays {
            Some((asked, locked)) => format!(
                "it has {} {}, but the chart asks for {}",
                locked.name, locked.version, asked.version
            ),
            None => "the chart's dependencies were changed after it was created".to_owned(),
        })
    }
}

/// Whether a repository is a name that `helm repo add` gave a URL.
#[must_use]
pub fn is_named(repository: &str) -> bool {
    repository.starts_with('@') || repository.starts_with("alias:")
}

/// Returns the digest that Helm writes into a lock.
#[must_use]
pub fn digest(declared: &[Dependency], locked: &[Dependency]) -> String {
    let mut text = String::from("[");
    list(&mut text, declared);
    text.push(',');
    list(&mut text, locked);
    text.push(']');
    sum(&text)
}

fn digest_of_question(declared: &[Dependency]) -> String {
    let mut text = String::from("{\"dependencies\":");
    list(&mut text, declared);
    text.push('}');
    sum(&text)
}

fn sum(text: &str) -> String {
    let mut shown = String::from("sha256:");
    for byte in hash(&SHA256, text.as_bytes()).as_ref() {
        let _ = write!(shown, "{byte:02x}");
    }
    shown
}

/// As Go's JSON encoder writes the struct: fields in their order there, empty ones left out.
fn list(text: &mut String, dependencies: &[Dependency]) {
    text.push('[');
    for (index, dependency) in dependencies.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let field = |text: &mut String, name: &str, value: &Value| {
            if !text.ends_with('{') {
                text.push(',');
            }
            // A value that was read from YAML can always be written as JSON.
            let value = json::emit(value).unwrap_or_default();
            let _ = write!(text, "\"{name}\":{}", value.lossy());
        };
        let optional = |text: &mut String, name: &str, value: &str| {
            if !value.is_empty() {
                field(text, name, &Value::from(value));
            }
        };
        text.push('{');
        field(text, "name", &Value::from(dependency.name.as_str()));
        optional(text, "version", &dependency.version);
        let repository = Value::from(dependency.repository.as_str());
        field(text, "repository", &repository);
        optional(text, "condition", &dependency.condition);
        if !dependency.tags.is_empty() {
            let tags = Value::strings(dependency.tags.iter().map(String::as_str));
            field(text, "tags", &tags);
        }
        if dependency.enabled {
            field(text, "enabled", &Value::Bool(true));
        }
        if !dependency.import_values.is_empty() {
            let imports = Value::list(dependency.import_values.clone());
            field(text, "import-values", &imports);
        }
        optional(text, "alias", &dependency.alias);
        text.push('}');
    }
    text.push(']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hashed_is_gos_json_of_the_struct() {
        let mut asked = Dependency::new("web", ">=1 <2", "https://charts.example.com");
        asked.condition = "web.enabled".to_owned();
        asked.tags = vec!["front".to_owned(), "a&b".to_owned()];
        asked.alias = "site".to_owned();
        let pair = Map::new();
        pair.insert("parent", Value::from("."));
        pair.insert("child", Value::from("x"));
        asked.import_values = vec![Value::from("data"), Value::Map(pair)];
        let mut text = String::new();
        list(&mut text, &[asked, Dependency::new("b", "", "")]);
        assert_eq!(
            text,
            "[{\"name\":\"web\",\"version\":\"\\u003e=1 \\u003c2\",\"repository\":\
             \"https://charts.example.com\",\"condition\":\"web.enabled\",\"tags\":[\"front\",\
             \"a\\u0026b\"],\"import-values\":[\"data\",{\"child\":\"x\",\"parent\":\".\"}],\
             \"alias\":\"site\"},{\"name\":\"b\",\"repository\":\"\"}]"
        );
    }

    #[test]
    fn a_lock_is_written_as_it_is_read() {
        let lock = Lock {
            generated: "2026-11-27T10:00:00.123456789+01:00".to_owned(),
            digest: "sha256:00".to_owned(),
            dependencies: vec![
                Dependency::new("web", "1.10.0", "https://charts.example.com"),
                Dependency::new("own", "", ""),
            ],
        };
        let text = lock.to_yaml().unwrap();
        assert_eq!(
            text.lossy(),
            "dependencies:\n- name: web\n  repository: https://charts.example.com\n  version: 1.10.0\n\
             - name: own\n  repository: \"\"\ndigest: sha256:00\n\
             generated: \"2026-11-27T10:00:00.123456789+01:00\"\n"
        );
        assert_eq!(Lock::parse(text.as_bytes()).unwrap(), lock);
    }

    #[test]
    fn a_lock_that_no_longer_belongs_says_why() {
        let declared = vec![Dependency::new("web", "^1.0.0", "@team")];
        let locked = vec![Dependency::new(
            "web",
            "1.2.0",
            "https://charts.example.com",
        )];
        let resolved = vec![Dependency::new(
            "web",
            "^1.0.0",
            "https://charts.example.com",
        )];
        let lock = Lock {
            generated: String::new(),
            digest: digest(&resolved, &locked),
            dependencies: locked,
        };
        let mut metadata = Metadata {
            dependencies: declared,
            ..Metadata::default()
        };
        assert_eq!(lock.fault(&metadata), None, "a name stands for the URL");
        metadata.dependencies[0].version = "^2.0.0".to_owned();
        assert_eq!(
            lock.fault(&metadata).unwrap(),
            "it has web 1.2.0, but the chart asks for ^2.0.0"
        );
        metadata.dependencies[0].version = "^1.1.0".to_owned();
        assert!(lock.fault(&metadata).unwrap().contains("were changed"));
        metadata.dependencies[0].name = "api".to_owned();
        assert!(lock.fault(&metadata).unwrap().contains("asks for api"));
        metadata.dependencies.clear();
        assert!(lock.fault(&metadata).unwrap().contains("asks for 0"));
    }
}
