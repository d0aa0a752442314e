//! When the next call may be made, by the forge's last answer. The last calls of the rate limit are left to people.

use jiff::{SignedDuration, Timestamp};

use crate::answer::Answer;
use crate::error::Error;

/// Number of calls of the limit that are left to others.
const FLOOR: i64 = 50;

/// The pace of one credential at one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    not_before: Option<Timestamp>,
}

impl Pace {
    /// Notes an answer.
    pub fn answered(&mut self, answer: &Answer) {
        let limited = match answer.judge() {
            Err(Error::RateLimited { wait }) => Some(wait),
            _ => None,
        };
        let low = answer.remaining().is_some_and(|left| left < FLOOR);
        let reset = answer.resets_at().filter(|_| low);
        let reset = reset.map(|at| at.duration_since(answer.at));
        let Some(wait) = limited.or(reset).filter(SignedDuration::is_positive) else {
            return;
        };
        let wait = wait.min(SignedDuration::from_hours(1));
        let until = answer.at.checked_add(wait).ok();
        self.not_before = self.not_before.max(until);
    }

    /// Returns how long to wait before the next call; zero: not at all.
    #[must_use]
    pub fn wait(&self, now: Timestamp) -> SignedDuration {
        self.not_before.map_or(SignedDuration::ZERO, |at| {
            at.duration_since(now).max(SignedDuration::ZERO)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_calls_are_left_to_people() {
        let at: Timestamp = "2026-11-27T07:00:00Z".parse().unwrap();
        let answer = |status, left: &str| Answer {
            status,
            headers: vec![
                ("x-ratelimit-remaining".to_owned(), left.to_owned()),
                (
                    "x-ratelimit-reset".to_owned(),
                    (at.as_second() + 600).to_string(),
                ),
            ],
            at,
            ..Answer::default()
        };
        let wait = |answers: &[Answer]| {
            let mut pace = Pace::default();
            for answer in answers {
                pace.answered(answer);
            }
            pace.wait(at).as_secs()
        };
        assert_eq!(wait(&[answer(200, "50")]), 0);
        assert_eq!(wait(&[answer(200, "49")]), 600);
        assert_eq!(wait(&[answer(403, "0")]), 600);
        // The success of a call that was already in flight does not shorten the wait.
        assert_eq!(wait(&[answer(403, "0"), answer(200, "4000")]), 600);
        let mut pace = Pace::default();
        pace.answered(&answer(200, "1"));
        assert!(pace.wait(at + SignedDuration::from_secs(601)).is_zero());
    }
}
