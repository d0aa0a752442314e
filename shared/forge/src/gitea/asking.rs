//! Open pull requests, and who requests something there by a label.

use serde::Deserialize;

use super::{PAGE, Pull};
use crate::answer::Answer;
use crate::asking::LabelEvent;
use crate::github_api::{Label, User, login, page_of};
use crate::place::{Repository, segment};
use crate::pull::{OPEN, Page, PullRequest};
use crate::request::{Call, get};

/// Reads open pull requests into any branch: older servers cannot filter by branch.
pub(crate) fn open_pulls(at: &Repository, base: &str) -> Call<Vec<PullRequest>> {
    let rest = format!(
        "/pulls?state=open&sort=recentupdate&base={}&limit={OPEN}",
        segment(base)
    );
    get(at, "listPulls", &rest, Answer::list_as::<Pull, _>)
}

/// Reads changes of labels, oldest first. An added label is known by its text.
pub(crate) fn labellings(at: &Repository, number: u64, page: u32) -> Call<Page<LabelEvent>> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default, rename = "type")]
        kind: String,
        #[serde(default)]
        body: String,
        user: Option<User>,
        label: Option<Label>,
    }
    let rest = format!("/issues/{number}/timeline?limit={PAGE}&page={page}");
    get(at, "readEvents", &rest, |answer| {
        page_of(answer, PAGE, |event: Event| {
            let label = event.label.filter(|_| event.kind == "label")?;
            Some(LabelEvent {
                label: label.name,
                by: login(event.user),
                given: !event.body.is_empty(),
            })
        })
    })
}
