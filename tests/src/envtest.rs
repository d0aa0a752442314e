//! A real kube-apiserver with its etcd, if the envtest variables name the programs (`KUBEBUILDER_ASSETS`, or
//! `TEST_ASSET_KUBE_APISERVER` and `TEST_ASSET_ETCD`).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use flotilla_apiserver::{AuditEvent, Identity, User};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

use crate::eventually;
use crate::ports::free_port;

/// Start timeout; a start takes about three seconds.
const START: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// etcd.
    pub etcd: PathBuf,
}

impl Programs {
    /// From the environment; none if it names none.
    #[must_use]
    pub fn find() -> Option<Self> {
        let named = |variable: &str, file: &str| {
            let own = std::env::var_os(variable).map(PathBuf::from);
            let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
            own.or_else(|| assets.map(|assets| assets.join(file)))
                .filter(|path| path.exists())
        };
        Some(Self {
            apiserver: named("TEST_ASSET_KUBE_APISERVER", "kube-apiserver")?,
            etcd: named("TEST_ASSET_ETCD", "etcd")?,
        })
    }
}

/// Both programs, running; they stop when this is dropped.
pub struct Envtest {
    /// `https://127.0.0.1:PORT`
    pub url: String,
    directory: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
    processes: Vec<Child>,
}

impl Drop for Envtest {
    fn drop(&mut self) {
        // Stop the API server first, so that it does not log errors about a missing etcd.
        for process in self.processes.iter_mut().rev() {
            // It may have exited already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Envtest {
    /// Starts both in a directory and waits until the API server is ready.
    ///
    /// # Errors
    /// When a program does not start within a minute; the text names its log.
    pub async fn start(programs: &Programs, directory: &Path) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("envtest-ca", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate = params.self_signed(&key)?.pem();
        let (etcd, peer, port) = (free_port()?, free_port()?, free_port()?);
        let mut envtest = Self {
            url: format!("https://127.0.0.1:{port}"),
            directory: directory.to_owned(),
            certificate,
            issuer: Issuer::new(params, key),
            processes: Vec::new(),
        };
        envtest.write_files()?;
        let at = |port: u16| format!("http://127.0.0.1:{port}");
        let mut command = Command::new(&programs.etcd);
        command
            .args(["--unsafe-no-fsync", "--listen-client-urls", &at(etcd)])
            .args(["--advertise-client-urls", &at(etcd)])
            .args(["--listen-peer-urls", &at(peer)])
            .args(["--initial-advertise-peer-urls", &at(peer)])
            .arg(format!("--initial-cluster=default={}", at(peer)))
            .arg("--data-dir")
            .arg(directory.join("etcd"));
        envtest.spawn(command, "etcd.log")?;
        let mut command = Command::new(&programs.apiserver);
        let file = |name: &str| directory.join(name);
        command
            .arg(format!("--etcd-servers={}", at(etcd)))
            .arg(format!("--secure-port={port}"))
            .args(["--bind-address=127.0.0.1", "--authorization-mode=RBAC"])
            .args([
                "--service-cluster-ip-range=10.0.0.0/24",
                "--allow-privileged",
            ])
            .args(["--disable-admission-plugins=ServiceAccount"])
            // Compact often, so that continue tokens expire within the duration of a test.
            .args(["--etcd-compaction-interval=2s", "--audit-log-path"])
            .arg(file("audit.log"))
            .arg("--audit-policy-file")
            .arg(file("audit-policy.json"))
            .arg("--cert-dir")
            .arg(file("certs"))
            .arg("--tls-cert-file")
            .arg(file("server.crt"))
            .arg("--tls-private-key-file")
            .arg(file("server.key"))
            .arg("--client-ca-file")
            .arg(file("ca.crt"))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg("--service-account-key-file")
            .arg(file("sa.pub"))
            .arg("--service-account-signing-key-file")
            .arg(file("sa.key"));
        envtest.spawn(command, "apiserver.log")?;
        std::fs::write(file("kubeconfig"), envtest.kubeconfig(&User::admin())?)?;
        envtest.ready().await?;
        Ok(envtest)
    }

    /// Writes the files that the programs read.
    fn write_files(&self) -> anyhow::Result<()> {
        let file = |name: &str| self.directory.join(name);
        std::fs::write(file("ca.crt"), &self.certificate)?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = name("kube-apiserver", &[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = self.sign(&params)?;
        std::fs::write(file("server.crt"), &own.certificate)?;
        std::fs::write(file("server.key"), &own.key)?;
        let account = KeyPair::generate()?;
        std::fs::write(file("sa.key"), account.serialize_pem())?;
        std::fs::write(file("sa.pub"), account.public_key_pem())?;
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived", "ResponseStarted"],
            "rules": [
                {"level": "None", "verbs": ["get", "list", "watch"]},
                {"level": "None", "users": ["system:apiserver"]},
                {"level": "RequestResponse"},
            ],
        });
        std::fs::write(file("audit-policy.json"), policy.to_string())?;
        Ok(())
    }

    fn spawn(&mut self, mut command: Command, log: &str) -> anyhow::Result<()> {
        let file = std::fs::File::create(self.directory.join(log))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{} does not start", command.get_program().display()))?;
        self.processes.push(child);
        Ok(())
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let client = crate::kubeconfig::client(&self.directory.join("kubeconfig")).await?;
        let waited = eventually("the API server is ready", START, || {
            let client = client.clone();
            async move {
                let request = http::Request::get("/readyz").body(Vec::new()).ok()?;
                client.request_text(request).await.ok()
            }
        })
        .await;
        if let Err(error) = waited {
            let log = std::fs::read_to_string(self.directory.join("apiserver.log"));
            let log = log.unwrap_or_default();
            let end: Vec<&str> = log.lines().rev().take(20).collect();
            anyhow::bail!("{error}; the log ends with\n{}", end.join("\n"));
        }
        Ok(())
    }

    fn sign(&self, params: &CertificateParams) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    /// A kubeconfig with a client certificate of this user.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig(&self, user: &User) -> anyhow::Result<String> {
        use base64::Engine as _;
        let mut params = CertificateParams::default();
        params.distinguished_name = name(&user.name, &user.groups);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let identity = self.sign(&params)?;
        let bundle = base64::engine::general_purpose::STANDARD.encode(&self.certificate);
        let cluster = json!({ "server": self.url, "certificate-authority-data": bundle });
        Ok(flotilla_yaml::to_string(&json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "envtest", "cluster": cluster}],
            "users": [{"name": "user", "user": identity.kubeconfig_user()}],
            "contexts": [{"name": "envtest", "context": {"cluster": "envtest", "user": "user"}}],
            "current-context": "envtest",
        })))
    }

    /// Every write in the API server's audit log, in order.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit(&self) -> anyhow::Result<Vec<AuditEvent>> {
        let path = self.directory.join("audit.log");
        let log = std::fs::read_to_string(&path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let events = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(events.map(|event| read_event(&event)).collect())
    }
}

/// Parses a line of the log (`audit.k8s.io/v1` Event).
fn read_event(event: &Value) -> AuditEvent {
    let text = |pointer: &str| {
        let text = event.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let uri = text("/requestURI");
    let (_, query) = uri.split_once('?').unwrap_or((&uri, ""));
    let parameter = |name: &str| {
        query.split('&').find_map(|part| {
            let (have, value) = part.split_once('=')?;
            (have == name).then(|| value.to_owned())
        })
    };
    let code = event
        .pointer("/responseStatus/code")
        .and_then(Value::as_u64);
    let code = code.and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
    let dry_run = parameter("dryRun").is_some();
    let first = |pointers: &[&str]| {
        let found = pointers.iter().map(|pointer| text(pointer));
        found
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    };
    AuditEvent {
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource: text("/objectRef/resource"),
        subresource: text("/objectRef/subresource"),
        namespace: text("/objectRef/namespace"),
        name: first(&["/objectRef/name", "/requestObject/metadata/name"]),
        uid: first(&[
            "/responseObject/metadata/uid",
            "/responseObject/details/uid",
            "/objectRef/uid",
        ]),
        user: first(&["/impersonatedUser/username", "/user/username"]),
        manager: parameter("fieldManager").unwrap_or_default(),
        dry_run,
        code,
        changed: code < 300 && !dry_run,
    }
}

fn name(common: &str, organisations: &[String]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    // rcgen keeps one organisation in a name, so only the first group is used.
    if let Some(first) = organisations.first() {
        name.push(DnType::OrganizationName, first.as_str());
    }
    name
}
