//! A forge that behaves badly, in every way that is known.

use flotilla_forge::State;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::config;
use super::*;

/// A server that answers every request with the same bytes, and records what it received.
struct Forge {
    address: String,
    asked: tokio::sync::mpsc::UnboundedReceiver<String>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

/// How the fake forge answers.
#[derive(Clone)]
enum ReplyMode {
    Text(String),
    Endless,
    /// Accepts the request and never answers.
    Silent,
}

fn http(status: &str, headers: &str, body: &str) -> ReplyMode {
    ReplyMode::Text(format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ))
}

async fn forge(way: ReplyMode) -> Forge {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, asked) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (way, tell) = (way.clone(), tell.clone());
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.windows(4).any(|window| window == b"\r\n\r\n") {
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => request.extend_from_slice(&buffer[..count]),
                    }
                }
                let _ = tell.send(String::from_utf8_lossy(&request).to_ascii_lowercase());
                match way {
                    ReplyMode::Text(text) => {
                        let _ = stream.write_all(text.as_bytes()).await;
                    }
                    ReplyMode::Silent => std::future::pending::<()>().await,
                    ReplyMode::Endless => {
                        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
                        let _ = stream.write_all(head.as_bytes()).await;
                        let chunk = vec![b' '; 1 << 16];
                        while stream.write_all(&chunk).await.is_ok() {}
                    }
                }
            });
        }
    });
    Forge {
        address,
        asked,
        _task: tokio_util::task::AbortOnDropHandle::new(task),
    }
}

struct World {
    sender: Sender,
    place: ForgeRepository,
    _directory: tempfile::TempDir,
}

fn world(forge: &Forge, kind: &str) -> World {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let text = format!(
        "apiVersion: flotilla.dev/v1alpha1\nkind: Forges\nforges:\n- {{repository: fleet, kind: {kind}, \
         api: 'http://{}', tokenFile: '{}'}}\n",
        forge.address,
        token.display()
    );
    let forges = config::parse("f", &text).unwrap();
    let url = "https://git.example.org/acme/fleet".parse().unwrap();
    let place = forges.of(&"fleet".parse().unwrap(), &url).unwrap();
    World {
        sender: Sender::new(Metrics::new()).unwrap(),
        place,
        _directory: directory,
    }
}

impl World {
    async fn tell(&mut self) -> Result<(), Error> {
        let status = CommitStatus {
            context: "flotilla/prod".to_owned(),
            state: State::Success,
            description: "312 of 312 healthy".to_owned(),
            link: String::new(),
        };
        let commit = "a".repeat(40).parse().unwrap();
        self.sender.status(&self.place, &commit, &status).await
    }
}

async fn told(way: ReplyMode) -> Result<(), Error> {
    let forge = forge(way).await;
    world(&forge, "github").tell().await
}

#[tokio::test]
async fn a_good_answer_is_told_once_with_the_credential_in_its_header() {
    let mut forge = forge(http("201 Created", "", "{}")).await;
    let mut world = world(&forge, "github");
    world.tell().await.unwrap();
    let asked = forge.asked.recv().await.unwrap();
    assert!(asked.starts_with(&format!(
        "post /repos/acme/fleet/statuses/{} ",
        "a".repeat(40)
    )));
    assert!(
        asked.contains("authorization: bearer s3cret\r\n"),
        "{asked}"
    );
    assert!(asked.contains("user-agent: flotilla-hub/"), "{asked}");
    let text = world.sender.metrics.text();
    assert!(
        text.contains("call=\"setStatus\",outcome=\"ok\"") && !text.contains("s3cret"),
        "{text}"
    );
}

#[tokio::test]
async fn every_bad_answer_is_an_error_of_its_own_kind() {
    for (status, word) in [
        ("401 Unauthorized", "unauthorized"),
        ("403 Forbidden", "forbidden"),
        ("404 Not Found", "notFound"),
        ("409 Conflict", "conflict"),
        ("422 Unprocessable Entity", "refused"),
        ("500 Internal Server Error", "server"),
        ("503 Service Unavailable", "server"),
    ] {
        let error = told(http(status, "", "<html>no</html>")).await.unwrap_err();
        assert_eq!(error.code(), word, "{status}");
        assert!(!error.to_string().contains("s3cret"));
    }
    // An answer that is not HTTP.
    let error = told(ReplyMode::Text("SSH-2.0-OpenSSH\r\n\r\n".to_owned()))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "noAnswer");
}

#[tokio::test]
async fn a_limit_stops_the_next_call_before_it_is_made() {
    let headers = "x-ratelimit-remaining: 0\r\nretry-after: 120\r\n";
    let mut forge = forge(http("403 Forbidden", headers, "{}")).await;
    let mut world = world(&forge, "github");
    for _ in 0..3 {
        let error = world.tell().await.unwrap_err();
        assert_eq!(error.code(), "rateLimited");
    }
    assert!(forge.asked.recv().await.is_some());
    assert!(forge.asked.try_recv().is_err(), "it was asked again");
}

#[tokio::test]
async fn a_credential_follows_no_redirect() {
    let mut other = forge(http("201 Created", "", "{}")).await;
    let location = format!("location: http://{}/x\r\n", other.address);
    for status in [
        "301 Moved",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let error = told(http(status, &location, "")).await.unwrap_err();
        let place = format!("{}/x", other.address);
        assert_eq!(error, Error::Redirected(place), "{status}");
    }
    assert!(
        other.asked.try_recv().is_err(),
        "somebody else was shown the credential"
    );
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    assert_eq!(told(ReplyMode::Endless).await, Err(Error::TooLarge));
}

#[tokio::test]
async fn a_forge_that_says_nothing_is_given_up() {
    let forge = forge(ReplyMode::Silent).await;
    let mut world = world(&forge, "github");
    world.sender = Sender::within(Duration::from_millis(200), Metrics::new()).unwrap();
    let error = world.tell().await.unwrap_err();
    assert_eq!(error.code(), "noAnswer", "{error}");
}

#[tokio::test]
async fn gitlabs_repeated_state_is_done() {
    let again = r#"{"message":"Cannot transition status via :run from :running"}"#;
    let forge = forge(http("400 Bad Request", "", again)).await;
    assert_eq!(world(&forge, "gitlab").tell().await, Ok(()));
}

#[tokio::test]
async fn a_credential_that_is_not_there_is_named_and_nobody_is_asked() {
    let mut forge = forge(http("201 Created", "", "{}")).await;
    let mut world = world(&forge, "github");
    let Access::Token(path) = world.place.access.clone() else {
        panic!("it is a token");
    };
    std::fs::write(&path, " \n").unwrap();
    let error = world.tell().await.unwrap_err().to_string();
    assert!(
        error.contains("token") && error.contains("empty"),
        "{error}"
    );
    std::fs::remove_file(&path).unwrap();
    assert!(world.tell().await.is_err());
    assert!(forge.asked.try_recv().is_err());
}
