//! GitHub and GitHub Enterprise
//! (<https://docs.github.com/rest>, <https://github.com/github/rest-api-description>).

pub(crate) mod asking;

use flotilla_shared::revision::{BranchName, Commit};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::app::AppToken;
use crate::error::Error;
use crate::place::{Repository, path, segment};
use crate::pull::{Approval, Check, Comment, NewPull, Page, PullRequest, Required};
use crate::request::{Call, Method, Secret, done};
use crate::status::{CommitStatus, State};
use crate::text::line;

/// Entries of one page.
const PAGE: usize = 100;
/// Longest description of a status.
const DESCRIPTION: usize = 140;

fn call<T>(
    at: &Repository,
    name: &'static str,
    method: Method,
    rest: &str,
    body: Option<Value>,
    read: fn(&Answer) -> Result<T, Error>,
) -> Call<T> {
    Call::new(at, name, method, at.below("repos", rest), body, read)
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    login: String,
}

fn login(user: Option<User>) -> String {
    user.map(|user| user.login).unwrap_or_default()
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct End {
    #[serde(default, rename = "ref")]
    branch: String,
    #[serde(default)]
    sha: String,
    repo: Option<Repo>,
}

#[derive(Deserialize)]
struct Repo {
    #[serde(default)]
    full_name: String,
}

#[derive(Deserialize)]
struct Pull {
    number: u64,
    #[serde(default)]
    html_url: String,
    title: Option<String>,
    body: Option<String>,
    state: String,
    #[serde(default)]
    draft: Option<bool>,
    merged_at: Option<String>,
    mergeable: Option<bool>,
    head: End,
    base: End,
    user: Option<User>,
    #[serde(default)]
    labels: Vec<Named>,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        let name = |end: &End| end.repo.as_ref().map(|repo| repo.full_name.clone());
        Self {
            number: pull.number,
            link: pull.html_url,
            title: pull.title.unwrap_or_default(),
            body: pull.body.unwrap_or_default(),
            // A fork that is gone has no name any more.
            from_fork: name(&pull.head) != name(&pull.base),
            head: pull.head.branch,
            head_commit: pull.head.sha,
            base: pull.base.branch,
            open: pull.state == "open",
            merged: pull.merged_at.is_some(),
            draft: pull.draft.unwrap_or_default(),
            squash: false,
            mergeable: pull.mergeable,
            author: login(pull.user),
            labels: pull.labels.into_iter().map(|label| label.name).collect(),
            reviewers: Vec::new(),
        }
    }
}

fn read_pull(answer: &Answer) -> Result<PullRequest, Error> {
    answer.json::<Pull>().map(PullRequest::from)
}

pub(crate) fn set_status(at: &Repository, commit: &Commit, status: &CommitStatus) -> Call<()> {
    let state = match status.state {
        State::Pending => "pending",
        State::Success => "success",
        State::Failure => "failure",
    };
    let mut body = json!({
        "state": state,
        "context": status.context,
        "description": line(&status.description, DESCRIPTION),
    });
    if !status.link.is_empty() {
        body["target_url"] = json!(status.link);
    }
    let rest = format!("/statuses/{commit}");
    call(at, "setStatus", Method::Post, &rest, Some(body), done)
}

pub(crate) fn find_pulls(
    at: &Repository,
    head: &BranchName,
    base: &BranchName,
) -> Call<Vec<PullRequest>> {
    let rest = format!(
        "/pulls?state=open&per_page={PAGE}&head={}%3A{}&base={}",
        segment(at.owner()),
        segment(head.as_str()),
        segment(base.as_str())
    );
    call(at, "findPulls", Method::Get, &rest, None, |answer| {
        let all: Vec<Pull> = answer.json()?;
        Ok(all.into_iter().map(PullRequest::from).collect())
    })
}

pub(crate) fn pull(at: &Repository, number: u64) -> Call<PullRequest> {
    let rest = format!("/pulls/{number}");
    call(at, "readPull", Method::Get, &rest, None, read_pull)
}

pub(crate) fn create_pull(at: &Repository, new: &NewPull) -> Call<PullRequest> {
    let body = json!({
        "title": new.title,
        "head": new.head,
        "base": new.base,
        "body": new.body,
        "maintainer_can_modify": false,
    });
    call(
        at,
        "createPull",
        Method::Post,
        "/pulls",
        Some(body),
        read_pull,
    )
}

pub(crate) fn update_pull(
    at: &Repository,
    number: u64,
    title: &str,
    text: &str,
) -> Call<PullRequest> {
    let rest = format!("/pulls/{number}");
    let body = json!({"title": title, "body": text});
    call(
        at,
        "updatePull",
        Method::Patch,
        &rest,
        Some(body),
        read_pull,
    )
}

#[derive(Deserialize)]
struct Said {
    id: u64,
    body: Option<String>,
    user: Option<User>,
}

impl From<Said> for Comment {
    fn from(said: Said) -> Self {
        Self {
            id: said.id,
            body: said.body.unwrap_or_default(),
            author: login(said.user),
        }
    }
}

fn read_comment(answer: &Answer) -> Result<Comment, Error> {
    answer.json::<Said>().map(Comment::from)
}

pub(crate) fn comments(at: &Repository, number: u64, page: u32) -> Call<Page<Comment>> {
    let rest = format!("/issues/{number}/comments?per_page={PAGE}&page={page}");
    call(at, "readComments", Method::Get, &rest, None, |answer| {
        let all: Vec<Said> = answer.json()?;
        Ok(Page {
            more: all.len() >= PAGE,
            items: all.into_iter().map(Comment::from).collect(),
        })
    })
}

pub(crate) fn create_comment(at: &Repository, number: u64, text: &str) -> Call<Comment> {
    let rest = format!("/issues/{number}/comments");
    let body = Some(json!({"body": text}));
    call(at, "createComment", Method::Post, &rest, body, read_comment)
}

pub(crate) fn update_comment(at: &Repository, comment: u64, text: &str) -> Call<Comment> {
    let rest = format!("/issues/comments/{comment}");
    let body = Some(json!({"body": text}));
    call(
        at,
        "updateComment",
        Method::Patch,
        &rest,
        body,
        read_comment,
    )
}

/// Never by force: what would not be a fast-forward is refused with 422.
pub(crate) fn move_branch(at: &Repository, branch: &str, commit: &Commit) -> Call<()> {
    let rest = format!("/git/refs/heads/{}", path(branch));
    let body = json!({"sha": commit.as_str(), "force": false});
    call(at, "moveBranch", Method::Patch, &rest, Some(body), done)
}

#[derive(Deserialize)]
struct Review {
    user: Option<User>,
    #[serde(default)]
    state: String,
    commit_id: Option<String>,
}

pub(crate) fn approvals(at: &Repository, number: u64) -> Call<Vec<Approval>> {
    let rest = format!("/pulls/{number}/reviews?per_page={PAGE}");
    call(at, "readApprovals", Method::Get, &rest, None, |answer| {
        let all: Vec<Review> = answer.json()?;
        if all.len() >= PAGE {
            // The newest are on a later page, and one of them may take an older one back.
            return Err(Error::Unreadable(format!("{PAGE} reviews or more")));
        }
        Ok(standing(all.into_iter().map(|review| {
            let approval = Approval {
                by: login(review.user),
                commit: review.commit_id.unwrap_or_default(),
            };
            (review.state, approval)
        })))
    })
}

/// What each person said last, where that is an approval; comments change nothing.
pub(crate) fn standing(reviews: impl Iterator<Item = (String, Approval)>) -> Vec<Approval> {
    let mut last: Vec<(bool, Approval)> = Vec::new();
    for (state, approval) in reviews {
        let approved = match state.as_str() {
            "APPROVED" => true,
            "CHANGES_REQUESTED" | "REQUEST_CHANGES" | "DISMISSED" => false,
            _ => continue,
        };
        last.retain(|(_, one)| one.by != approval.by);
        last.push((approved, approval));
    }
    let approved = last.into_iter().filter(|(approved, _)| *approved);
    approved.map(|(_, approval)| approval).collect()
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    parameters: Option<Value>,
}

#[derive(Deserialize)]
struct Branch {
    #[serde(default)]
    protection: Option<Value>,
}

/// Rulesets and the older protection of a branch, which both may ask for something.
pub(crate) fn required(at: &Repository, branch: &BranchName) -> Vec<Call<Required>> {
    let rules = format!("/rules/branches/{}?per_page={PAGE}", path(branch.as_str()));
    let rules = call(at, "readRules", Method::Get, &rules, None, |answer| {
        let rules: Vec<Rule> = answer.json()?;
        if rules.len() >= PAGE {
            return Err(Error::Unreadable(format!("{PAGE} rules or more")));
        }
        Ok(rules
            .iter()
            .fold(Required::default(), |all, rule| all.and(of_rule(rule))))
    });
    let protection = format!("/branches/{}", path(branch.as_str()));
    let protection = call(at, "readBranch", Method::Get, &protection, None, |answer| {
        let branch: Branch = answer.json()?;
        let checks = branch.protection.as_ref().and_then(|protection| {
            let checks = protection.get("required_status_checks")?;
            (checks.get("enforcement_level").and_then(Value::as_str) != Some("off"))
                .then(|| texts(checks.get("contexts"), None))
        });
        Ok(Required {
            checks: checks.unwrap_or_default(),
            ..Required::default()
        })
    });
    vec![rules, protection]
}

fn of_rule(rule: &Rule) -> Required {
    let parameter = |name: &str| rule.parameters.as_ref().and_then(|all| all.get(name));
    match rule.kind.as_str() {
        "required_status_checks" => Required {
            checks: texts(parameter("required_status_checks"), Some("context")),
            ..Required::default()
        },
        "pull_request" => Required {
            approvals: parameter("required_approving_review_count")
                .and_then(Value::as_u64)
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
            fresh: parameter("dismiss_stale_reviews_on_push") == Some(&Value::Bool(true)),
            ..Required::default()
        },
        _ => Required::default(),
    }
}

/// The texts of a list, or of a member of each entry.
fn texts(list: Option<&Value>, member: Option<&str>) -> Vec<String> {
    let all = list.and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|one| member.map_or(Some(one), |name| one.get(name)))
        .filter_map(Value::as_str)
        .map(ToOwned::to_owned)
        .collect()
}

#[derive(Deserialize)]
struct Combined {
    #[serde(default)]
    total_count: usize,
    #[serde(default)]
    statuses: Vec<OneStatus>,
}

#[derive(Deserialize)]
struct OneStatus {
    context: String,
    state: String,
}

#[derive(Deserialize)]
struct Runs {
    #[serde(default)]
    total_count: usize,
    #[serde(default)]
    check_runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    name: String,
    status: String,
    conclusion: Option<String>,
}

/// Statuses and check runs, which are two things there. A list that goes on elsewhere proves nothing.
pub(crate) fn checks(at: &Repository, commit: &Commit) -> Vec<Call<Page<Check>>> {
    let statuses = format!("/commits/{commit}/status?per_page={PAGE}");
    let statuses = call(at, "readStatuses", Method::Get, &statuses, None, |answer| {
        let all: Combined = answer.json()?;
        whole(all.total_count, all.statuses.len())?;
        Ok(Page::only(all.statuses.into_iter().map(|one| Check {
            name: one.context,
            state: match one.state.as_str() {
                "success" => State::Success,
                "pending" => State::Pending,
                _ => State::Failure,
            },
        })))
    });
    let runs = format!("/commits/{commit}/check-runs?per_page={PAGE}");
    let runs = call(at, "readChecks", Method::Get, &runs, None, |answer| {
        let all: Runs = answer.json()?;
        whole(all.total_count, all.check_runs.len())?;
        Ok(Page::only(all.check_runs.into_iter().map(|run| Check {
            name: run.name,
            state: match (run.status.as_str(), run.conclusion.as_deref()) {
                ("completed", Some("success" | "neutral" | "skipped")) => State::Success,
                ("completed", _) => State::Failure,
                _ => State::Pending,
            },
        })))
    });
    vec![statuses, runs]
}

fn whole(count: usize, seen: usize) -> Result<(), Error> {
    if count > seen {
        return Err(Error::Unreadable(format!(
            "{count} checks, of which {seen} were shown"
        )));
    }
    Ok(())
}

pub(crate) fn installation(at: &Repository) -> Call<u64> {
    #[derive(Deserialize)]
    struct Installation {
        id: u64,
    }
    call(
        at,
        "findInstallation",
        Method::Get,
        "/installation",
        None,
        |answer| answer.json::<Installation>().map(|found| found.id),
    )
}

pub(crate) fn installation_token(at: &Repository, installation: u64) -> Call<AppToken> {
    #[derive(Deserialize)]
    struct Token {
        token: String,
        expires_at: Timestamp,
    }
    let url = format!(
        "{}/app/installations/{installation}/access_tokens",
        at.api()
    );
    let name = at.full_name();
    let name = name.rsplit('/').next().unwrap_or_default();
    let body = Some(json!({"repositories": [name]}));
    Call::new(at, "createToken", Method::Post, url, body, |answer| {
        answer.json::<Token>().map(|token| AppToken {
            token: Secret::new(&token.token),
            expires_at: token.expires_at,
        })
    })
}
