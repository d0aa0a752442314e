//! Logins at registries, as `docker login` and `helm registry login` store them, and credential helpers.

use std::collections::BTreeMap;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::error::Error;

/// Name and password, hidden in messages.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Login {
    pub(crate) fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            password: password.into(),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(login)")
    }
}

/// Credential for a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum StoredLogin {
    Login(Login),
    /// Identity token of a login with a browser.
    Refresh(String),
}

impl fmt::Debug for StoredLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(login)")
    }
}

/// Content of a file of logins.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Logins {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(login)")
    }
}

/// Time limit of a helper.
const PATIENCE: Duration = Duration::from_secs(60);
const MAX_ANSWER: u64 = 64 << 10;

impl Logins {
    /// Parses a file. The error of serde is left out, because it may contain secrets.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(text).map_err(|error| {
            Error::refused(format!(
                "it is no file of logins (line {}, column {})",
                error.line(),
                error.column()
            ))
        })
    }

    /// Returns a login that is stored in the file itself.
    pub(crate) fn of(&self, registry: &str) -> Option<StoredLogin> {
        let named = |key: &&String| host(key) == host(registry) || key.as_str() == registry;
        let exact = self.auths.get(registry);
        let auth = exact.or_else(|| self.auths.get(self.auths.keys().find(named)?))?;
        if !auth.identitytoken.is_empty() {
            return Some(StoredLogin::Refresh(auth.identitytoken.clone()));
        }
        if !auth.username.is_empty() {
            return Some(StoredLogin::Login(Login::new(
                &auth.username,
                &auth.password,
            )));
        }
        let decoded = STANDARD.decode(auth.auth.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        // Old versions of docker padded the password.
        Some(StoredLogin::Login(Login::new(
            user,
            password.trim_matches('\0'),
        )))
    }

    /// Returns the helper to call, and the address to pass.
    fn helper(&self, registry: &str) -> Option<(&str, String)> {
        let address = if host(registry) == "docker.io" {
            "https://index.docker.io/v1/".to_owned()
        } else {
            registry.to_owned()
        };
        let special = self.cred_helpers.iter();
        let mut special = special.filter(|(key, _)| host(key) == host(registry));
        let name = match special.next() {
            Some((_, name)) => name,
            None => &self.creds_store,
        };
        (!name.is_empty()).then_some((name.as_str(), address))
    }

    /// Returns the login at a registry.
    pub(crate) async fn find(&self, registry: &str) -> Result<Option<StoredLogin>, Error> {
        if let Some((name, address)) = self.helper(registry)
            && let Some(known) = ask(name, &address).await?
        {
            return Ok(Some(known));
        }
        Ok(self.of(registry))
    }
}

/// Returns the host of an address; Docker Hub has several.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    match rest.split('/').next().unwrap_or_default() {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    }
}

/// Calls `docker-credential-NAME`, which the user's own file names.
async fn ask(name: &str, address: &str) -> Result<Option<StoredLogin>, Error> {
    let failed = |why: &str| Error::refused(format!("docker-credential-{name} {why}"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.bytes().all(allowed) {
        return Err(Error::refused(format!(
            "{name:?} is no name of a credential helper"
        )));
    }
    let mut helper = tokio::process::Command::new(format!("docker-credential-{name}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&format!("cannot be started: {error}")))?;
    let (stdin, stdout) = (helper.stdin.take(), helper.stdout.take());
    let talk = async {
        if let Some(mut stdin) = stdin {
            match stdin.write_all(address.as_bytes()).await {
                // A helper with only one login may close its input without reading.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                written => written?,
            }
        }
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            stdout.take(MAX_ANSWER).read_to_end(&mut answer).await?;
        }
        Ok::<_, std::io::Error>((answer, helper.wait().await?))
    };
    let (answer, status) = tokio::time::timeout(PATIENCE, talk)
        .await
        .map_err(|_| failed("does not answer"))?
        .map_err(|error| failed(&format!("failed: {error}")))?;
    // Checked first: the answer was cut off, and the exit status may be a consequence of that.
    if answer.len() as u64 >= MAX_ANSWER {
        return Err(failed("gives no answer that is understood"));
    }
    // Usually there is no login for this registry; other failures show when the registry refuses.
    if !status.success() {
        return Ok(None);
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct HelperAnswer {
        username: String,
        secret: String,
    }
    let found: HelperAnswer = serde_json::from_slice(&answer)
        .map_err(|_| failed("gives no answer that is understood"))?;
    Ok(Some(match found.username.as_str() {
        "<token>" => StoredLogin::Refresh(found.secret),
        _ => StoredLogin::Login(Login::new(found.username, found.secret)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_of_docker_and_helm() {
        let logins = Logins::parse(
            br#"{"auths": {
                "ghcr.io": {"auth": "Y2k6Z2VoZWlt"},
                "https://index.docker.io/v1/": {"username": "me", "password": "geheim"},
                "registry.example.com:5000": {"identitytoken": "geheim"},
                "helped.example.com": {}
            }, "credHelpers": {"gcr.io": "gcloud"}, "credsStore": "pass"}"#,
        )
        .unwrap();
        let login = |user: &str| Some(StoredLogin::Login(Login::new(user, "geheim")));
        assert_eq!(logins.of("ghcr.io"), login("ci"));
        assert_eq!(logins.of("docker.io"), login("me"));
        let token = Some(StoredLogin::Refresh("geheim".to_owned()));
        assert_eq!(logins.of("registry.example.com:5000"), token);
        assert_eq!(logins.of("registry.example.com"), None, "another port");
        assert_eq!(logins.of("helped.example.com"), None);
        assert_eq!(logins.of("io"), None);
        assert_eq!(
            logins.helper("gcr.io"),
            Some(("gcloud", "gcr.io".to_owned()))
        );
        let hub = Some(("pass", "https://index.docker.io/v1/".to_owned()));
        assert_eq!(logins.helper("docker.io"), hub);
        assert!(!format!("{logins:?} {:?}", logins.of("ghcr.io")).contains("geheim"));
        let error = Logins::parse(b"{\"auths\": {\"a\": \"geheim\"}}").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("geheim"), "{error}");
    }
}
