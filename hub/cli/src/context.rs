//! The context file: the hubs, the current one, and the user's credentials.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flotilla_shared::tls::TlsIdentity;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::Error;

const API_VERSION: &str = "flotilla.dev/v1alpha1";
/// Largest context file, bytes: it holds a few kilobytes of PEM.
const MAX_BYTES: u64 = 4 << 20;

/// Tokens of a login at an OpenID Connect issuer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Login {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) token_endpoint: String,
    pub(crate) id_token: String,
    /// Refresh token; empty: none, so that the person logs in again when the token has expired.
    #[serde(default)]
    pub(crate) refresh_token: String,
    /// Roots to trust for the issuer, PEM; empty: the system's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) issuer_trust_bundle: String,
}

/// A hub with the user's credential.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Context {
    /// Name of the context.
    pub(crate) name: String,
    /// `host:port`.
    pub(crate) hub: String,
    /// Roots of the hub's authority, PEM.
    pub(crate) trust_bundle: String,
    /// The operator's certificate, leaf first, PEM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) certificate: String,
    /// Its key, PEM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) key: String,
    /// A login instead of a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<Login>,
}

impl Context {
    /// Returns the certificate; none: a login.
    pub(crate) fn identity(&self) -> Option<TlsIdentity> {
        (!self.key.is_empty()).then(|| TlsIdentity {
            chain_pem: self.certificate.clone(),
            key_pem: self.key.clone(),
        })
    }

    /// Returns when its certificate expired; none: it did not, or there is none. Checked here because the hub would
    /// only close the connection.
    pub(crate) fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        let leaf = CertificateDer::from_pem_slice(self.certificate.as_bytes()).ok()?;
        let (_, leaf) = X509Certificate::from_der(&leaf).ok()?;
        let end = Timestamp::from_second(leaf.validity().not_after.timestamp()).ok()?;
        (end < now).then_some(end)
    }
}

/// A file with one context, as `flotilla-hub init` and `operator set --write-context` write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Single {
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    hub: String,
    trust_bundle: String,
    certificate: String,
    key: String,
}

/// A file with several contexts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Several {
    api_version: String,
    kind: String,
    #[serde(default)]
    current_context: String,
    contexts: Vec<Context>,
}

/// Header that both forms have.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

/// All contexts of a file.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Contexts {
    path: PathBuf,
    /// Name of the current one; empty: the only one.
    pub(crate) current: String,
    pub(crate) all: Vec<Context>,
}

/// Returns the default file: `$XDG_CONFIG_HOME/flotilla/config.yaml`, or below `~/.config`.
pub(crate) fn default_path() -> Result<PathBuf, Error> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let directory = absolute("XDG_CONFIG_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".config")))
        .ok_or(Error::NoHome)?;
    Ok(directory.join("flotilla").join("config.yaml"))
}

/// Whether a text has a secret: a private key, or the tokens of a login.
fn holds_secret(text: &str) -> bool {
    [
        "PRIVATE KEY-----",
        "idToken:",
        "\"idToken\"",
        "refreshToken:",
        "\"refreshToken\"",
    ]
    .iter()
    .any(|secret| text.contains(secret))
}

/// Refuses a file with a secret that others can read. `file` is the metadata of the opened file, so that it cannot be
/// swapped in between. A pipe is private.
pub(crate) fn refuse_readable(path: &Path, file: &std::fs::Metadata) -> Result<(), Error> {
    if file.is_file() && file.permissions().mode() & 0o077 != 0 {
        return Err(Error::Readable(path.to_owned()));
    }
    Ok(())
}

impl Contexts {
    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the given file, or the default one.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self, Error> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => default_path()?,
        };
        let error = |cause: std::io::Error| match cause.kind() {
            std::io::ErrorKind::NotFound => Error::NoContext(path.clone()),
            _ => Error::File {
                path: path.clone(),
                cause,
            },
        };
        let file = std::fs::File::open(&path).map_err(error)?;
        // Metadata of the opened file, which cannot be swapped in between.
        let metadata = file.metadata().map_err(error)?;
        if !metadata.is_file() {
            return Err(Error::Context(format!(
                "{} is not a file; a context file is written by `flotilla login` or \
                 `flotilla-hub init`",
                path.display()
            )));
        }
        let mut text = String::new();
        file.take(MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(error)?;
        if holds_secret(&text) {
            refuse_readable(&path, &metadata)?;
        }
        Self::parse(&path, &text)
    }

    /// As [`Contexts::load`], but a missing file is an empty list.
    pub(crate) fn load_or_new(named: Option<&Path>) -> Result<Self, Error> {
        match Self::load(named) {
            Err(Error::NoContext(path)) => Ok(Self {
                path,
                ..Self::default()
            }),
            other => other,
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let name = path.display().to_string();
        let wrong = |error: flotilla_yaml::config::ConfigError| Error::Context(error.to_string());
        let head: Head = flotilla_yaml::config::mapping(&name, text, &[])
            .map_err(wrong)?
            .value;
        match (head.api_version.as_str(), head.kind.as_str()) {
            (API_VERSION, "Context") => {
                let single: Single = flotilla_yaml::config::from_str(&name, text).map_err(wrong)?;
                Ok(Self {
                    path: path.to_owned(),
                    current: String::new(),
                    all: vec![Context {
                        name: "default".to_owned(),
                        hub: single.hub,
                        trust_bundle: single.trust_bundle,
                        certificate: single.certificate,
                        key: single.key,
                        login: None,
                    }],
                })
            }
            (API_VERSION, "Config") => {
                let file: Several = flotilla_yaml::config::from_str(&name, text).map_err(wrong)?;
                Ok(Self {
                    path: path.to_owned(),
                    current: file.current_context,
                    all: file.contexts,
                })
            }
            _ => Err(Error::Context(format!(
                "{name}: not a context file: it must say apiVersion: {API_VERSION} and kind: Config or \
                 Context"
            ))),
        }
    }

    /// Returns the selected context: the named one, or the current one, or the only one.
    pub(crate) fn choose(&self, named: Option<&str>) -> Result<&Context, Error> {
        let name = named.unwrap_or(&self.current);
        match self.all.as_slice() {
            [only] if name.is_empty() => Ok(only),
            all => all
                .iter()
                .find(|context| context.name == name)
                .ok_or_else(|| {
                    let names: Vec<&str> =
                        all.iter().map(|context| context.name.as_str()).collect();
                    let message = if name.is_empty() {
                        "no current context".to_owned()
                    } else {
                        format!("there is no context {name:?}")
                    };
                    Error::refused(
                        message,
                        format!(
                            "contexts: {}; choose one with flotilla context use NAME, or give \
                         --context NAME",
                            names.join(", ")
                        ),
                    )
                }),
        }
    }

    /// As [`Contexts::choose`], or else the only context of the hub with this address.
    pub(crate) fn reach(&self, named: Option<&str>) -> Result<&Context, Error> {
        let found = self.choose(named);
        let mut there = self
            .all
            .iter()
            .filter(|context| Some(context.hub.as_str()) == named);
        match (there.next(), there.next()) {
            (Some(only), None) if found.is_err() => Ok(only),
            _ => found,
        }
    }

    /// Adds a context, or replaces the one of the same name.
    pub(crate) fn put(&mut self, context: Context) {
        match self.all.iter_mut().find(|known| known.name == context.name) {
            Some(known) => *known = context,
            None => self.all.push(context),
        }
    }

    /// Writes the file atomically, readable only for its owner.
    pub(crate) fn save(&self) -> Result<(), Error> {
        let error = |cause| Error::File {
            path: self.path.clone(),
            cause,
        };
        let file = Several {
            api_version: API_VERSION.to_owned(),
            kind: "Config".to_owned(),
            current_context: self.current.clone(),
            contexts: self.all.clone(),
        };
        let text = flotilla_yaml::to_string(&serde_json::to_value(&file)?);
        flotilla_disk::replace(&self.path, text.as_bytes()).map_err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Contexts, String> {
        Contexts::parse(Path::new("c.yaml"), text).map_err(|error| error.to_string())
    }

    fn context(name: &str) -> Context {
        Context {
            name: name.to_owned(),
            hub: format!("{name}.example.org:8443"),
            trust_bundle: "roots".to_owned(),
            certificate: "chain".to_owned(),
            key: "key".to_owned(),
            login: None,
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = "apiVersion: flotilla.dev/v1alpha1\nkind: Context\nhubb: a:1\n";
        let error = parse(text).err().unwrap();
        assert!(error.contains("c.yaml:3"), "{error}");
        assert!(error.contains("hub"), "{error}");
    }

    #[test]
    fn another_kind_is_refused() {
        let text =
            "apiVersion: v1\nkind: Config\nhub: a:1\ntrustBundle: ''\ncertificate: ''\nkey: ''\n";
        let error = parse(text).err().unwrap();
        assert!(error.contains("not a context file"), "{error}");
    }

    #[test]
    fn e15_several_contexts_go_round_and_nobody_else_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/config.yaml");
        let mut contexts = Contexts::load_or_new(Some(&path)).unwrap();
        contexts.put(context("prod"));
        contexts.put(context("test"));
        let login = Login {
            issuer: "https://id.example.org".to_owned(),
            client_id: "flotilla".to_owned(),
            token_endpoint: "https://id.example.org/token".to_owned(),
            id_token: "a.b.c".to_owned(),
            refresh_token: String::new(),
            issuer_trust_bundle: String::new(),
        };
        contexts.put(Context {
            login: Some(login),
            certificate: String::new(),
            key: String::new(),
            ..context("test")
        });
        contexts.current = "test".to_owned();
        contexts.save().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
        let again = Contexts::load(Some(&path)).unwrap();
        assert!(again == contexts);
        assert!(again.choose(None).unwrap().identity().is_none());
        assert_eq!(
            again.choose(Some("prod")).unwrap().hub,
            "prod.example.org:8443"
        );
        assert!(again.choose(Some("prod")).unwrap().identity().is_some());
        assert!(again.choose(Some("none")).is_err());
        let nobody = Contexts {
            current: String::new(),
            ..again
        };
        let error = nobody.choose(None).err().unwrap().to_string();
        assert!(error.contains("no current context"), "{error}");
    }

    #[test]
    fn a_certificate_that_ended_is_told_before_anything_is_asked() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let dated = Context {
            certificate: parameters.self_signed(&key).unwrap().pem(),
            ..context("prod")
        };
        let at = |text: &str| dated.ended(text.parse().unwrap());
        assert_eq!(at("2030-01-01T00:00:00Z"), None);
        let end = at("2030-01-03T00:00:00Z").unwrap();
        assert_eq!(end.to_string(), "2030-01-02T00:00:00Z");
        assert_eq!(context("x").ended(end), None, "no certificate, no end");
    }
}
