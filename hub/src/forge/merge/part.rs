//! The hub's own part of the text of a promotion's pull request: what it waits for, or that it was merged. Pure.
//!
//! ```text
//!   <!-- flotilla:promote:prod -->
//!   <!-- flotilla:waits:prod:approvals:bbbbbbbbbbbb -->
//!   **Waiting to merge:** 0 of 1 approval
//!   <!-- flotilla:end:prod -->
//!   `prod` moves from ...                             (as flotilla promote --pull-request wrote it)
//! ```
//!
//! The kind of reason is in the marker, so that a restarted hub knows it and writes nothing twice.

use std::ops::Range;
use std::time::Duration;

use flotilla_forge::{Kind, marker};
use flotilla_shared::id::EnvironmentName;
use flotilla_shared::revision::Commit;
use flotilla_status::markdown::plain;

use crate::fleet::PendingMerge;

/// Shortest time between two writes: people edit the text too, and forges keep every version.
const APART: Duration = Duration::from_secs(60);
/// Shortest time between two writes that change only the wording, because the progress of a soak changes all the time.
const WORDS: Duration = Duration::from_secs(600);
/// Longest reason, bytes.
const MAX_TEXT: usize = 400;

/// The part of the text that the hub writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PullSection {
    /// Key of a change: it differs where a different action is needed than before. Bounded by reasons and commits.
    key: String,
    line: String,
    is_last: bool,
}

/// Position of the hub's part in a text.
struct SectionMatch {
    at: Range<usize>,
    key: String,
    line: String,
}

/// More digits than [`Commit::short`]. They are in the markers of open pull requests, each of which would be rewritten
/// if their number changed.
fn short(commit: &Commit) -> &str {
    commit.as_str().get(..12).unwrap_or_default()
}

impl PullSection {
    /// Makes the part that says why it is not merged yet.
    #[must_use]
    pub(super) fn waits(merging: &PendingMerge) -> Self {
        let at = merging.commit.as_ref().map(short).unwrap_or_default();
        let title = match merging.refused {
            true => "Not merged, action required",
            false => "Waiting to merge",
        };
        Self {
            key: format!("{}:{at}", merging.word),
            line: format!("**{title}:** {}", plain(&merging.text, MAX_TEXT)),
            is_last: false,
        }
    }

    /// Makes the part that says that it was merged.
    #[must_use]
    pub(super) fn taken(commit: &Commit, people: &[String]) -> Self {
        let people = plain(&people.join(", "), MAX_TEXT);
        Self {
            key: format!("taken:{}", short(commit)),
            line: format!("**Merged** at {}, approved by {people}.", short(commit)),
            is_last: true,
        }
    }

    /// Returns whether it is the last one.
    #[must_use]
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Returns the text with this part in it; none: it is not written now, because it is there already, or too soon, or
    /// too long. `since`: time of the hub's last write; none: none since it started.
    #[must_use]
    pub(super) fn written(
        &self,
        kind: Kind,
        environment: &EnvironmentName,
        body: &str,
        since: Option<Duration>,
    ) -> Option<String> {
        let found = find(kind, environment, body);
        let apart = match &found {
            Some(found) if found.key == self.key && found.line == self.line => return None,
            Some(found) if found.key == self.key => WORDS,
            _ => APART,
        };
        if since.is_some_and(|since| since < apart) {
            return None;
        }
        let begin = marker(kind, &format!("waits:{environment}:{}", self.key));
        let end = end(kind, environment);
        let part = format!("{begin}\n\n{}\n\n{end}", self.line);
        let (before, after) = match found {
            Some(found) => (body.get(..found.at.start)?, body.get(found.at.end..)?),
            // Inserted after the first line: the marker of the command, which is found only there.
            None => body.split_at_checked(body.find('\n').map_or(body.len(), |at| at + 1))?,
        };
        let text = match after {
            "" => format!("{before}{part}\n"),
            after if after.starts_with('\n') => format!("{before}{part}{after}"),
            after => format!("{before}{part}\n\n{after}"),
        };
        (text.len() <= kind.comment_limit()).then_some(text)
    }
}

fn end(kind: Kind, environment: &EnvironmentName) -> String {
    marker(kind, &format!("end:{environment}"))
}

/// Finds the hub's part, where it is intact.
fn find(kind: Kind, environment: &EnvironmentName, body: &str) -> Option<SectionMatch> {
    // The marker around its key, to find any key.
    let whole = marker(kind, &format!("waits:{environment}:KEY"));
    let (open, close) = whole.split_once("KEY")?;
    let from = body.find(open)?;
    let rest = body.get(from + open.len()..)?;
    let (key, rest) = rest.split_once(close)?;
    let end = end(kind, environment);
    let (line, after) = rest.split_once(end.as_str())?;
    Some(SectionMatch {
        at: from..body.len() - after.len(),
        key: key.to_owned(),
        line: line.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merging(word: &'static str, text: &str, refused: bool) -> PendingMerge {
        PendingMerge {
            commit: Some("b".repeat(40).parse().unwrap()),
            pull: None,
            refused,
            word,
            text: text.to_owned(),
        }
    }

    const LATER: Option<Duration> = Some(Duration::from_secs(60));

    #[test]
    fn it_stands_first_changes_in_place_and_leaves_the_rest_alone() {
        let prod: EnvironmentName = "prod".parse().unwrap();
        for kind in [Kind::Github, Kind::Gitlab, Kind::Gitea, Kind::Bitbucket] {
            let mark = marker(kind, "promote:prod");
            for rest in ["", "\n", "text\n", "\ntext of people\n\n- [x] seen\n"] {
                let body = format!("{mark}\n{rest}");
                let write = |part: &PullSection, body: &str| part.written(kind, &prod, body, LATER);
                let approvals = PullSection::waits(&merging("approvals", "0 of 1 approval", false));
                let first = write(&approvals, &body).unwrap();
                assert!(
                    first.starts_with(&format!("{mark}\n")) && first.ends_with(rest),
                    "{first}"
                );
                assert!(
                    first.contains("**Waiting to merge:** 0 of 1 approval\n"),
                    "{first}"
                );
                assert_eq!(write(&approvals, &first), None, "it stands there");
                let two = PullSection::waits(&merging("forbidden", "the <b>branch</b> @all", true));
                let second = write(&two, &first).unwrap();
                assert!(
                    !second.contains("approval") && second.ends_with(rest),
                    "{second}"
                );
                assert!(
                    second.contains("**Not merged, action required:**"),
                    "{second}"
                );
                assert!(
                    !second.contains("<b>") && !second.contains("@all"),
                    "{second}"
                );
                let commit = "b".repeat(40).parse().unwrap();
                let taken = PullSection::taken(&commit, &["ann".to_owned(), "bob".to_owned()]);
                let third = write(&taken, &second).unwrap();
                assert!(third.contains("**Merged** at bbbbbbbbbbbb, approved by ann, bob."));
                // Restoring the first part restores the first text, so that repeated writes do not make it grow.
                assert_eq!(write(&approvals, &third).unwrap(), first);
            }
        }
    }

    #[test]
    fn news_is_written_a_minute_apart_and_mere_words_seldom() {
        let prod: EnvironmentName = "prod".parse().unwrap();
        let write = |part: &PullSection, body: &str, since: Option<u64>| {
            part.written(Kind::Github, &prod, body, since.map(Duration::from_secs))
        };
        let gate = PullSection::waits(&merging("gate", "proof: 2m of 10m", false));
        let body = write(&gate, "<!-- x -->\n", None).unwrap();
        let words = PullSection::waits(&merging("gate", "proof: 3m of 10m", false));
        let news = PullSection::waits(&merging("approvals", "0 of 1 approval", false));
        for (part, since, is_due) in [
            (&words, Some(59), false),
            (&words, Some(599), false),
            (&words, Some(600), true),
            // A new process does not know the last write, and writes once.
            (&words, None, true),
            (&news, Some(59), false),
            (&news, Some(60), true),
            (&gate, Some(6000), false),
            (&gate, None, false),
        ] {
            assert_eq!(
                write(part, &body, since).is_some(),
                is_due,
                "{part:?} {since:?}"
            );
        }
        // Another commit is a change, even with the same wording.
        let mut other = merging("gate", "proof: 2m of 10m", false);
        other.commit = Some("c".repeat(40).parse().unwrap());
        assert!(write(&PullSection::waits(&other), &body, Some(60)).is_some());
    }

    #[test]
    fn what_people_broke_is_written_anew_and_what_is_full_is_left() {
        let prod: EnvironmentName = "prod".parse().unwrap();
        let gate = PullSection::waits(&merging("gate", "closed", false));
        let write = |body: &str| gate.written(Kind::Github, &prod, body, LATER);
        let broken = "<!-- flotilla:promote:prod -->\n<!-- flotilla:waits:prod:gate:1 -->\nhalf";
        let text = write(broken).unwrap();
        assert!(text.ends_with("half") && text.contains("closed"), "{text}");
        let other =
            "<!-- m -->\n<!-- flotilla:waits:stage:gate:1 -->\nx\n<!-- flotilla:end:stage -->";
        assert!(
            write(other)
                .unwrap()
                .contains(other.strip_prefix("<!-- m -->\n").unwrap())
        );
        assert_eq!(write(&"x".repeat(65_000)), None);
        assert!(write("").unwrap().contains("closed"));
        assert!(write("ä\r\nö").unwrap().contains("closed"));
    }
}
