//! Connecting to a hub, for agents and the CLI alike.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::identity::HUB_SERVER_NAME;

/// Timeout of TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// HTTP/2 pings find a peer that is silently gone within twice this (catalogue H10).
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A hub could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address is not `host:port`.
    #[error("{0:?} is not a hub address: give host:port, such as hub.example.com:8443")]
    Address(String),
    /// The hub's certificate is not valid by this machine's clock.
    #[error(
        "the certificate of the hub at {address} is {what} by the clock of this machine: one of the two \
         clocks is wrong by more than five minutes"
    )]
    Clock {
        /// The address dialled.
        address: String,
        /// `not valid yet` or `expired`.
        what: &'static str,
    },
    /// TCP, TLS or HTTP/2 failed.
    #[error("cannot connect to the hub at {address}: {cause}")]
    Connect {
        /// The address dialled.
        address: String,
        /// The innermost cause that is meaningful.
        cause: String,
    },
}

/// Returns the `host:port` of a hub's address. `https://` and a trailing slash are dropped; another scheme or a path is
/// refused, since it would be looked up as a host name for ever.
///
/// # Errors
/// When it is not `host:port`.
pub fn host_and_port(text: &str) -> Result<String, DialError> {
    let bad = || DialError::Address(text.chars().take(200).collect());
    let address = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
        Some(_) => return Err(bad()),
        None => text,
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or_else(bad)?,
        None if host.contains(':') => return Err(bad()),
        None => host,
    };
    let is_foreign = |c: char| c.is_whitespace() || c.is_control() || "/?#@[]".contains(c);
    let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if name.is_empty() || name.contains(is_foreign) || !is_port {
        return Err(bad());
    }
    Ok(address.to_owned())
}

/// Opens a channel to the hub at `address` (`host:port`).
///
/// The server is verified by [`HUB_SERVER_NAME`], not by the address, since a hub may stand behind any
/// name; only our own authority can issue that name.
///
/// # Errors
/// When the address is malformed or no connection can be made within ten seconds.
pub async fn dial(address: &str, tls: Arc<ClientConfig>) -> Result<Channel, DialError> {
    let bad_address = || DialError::Address(address.chars().take(200).collect());
    // Addresses may come unchecked from context files and join manifests that people wrote.
    let address = host_and_port(address)?;
    let address = address.as_str();
    let endpoint = Endpoint::try_from(format!("http://{address}"))
        .map_err(|_| bad_address())?
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(16 * 1024);
    let target = address.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let (target, tls) = (target.clone(), Arc::clone(&tls));
        async move {
            let connect = async {
                let tcp = TcpStream::connect(&target).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::try_from(HUB_SERVER_NAME).map_err(std::io::Error::other)?;
                let stream = TlsConnector::from(tls).connect(name, tcp).await?;
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            };
            match tokio::time::timeout(CONNECT_TIMEOUT, connect).await {
                Ok(result) => result,
                Err(_) => Err(std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    "no answer within 10 seconds",
                )),
            }
        }
    });
    endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| match clock(&error) {
            Some(what) => DialError::Clock {
                address: address.to_owned(),
                what,
            },
            None => DialError::Connect {
                address: address.to_owned(),
                cause: match innermost(&error) {
                    cause if cause.ends_with("UnknownIssuer") => {
                        format!("{cause}: the trusted roots are not those of that hub")
                    }
                    cause => cause,
                },
            },
        })
}

/// Metadata key in an answer of a hub's replica: the call was not passed on to the leading replica and had no effect.
pub const NOT_PASSED_ON: &str = "x-flotilla-not-passed-on";

/// Metadata key in an answer of a hub: its store failed. The answer's message says what to do.
pub const NOT_STORED: &str = "x-flotilla-not-stored";

/// Returns how the clock caused an error; none: it did not (catalogue E11).
#[must_use]
pub fn clock(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use rustls::CertificateError as Bad;
    let mut cause = Some(error);
    while let Some(error) = cause {
        // The error inside an I/O error is not one of its sources, so it is searched separately.
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner.or_else(|| error.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(
                Bad::NotValidYet | Bad::NotValidYetContext { .. },
            )) => return Some("not valid yet"),
            Some(rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. })) => {
                return Some("expired");
            }
            _ => {}
        }
        cause = error.source();
    }
    None
}

/// Returns the innermost cause: tonic wraps it several times in "transport error".
#[must_use]
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_is_named_by_host_and_port() {
        for (text, expected) in [
            ("hub.example.com:8443", "hub.example.com:8443"),
            ("https://127.0.0.1:28443", "127.0.0.1:28443"),
            ("HTTPS://hub:8443/", "hub:8443"),
            ("hub:8443/", "hub:8443"),
            ("[::1]:8443", "[::1]:8443"),
        ] {
            assert_eq!(
                host_and_port(text).ok().as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for bad in [
            "",
            "hub",
            ":8443",
            "hub:",
            "hub:x",
            "hub:+1",
            "hub:65536",
            "http://hub:8443",
            "grpc://hub:8443",
            "https://hub",
            "https://https://hub:8443",
            "hub:8443/api",
            "hub/api:8443",
            "me@hub:8443",
            "hub :8443",
            "::1:8443",
            "[::1:8443",
            "[]:8443",
        ] {
            let error = host_and_port(bad).unwrap_err().to_string();
            assert!(error.contains("give host:port"), "{bad}: {error}");
        }
    }
}
