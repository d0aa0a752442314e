//! Configuration files that people write: errors name file, line, key and the nearest valid key.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{DuplicateKeys, Limits, parse_spanned};

/// A configuration file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file's name as given.
    pub file: String,
    /// 1 is the first.
    pub line: usize,
    /// 1 is the first.
    pub column: usize,
    /// Path in the document, such as `environments[1]`; empty: the whole document.
    pub path: String,
    /// Message for operators, with a suggestion where possible.
    pub message: String,
}

impl std::error::Error for ConfigError {}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// A configuration with the positions of its values, for checks that serde cannot make.
#[derive(Debug)]
pub struct Located<T> {
    /// The parsed value; [`Located::error`] finds positions in the text.
    pub value: T,
    file: String,
    positions: crate::Positions,
}

impl<T> Located<T> {
    /// Returns an error at a path such as `environments[1].branch`.
    #[must_use]
    pub fn error(&self, path: &str, message: impl Into<String>) -> ConfigError {
        let (line, column) = self.positions.nearest(path);
        ConfigError {
            file: self.file.clone(),
            line,
            column,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

/// Reads a configuration file's text.
///
/// # Errors
/// When it is not YAML, or a key or value does not fit `T`.
pub fn from_str<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, ConfigError> {
    read(file, text, DuplicateKeys::Refuse, |_| {}).map(|located| located.value)
}

/// Like [`from_str`], for a file that is a mapping. A key of `lists` without a value counts as missing, so that
/// `applications:` means the same as `applications: []`.
///
/// # Errors
/// See [`from_str`]; and when it is a list.
pub fn mapping<T: DeserializeOwned>(
    file: &str,
    text: &str,
    lists: &[&str],
) -> Result<Located<T>, ConfigError> {
    let mut listed = false;
    let result = read(file, text, DuplicateKeys::Refuse, |value| {
        listed = value.is_array();
        if let Value::Object(map) = value {
            map.retain(|key, value| !value.is_null() || !lists.contains(&key.as_str()));
        }
    });
    if listed {
        // serde would read a list as the fields of `T` in order.
        return Err(ConfigError {
            file: file.to_owned(),
            line: 1,
            column: 1,
            path: String::new(),
            message: "this is a list, but a mapping of keys to values is expected".to_owned(),
        });
    }
    result
}

/// Like [`from_str`], with a conversion of the value into the form of `T`, and a choice of how duplicate keys are
/// handled.
///
/// # Errors
/// See [`from_str`].
pub fn from_str_with<T: DeserializeOwned>(
    file: &str,
    text: &str,
    duplicate_keys: DuplicateKeys,
    prepare: impl FnOnce(&mut Value),
) -> Result<T, ConfigError> {
    read(file, text, duplicate_keys, prepare).map(|located| located.value)
}

fn read<T: DeserializeOwned>(
    file: &str,
    text: &str,
    duplicate_keys: DuplicateKeys,
    prepare: impl FnOnce(&mut Value),
) -> Result<Located<T>, ConfigError> {
    let limits = Limits {
        bytes: 8 << 20,
        duplicate_keys,
        ..Limits::default()
    };
    let (mut value, positions) = parse_spanned(text, &limits).map_err(|error| ConfigError {
        file: file.to_owned(),
        line: error.line,
        column: error.column,
        path: String::new(),
        message: error.message,
    })?;
    prepare(&mut value);
    match serde_path_to_error::deserialize(value) {
        Ok(value) => Ok(Located {
            value,
            file: file.to_owned(),
            positions,
        }),
        Err(error) => {
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            let message = in_plain_words(&error.into_inner().to_string());
            // serde names the unknown key only in its text, and serde_path_to_error appends it or not
            // depending on the container.
            let (path, message) = match unknown_field(&message) {
                Some((key, valid)) => {
                    let parent = path
                        .strip_suffix(&format!(".{key}"))
                        .unwrap_or(if path == key { "" } else { &path });
                    let at = if parent.is_empty() {
                        key.clone()
                    } else {
                        format!("{parent}.{key}")
                    };
                    let (line, column) = positions.nearest(&at);
                    return Err(ConfigError {
                        file: file.to_owned(),
                        line,
                        column,
                        path: parent.to_owned(),
                        message: unknown_key(&key, &valid),
                    });
                }
                None => (path, message),
            };
            let (line, column) = positions.nearest(&path);
            Err(ConfigError {
                file: file.to_owned(),
                line,
                column,
                path,
                message,
            })
        }
    }
}

/// Rewrites an error of serde without terms of Rust; "unknown field" is handled elsewhere.
fn in_plain_words(message: &str) -> String {
    if message.starts_with("data did not match any variant") {
        return "this value has none of the accepted forms".to_owned();
    }
    let message = message.replace("unknown variant `", "unknown value `");
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message;
    };
    let Some((kind @ ("invalid type" | "invalid value" | "invalid length"), found)) =
        found.split_once(": ")
    else {
        return message;
    };
    let starts = |words: &[&str]| words.iter().any(|word| expected.starts_with(word));
    let expected = if starts(&[
        "struct",
        "map",
        "a map",
        "internally tagged",
        "adjacently tagged",
    ]) {
        "a mapping"
    } else if starts(&["sequence", "a sequence", "tuple", "a tuple", "an array"]) {
        "a list"
    } else if starts(&["enum", "variant", "string or map", "unit", "newtype"]) {
        "one of the known words"
    } else if starts(&["u8", "u16", "u32", "u64", "usize"]) {
        "a whole number that is not negative"
    } else if starts(&["i8", "i16", "i32", "i64", "isize", "nonzero"]) {
        "a whole number"
    } else if starts(&["f32", "f64"]) {
        "a number"
    } else if starts(&["a borrowed string", "a string", "str", "string"]) {
        "a string"
    } else {
        expected
    };
    let is_text_without_quotes = expected == "a string"
        && ["integer", "boolean", "floating"]
            .iter()
            .any(|prefix| found.starts_with(prefix));
    let found = match found {
        "map" => "mapping",
        "sequence" => "list",
        "null" | "unit value" | "Option value" => "nothing",
        other => other,
    };
    let hint = if is_text_without_quotes {
        "; put it in quotes"
    } else {
        ""
    };
    format!("{kind}: {found}, expected {expected}{hint}")
}

/// Returns `unknown key ...; did you mean ...?`, or the list of valid keys if none is similar.
#[must_use]
pub fn unknown_key(key: &str, valid: &[String]) -> String {
    let nearest = valid
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&name.to_lowercase(), &key.to_lowercase()),
                name,
            )
        })
        .min()
        .filter(|(distance, name)| *distance <= name.len().max(key.len()) / 2);
    match nearest {
        Some((_, name)) => format!("unknown key `{key}`; did you mean `{name}`?"),
        None if valid.is_empty() => format!("unknown key `{key}`; no keys are expected here"),
        None => format!("unknown key `{key}`; valid keys are {}", valid.join(", ")),
    }
}

/// Parses serde's "unknown field `x`, expected one of `a`, `b`".
fn unknown_field(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    let valid = rest
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    Some((key.to_owned(), valid))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct File {
        #[serde(default)]
        environments: Vec<Environment>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Environment {
        #[serde(rename = "name")]
        _name: String,
        #[serde(default, rename = "promotesFrom")]
        _promotes_from: Option<String>,
    }

    fn error(text: &str) -> String {
        from_str::<File>("fleet.yaml", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn errors_name_file_line_path_and_the_nearest_key() {
        assert_eq!(
            error("environments:\n- name: dev\n- name: stage\n  promoteFrom: dev\n"),
            "fleet.yaml:4:3: environments[1]: unknown key `promoteFrom`; did you mean \
             `promotesFrom`?"
        );
        assert_eq!(
            error("environment: []\n"),
            "fleet.yaml:1:1: unknown key `environment`; did you mean `environments`?"
        );
        assert_eq!(
            error("environments:\n- name: 1\n"),
            "fleet.yaml:2:3: environments[0].name: invalid type: integer `1`, expected a string; put it in quotes"
        );
        assert_eq!(
            error("environments:\n- promotesFrom: x\n"),
            "fleet.yaml:2:3: environments[0]: missing field `name`"
        );
        assert_eq!(
            error("a: [\n"),
            "fleet.yaml:2:1: did not find expected node content"
        );
    }

    #[test]
    fn no_word_of_rust_reaches_people() {
        #[allow(dead_code, reason = "only what cannot be read is looked at")]
        #[derive(Debug, Deserialize)]
        #[serde(untagged)]
        enum Amount {
            _Count(u32),
            _Text(String),
        }
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Mode {
            _Halt,
        }
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields, default, rename_all = "camelCase")]
        #[derive(Default)]
        struct Wide {
            _one: Option<Amount>,
            _two: Option<Mode>,
            _three: Vec<u32>,
            _four: std::collections::BTreeMap<String, bool>,
            _five: Option<(u8, u8)>,
            _six: Option<f64>,
            _seven: Option<File>,
        }
        for key in ["One", "Two", "Three", "Four", "Five", "Six", "Seven"] {
            for value in [
                "1", "-1", "1.5", "x", "on", "[1]", "{a: 1}", "[[]]", "[x, y]", "{a: [b]}",
            ] {
                let text = format!("_{}: {value}\n", key.to_lowercase());
                let Err(error) = from_str::<Wide>("f", &text) else {
                    continue;
                };
                let error = error.to_string();
                for word in [
                    "struct", "enum", "variant", "tuple", "untagged", "Wide", "Amount", "Mode",
                    "Option", "u32", "u8", "f64", "usize", "sequence", "field",
                ] {
                    assert!(!error.contains(word), "{text}{error}");
                }
            }
        }
        let lists = ["environments"];
        assert!(mapping::<File>("f", "environments:\n", &lists).is_ok());
        assert!(mapping::<File>("f", "environmets:\n", &lists).is_err());
        let words = [
            (
                "[]",
                "f:1:1: this is a list, but a mapping of keys to values is expected",
            ),
            (
                "environments: {}",
                "f:1:1: environments: invalid type: mapping, expected a list",
            ),
        ];
        for (text, expected) in words {
            let error = mapping::<File>("f", text, &lists).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn later_checks_find_their_line() {
        let text = "environments:\n- name: a\n- name: b\n";
        let located = mapping::<File>("f", text, &[]).unwrap();
        assert_eq!(located.value.environments.len(), 2);
        assert_eq!(
            located.error("environments[1].name", "no").to_string(),
            "f:3:3: environments[1].name: no"
        );
    }
}
