//! GitLab (<https://docs.gitlab.com/api/>).

pub(crate) mod asking;

use flotilla_shared::revision::Commit;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::answer::Answer;
use crate::error::Error;
use crate::place::{Repository, segment};
use crate::pull::{Approval, Check, Comment, NewPull, Page, PullRequest, Rewrites};
use crate::request::{Call, Method, call, done, get};
use crate::status::{CommitStatus, State};
use crate::text::line;

/// Entries on one page; GitLab's default of twenty has caused duplicates elsewhere.
const PAGE: usize = 100;
/// Longest description of a status, and longest link of one, characters.
const DESCRIPTION: usize = 255;

/// Reads a boolean of the API, where null means false.
fn null_is_false<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Makes a page of a list with the number of entries that arrived. GitLab removes what the credential may not see only
/// after it has cut notes and events into pages, so a short page need not be the last one.
fn page<T>(answer: &Answer, came: usize, items: impl Iterator<Item = T>) -> Page<T> {
    Page {
        items: items.collect(),
        more: answer.has_next_page().unwrap_or(came >= PAGE),
    }
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

fn username(user: Option<User>) -> String {
    user.map(|user| user.username).unwrap_or_default()
}

#[derive(Deserialize)]
struct Merge {
    iid: u64,
    #[serde(default)]
    web_url: String,
    title: Option<String>,
    description: Option<String>,
    state: String,
    #[serde(default, deserialize_with = "null_is_false")]
    draft: bool,
    source_branch: String,
    target_branch: String,
    #[serde(default, deserialize_with = "null_is_false")]
    squash: bool,
    /// Whether the merge will squash, with the project's setting applied; older servers do not report it.
    squash_on_merge: Option<bool>,
    /// Number of commits of the target that it lacks, where that was requested.
    diverged_commits_count: Option<u64>,
    source_project_id: Option<u64>,
    target_project_id: Option<u64>,
    sha: Option<String>,
    detailed_merge_status: Option<String>,
    author: Option<User>,
    #[serde(default)]
    labels: Vec<String>,
}

impl From<Merge> for PullRequest {
    fn from(merge: Merge) -> Self {
        // It covers all requirements of the project: pipelines, approvals, threads.
        let mergeable = match merge.detailed_merge_status.as_deref() {
            // A project may rebase it automatically, and reports it as mergeable.
            _ if merge.diverged_commits_count.is_some_and(|count| count > 0) => Some(false),
            None | Some("unchecked" | "checking" | "preparing") => None,
            Some(status) => Some(status == "mergeable"),
        };
        Self {
            number: merge.iid,
            link: merge.web_url,
            title: merge.title.unwrap_or_default(),
            body: merge.description.unwrap_or_default(),
            from_fork: merge.source_project_id != merge.target_project_id,
            head: merge.source_branch,
            head_commit: merge.sha.unwrap_or_default(),
            base: merge.target_branch,
            open: merge.state == "opened",
            merged: merge.state == "merged",
            draft: merge.draft,
            squash: merge.squash_on_merge.unwrap_or(merge.squash),
            mergeable,
            author: username(merge.author),
            labels: merge.labels,
            reviewers: Vec::new(),
        }
    }
}

fn read_merge(answer: &Answer) -> Result<PullRequest, Error> {
    answer.json_as::<Merge, PullRequest>()
}

pub(crate) fn set_status(at: &Repository, commit: &Commit, status: &CommitStatus) -> Call<()> {
    let state = match status.state {
        State::Pending => "running",
        State::Success => "success",
        State::Failure => "failed",
    };
    let mut body = json!({
        "state": state,
        "name": status.context,
        "description": line(&status.description, DESCRIPTION),
    });
    // A truncated link would be broken, so a longer one is left out.
    if (1..=DESCRIPTION).contains(&status.link.len()) {
        body["target_url"] = json!(status.link);
    }
    let rest = format!("/statuses/{commit}");
    let set = call(at, "setStatus", Method::Post, &rest, Some(body), done);
    // GitLab refuses to set the same state again; the status is then as requested already.
    set.or_when(|answer| {
        matches!(answer.status, 400 | 422)
            && answer.failure_text().contains("Cannot transition status")
    })
}

pub(crate) fn find_pulls(at: &Repository, head: &str, base: &str) -> Call<Vec<PullRequest>> {
    let rest = format!(
        "/merge_requests?state=opened&per_page={PAGE}&source_branch={}&target_branch={}",
        segment(head),
        segment(base)
    );
    get(at, "findPulls", &rest, Answer::list_as::<Merge, _>)
}

pub(crate) fn pull(at: &Repository, number: u64) -> Call<PullRequest> {
    let rest = format!("/merge_requests/{number}?include_diverged_commits_count=true");
    get(at, "readPull", &rest, read_merge)
}

pub(crate) fn create_pull(at: &Repository, new: &NewPull) -> Call<PullRequest> {
    let body = json!({
        "title": new.title,
        "source_branch": new.head,
        "target_branch": new.base,
        "description": new.body,
        "squash": false,
    });
    let rest = "/merge_requests";
    call(at, "createPull", Method::Post, rest, Some(body), read_merge)
}

pub(crate) fn update_pull(
    at: &Repository,
    number: u64,
    (title, text): (&str, &str),
) -> Call<PullRequest> {
    let rest = format!("/merge_requests/{number}");
    let body = json!({"title": title, "description": text});
    call(at, "updatePull", Method::Put, &rest, Some(body), read_merge)
}

#[derive(Deserialize)]
struct Note {
    id: u64,
    body: Option<String>,
    author: Option<User>,
}

impl From<Note> for Comment {
    fn from(note: Note) -> Self {
        Self {
            id: note.id,
            body: note.body.unwrap_or_default(),
            author: username(note.author),
        }
    }
}

fn read_note(answer: &Answer) -> Result<Comment, Error> {
    answer.json_as::<Note, Comment>()
}

pub(crate) fn comments(at: &Repository, number: u64, part: u32) -> Call<Page<Comment>> {
    let rest = format!("/merge_requests/{number}/notes?sort=asc&per_page={PAGE}&page={part}");
    get(at, "readComments", &rest, |answer| {
        let all: Vec<Note> = answer.json()?;
        let came = all.len();
        Ok(page(answer, came, all.into_iter().map(Comment::from)))
    })
}

pub(crate) fn create_comment(at: &Repository, number: u64, text: &str) -> Call<Comment> {
    let rest = format!("/merge_requests/{number}/notes");
    let body = Some(json!({"body": text}));
    call(at, "createComment", Method::Post, &rest, body, read_note)
}

pub(crate) fn update_comment(at: &Repository, number: u64, id: u64, text: &str) -> Call<Comment> {
    let rest = format!("/merge_requests/{number}/notes/{id}");
    let body = Some(json!({"body": text}));
    call(at, "updateComment", Method::Put, &rest, body, read_note)
}

pub(crate) fn rewrites(at: &Repository) -> Call<Option<Rewrites>> {
    #[derive(Deserialize)]
    struct Project {
        merge_method: Option<String>,
        squash_option: Option<String>,
        #[serde(default, deserialize_with = "null_is_false")]
        automatic_rebase_enabled: bool,
    }
    get(at, "readProject", "", |answer| {
        let project: Project = answer.json()?;
        Ok(if project.merge_method.as_deref() != Some("ff") {
            Some(Rewrites::Merges)
        } else if project.squash_option.as_deref() == Some("always") {
            Some(Rewrites::Squashes)
        } else if project.automatic_rebase_enabled {
            Some(Rewrites::Rebases)
        } else {
            None
        })
    })
}

/// Merges as the project and the merge request are set, which have to be set so that no other commit results: squashing
/// cannot be turned off in the call. Refused where the head is another commit in the meantime.
pub(crate) fn merge(at: &Repository, number: u64, head: &Commit) -> Call<()> {
    let rest = format!("/merge_requests/{number}/merge");
    let body = Some(json!({"sha": head.as_str()}));
    let merge = call(at, "merge", Method::Put, &rest, body, |answer| {
        // GitLab also answers 401 to a valid credential that may not merge.
        if answer.status == 401 {
            let reason = answer.failure_text();
            let text = format!("its user may not merge into the branch ({reason})");
            return Err(Error::Forbidden(text));
        }
        Ok(())
    });
    merge.or_when(|answer| answer.status == 401)
}

pub(crate) fn approvals(at: &Repository, number: u64) -> Call<Vec<Approval>> {
    #[derive(Deserialize)]
    struct Approvals {
        #[serde(default)]
        approved_by: Vec<By>,
    }
    #[derive(Deserialize)]
    struct By {
        user: Option<User>,
    }
    let rest = format!("/merge_requests/{number}/approvals");
    get(at, "readApprovals", &rest, |answer| {
        let all: Approvals = answer.json()?;
        let people = all.approved_by.into_iter().map(|by| username(by.user));
        Ok(people
            .filter(|name| !name.is_empty())
            .map(|by| Approval {
                by,
                commit: String::new(),
            })
            .collect())
    })
}

/// Reads jobs and statuses of all pipelines of a commit, whichever branch they ran for.
pub(crate) fn checks(at: &Repository, commit: &Commit, part: u32) -> Call<Page<Check>> {
    #[derive(Deserialize)]
    struct Status {
        name: String,
        status: String,
        #[serde(default, deserialize_with = "null_is_false")]
        allow_failure: bool,
    }
    let rest = format!("/repository/commits/{commit}/statuses?per_page={PAGE}&page={part}");
    get(at, "readStatuses", &rest, |answer| {
        let all: Vec<Status> = answer.json()?;
        let came = all.len();
        let counted = all.into_iter().filter(|status| !status.allow_failure);
        let checks = counted.map(|status| Check {
            name: status.name,
            state: match status.status.as_str() {
                "success" | "skipped" => State::Success,
                "failed" | "canceled" => State::Failure,
                _ => State::Pending,
            },
        });
        Ok(page(answer, came, checks))
    })
}

#[cfg(test)]
mod tests;
