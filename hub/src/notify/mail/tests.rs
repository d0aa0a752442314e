//! Against a mail server of the test's own, which behaves well or badly.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// The answer in place of the usual one to a line (empty: the greeting); none: the usual one.
type Answers = fn(&str) -> Option<String>;

struct Server {
    port: u16,
    directory: tempfile::TempDir,
    /// Received lines, with `tls` or `clear` before them.
    seen: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    async fn new(implicit: bool, answers: Answers) -> Self {
        tls::install_provider();
        let directory = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let write = |name: &str, text: &str| {
            std::fs::write(directory.path().join(name), text).unwrap();
        };
        write("ca", &certificate.pem());
        write("user", "flotilla\n");
        write("password", "canary-secret\n");
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, lines) = (acceptor.clone(), Arc::clone(&lines));
                tokio::spawn(async move {
                    let stream = match implicit {
                        true => Some(stream),
                        false => converse(stream, "clear", &lines, answers, true).await,
                    };
                    let Some(stream) = stream else { return };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        converse(stream, "tls", &lines, answers, implicit).await;
                    }
                });
            }
        });
        Self {
            port,
            directory,
            seen,
            _task: AbortOnDropHandle::new(task),
        }
    }

    fn mail(&self, implicit: bool) -> Mail {
        let file = |name: &str| Some::<PathBuf>(self.directory.path().join(name));
        Mail {
            host: "localhost".to_owned(),
            port: self.port,
            implicit_tls: implicit,
            from: "flotilla@example.org".to_owned(),
            to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
            user_file: file("user"),
            password_file: file("password"),
            ca_file: file("ca"),
        }
    }

    fn saw(&self, start: &str) -> bool {
        self.seen.lock().iter().any(|line| line.starts_with(start))
    }
}

/// Answers line by line; returns the stream where TLS begins.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    place: &str,
    seen: &Mutex<Vec<String>>,
    answers: Answers,
    greets: bool,
) -> Option<S> {
    if greets {
        let greeting = answers("").unwrap_or_else(|| "220 mail ESMTP".to_owned());
        stream
            .write_all(format!("{greeting}\r\n").as_bytes())
            .await
            .ok()?;
    }
    let mut in_data = false;
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(stream.read_u8().await.ok()?);
        }
        let line = String::from_utf8(line).unwrap();
        let line = line.trim_end_matches("\r\n").to_owned();
        seen.lock().push(format!("{place} {line}"));
        if in_data && line != "." {
            continue;
        }
        let word = line.split([' ', ':']).next().unwrap_or_default().to_owned();
        let usual = match word.as_str() {
            "EHLO" if place == "clear" => "250-mail\r\n250-STARTTLS\r\n250 8BITMIME",
            "EHLO" => "250-mail\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME",
            "STARTTLS" => "220 go on",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        let answer = answers(&line).unwrap_or_else(|| usual.to_owned());
        if answer == "hang up" {
            return None;
        }
        if answer != "silence" {
            stream
                .write_all(format!("{answer}\r\n").as_bytes())
                .await
                .ok()?;
        }
        in_data = word == "DATA" && answer.starts_with("354");
        if word == "STARTTLS" && answer.starts_with("220") {
            return Some(stream);
        }
        if word == "QUIT" {
            return None;
        }
    }
}

fn post() -> Post {
    let text = "apiVersion: flotilla.dev/v1alpha1\nkind: Notifications\ntargets: [{name: t, type: email, \
                url: 'smtp://h', from: a@b.c, to: [a@b.c]}]\n";
    let target = flotilla_notify::parse("n", text).unwrap().targets.remove(0);
    let event = flotilla_notify::Event {
        kind: flotilla_notify::Kind::RolloutHalted,
        at: "2026-11-27T07:00:00Z".parse().unwrap(),
        environment: "prod".to_owned(),
        rollout: "prod-7".to_owned(),
        commit: String::new(),
        clusters: Vec::new(),
        count: 0,
        actor: String::new(),
        reason: "c1 failed\r\n.\r\nMAIL FROM:<evil@example.org>".to_owned(),
    };
    let notice = flotilla_notify::Notice {
        id: 7,
        event,
        link: String::new(),
        repeated: false,
    };
    let known = flotilla_notify::MessageRef::default();
    flotilla_notify::compose(&target, &notice, &known).remove(0)
}

async fn tell(server: &Server, mail: &Mail) -> Result<(), SendError> {
    let within = Duration::from_secs(20);
    let told = send(mail, &post(), within).await;
    if let Err(SendError { why, .. }) = &told {
        assert!(!why.contains("canary"), "{why}");
    }
    let seen = server.seen.lock();
    let early = seen.iter().filter(|line| line.starts_with("clear "));
    for line in early {
        assert!(
            ["clear EHLO [127.0.0.1]", "clear STARTTLS"].contains(&line.as_str()),
            "{line}"
        );
    }
    told
}

#[tokio::test]
async fn a_message_comes_over_both_kinds_of_tls_to_all_who_are_named() {
    for implicit in [false, true] {
        let server = Server::new(implicit, |_| None).await;
        tell(&server, &server.mail(implicit)).await.unwrap();
        let seen = server.seen.lock().clone();
        let at = |line: &str| seen.iter().position(|heard| heard == line);
        let login = base64::engine::general_purpose::STANDARD.encode("\0flotilla\0canary-secret");
        let order = [
            format!("tls AUTH PLAIN {login}"),
            "tls MAIL FROM:<flotilla@example.org>".to_owned(),
            "tls RCPT TO:<a@example.org>".to_owned(),
            "tls RCPT TO:<b@example.org>".to_owned(),
            "tls DATA".to_owned(),
            "tls To: a@example.org,".to_owned(),
            "tls .".to_owned(),
        ];
        let places: Vec<usize> = order.iter().map(|line| at(line).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?} {seen:?}");
        // Text of others neither ends the message nor begins another one.
        let ends = seen.iter().filter(|line| *line == "tls .").count();
        let begins = seen
            .iter()
            .filter(|line| line.starts_with("tls MAIL"))
            .count();
        assert_eq!((ends, begins), (1, 1));
    }
    // A server without login, and one that supports only AUTH LOGIN.
    let server = Server::new(true, |_| None).await;
    let mut mail = server.mail(true);
    (mail.user_file, mail.password_file) = (None, None);
    tell(&server, &mail).await.unwrap();
    assert!(!server.saw("tls AUTH"));
    let server = Server::new(true, |line| match line {
        line if line.starts_with("EHLO") => Some("250-mail\r\n250 AUTH=LOGIN".to_owned()),
        "AUTH LOGIN" => Some("334 VXNlcm5hbWU6".to_owned()),
        "ZmxvdGlsbGE=" => Some("334 UGFzc3dvcmQ6".to_owned()),
        "Y2FuYXJ5LXNlY3JldA==" => Some("235 welcome".to_owned()),
        _ => None,
    })
    .await;
    tell(&server, &server.mail(true)).await.unwrap();
}

/// Each faulty server, the expected message, and whether a retry may help.
#[tokio::test]
async fn servers_that_behave_badly_get_nothing_and_are_named_for_it() {
    let no_tls: Answers = |line| line.starts_with("EHLO").then(|| "250 mail".to_owned());
    let early: Answers =
        |line| (line == "STARTTLS").then(|| "220 go on\r\n250 injected".to_owned());
    let wrong: Answers = |line| {
        let answer = "535 no such user flotilla canary-secret".to_owned();
        line.starts_with("AUTH").then_some(answer)
    };
    let nobody: Answers = |line| {
        line.starts_with("RCPT")
            .then(|| "550 no such user".to_owned())
    };
    let busy: Answers = |line| line.starts_with("DATA").then(|| "451 later".to_owned());
    let full: Answers = |line| (line == ".").then(|| "552 too large".to_owned());
    let page: Answers = |line| {
        line.is_empty()
            .then(|| "HTTP/1.1 400 Bad Request".to_owned())
    };
    let endless: Answers = |line| line.is_empty().then(|| "220-x\r\n".repeat(200));
    let long: Answers = |line| {
        line.is_empty()
            .then(|| format!("220 {}", "x".repeat(100_000)))
    };
    let gone: Answers = |line| line.starts_with("MAIL").then(|| "hang up".to_owned());
    let shut: Answers = |line| {
        line.starts_with("RCPT")
            .then(|| "421 shutting down".to_owned())
    };
    for (implicit, answers, expected, passing) in [
        (false, no_tls, "not offer STARTTLS", true),
        (false, early, "before TLS", true),
        (true, wrong, "rejects the user and password", true),
        (true, nobody, "550 to RCPT: no such user", false),
        (true, busy, "451 to DATA: later", true),
        (true, full, "552 to the message: too large", false),
        (false, page, "not from a mail server", true),
        (false, endless, "is too long", false),
        (true, long, "is too long", false),
        (true, gone, "closed the connection", true),
        (true, shut, "421", true),
    ] {
        let server = Server::new(implicit, answers).await;
        let fault = tell(&server, &server.mail(implicit)).await.unwrap_err();
        let why = fault.why;
        // The end of a stream may be reported as a broken connection.
        let ends = expected == "closed the connection" && why.contains("no answer");
        assert!(why.contains(expected) || ends, "{expected}: {why}");
        assert_eq!(fault.passing, passing, "{why}");
    }
}

#[tokio::test]
async fn one_address_that_is_refused_does_not_cost_the_others_their_message() {
    let server = Server::new(true, |line| {
        (line == "RCPT TO:<a@example.org>").then(|| "550 gone".to_owned())
    })
    .await;
    tell(&server, &server.mail(true)).await.unwrap();
    assert!(server.saw("tls ."));
}

#[tokio::test]
async fn certificates_that_nobody_named_get_no_password_and_the_message_names_the_way() {
    let (server, other) = (
        Server::new(true, |_| None).await,
        Server::new(true, |_| None).await,
    );
    for ca in [None, Some(other.directory.path().join("ca"))] {
        let mail = Mail {
            ca_file: ca,
            ..server.mail(true)
        };
        let fault = tell(&server, &mail).await.unwrap_err();
        assert!(fault.why.contains("caFile") && fault.passing, "{fault:?}");
    }
    let mail = Mail {
        host: "127.0.0.1".to_owned(),
        ..server.mail(true)
    };
    assert!(
        tell(&server, &mail).await.is_err(),
        "it is for another name"
    );
    assert!(server.seen.lock().is_empty());
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_no_more_than_its_time() {
    let server = Server::new(true, |line| {
        line.starts_with("MAIL").then(|| "silence".to_owned())
    })
    .await;
    let within = Duration::from_millis(500);
    let sent = send(&server.mail(true), &post(), within).await;
    let fault = sent.unwrap_err();
    assert!(
        fault.why.contains("timed out") && fault.passing,
        "{fault:?}"
    );
}
