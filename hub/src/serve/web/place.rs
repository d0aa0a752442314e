//! The public address of pages: the accepted `Host`, the issuer's redirect, and names of cookies. Pure.

use std::net::SocketAddr;

use flotilla_web::security::Scheme;

use super::{Config, ServingError};

/// Public address of the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    /// `https://host[:port]`, as in `Origin`.
    origin: String,
    /// `host[:port]`.
    authority: String,
    secure: bool,
}

impl PublicAddress {
    /// Makes it from the configuration and the bound address.
    ///
    /// # Errors
    /// Why the pages would be served unencrypted, or could not be reached.
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

    /// Returns the public URL.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the scheme that browsers use.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        match self.secure {
            true => Scheme::Https,
            false => Scheme::Http,
        }
    }

    /// Returns whether a `Host` header is that of the pages.
    #[must_use]
    pub fn is_ours(&self, host: &str) -> bool {
        let default = if self.secure { ":443" } else { ":80" };
        host.strip_suffix(default)
            .unwrap_or(host)
            .eq_ignore_ascii_case(&self.authority)
    }

    /// Returns the URL to which the issuer redirects.
    #[must_use]
    pub fn callback(&self) -> String {
        format!("{}/login/callback", self.origin)
    }

    /// Returns a cookie's name. `__Host-` binds it to this very host and to TLS; on plain loopback, where that is not
    /// possible, the port keeps several hubs apart.
    #[must_use]
    pub fn cookie(&self, name: &str) -> String {
        match self.secure {
            true => format!("__Host-{name}"),
            false => format!("{name}-{}", self.authority.rsplit(':').next().unwrap_or("")),
        }
    }

    /// Returns the header that sets a cookie; `life` in seconds: none is until the browser ends.
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
