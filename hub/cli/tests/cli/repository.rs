//! Repositories and registries of charts in this process, well-behaved and hostile ones.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use crate::schema;

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Path with its query.
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

/// An answer.
pub(crate) enum Reply {
    Bytes(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// An endless body of zeroes.
    Endless,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Bytes(200, Vec::new(), body.into())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Bytes(status, Vec::new(), Vec::new())
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::Bytes(302, vec![("Location", to.to_owned())], Vec::new())
    }
}

/// A server; it ends with the test's process.
pub(crate) struct Server {
    /// `127.0.0.1:port`
    pub(crate) address: String,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub(crate) fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve("http", reply, |stream, asked, reply| {
            answer(stream, asked, reply)
        })
    }

    pub(crate) fn start_tls(
        tls: Arc<rustls::ServerConfig>,
        reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve("https", reply, move |stream, asked, reply| {
            let connection = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            answer(&mut stream, asked, reply)?;
            stream.conn.send_close_notify();
            stream.flush()
        })
    }

    fn serve<R: Fn(&Request) -> Reply + Send + Sync + 'static>(
        scheme: &'static str,
        reply: R,
        serve: impl Fn(TcpStream, &Mutex<Vec<Request>>, &R) -> std::io::Result<()>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap().to_string(),
            scheme,
            asked: Arc::default(),
        };
        let (asked, with) = (Arc::clone(&server.asked), Arc::new((reply, serve)));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (asked, with) = (Arc::clone(&asked), Arc::clone(&with));
                std::thread::spawn(move || {
                    // The client may close the connection at any time.
                    let _ = with.1(stream, &asked, &with.0);
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().clone()
    }
}

fn answer(
    mut stream: impl Read + Write,
    asked: &Mutex<Vec<Request>>,
    reply: impl Fn(&Request) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let question = Request {
        path,
        authorization: headers.get("authorization").cloned(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    asked.lock().push(question.clone());
    match reply(&question) {
        Reply::Bytes(status, headers, body) => {
            let mut head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n",
                body.len()
            );
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            stream.write_all(format!("{head}\r\n").as_bytes())?;
            stream.write_all(&body)?;
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 x\r\nconnection: close\r\n\r\n")?;
            let zeroes = vec![0; 1 << 20];
            loop {
                stream.write_all(&zeroes)?;
            }
        }
    }
    stream.flush()
}

/// A chart's archive.
pub(crate) fn archive(name: &str, version: &str) -> Vec<u8> {
    let chart = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let template = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{version: '{version}'}}\n"
    );
    let files = [
        (format!("{name}/Chart.yaml"), chart),
        (format!("{name}/templates/map.yaml"), template),
    ];
    let files = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_bytes()));
    let tar = flotilla_vendor::tar::archive(files, 0o644, 0);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&tar).unwrap();
    gzip.finish().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    let sum = sha2::Sha256::digest(bytes);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An index of charts: name, version, URL and digest.
pub(crate) fn index(entries: &[(&str, &str, String, Option<String>)]) -> String {
    let mut charts: BTreeMap<&str, String> = BTreeMap::new();
    for (name, version, url, sum) in entries {
        let text = charts.entry(name).or_default();
        text.push_str(&format!(
            "  - apiVersion: v2\n    name: {name}\n    version: {version}\n    urls: ['{url}']\n    \
             created: \"2026-01-01T00:00:00Z\"\n"
        ));
        if let Some(sum) = sum {
            text.push_str(&format!("    digest: {sum}\n"));
        }
    }
    let charts: String = charts
        .iter()
        .map(|(name, text)| format!("  {name}:\n{text}"))
        .collect();
    format!("apiVersion: v1\ngenerated: \"2026-01-01T00:00:00Z\"\nentries:\n{charts}")
}

/// A repository with these charts and a correct index.
pub(crate) fn honest(charts: &[(&'static str, &'static str)]) -> Server {
    Server::start(honestly(charts))
}

/// The answers of a repository with these charts and a correct index.
pub(crate) fn honestly(
    charts: &[(&'static str, &'static str)],
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut entries = Vec::new();
    for (name, version) in charts {
        let (file, bytes) = (format!("{name}-{version}.tgz"), archive(name, version));
        entries.push((*name, *version, file.clone(), Some(sha256(&bytes))));
        files.insert(format!("/charts/{file}"), bytes);
    }
    files.insert(
        "/charts/index.yaml".to_owned(),
        index(&entries).into_bytes(),
    );
    move |asked| match files.get(&asked.path) {
        Some(bytes) => Reply::ok(bytes.clone()),
        None => Reply::status(404),
    }
}

/// A repository with one chart, `web` 1.0.0, in its index, and this answer.
pub(crate) fn one_chart(
    url: &'static str,
    sum: Option<String>,
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Server {
    let index = index(&[("web", "1.0.0", url.to_owned(), sum)]);
    Server::start(move |asked| match asked.path.as_str() {
        "/index.yaml" => Reply::ok(index.clone()),
        _ => reply(asked),
    })
}

/// A chart on disk, with its own home for Helm and docker.
pub(crate) struct Workshop {
    root: tempfile::TempDir,
}

impl Workshop {
    /// `dependencies`: the list of `Chart.yaml`, as YAML in one line.
    pub(crate) fn new(dependencies: &str) -> Self {
        let workshop = Self {
            root: tempfile::tempdir().unwrap(),
        };
        workshop.write(
            "shop/Chart.yaml",
            &format!("apiVersion: v2\nname: shop\nversion: 0.1.0\ndependencies: {dependencies}\n"),
        );
        workshop
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Stores a login as `helm repo add` does.
    pub(crate) fn add_repository(&self, name: &str, url: &str, password: &str) {
        self.write(
            ".config/helm/repositories.yaml",
            &format!(
                "apiVersion: \"\"\nrepositories:\n- name: {name}\n  url: {url}\n  username: ci\n  password: {password}\n"
            ),
        );
    }

    /// Stores a login as `docker login` does.
    pub(crate) fn docker_login(&self, registry: &str, password: &str) {
        let auth = STANDARD.encode(format!("ci:{password}"));
        let text = format!("{{\"auths\": {{\"{registry}\": {{\"auth\": \"{auth}\"}}}}}}");
        self.write(".docker/config.json", &text);
    }

    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.root.path())
            .env("HOME", self.root.path())
            // The test's credential helpers come first.
            .env("PATH", self.search_path())
            .env("GNUPGHOME", self.path("gnupg"));
        for name in [
            "XDG_CONFIG_HOME",
            "XDG_CACHE_HOME",
            "XDG_DATA_HOME",
            "HELM_CONFIG_HOME",
            "HELM_CACHE_HOME",
            "HELM_REPOSITORY_CONFIG",
            "HELM_REGISTRY_CONFIG",
            "DOCKER_CONFIG",
            "http_proxy",
            "HTTP_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ] {
            command.env_remove(name);
        }
        command
    }

    fn search_path(&self) -> std::ffi::OsString {
        let system = std::env::var_os("PATH").unwrap_or_default();
        let own = std::iter::once(self.path("bin"));
        std::env::join_paths(own.chain(std::env::split_paths(&system))).unwrap()
    }

    /// `flotilla chart ...`
    pub(crate) fn chart(&self, arguments: &[&str]) -> Output {
        self.command(env!("CARGO_BIN_EXE_flotilla"))
            .arg("chart")
            .args(arguments)
            .output()
            .unwrap()
    }

    /// Returns the error output of the command, which must fail with this code and change nothing.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let before = everything(&self.path("shop"));
        let output = self.chart(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(output.stdout.is_empty());
        assert_eq!(everything(&self.path("shop")), before, "{errors}");
        errors
    }

    pub(crate) fn vendored(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = vec!["vendor", "shop", "-o", "json"];
        all.extend(arguments);
        let output = self.chart(&all);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let value = serde_json::from_slice(&output.stdout).unwrap();
        schema::hold("chartVendor", &value);
        value
    }

    pub(crate) fn charts(&self, chart: &str) -> Vec<String> {
        let mut names: Vec<String> = everything(&self.path(chart).join("charts"))
            .into_keys()
            .collect();
        names.sort();
        names
    }
}

/// All files below a folder.
pub(crate) fn everything(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&next) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    files
}
