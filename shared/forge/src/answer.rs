//! An answer of a forge, which is judged by its status before its body is read.

use flotilla_shared::report::plain_line;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::Error;

/// Largest answer that is read, bytes; the sender stops reading there.
pub const MAX_ANSWER: usize = 4 << 20;

/// An HTTP answer. Header names are lower case.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// HTTP status; a redirect is an answer, too, since redirects are not followed.
    pub status: u16,
    /// The headers that matter here.
    pub headers: Vec<(String, String)>,
    /// The body, cut at [`MAX_ANSWER`].
    pub body: Vec<u8>,
    /// When the answer arrived.
    pub at: Timestamp,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.header(name)?.trim().parse().ok()
    }

    /// Returns the number of entries of a list on all its pages, where the forge reports it.
    pub(crate) fn total(&self) -> Option<usize> {
        self.number("x-total-count")
            .and_then(|count| usize::try_from(count).ok())
    }

    /// Returns whether a list has more pages, where the forge reports it; on the last page this header is empty.
    pub(crate) fn has_next_page(&self) -> Option<bool> {
        self.header("x-next-page")
            .map(|page| !page.trim().is_empty())
    }

    /// Returns the number of calls that are left until the rate limit resets, where the forge reports it.
    #[must_use]
    pub fn remaining(&self) -> Option<i64> {
        self.number("x-ratelimit-remaining")
            .or_else(|| self.number("ratelimit-remaining"))
    }

    /// Returns when the rate limit resets.
    #[must_use]
    pub fn resets_at(&self) -> Option<Timestamp> {
        let seconds = self
            .number("x-ratelimit-reset")
            .or_else(|| self.number("ratelimit-reset"))?;
        // GitHub and GitLab send a Unix time; some others send the seconds from now.
        if seconds < 1_000_000_000 {
            return self.at.checked_add(bounded(seconds)).ok();
        }
        Timestamp::from_second(seconds).ok()
    }

    /// Returns how long the forge asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<SignedDuration> {
        let text = self.header("retry-after")?.trim();
        if let Ok(seconds) = text.parse::<i64>() {
            return Some(bounded(seconds));
        }
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        let wait = date.timestamp().duration_since(self.at);
        Some(bounded(wait.as_secs()))
    }

    /// Checks the status, and returns the failure that it stands for.
    pub(crate) fn judge(&self) -> Result<(), Error> {
        match self.status {
            200..=299 => Ok(()),
            300..=399 => Err(Error::Redirected(self.elsewhere())),
            401 => Err(Error::Unauthorized(self.failure_text())),
            403 if self.is_limit() => Err(self.limited()),
            403 => Err(Error::Forbidden(self.failure_text())),
            404 | 410 => Err(Error::NotFound(self.failure_text())),
            405 | 409 | 412 => Err(Error::Conflict(self.failure_text())),
            // GitLab answers 408 when a query of its own database times out.
            408 => Err(Error::Server(408)),
            429 => Err(self.limited()),
            // GitHub's answer when the update would not be a fast-forward.
            422 if self.failure_text().contains("fast forward") => {
                Err(Error::Conflict(self.failure_text()))
            }
            400..=499 => Err(Error::Refused {
                status: self.status,
                text: self.failure_text(),
            }),
            _ => Err(Error::Server(self.status)),
        }
    }

    /// GitHub limits with 403, too.
    fn is_limit(&self) -> bool {
        self.remaining() == Some(0)
            || self.retry_after().is_some()
            || self
                .failure_text()
                .to_ascii_lowercase()
                .contains("rate limit")
    }

    fn limited(&self) -> Error {
        let reset = self
            .resets_at()
            .map(|at| bounded(at.duration_since(self.at).as_secs()));
        let wait = self.retry_after().or(reset);
        Error::RateLimited {
            wait: wait.unwrap_or(SignedDuration::from_secs(60)),
        }
    }

    /// Where a redirect points to: host and path, since what else is in such an address may be a secret.
    fn elsewhere(&self) -> String {
        let location = self.header("location").unwrap_or_default().trim();
        let place = location.split(['?', '#']).next().unwrap_or_default();
        let rest = match place.split_once("://") {
            Some((_, rest)) => Some(rest),
            None => place.strip_prefix("//"),
        };
        let Some(rest) = rest else {
            return plain_line(place, 200);
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        plain_line(&format!("{host}{path}"), 200)
    }

    /// Returns the forge's message on a failure, as one short line.
    pub(crate) fn failure_text(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or(Value::Null);
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let first = ["/message", "/error/message", "/error"]
            .iter()
            .filter_map(|place| value.pointer(place))
            .map(text)
            .find(|text| !text.is_empty())
            .unwrap_or_default();
        let more = value
            .pointer("/errors")
            .map(|errors| match errors {
                Value::Array(all) => all
                    .iter()
                    .take(3)
                    .map(|entry| entry.get("message").map_or_else(|| text(entry), text))
                    .collect::<Vec<_>>()
                    .join("; "),
                other => text(other),
            })
            .filter(|more| !more.is_empty());
        let whole = match more {
            Some(more) if first.is_empty() => more,
            Some(more) => format!("{first}: {more}"),
            None => first,
        };
        plain_line(&whole, 300)
    }

    /// Reads the body as JSON of type `F` and converts it.
    pub(crate) fn json_as<F: DeserializeOwned, T: From<F>>(&self) -> Result<T, Error> {
        self.json::<F>().map(T::from)
    }

    /// Reads the body as a JSON list of `F` and converts each entry.
    pub(crate) fn list_as<F: DeserializeOwned, T: From<F>>(&self) -> Result<Vec<T>, Error> {
        let all: Vec<F> = self.json()?;
        Ok(all.into_iter().map(T::from).collect())
    }

    /// Reads the body as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if self.body.len() >= MAX_ANSWER {
            return Err(Error::TooLarge);
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            if error.is_data() {
                Error::Unreadable(plain_line(&error.to_string(), 200))
            } else {
                Error::NotJson
            }
        })
    }
}

/// Limits a wait to between a second and an hour, so that no forge can stop calls for days.
fn bounded(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds.clamp(1, 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        Answer {
            status,
            headers: headers
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.as_bytes().to_vec(),
            at: "2026-11-27T07:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn every_status_has_its_meaning() {
        let judged = |status, headers: &[(&str, &str)], body: &str| {
            answer(status, headers, body).judge().unwrap_err()
        };
        let refusal = r#"{"message":"no"}"#;
        assert_eq!(judged(401, &[], refusal), Error::Unauthorized("no".into()));
        assert_eq!(judged(403, &[], refusal), Error::Forbidden("no".into()));
        assert_eq!(judged(404, &[], refusal), Error::NotFound("no".into()));
        assert_eq!(judged(409, &[], refusal), Error::Conflict("no".into()));
        assert_eq!(judged(405, &[], refusal), Error::Conflict("no".into()));
        assert_eq!(
            judged(302, &[("location", "https://evil")], ""),
            Error::Redirected("evil".into())
        );
        for status in [408, 500, 502, 503, 504, 599, 0, 100] {
            assert_eq!(judged(status, &[], "<html>"), Error::Server(status));
        }
        let refused = judged(
            422,
            &[],
            r#"{"message":"Validation Failed","errors":[{"message":"x"}]}"#,
        );
        let text = "Validation Failed: x".to_owned();
        assert_eq!(refused, Error::Refused { status: 422, text });
        let behind = judged(422, &[], r#"{"message":"Update is not a fast forward"}"#);
        assert!(matches!(behind, Error::Conflict(_)));
    }

    #[test]
    fn limits_are_told_from_refusals_and_say_how_long() {
        let wait =
            |status, headers: &[(&str, &str)], body: &str| match answer(status, headers, body)
                .judge()
                .unwrap_err()
            {
                Error::RateLimited { wait } => wait.as_secs(),
                other => panic!("{other}"),
            };
        assert_eq!(wait(429, &[("retry-after", "7")], ""), 7);
        assert_eq!(wait(429, &[], ""), 60);
        assert_eq!(wait(403, &[("retry-after", "30")], "{}"), 30);
        // 2026-11-27T07:02:00Z.
        let reset = [
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1795762920"),
        ];
        assert_eq!(wait(403, &reset, "{}"), 120);
        assert_eq!(wait(429, &[("ratelimit-reset", "45")], ""), 45);
        assert_eq!(
            wait(429, &[("retry-after", "Fri, 27 Nov 2026 07:00:30 GMT")], ""),
            30
        );
        let secondary = r#"{"message":"You have exceeded a secondary rate limit"}"#;
        assert_eq!(wait(403, &[], secondary), 60);
        // No forge can stop calls for a year, or cause a busy loop.
        assert_eq!(wait(429, &[("retry-after", "31536000")], ""), 3600);
        assert_eq!(wait(429, &[("retry-after", "-5")], ""), 1);
        assert_eq!(
            wait(429, &[("retry-after", "99999999999999999999")], ""),
            60
        );
    }

    #[test]
    fn a_redirect_is_told_by_host_and_path() {
        for (location, place) in [
            (
                "https://git.example.org/api/v1/repos/new/fleet/pulls?token=x#y",
                "git.example.org/api/v1/repos/new/fleet/pulls",
            ),
            ("https://user:secret@git.example.org", "git.example.org"),
            ("//user:secret@git.example.org/a", "git.example.org/a"),
            ("/repos/new/fleet", "/repos/new/fleet"),
            ("", ""),
        ] {
            let error = answer(301, &[("location", location)], "").judge();
            assert_eq!(
                error,
                Err(Error::Redirected(place.to_owned())),
                "{location}"
            );
        }
        let message = Error::Redirected("git.example.org/a".to_owned()).to_string();
        assert!(
            message.contains("another place (git.example.org/a), and"),
            "{message}"
        );
    }

    #[test]
    fn what_a_forge_says_is_one_plain_line() {
        for (body, expected) in [
            (r#"{"message":"a\u001b[31m\nb"}"#, "a [31m b"),
            (r#"{"message":{"base":["x"]}}"#, r#"{"base":["x"]}"#),
            (r#"{"error":"invalid_token"}"#, "invalid_token"),
            (r#"{"type":"error","error":{"message":"gone"}}"#, "gone"),
            ("<html>no</html>", ""),
            ("", ""),
        ] {
            assert_eq!(answer(400, &[], body).failure_text(), expected, "{body}");
        }
        let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(100_000));
        assert_eq!(answer(400, &[], &long).failure_text().len(), 300);
    }
}
