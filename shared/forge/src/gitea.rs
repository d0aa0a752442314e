//! Gitea and Forgejo, which share an API (<https://docs.gitea.com/api/>,
//! <https://forgejo.org/docs/latest/user/api-usage/>).

pub(crate) mod asking;

use flotilla_shared::revision::{BranchName, Commit};
use serde::Deserialize;
use serde_json::json;

use crate::answer::Answer;
use crate::error::Error;
use crate::github_api::{
    BranchRef, Label, Note, User, login, new_pull, standing, state_of, state_word, whole,
};
use crate::place::{Repository, segment};
use crate::pull::{Approval, Check, Comment, NewPull, Page, PullRequest, Required};
use crate::request::{Call, Method, call, done, get};
use crate::status::CommitStatus;
use crate::text::line;

/// Entries on one page; servers cut pages of more than fifty by default.
const PAGE: usize = 50;
/// Longest description of a status, characters.
const DESCRIPTION: usize = 255;

#[derive(Deserialize)]
struct Pull {
    number: u64,
    #[serde(default)]
    html_url: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    body: String,
    state: String,
    #[serde(default)]
    draft: bool,
    #[serde(default)]
    merged: bool,
    mergeable: Option<bool>,
    head: BranchRef,
    base: BranchRef,
    user: Option<User>,
    labels: Option<Vec<Label>>,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let labels = pull.labels.unwrap_or_default();
        Self {
            number: pull.number,
            link: pull.html_url,
            title: pull.title,
            body: pull.body,
            from_fork: pull.head.repo_id != pull.base.repo_id,
            head: pull.head.branch,
            head_commit: pull.head.sha,
            base: pull.base.branch,
            open: pull.state == "open",
            merged: pull.merged,
            draft: pull.draft,
            squash: false,
            mergeable: pull.mergeable,
            author: login(pull.user),
            labels: labels.into_iter().map(|label| label.name).collect(),
            reviewers: Vec::new(),
        }
    }
}

pub(crate) fn read_pull(answer: &Answer) -> Result<PullRequest, Error> {
    answer.json_as::<Pull, PullRequest>()
}

pub(crate) fn set_status(at: &Repository, commit: &Commit, status: &CommitStatus) -> Call<()> {
    let body = json!({
        "state": state_word(status.state),
        "context": status.context,
        "description": line(&status.description, DESCRIPTION),
        "target_url": status.link,
    });
    let rest = format!("/statuses/{commit}");
    call(at, "setStatus", Method::Post, &rest, Some(body), done)
}

/// Finds the open pull request between two branches; there is at most one.
pub(crate) fn find_pulls(at: &Repository, head: &str, base: &str) -> Call<Vec<PullRequest>> {
    let rest = format!("/pulls/{}/{}", segment(base), segment(head));
    let find = get(at, "findPulls", &rest, |answer| {
        if answer.status == 404 {
            return Ok(Vec::new());
        }
        let pull = read_pull(answer)?;
        Ok(Vec::from_iter(pull.open.then_some(pull)))
    });
    find.or_when(|answer| answer.status == 404)
}

pub(crate) fn create_pull(at: &Repository, new: &NewPull) -> Call<PullRequest> {
    let body = Some(new_pull(new));
    call(at, "createPull", Method::Post, "/pulls", body, read_pull)
}

/// Reads all comments at once: the API has no pages here.
pub(crate) fn comments(at: &Repository, number: u64) -> Call<Page<Comment>> {
    let rest = format!("/issues/{number}/comments");
    get(at, "readComments", &rest, |answer| {
        let comments: Vec<Comment> = answer.list_as::<Note, _>()?;
        Ok(Page::only(comments.into_iter()))
    })
}

pub(crate) fn merge(at: &Repository, number: u64, head: &Commit) -> Call<()> {
    let rest = format!("/pulls/{number}/merge");
    let body = json!({
        "Do": "fast-forward-only",
        "head_commit_id": head.as_str(),
        "force_merge": false,
    });
    call(at, "merge", Method::Post, &rest, Some(body), done)
}

pub(crate) fn approvals(at: &Repository, number: u64) -> Call<Vec<Approval>> {
    #[derive(Deserialize)]
    struct Review {
        user: Option<User>,
        #[serde(default)]
        state: String,
        #[serde(default)]
        dismissed: bool,
        #[serde(default)]
        stale: bool,
        #[serde(default)]
        commit_id: String,
    }
    let rest = format!("/pulls/{number}/reviews?limit={PAGE}");
    get(at, "readApprovals", &rest, |answer| {
        let all: Vec<Review> = answer.json()?;
        if answer.total().is_some_and(|total| total > all.len()) {
            // The newest reviews are on a later page, and one of them may withdraw an older approval.
            return Err(Error::Unreadable("more reviews than it shows".to_owned()));
        }
        Ok(standing(all.into_iter().map(|review| {
            let state = if review.dismissed || review.stale && review.state == "APPROVED" {
                "DISMISSED".to_owned()
            } else {
                review.state
            };
            let approval = Approval {
                by: login(review.user),
                commit: review.commit_id,
            };
            (state, approval)
        })))
    })
}

pub(crate) fn required(at: &Repository, branch: &BranchName) -> Call<Required> {
    #[derive(Deserialize)]
    struct Protection {
        #[serde(default)]
        enable_status_check: bool,
        status_check_contexts: Option<Vec<String>>,
        #[serde(default)]
        required_approvals: u32,
        #[serde(default)]
        dismiss_stale_approvals: bool,
    }
    let rest = format!("/branch_protections/{}", segment(branch.as_str()));
    let read = get(at, "readRules", &rest, |answer| {
        if answer.status == 404 {
            return Ok(Required::default());
        }
        let rules: Protection = answer.json()?;
        let checks = rules.status_check_contexts.unwrap_or_default();
        Ok(Required {
            checks: if rules.enable_status_check {
                checks
            } else {
                Vec::new()
            },
            approvals: rules.required_approvals,
            fresh: rules.dismiss_stale_approvals,
        })
    });
    read.or_when(|answer| answer.status == 404)
}

pub(crate) fn checks(at: &Repository, commit: &Commit) -> Call<Page<Check>> {
    #[derive(Deserialize)]
    struct Combined {
        statuses: Option<Vec<Status>>,
        #[serde(default)]
        total_count: usize,
    }
    #[derive(Deserialize)]
    struct Status {
        context: String,
        status: String,
    }
    let rest = format!("/commits/{commit}/status?limit={PAGE}");
    get(at, "readStatuses", &rest, |answer| {
        let all: Combined = answer.json()?;
        let statuses = all.statuses.unwrap_or_default();
        whole(all.total_count, statuses.len())?;
        Ok(Page::only(statuses.into_iter().map(|status| Check {
            name: status.context,
            state: state_of(&status.status),
        })))
    })
}
