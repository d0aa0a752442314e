//! A forge for tests: answers by method and path, and keeps what it was asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::config::{self, Forges};
use super::send::Sender;
use crate::metrics::Metrics;

/// A recorded call: `METHOD /path`, and the body.
pub(super) type RecordedCall = (String, Value);

/// Status, further headers, body.
type Answer = (u16, String, String);

/// See the module. The server stops when dropped.
pub(super) struct Fake {
    pub(super) address: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<RecordedCall>>>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Fake {
    pub(super) async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (answers, asked) = (Arc::default(), Arc::default());
        let (by, all) = (Arc::clone(&answers), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&by), Arc::clone(&all)));
            }
        });
        Self {
            address,
            answers,
            asked,
            _task: tokio_util::task::AbortOnDropHandle::new(task),
        }
    }

    /// Configuration of a hub: this forge for the repository `fleet`, with a token in this directory.
    pub(super) fn forges(&self, directory: &Path) -> Forges {
        let token = directory.join("token");
        std::fs::write(&token, "s3cret\n").unwrap();
        let text = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Forges\nforges:\n- {{repository: fleet, api: \
             'http://{}', tokenFile: '{}'}}\n",
            self.address,
            token.display()
        );
        config::parse("f", &text).unwrap()
    }

    /// Sets the answer to calls that begin with `METHOD /path`; the longest prefix wins. Other calls get 404.
    pub(super) fn set(&self, beginning: &str, status: u16, body: &Value) {
        self.put(beginning, status, "", &body.to_string());
    }

    /// As above, with any body. Status 0 never answers, so that the caller times out.
    pub(super) fn put(&self, beginning: &str, status: u16, headers: &str, body: &str) {
        let answer = (status, headers.to_owned(), body.to_owned());
        self.answers.lock().insert(beginning.to_owned(), answer);
    }

    /// Returns the calls since the last time, and forgets them.
    pub(super) fn asked(&self) -> Vec<RecordedCall> {
        std::mem::take(&mut self.asked.lock())
    }
}

/// Answers of a failing forge: status, further headers, body. `limited` are the headers of a rate limit; status 0
/// accepts the call and never answers.
pub(super) fn unwell(limited: &str) -> [(u16, &str, &str); 11] {
    [
        (401, "", "{}"),
        (403, "", "{}"),
        (403, limited, "{}"),
        (404, "", "{}"),
        (409, "", "{}"),
        (422, "", "{}"),
        (500, "", "<html>oops</html>"),
        (200, "", "<html>login</html>"),
        (200, "", "7"),
        (302, "location: http://evil.example\r\n", ""),
        (0, "", ""),
    ]
}

/// A sender with the usual time-out, but a short one where the answer never comes.
pub(super) fn waits_for(status: u16) -> Arc<Sender> {
    let patience = Duration::from_millis(if status == 0 { 200 } else { 15_000 });
    Arc::new(Sender::within(patience, Metrics::new()).unwrap())
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    asked: Arc<Mutex<Vec<RecordedCall>>>,
) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    let (line, body) = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, sent)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then_some(value)
            });
            let length: usize = length.and_then(|text| text.parse().ok()).unwrap_or(0);
            if sent.len() >= length {
                let mut words = head.split(' ');
                let method = words.next().unwrap_or_default();
                let path = words.next().unwrap_or_default();
                break (
                    format!("{method} {path}"),
                    serde_json::from_str(sent).unwrap_or(Value::Null),
                );
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
    };
    asked.lock().push((line.clone(), body));
    let missing = (404, String::new(), r#"{"message":"Not Found"}"#.to_owned());
    let (status, headers, body) = {
        let all = answers.lock();
        let fits = all.iter().filter(|(key, _)| line.starts_with(*key));
        let best = fits.max_by_key(|(key, _)| key.len());
        best.map_or(missing, |(_, answer)| answer.clone())
    };
    if status == 0 {
        return std::future::pending().await;
    }
    let text = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes()).await;
}
