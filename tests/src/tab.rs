//! A browser tab without a browser: cookies, redirects, forms. For tests of what the server sends to browsers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder, StatusCode};

/// A tab of one user at one site, which may have several addresses.
pub struct Tab {
    client: reqwest::Client,
    /// The site's URL: `http://127.0.0.1:80`, `https://flotilla.example`.
    origin: String,
    /// The address to connect to.
    pub address: String,
    pub cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// `name: value`, one per line.
    pub headers: String,
    pub text: String,
}

impl Tab {
    /// An empty tab.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(origin: &str, address: &str) -> anyhow::Result<Self> {
        Self::of(origin, address, None)
    }

    /// An empty tab with its own source address.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn of(origin: &str, address: &str, from: Option<IpAddr>) -> anyhow::Result<Self> {
        flotilla_shared::tls::install_provider();
        let client = reqwest::Client::builder()
            .local_address(from)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(std::time::Duration::from_secs(60))
            .build()?;
        Ok(Self {
            client,
            origin: origin.to_owned(),
            address: address.to_owned(),
            cookies: BTreeMap::new(),
        })
    }

    /// A request to the site, with its cookies; redirects are not followed.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let host = self.origin.split("//").nth(1).unwrap_or_default();
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        self.client
            .request(method, format!("http://{}{path}", self.address))
            .header("host", host)
            .header("cookie", cookies.join("; "))
    }

    /// Sends a request and stores the cookies of the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&mut self, request: RequestBuilder) -> anyhow::Result<Answer> {
        let answer = request.send().await?;
        let status = answer.status();
        let mut headers = String::new();
        for (name, value) in answer.headers() {
            let value = value.to_str()?;
            headers.push_str(&format!("{name}: {value}\n"));
            if name == "set-cookie" {
                let (pair, attributes) = value.split_once(';').unwrap_or((value, ""));
                let (name, value) = pair.split_once('=').context("a cookie")?;
                if attributes.contains("Max-Age=0") {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Ok(Answer {
            status,
            headers,
            text: answer.text().await?,
        })
    }

    /// Opens a page, and follows redirects.
    ///
    /// # Errors
    /// When there is no answer, or the redirects do not end.
    pub async fn open(&mut self, path: &str) -> anyhow::Result<Answer> {
        let mut at = format!("{}{path}", self.origin);
        for _ in 0..8 {
            let request = match at.strip_prefix(&self.origin) {
                Some(path) => self.request(Method::GET, path),
                None => self.client.get(&at),
            };
            let answer = self.send(request).await?;
            let Some(to) = answer.location() else {
                return Ok(answer);
            };
            at = match to.starts_with('/') {
                true => format!("{}{to}", self.origin),
                false => to.to_owned(),
            };
        }
        anyhow::bail!("{at} leads nowhere")
    }

    /// Submits a form like one of the site's own pages.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let request = self
            .request(Method::POST, path)
            .header("sec-fetch-site", "same-origin")
            .body(flotilla_shared::percent::form(fields));
        self.send(request).await
    }
}

impl Answer {
    /// The target of a redirect.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.header("location")
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The value of the first form field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let rest = self
            .text
            .split(&format!("name=\"{name}\" value=\""))
            .nth(1)?;
        rest.split('"').next()
    }
}
