//! Whose certificates are believed and which one the hub shows: read from files, and read again when
//! they change, so that no change of certificates needs a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use flotilla_shared::digest::Digest;
use flotilla_shared::tls::{self, TlsError};
use jiff::Timestamp;
use rustls::{ClientConfig, ServerConfig};
use tokio_util::sync::CancellationToken;

use crate::authority::{Authority, Error, External, HUB_LIFE};
use crate::driver::Handle;
use crate::fleet::Event;
use crate::store::Store;

/// How often the files are looked at. A Secret's swap of links changes no time stamp that can be
/// trusted, so their content is compared.
const LOOK: Duration = Duration::from_secs(1);

/// Where the authority is.
#[derive(Debug, Clone)]
pub enum CertificateSource {
    /// The hub's own, in its data directory.
    Own(PathBuf),
    /// An authority of somebody else's.
    External(External),
}

impl CertificateSource {
    fn open(&self) -> Result<Authority, Error> {
        match self {
            Self::Own(directory) => Authority::open(directory),
            Self::External(external) => external.open(),
        }
    }
}

/// What is in force, taken whole: an authority with both ends of TLS that belong to it.
struct InForce {
    authority: Arc<Authority>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// Of the authority's content.
    digest: Digest,
    since: Timestamp,
}

/// What is believed and shown now.
pub struct Certificates {
    source: CertificateSource,
    hostnames: Vec<String>,
    now: ArcSwap<InForce>,
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

    /// How the hub serves.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.now.load().server)
    }

    /// How the hub calls its other replicas.
    #[must_use]
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.now.load().client)
    }

    /// Reads the files again. True: something else is in force now. The hub's own certificate is made
    /// anew at two thirds of its life, too.
    ///
    /// # Errors
    /// When the files cannot be used; what was in force stays.
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

/// Keeps what is in force up to date until stopped; `handle` is told when another certificate signs.
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
            // The store goes along when the authority changes, so that its next process is let in.
            if !roots.is_empty() && roots != named {
                match store.name_authority(&roots).await {
                    Ok(()) => named = roots,
                    Err(error) => tracing::warn!(%error, "cannot note the roots in the store"),
                }
            }
            // Level-triggered: equal news changes nothing.
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
                    tracing::info!("certificates changed; new connections see the new ones");
                }
            }
            Err(error) => {
                let text = error.to_string();
                if text != problem {
                    tracing::error!(
                        error = text,
                        "certificates cannot be read; the last good ones stay in force"
                    );
                    problem = text;
                }
            }
        }
    }
}

fn take(authority: Authority, hostnames: &[String], now: Timestamp) -> Result<InForce, Error> {
    let identity = authority.hub(hostnames, now)?;
    let server = tls::server_config(&identity, authority.trust_bundle());
    let client = tls::client_config(authority.trust_bundle(), Some(&identity));
    let (server, client): (Result<_, TlsError>, Result<_, TlsError>) = (server, client);
    Ok(InForce {
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
