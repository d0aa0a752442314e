//! `web`: the fleet's pages on loopback.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;

use flotilla_web::serve::Listening;
use tokio::net::TcpListener;

use crate::client::Client;
use crate::error::Error;
use crate::printer::Printer;

/// How the link is passed to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkDelivery {
    /// Printed.
    AsLink,
    /// Printed, and opened in a browser.
    InBrowser,
}

impl From<bool> for LinkDelivery {
    fn from(open: bool) -> Self {
        match open {
            true => Self::InBrowser,
            false => Self::AsLink,
        }
    }
}

/// Serves until Ctrl-C.
pub(super) async fn run(
    client: &Client,
    listen: SocketAddr,
    shown: LinkDelivery,
    printer: &Printer,
) -> Result<(), Error> {
    if !listen.ip().is_loopback() {
        return Err(Error::refused(
            format!("{listen} is not a loopback address"),
            "the pages carry your own rights and no TLS: use 127.0.0.1 or [::1]; for others the hub serves them (--web-listen)",
        ));
    }
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        Error::refused(
            format!("cannot listen on {listen}: {error}"),
            "name another address with --listen; port 0 picks a free one",
        )
    })?;
    let site = Listening::new(client.pages(), listener).await?;
    printer.out(&format!("{}\n", site.link))?;
    printer.say("The link works once. Stop with Ctrl-C.");
    // Kept until the end: a slow browser may read it late.
    let _page = match shown {
        LinkDelivery::InBrowser => {
            let page = browser(&site.link);
            let page = page.inspect_err(|error| {
                printer.warn(&format!(
                    "cannot start a browser ({error}); open the link yourself"
                ));
            });
            page.ok()
        }
        LinkDelivery::AsLink => None,
    };
    let stop = async {
        // Without a handler there is nothing to wait for: the default action ends the program.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    site.run(stop).await.map_err(|error| {
        Error::refused(format!("the pages cannot be served: {error}"), "try again")
    })
}

/// Opens a browser with the desktop's opener. Arguments of a process are visible to all users of the machine, so it is
/// given a private file that redirects to the link.
fn browser(link: &str) -> std::io::Result<tempfile::NamedTempFile> {
    let mut page = tempfile::Builder::new()
        .prefix("flotilla-")
        .suffix(".html")
        .tempfile()?;
    writeln!(
        page,
        "<!doctype html><meta http-equiv=\"refresh\" content=\"0; url={link}\">"
    )?;
    page.flush()?;
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    std::process::Command::new(program)
        .arg(page.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    Ok(page)
}
