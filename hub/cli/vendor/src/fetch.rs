//! One request to a server: bounded, and with a credential only for the given server.

use std::time::Duration;

use flotilla_http::{BodyError, why};
use flotilla_shared::loopback;
use reqwest::header::{ACCEPT, HeaderMap, LOCATION};
use reqwest::{StatusCode, Url};

use crate::config::{Config, Transport};
use crate::credentials::Login;
use crate::error::Error;
use crate::repositories::Repository;

/// Time limit of a whole answer: an index of tens of megabytes over a slow line.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Longest time without data.
const SILENCE: Duration = Duration::from_secs(30);
/// Highest number of redirects; forges redirect a download two or three times.
const MAX_REDIRECTS: usize = 5;

pub(crate) enum Credential {
    Login(Login),
    Token(String),
}

pub(crate) struct FetchRequest<'a> {
    pub(crate) url: &'a Url,
    pub(crate) accept: &'a str,
    pub(crate) credential: Option<&'a Credential>,
    /// Largest answer, bytes.
    pub(crate) limit: usize,
    /// Allowed transport of the credential.
    pub(crate) transport: Transport,
    /// A form to send with POST instead of GET.
    pub(crate) form: Option<String>,
}

/// An answer. The body is read only for status 200.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Makes a client with the settings of a repository.
pub(crate) fn client(
    config: &Config,
    repository: Option<&Repository>,
) -> Result<reqwest::Client, Error> {
    let mut client = flotilla_http::client(TIMEOUT)
        .connect_timeout(SILENCE)
        .read_timeout(SILENCE)
        // No decompression: the checksum of an archive is over the bytes as sent.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .user_agent(concat!("flotilla/", env!("CARGO_PKG_VERSION")));
    let read = |path: &str| {
        std::fs::read(path).map_err(|cause| Error::file(std::path::Path::new(path), cause))
    };
    let unusable =
        |what: &str| Error::refused(format!("{what} holds no certificate that can be used"));
    let mut roots = config.ca.clone();
    if let Some(repository) = repository {
        if repository.is_insecure {
            return Err(Error::hinted(
                format!(
                    "the repository {} is noted with insecure_skip_tls_verify, which is not followed",
                    repository.name
                ),
                "note its certificate: helm repo add --force-update --ca-file FILE NAME URL",
            ));
        }
        if !repository.ca_file.is_empty() {
            roots = Some(read(&repository.ca_file)?);
        }
        if !repository.cert_file.is_empty() && !repository.key_file.is_empty() {
            let mut pem = read(&repository.key_file)?;
            pem.push(b'\n');
            pem.extend(read(&repository.cert_file)?);
            let identity =
                reqwest::Identity::from_pem(&pem).map_err(|_| unusable(&repository.cert_file))?;
            client = client.identity(identity);
        }
    }
    if let Some(pem) = roots {
        let roots = reqwest::Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|roots| !roots.is_empty())
            .ok_or_else(|| unusable("the file of authorities"))?;
        client = client.tls_certs_only(roots);
    }
    client
        .build()
        .map_err(|error| Error::refused(format!("TLS cannot be set up: {}", why(&error))))
}

/// Sends a request, and follows redirects.
pub(crate) async fn ask(client: &reqwest::Client, ask: &FetchRequest<'_>) -> Result<Answer, Error> {
    let mut url = ask.url.clone();
    let mut is_home = true;
    for _ in 0..=MAX_REDIRECTS {
        is_home &= url.origin() == ask.url.origin();
        let place = || match is_home {
            true => shown(&url),
            false => shown_origin(&url),
        };
        let failed = |why: &str| Error::refused(why).of(&place());
        let mut request = match &ask.form {
            None => client.get(url.clone()),
            Some(form) => client
                .post(url.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.clone()),
        };
        request = request.header(ACCEPT, ask.accept);
        // After a redirect to another server, the credential is not sent any more, not even back to the first one.
        if is_home && (ask.credential.is_some() || ask.form.is_some()) {
            if url.scheme() != "https" && ask.transport == Transport::Tls && !is_loopback(&url) {
                return Err(Error::hinted(
                    format!("{} would get the credential without TLS", shown(&url)),
                    "name it with https://, or say --plain-http where the network is trusted",
                ));
            }
            request = match ask.credential {
                Some(Credential::Login(login)) => {
                    request.basic_auth(&login.user, Some(&login.password))
                }
                Some(Credential::Token(token)) => request.bearer_auth(token),
                None => request,
            };
        }
        let mut answer = request.send().await.map_err(|error| failed(&why(&error)))?;
        let status = answer.status();
        if status.is_redirection() && ask.form.is_none() {
            let next = answer.headers().get(LOCATION);
            let next = next
                .and_then(|next| next.to_str().ok())
                .and_then(|next| url.join(next).ok())
                .ok_or_else(|| failed("it sends on to nowhere"))?;
            url = onward(&url, next).map_err(|error| error.of(&place()))?;
            continue;
        }
        let too_large = || failed(&format!("the answer has more than {} bytes", ask.limit));
        let mut body = Vec::new();
        if status == StatusCode::OK {
            if answer
                .content_length()
                .is_some_and(|length| length > ask.limit as u64)
            {
                return Err(too_large());
            }
            body = match flotilla_http::body(&mut answer, ask.limit).await {
                Ok(body) => body,
                Err(BodyError::TooLarge) => return Err(too_large()),
                Err(BodyError::Broken(error)) => {
                    return Err(failed(&format!("the answer broke off: {}", why(&error))));
                }
            };
        }
        return Ok(Answer {
            status,
            headers: answer.headers().clone(),
            body,
        });
    }
    Err(Error::refused(format!(
        "{}: it sends on more than {MAX_REDIRECTS} times",
        shown(ask.url)
    )))
}

/// Checks the target of a redirect: it must not leave TLS or HTTP.
fn onward(from: &Url, mut to: Url) -> Result<Url, Error> {
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        (_, "http") => return Err(Error::refused("it sends on to a place without TLS")),
        _ => {
            let why = "it sends on to what is neither https nor http";
            return Err(Error::refused(why));
        }
    }
    // Credentials in the target are not the user's, and are not needed.
    if to.set_username("").is_err() || to.set_password(None).is_err() {
        return Err(Error::refused("it sends on to nowhere"));
    }
    Ok(to)
}

/// Whether the host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(loopback::is_loopback)
}

/// Formats a requested URL for messages, without its query, which may have tokens.
pub(crate) fn shown(url: &Url) -> String {
    format!("{}{}", shown_origin(url), url.path())
}

/// Formats the target of a redirect for messages: its path may have tokens too.
fn shown_origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn redirects_stay_within_tls_and_bring_no_login() {
        let to = |from: &str, to: &str| onward(&url(from), url(to)).map(String::from);
        assert_eq!(
            to("https://a.example/x", "https://me:pw@b.example/y?sig=1").unwrap(),
            "https://b.example/y?sig=1"
        );
        assert!(to("http://a.example", "http://b.example").is_ok());
        assert!(to("http://a.example", "https://b.example").is_ok());
        assert!(
            to("https://a.example", "http://a.example")
                .unwrap_err()
                .to_string()
                .contains("without TLS")
        );
        for place in ["file:///etc/passwd", "ftp://a.example/"] {
            assert!(to("http://a.example", place).is_err(), "{place}");
        }
    }

    #[test]
    fn what_is_shown_has_no_secrets() {
        let secret = url("https://me:pw@a.example:8443/x/y?token=1#z");
        assert_eq!(shown(&secret), "https://a.example:8443/x/y");
        assert_eq!(shown_origin(&secret), "https://a.example:8443");
    }

    #[test]
    fn this_machine_is_this_machine() {
        for (text, is) in [
            ("http://127.0.0.1:80/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]:5000/", true),
            ("http://localhost/", true),
            ("http://localhost.example/", false),
            ("http://localhost:x@a.example/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&url(text)), is, "{text}");
        }
    }
}
