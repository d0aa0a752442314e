//! Trusted roots and the hub's certificate: read from files, and read again when they change, so that no change of
//! certificates needs a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use flotilla_shared::digest::Digest;
use flotilla_shared::tls::{self, TlsError};
use jiff::Timestamp;
use rustls::{ClientConfig, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::authority::{Authority, Error, ExternalAuthority, HUB_LIFE};
use crate::driver::Handle;
use crate::fleet::Event;
use crate::store::Store;

/// Interval at which the files are read. Their content is compared, because the symlink swap of a mounted Secret leaves
/// no reliable modification time.
const LOOK: Duration = Duration::from_secs(1);

/// Source of the authority.
#[derive(Debug, Clone)]
pub enum CertificateSource {
    /// The hub's own authority, in its data directory.
    Own(PathBuf),
    /// An external authority.
    External(ExternalAuthority),
}

impl CertificateSource {
    fn open(&self) -> Result<Authority, Error> {
        match self {
            Self::Own(directory) => Authority::open(directory),
            Self::External(external) => external.open(),
        }
    }
}

/// The configuration in force, replaced as a whole: an authority with both ends of TLS that belong to it.
struct ActiveConfig {
    authority: Arc<Authority>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// Digest of the authority's content.
    digest: Digest,
    since: Timestamp,
}

/// The roots and certificate in force.
pub struct Certificates {
    source: CertificateSource,
    hostnames: Vec<String>,
    now: ArcSwap<ActiveConfig>,
}

impl Certificates {
    /// Opens the authority.
    ///
    /// # Errors
    /// When its files cannot be used.
    pub fn open(
        source: CertificateSource,
        hostnames: Vec<String>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let in_force = take(source.open()?, &hostnames, now)?;
        Ok(Self {
            source,
            hostnames,
            now: ArcSwap::from_pointee(in_force),
        })
    }

    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.now.load().authority)
    }

    /// Returns the TLS configuration for serving.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.now.load().server)
    }

    /// Returns the TLS configuration for calls to other replicas.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.now.load().client)
    }

    /// Reads the files again. True: the configuration changed. The hub's own certificate is also renewed at two thirds
    /// of its life.
    ///
    /// # Errors
    /// When the files cannot be used; the present configuration stays in force.
    pub fn refresh(&self, now: Timestamp) -> Result<bool, Error> {
        let present = self.now.load();
        let authority = self.source.open()?;
        let is_due = now.duration_since(present.since) > HUB_LIFE * 2 / 3;
        if digest(&authority) == present.digest && !is_due {
            return Ok(false);
        }
        self.now
            .store(Arc::new(take(authority, &self.hostnames, now)?));
        Ok(true)
    }
}

/// Keeps the configuration up to date until stopped; `handle` gets an event when another certificate signs.
pub async fn watch(
    certificates: Arc<Certificates>,
    decides: Option<(Handle, Store)>,
    stop: CancellationToken,
) {
    let mut problem = String::new();
    let mut named = Vec::new();
    loop {
        if let Some((handle, store)) = &decides {
            let roots = certificates.authority().roots().unwrap_or_default();
            // The store records the roots of a changed authority, so that the next process accepts it.
            if !roots.is_empty() && roots != named {
                match store.name_authority(&roots).await {
                    Ok(()) => named = roots,
                    Err(error) => tracing::warn!(%error, "cannot record the roots in the store"),
                }
            }
            // Level-triggered: repeating the same issuer changes nothing.
            let issuer = certificates.authority().fingerprint().to_owned();
            let known = issuer.clone();
            let is_news = handle.query(move |fleet| fleet.issuer() != known).await;
            match is_news {
                Ok(false) => {}
                Ok(true) => {
                    if handle.event(Event::AuthorityChanged(issuer)).await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return,
        }
        match certificates.refresh(Timestamp::now()) {
            Ok(changed) => {
                problem.clear();
                if changed {
                    tracing::info!("certificates changed; new connections use the new ones");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if text != problem {
                    tracing::error!(
                        error = text,
                        "cannot read certificates; the last valid ones stay in force"
                    );
                    problem = text;
                }
            }
        }
    }
}

fn take(authority: Authority, hostnames: &[String], now: Timestamp) -> Result<ActiveConfig, Error> {
    let identity = authority.hub(hostnames, now)?;
    let server = tls::server_config(&identity, authority.trust_bundle());
    let client = tls::client_config(authority.trust_bundle(), Some(&identity));
    let (server, client): (Result<_, TlsError>, Result<_, TlsError>) = (server, client);
    Ok(ActiveConfig {
        digest: digest(&authority),
        server: Arc::new(server?),
        client: Arc::new(client?),
        authority: Arc::new(authority),
        since: now,
    })
}

fn digest(authority: &Authority) -> Digest {
    Digest::of(authority.content().as_bytes())
}
