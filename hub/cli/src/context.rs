//! The context file: which hub, and as whom.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flotilla_shared::tls::TlsIdentity;
use serde::Deserialize;

use crate::error::Error;

const API_VERSION: &str = "flotilla.dev/v1alpha1";
/// A context file is a few kilobytes of PEM.
const MAX_BYTES: u64 = 1 << 20;

/// What the file says; `flotilla-hub init` writes the first one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    api_version: String,
    kind: String,
    hub: String,
    trust_bundle: String,
    certificate: String,
    key: String,
}

/// Which hub, and as whom.
pub(crate) struct Context {
    /// `host:port`.
    pub(crate) hub: String,
    /// Roots of the hub's authority, PEM.
    pub(crate) trust_bundle: String,
    /// The operator's.
    pub(crate) identity: TlsIdentity,
}

/// The file to read where none is named: `$XDG_CONFIG_HOME/flotilla/config.yaml`, or below
/// `~/.config`.
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

impl Context {
    /// Reads the named file, or the default one.
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
        // The mode of what was opened, so that nobody changes the file in between.
        let mode = file.metadata().map_err(error)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::Readable(path));
        }
        let mut text = String::new();
        file.take(MAX_BYTES)
            .read_to_string(&mut text)
            .map_err(error)?;
        Self::parse(&path.display().to_string(), &text)
    }

    fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let file: File = flotilla_yaml::config::from_str(name, text)
            .map_err(|error| Error::Context(error.to_string()))?;
        if file.api_version != API_VERSION || file.kind != "Context" {
            return Err(Error::Context(format!(
                "{name}: not a context file: it must say apiVersion: {API_VERSION} and kind: Context"
            )));
        }
        Ok(Self {
            hub: file.hub,
            trust_bundle: file.trust_bundle,
            identity: TlsIdentity {
                chain_pem: file.certificate,
                key_pem: file.key,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = "apiVersion: flotilla.dev/v1alpha1\nkind: Context\nhubb: a:1\n";
        let error = Context::parse("c.yaml", text).err().unwrap().to_string();
        assert!(error.contains("c.yaml:3"), "{error}");
        assert!(error.contains("hub"), "{error}");
    }

    #[test]
    fn another_kind_is_refused() {
        let text =
            "apiVersion: v1\nkind: Config\nhub: a:1\ntrustBundle: ''\ncertificate: ''\nkey: ''\n";
        let error = Context::parse("c.yaml", text).err().unwrap().to_string();
        assert!(error.contains("not a context file"), "{error}");
    }
}
