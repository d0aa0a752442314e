//! Settings of email targets: server, credentials, sender and recipients.

use std::path::PathBuf;

use super::Entry;

/// Highest number of recipients of one target.
const MAX_TO: usize = 20;

/// Email settings of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Host of `url`: a name or an IPv4 address.
    pub host: String,
    /// Port of `url`; default: 465 with TLS from the first byte, otherwise 587.
    pub port: u16,
    /// Whether TLS starts with the first byte; otherwise after STARTTLS. Nothing is ever sent in clear text.
    pub implicit_tls: bool,
    /// The sender's address.
    pub from: String,
    /// Addresses of the recipients.
    pub to: Vec<String>,
    /// A file with the user name; none: no login.
    pub user_file: Option<PathBuf>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// A file with the only certificates that are trusted; none: the system's.
    pub ca_file: Option<PathBuf>,
}

/// Reads the email settings of a target.
///
/// # Errors
/// Each problem with its key.
pub(super) fn read(entry: &Entry) -> Result<Mail, Vec<(&'static str, String)>> {
    let mut errors = Vec::new();
    let mut wrong = |key: &'static str, text: &str| errors.push((key, text.to_owned()));
    let server = entry.url.as_deref().map(server);
    if entry.url_file.is_some() {
        wrong(".urlFile", "email needs url instead");
    }
    match &server {
        None => wrong("", "url is required, such as smtp://mail.example.org:587"),
        Some(None) => wrong(
            ".url",
            "it must be smtps://HOST[:PORT] (TLS from the start) or smtp://HOST[:PORT] (STARTTLS)",
        ),
        Some(Some(_)) => {}
    }
    match &entry.from {
        None => wrong("", "from is required"),
        Some(from) if !is_address(from) => {
            wrong(".from", "it is not an address such as a@example.org");
        }
        Some(_) => {}
    }
    if entry.to.is_empty() {
        wrong("", "to is required: a list of addresses");
    }
    if entry.to.len() > MAX_TO {
        wrong(".to", "there are more than 20");
    }
    if !entry.to.iter().all(|to| is_address(to)) {
        wrong(".to", "one is not an address such as a@example.org");
    }
    if entry.user_file.is_some() != entry.password_file.is_some() {
        wrong("", "userFile and passwordFile go together");
    }
    let Some(Some(server)) = server.filter(|_| errors.is_empty()) else {
        return Err(errors);
    };
    Ok(Mail {
        host: server.host,
        port: server.port,
        implicit_tls: server.implicit_tls,
        from: entry.from.clone().unwrap_or_default(),
        to: entry.to.clone(),
        user_file: entry.user_file.clone(),
        password_file: entry.password_file.clone(),
        ca_file: entry.ca_file.clone(),
    })
}

/// The mail server of a `url`, in the terms of [`Mail`].
#[derive(Debug, PartialEq, Eq)]
struct Server {
    host: String,
    port: u16,
    implicit_tls: bool,
}

fn server(url: &str) -> Option<Server> {
    let (implicit_tls, rest) = match (url.strip_prefix("smtps://"), url.strip_prefix("smtp://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return None,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
        None => (rest, if implicit_tls { 465 } else { 587 }),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let is_host = !host.is_empty() && host.len() <= 253 && host.chars().all(plain);
    is_host.then(|| Server {
        host: host.to_owned(),
        port,
        implicit_tls,
    })
}

/// Returns whether a text is an address without a name, quotes or comments, so that nothing in it can end a header or a
/// command.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let in_local = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let in_domain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    text.len() <= 254
        && !local.is_empty()
        && !domain.is_empty()
        && local.chars().all(in_local)
        && domain.chars().all(in_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_addresses_are_what_they_look_like() {
        let at = |implicit_tls, host: &str, port| {
            Some(Server {
                host: host.to_owned(),
                port,
                implicit_tls,
            })
        };
        assert_eq!(
            server("smtps://mail.example.org"),
            at(true, "mail.example.org", 465)
        );
        assert_eq!(server("smtp://mail/"), at(false, "mail", 587));
        assert_eq!(server("smtp://mail:2525"), at(false, "mail", 2525));
        for bad in [
            "mail",
            "https://mail",
            "smtp://",
            "smtp://u:p@mail",
            "smtp://mail:0",
            "smtp://mail/x",
            "smtp://mail\r\nx:25",
            "smtp://mail:99999",
        ] {
            assert_eq!(server(bad), None, "{bad:?}");
        }
        assert!(is_address("on-call+eu@example.org"));
        for bad in [
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b\r\nBcc: x@y",
            "Ann <a@b>",
            "a@b>",
            "\"a\"@b",
            "a@b,c@d",
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}
