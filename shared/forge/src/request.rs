//! A request, and the way to read its answer.

use std::fmt;

use serde_json::Value;

use crate::answer::Answer;
use crate::error::Error;
use crate::place::{Kind, Repository};

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads, and changes nothing at the forge.
    Get,
    /// Makes something new, such as a status or a comment.
    Post,
    /// Puts in place.
    Put,
    /// Changes a part.
    Patch,
}

impl Method {
    /// As HTTP writes it.
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

/// Text that no message and no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes what a file holds; white space around it is not part of it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The text, for where it must go.
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

/// What lets a request in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A token of a person, a project or an installation.
    Token(Secret),
    /// A GitHub App's own signed token.
    App(Secret),
}

/// What is to be sent. A sender adds its own name, and never follows an answer to another place.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What it does.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// What it carries; none: nothing.
    pub body: Option<Value>,
    kind: Kind,
}

impl Request {
    /// All headers, with a credential in the words of the forge.
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

/// A request with the way to read its answer.
#[derive(Debug)]
pub struct Call<T> {
    /// A short, bounded name, for metrics.
    pub name: &'static str,
    /// What is to be sent.
    pub request: Request,
    /// Which statuses besides 2xx are answers, too.
    also: fn(&Answer) -> bool,
    read: Read<T>,
}

/// The way to read an answer.
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

    /// What an answer means.
    ///
    /// # Errors
    /// When the forge refused, limits us, is unwell, or answered what nobody can read.
    pub fn read(&self, answer: &Answer) -> Result<T, Error> {
        if !(self.also)(answer) {
            answer.judge()?;
        }
        (self.read)(answer)
    }
}

/// A call at a path below the repository's own resource.
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

/// A call that reads at a path below the repository's own resource.
pub(crate) fn get<T>(at: &Repository, name: &'static str, rest: &str, read: Read<T>) -> Call<T> {
    call(at, name, Method::Get, rest, None, read)
}

/// For calls whose answer says no more than that it was done.
pub(crate) fn done(_: &Answer) -> Result<(), Error> {
    Ok(())
}
