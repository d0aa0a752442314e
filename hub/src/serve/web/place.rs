//! The name under which pages are served: which `Host` is ours, where the issuer sends people back, and
//! what cookies are called. Pure.

use std::net::SocketAddr;

use flotilla_web::security::Scheme;

use super::{Config, ServingError};

/// Where browsers find us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `https://host[:port]`, as in `Origin`.
    origin: String,
    /// `host[:port]`.
    authority: String,
    secure: bool,
}

impl Place {
    /// From what was configured and what was bound.
    ///
    /// # Errors
    /// Why that would serve pages in the open, or to nobody.
    pub fn new(config: &Config, bound: SocketAddr) -> Result<Self, ServingError> {
        let url = config.url.as_str();
        let has_certificate = config.certificate.is_some();
        let behind_proxy = config.behind_proxy;
        let loopback = bound.ip().is_loopback();
        if has_certificate && behind_proxy {
            return Err(ServingError::TlsTwice);
        }
        if !has_certificate && !behind_proxy && !loopback {
            return Err(ServingError::NoTls(bound));
        }
        if url.is_empty() {
            if !loopback || has_certificate || behind_proxy {
                return Err(ServingError::NoUrl);
            }
            return Ok(Self {
                origin: format!("http://{bound}"),
                authority: bound.to_string(),
                secure: false,
            });
        }
        let (secure, authority) = match (url.strip_prefix("https://"), url.strip_prefix("http://"))
        {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(ServingError::NotHttp(url.to_owned())),
        };
        let authority = authority.trim_end_matches('/').to_ascii_lowercase();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(is_plain) {
            return Err(ServingError::NotHost(url.to_owned()));
        }
        if secure == (loopback && !has_certificate && !behind_proxy) {
            return Err(match secure {
                true => ServingError::PromisesTls(url.to_owned()),
                false => ServingError::NotHttps(url.to_owned()),
            });
        }
        let scheme = if secure { "https" } else { "http" };
        let default = if secure { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default).unwrap_or(&authority);
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            authority: authority.to_owned(),
            secure,
        })
    }

    /// As people type it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How browsers come here.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self.secure {
            true => Scheme::Https,
            false => Scheme::Http,
        }
    }

    /// Whether a `Host` is ours.
    #[must_use]
    pub fn is_ours(&self, host: &str) -> bool {
        let default = if self.secure { ":443" } else { ":80" };
        host.strip_suffix(default)
            .unwrap_or(host)
            .eq_ignore_ascii_case(&self.authority)
    }

    /// Where the issuer sends people back.
    #[must_use]
    pub fn callback(&self) -> String {
        format!("{}/login/callback", self.origin)
    }

    /// A cookie's name. `__Host-` binds it to this very host and to TLS; on plain loopback, where it cannot
    /// be, the port keeps several hubs apart.
    #[must_use]
    pub fn cookie(&self, name: &str) -> String {
        match self.secure {
            true => format!("__Host-{name}"),
            false => format!("{name}-{}", self.authority.rsplit(':').next().unwrap_or("")),
        }
    }

    /// What sets a cookie; `life` in seconds: none is until the browser ends.
    #[must_use]
    pub fn set_cookie(&self, name: &str, value: &str, life: Option<u32>) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let life = life.map_or(String::new(), |life| format!("; Max-Age={life}"));
        let name = self.cookie(name);
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{life}")
    }
}

#[cfg(test)]
mod tests;
