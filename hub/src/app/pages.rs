//! The listener of pages, for the deciding process and for one that stands by.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::serve::oidc::Oidc;
use crate::serve::web;
use crate::store::Store;

/// Setup of the pages.
#[derive(Clone)]
pub(super) struct Pages {
    listener: Arc<TcpListener>,
    config: web::Config,
    place: web::PublicAddress,
    oidc: Arc<Oidc>,
    store: Store,
}

impl Pages {
    /// Listens, without serving yet.
    pub(super) async fn bind(
        config: &web::Config,
        oidc: Option<&Arc<Oidc>>,
        store: &Store,
    ) -> anyhow::Result<Self> {
        let oidc =
            oidc.context("the pages need an OpenID Connect issuer: give --oidc-config-file")?;
        let listener = super::bind(&config.listen).await?;
        let bound = listener.local_addr()?;
        let place = web::PublicAddress::new(config, bound);
        Ok(Self {
            listener: Arc::new(listener),
            config: config.clone(),
            place: place?,
            oidc: Arc::clone(oidc),
            store: store.clone(),
        })
    }

    /// Returns the public URL of the pages.
    pub(super) fn origin(&self) -> &str {
        self.place.origin()
    }

    pub(super) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves them until stopped, from the fleet behind `carrier`.
    pub(super) fn serve(
        self,
        carrier: flotilla_web::Carrier,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        let serving = web::PagesSetup {
            listener: self.listener,
            config: self.config,
            place: self.place,
            oidc: self.oidc,
            store: self.store,
            carrier,
        };
        tokio::spawn(web::serve(serving, stop))
    }
}
