//! Email over SMTP (RFC 5321): always with TLS, from the first byte or by STARTTLS, and nothing before it but the
//! server's own words.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use flotilla_notify::{Mail, Post, message};
use flotilla_shared::report::plain_line;
use flotilla_shared::tls;
use jiff::Timestamp;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::fault::{SendError, secret};

/// Longest line of an answer, and its highest number of lines.
const MAX_LINE: usize = 2_000;
/// See [`MAX_LINE`].
const MAX_LINES: usize = 100;

/// User and password.
type Login = Option<(String, String)>;

/// Sends one message within a time limit.
pub(super) async fn send(mail: &Mail, post: &Post, within: Duration) -> Result<(), SendError> {
    let roots = match &mail.ca_file {
        Some(path) => Some(secret(path).await?),
        None => None,
    };
    let login = match (&mail.user_file, &mail.password_file) {
        (Some(user), Some(password)) => Some((secret(user).await?, secret(password).await?)),
        _ => None,
    };
    let config = match roots {
        Some(pem) => tls::client_trusting(&pem).map_err(|e| SendError::passing(e.to_string()))?,
        None => as_the_system().await?,
    };
    let connector = TlsConnector::from(Arc::new(config));
    let text = message(mail, post, Timestamp::now());
    let sent = tokio::time::timeout(within, deliver(mail, login, &text, &connector)).await;
    sent.unwrap_or_else(|_| Err(SendError::passing("no answer: it timed out")))
}

/// Makes a TLS configuration with the machine's trusted certificates.
async fn as_the_system() -> Result<ClientConfig, SendError> {
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.map(|found| found.certs).unwrap_or_default());
    if roots.is_empty() {
        let why = "this machine has no trusted certificates: set caFile";
        return Err(SendError::passing(why));
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth())
}

async fn deliver(
    mail: &Mail,
    login: Login,
    text: &str,
    connector: &TlsConnector,
) -> Result<(), SendError> {
    let stream = TcpStream::connect((mail.host.as_str(), mail.port)).await;
    let stream = stream.map_err(|error| broken(&error))?;
    let name = ServerName::try_from(mail.host.clone());
    let name = name.map_err(|_| SendError::lasting(format!("{} is not a host name", mail.host)))?;
    let stream = match mail.implicit_tls {
        true => stream,
        false => {
            let mut clear = Dialog::new(stream);
            clear.expect(220, "the connection").await?;
            let offers = clear.greet().await?;
            if !offers
                .iter()
                .any(|line| line.eq_ignore_ascii_case("STARTTLS"))
            {
                let why = "the server does not offer STARTTLS, and nothing is sent in clear text";
                return Err(SendError::passing(why));
            }
            clear.ask("STARTTLS", 220).await?;
            // Data before TLS may be injected by a third party (command injection of STARTTLS).
            if !clear.unread.is_empty() {
                return Err(SendError::passing(
                    "the server sent data before TLS started",
                ));
            }
            clear.stream
        }
    };
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| untrusted(&error))?;
    let mut dialog = Dialog::new(stream);
    if mail.implicit_tls {
        dialog.expect(220, "the connection").await?;
    }
    let offers = dialog.greet().await?;
    if let Some((user, password)) = login {
        dialog.log_in(&offers, &user, &password).await?;
    }
    dialog
        .ask(&format!("MAIL FROM:<{}>", mail.from), 250)
        .await?;
    let mut refused = Vec::new();
    for to in &mail.to {
        match dialog.ask(&format!("RCPT TO:<{to}>"), 250).await {
            Ok(_) => {}
            Err(fault) if dialog.is_open => refused.push(SendError {
                why: format!("{to}: {}", fault.why),
                ..fault
            }),
            Err(fault) => return Err(fault),
        }
    }
    // One rejected address does not keep the message from the others; each is logged.
    for SendError { why, .. } in &refused {
        tracing::warn!(why, "a mail server rejects an address");
    }
    if refused.len() == mail.to.len() {
        let passing = refused.iter().any(|fault| fault.passing);
        let why = refused.into_iter().next().map(|fault| fault.why);
        return Err(SendError {
            why: why.unwrap_or_default(),
            passing,
        });
    }
    dialog.ask("DATA", 354).await?;
    dialog.write(text).await?;
    dialog.ask(".", 250).await?;
    // The server has accepted the message, whatever it answers to QUIT.
    let _ = dialog.write("QUIT\r\n").await;
    Ok(())
}

/// A dialogue with a server, line by line.
struct Dialog<S> {
    stream: S,
    unread: Vec<u8>,
    is_open: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Dialog<S> {
    fn new(stream: S) -> Self {
        Self {
            stream,
            unread: Vec::new(),
            is_open: true,
        }
    }

    async fn write(&mut self, text: &str) -> Result<(), SendError> {
        let written = self.stream.write_all(text.as_bytes()).await;
        let flushed = match written {
            Ok(()) => self.stream.flush().await,
            Err(error) => Err(error),
        };
        flushed.map_err(|error| {
            self.is_open = false;
            broken(&error)
        })
    }

    /// Greets the server, and returns its extensions.
    async fn greet(&mut self) -> Result<Vec<String>, SendError> {
        // An address literal, because servers require a name or an address, and the name of this machine is not
        // disclosed.
        self.ask("EHLO [127.0.0.1]", 250).await
    }

    async fn log_in(
        &mut self,
        offers: &[String],
        user: &str,
        password: &str,
    ) -> Result<(), SendError> {
        let offer = offers.iter().find_map(|line| {
            let line = line.to_ascii_uppercase();
            line.strip_prefix("AUTH").map(str::to_owned)
        });
        let offer = offer.unwrap_or_default();
        let has = |way: &str| offer.split([' ', '=']).any(|word| word == way);
        let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let sent = if has("PLAIN") {
            let both = encoded(&format!("\0{user}\0{password}"));
            self.ask(&format!("AUTH PLAIN {both}"), 235).await
        } else if has("LOGIN") {
            self.ask("AUTH LOGIN", 334).await?;
            self.ask(&encoded(user), 334).await?;
            self.ask(&encoded(password), 235).await
        } else {
            let why = "the server supports neither AUTH PLAIN nor AUTH LOGIN";
            return Err(SendError::passing(why));
        };
        // A passing fault, because the credential files may be corrected at any time. The server's text is left out: it
        // may repeat the credentials.
        sent.map(|_| ())
            .map_err(|_| SendError::passing("the server rejects the user and password"))
    }

    async fn ask(&mut self, line: &str, expected: u16) -> Result<Vec<String>, SendError> {
        self.write(&format!("{line}\r\n")).await?;
        let word = line.split([' ', ':']).next().unwrap_or_default();
        self.expect(expected, word).await
    }

    /// Reads an answer, which has to have this code.
    async fn expect(&mut self, expected: u16, to: &str) -> Result<Vec<String>, SendError> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
            let Some(code) = code.filter(|code| (200..600).contains(code)) else {
                self.is_open = false;
                return Err(SendError::passing("the answer is not from a mail server"));
            };
            let more = line.get(3..4) == Some("-");
            lines.push(line.get(4..).unwrap_or_default().trim().to_owned());
            if lines.len() > MAX_LINES {
                self.is_open = false;
                return Err(SendError::lasting("the server's answer is too long"));
            }
            if more {
                continue;
            }
            if code == expected || (expected == 250 && code == 251) {
                return Ok(lines);
            }
            self.is_open = code != 421;
            let text = plain_line(&lines.join(" "), 200);
            // 5xx is permanent, except for codes that an operator of either side can resolve.
            let passing = code < 500 || matches!(code, 530 | 534 | 535 | 538);
            let to = if to.is_empty() || to == "." {
                "the message"
            } else {
                to
            };
            return Err(SendError {
                why: format!("the server answered {code} to {to}: {text}"),
                passing,
            });
        }
    }

    async fn line(&mut self) -> Result<String, SendError> {
        let mut buffer = [0; 1024];
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.unread.len() > MAX_LINE {
                self.is_open = false;
                return Err(SendError::lasting("the server's answer is too long"));
            }
            let read = self.stream.read(&mut buffer).await;
            let count = read.map_err(|error| {
                self.is_open = false;
                broken(&error)
            })?;
            if count == 0 {
                self.is_open = false;
                return Err(SendError::passing("the server closed the connection"));
            }
            self.unread
                .extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }
}

fn broken(error: &std::io::Error) -> SendError {
    let text = plain_line(&error.to_string(), 200);
    SendError::passing(format!("no answer: {text}"))
}

fn untrusted(error: &std::io::Error) -> SendError {
    let text = plain_line(&error.to_string(), 200);
    let certificate = text.contains("certificate");
    let hint = match certificate {
        true => "; for a private authority, set caFile",
        false => "",
    };
    SendError::passing(format!("TLS failed: {text}{hint}"))
}

#[cfg(test)]
mod tests;
