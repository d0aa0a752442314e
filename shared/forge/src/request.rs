//! A request, with a function that reads its answer.

use std::fmt;

use serde_json::Value;

use crate::answer::Answer;
use crate::error::Error;
use crate::place::{Kind, Repository};

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads without changing anything.
    Get,
    /// Creates something, such as a status or a comment.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
}

impl Method {
    /// Returns the method's name in HTTP.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// A secret text, which no message and no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes a secret of a file's content, without surrounding white space.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Returns the secret text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Credential of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token of a person, a project or an installation.
    Token(Secret),
    /// A GitHub App's own signed token.
    App(Secret),
}

/// A request to send. The sender adds its user agent and never follows redirects.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its full URL.
    pub url: String,
    /// Its body; none: no body.
    pub body: Option<Value>,
    kind: Kind,
}

impl Request {
    /// Returns all headers, with the credential in the form that the forge expects.
    #[must_use]
    pub fn headers(&self, credential: &Credential) -> Vec<(&'static str, Secret)> {
        let plain = |text: &str| Secret::new(text);
        let mut headers = Vec::new();
        match (self.kind, credential) {
            (Kind::Gitlab, Credential::Token(token)) => {
                headers.push(("private-token", token.clone()));
            }
            (Kind::Gitea, Credential::Token(token)) => {
                headers.push(("authorization", plain(&format!("token {}", token.expose()))));
            }
            (_, Credential::Token(token) | Credential::App(token)) => {
                headers.push((
                    "authorization",
                    plain(&format!("Bearer {}", token.expose())),
                ));
            }
        }
        match self.kind {
            Kind::Github => {
                headers.push(("accept", plain("application/vnd.github+json")));
                headers.push(("x-github-api-version", plain("2022-11-28")));
            }
            _ => headers.push(("accept", plain("application/json"))),
        }
        if self.body.is_some() {
            headers.push(("content-type", plain("application/json")));
        }
        headers
    }
}

/// A request with a function that reads its answer.
#[derive(Debug)]
pub struct Call<T> {
    /// A short name from a fixed set, for metrics.
    pub name: &'static str,
    /// The request to send.
    pub request: Request,
    /// Tells which statuses besides 2xx are answers, too.
    also: fn(&Answer) -> bool,
    read: Read<T>,
}

/// A function that reads an answer.
pub(crate) type Read<T> = fn(&Answer) -> Result<T, Error>;

impl<T> Call<T> {
    pub(crate) fn new(
        repository: &Repository,
        name: &'static str,
        method: Method,
        url: String,
        body: Option<Value>,
        read: Read<T>,
    ) -> Self {
        Self {
            name,
            request: Request {
                method,
                url,
                body,
                kind: repository.kind(),
            },
            also: |_| false,
            read,
        }
    }

    pub(crate) fn or_when(mut self, also: fn(&Answer) -> bool) -> Self {
        self.also = also;
        self
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// When the forge refused, limits the rate, failed, or gave an answer that cannot be read.
    pub fn read(&self, answer: &Answer) -> Result<T, Error> {
        if !(self.also)(answer) {
            answer.judge()?;
        }
        (self.read)(answer)
    }
}

/// Makes a call at a path below the repository's resource.
pub(crate) fn call<T>(
    at: &Repository,
    name: &'static str,
    method: Method,
    rest: &str,
    body: Option<Value>,
    read: Read<T>,
) -> Call<T> {
    Call::new(at, name, method, at.below(rest), body, read)
}

/// Makes a call that reads at a path below the repository's resource.
pub(crate) fn get<T>(at: &Repository, name: &'static str, rest: &str, read: Read<T>) -> Call<T> {
    call(at, name, Method::Get, rest, None, read)
}

/// Reads the answer of a call without a result.
pub(crate) fn done(_: &Answer) -> Result<(), Error> {
    Ok(())
}
