//! Calls to forges, and the meaning of their answers. Pure: a [`Call`] is a request with a function that reads its
//! answer; sending it is left to the caller.
//!
//! ```text
//!   Repository --github|gitlab|gitea|bitbucket--> Call<T> { Request, read }
//!                 (the program's sender: one host, bounded, no redirect)  |
//!                                     T or Error  <-- Call::read(&Answer) -+--> Pace (when to ask again)
//! ```

mod answer;
mod app;
mod asking;
mod bitbucket;
mod error;
mod gitea;
mod github;
mod github_api;
mod gitlab;
mod pace;
mod place;
mod pull;
mod ready;
mod request;
mod status;
mod text;

use flotilla_shared::revision::{BranchName, Commit};

pub use answer::{Answer, MAX_ANSWER};
pub use app::{AppKey, AppKeyError, AppToken};
pub use asking::{LabelEvent, Right, given_by};
pub use error::Error;
pub use pace::Pace;
pub use place::{Kind, LocationError, Repository};
pub use pull::{Approval, Check, Comment, NewPull, OPEN, Page, PullRequest, Required, Rewrites};
pub use ready::{NotReady, ready};
pub use request::{Call, Credential, Method, Request, Secret};
pub use status::{CommitStatus, State};
pub use text::{Form, Section, comment, marker};

impl Repository {
    /// Sets a status on a commit; setting the same status again is not a failure.
    #[must_use]
    pub fn set_status(&self, commit: &Commit, status: &CommitStatus) -> Call<()> {
        match self.kind() {
            Kind::Github => github::set_status(self, commit, status),
            Kind::Gitlab => gitlab::set_status(self, commit, status),
            Kind::Gitea => gitea::set_status(self, commit, status),
            Kind::Bitbucket => bitbucket::set_status(self, commit, status),
        }
    }

    /// Returns the name under which a status of this context is listed among a commit's checks.
    #[must_use]
    pub fn check_name(&self, context: &str) -> String {
        match self.kind() {
            Kind::Bitbucket => bitbucket::key(context),
            Kind::Github | Kind::Gitlab | Kind::Gitea => context.to_owned(),
        }
    }

    /// Finds open pull requests from one branch of this repository into another.
    #[must_use]
    pub fn find_pulls(&self, head: &BranchName, base: &BranchName) -> Call<Vec<PullRequest>> {
        let (head, base) = (head.as_str(), base.as_str());
        match self.kind() {
            Kind::Github => github::find_pulls(self, head, base),
            Kind::Gitlab => gitlab::find_pulls(self, head, base),
            Kind::Gitea => gitea::find_pulls(self, head, base),
            Kind::Bitbucket => bitbucket::find_pulls(self, head, base),
        }
    }

    /// Reads open pull requests, last changed first and at most [`OPEN`]; some forges filter them by base, others leave
    /// that to the caller.
    #[must_use]
    pub fn open_pulls(&self, base: &BranchName) -> Call<Vec<PullRequest>> {
        match self.kind() {
            Kind::Github => github::asking::open_pulls(self, base.as_str()),
            Kind::Gitlab => gitlab::asking::open_pulls(self, base.as_str()),
            Kind::Gitea => gitea::asking::open_pulls(self, base.as_str()),
            Kind::Bitbucket => bitbucket::asking::open_pulls(self, base.as_str()),
        }
    }

    /// Reads a page of label changes of a pull request, oldest first, the first page being 1; none: the forge has no
    /// labels.
    #[must_use]
    pub fn labellings(&self, number: u64, page: u32) -> Option<Call<Page<LabelEvent>>> {
        match self.kind() {
            Kind::Github => Some(github::asking::labellings(self, number, page)),
            Kind::Gitlab => Some(gitlab::asking::labellings(self, number, page)),
            Kind::Gitea => Some(gitea::asking::labellings(self, number, page)),
            Kind::Bitbucket => None,
        }
    }

    /// Reads a person's access, as a list of people of which only the one with exactly this name counts; none: the
    /// forge does not report it.
    #[must_use]
    pub fn rights(&self, person: &str) -> Option<Call<Vec<(String, Right)>>> {
        match self.kind() {
            Kind::Gitlab => Some(gitlab::asking::rights(self, person)),
            Kind::Github | Kind::Gitea => Some(github_api::rights(self, person)),
            Kind::Bitbucket => bitbucket::asking::rights(self, person),
        }
    }

    /// Reads the full commit for the beginning that a pull request contains; none: this forge always reports it in
    /// full.
    #[must_use]
    pub fn whole_commit(&self, beginning: &str) -> Option<Call<String>> {
        match self.kind() {
            Kind::Bitbucket => bitbucket::asking::whole_commit(self, beginning),
            Kind::Github | Kind::Gitlab | Kind::Gitea => None,
        }
    }

    /// Reads one pull request.
    #[must_use]
    pub fn pull(&self, number: u64) -> Call<PullRequest> {
        match self.kind() {
            Kind::Github => github_api::pull(self, number, github::read_pull),
            Kind::Gitlab => gitlab::pull(self, number),
            Kind::Gitea => github_api::pull(self, number, gitea::read_pull),
            Kind::Bitbucket => bitbucket::pull(self, number),
        }
    }

    /// Opens a pull request.
    #[must_use]
    pub fn create_pull(&self, new: &NewPull) -> Call<PullRequest> {
        match self.kind() {
            Kind::Github => github::create_pull(self, new),
            Kind::Gitlab => gitlab::create_pull(self, new),
            Kind::Gitea => gitea::create_pull(self, new),
            Kind::Bitbucket => bitbucket::create_pull(self, new),
        }
    }

    /// Writes title and text of a pull request that was read with [`Repository::pull`]: lists lack fields that some
    /// forges want back.
    #[must_use]
    pub fn update_pull(&self, pull: &PullRequest, title: &str, body: &str) -> Call<PullRequest> {
        let (number, texts) = (pull.number, (title, body));
        match self.kind() {
            Kind::Github => github_api::update_pull(self, number, texts, github::read_pull),
            Kind::Gitlab => gitlab::update_pull(self, number, texts),
            Kind::Gitea => github_api::update_pull(self, number, texts, gitea::read_pull),
            Kind::Bitbucket => bitbucket::update_pull(self, pull, texts),
        }
    }

    /// Reads a page of a pull request's comments, the first being 1.
    #[must_use]
    pub fn comments(&self, number: u64, page: u32) -> Call<Page<Comment>> {
        match self.kind() {
            Kind::Github => github::comments(self, number, page),
            Kind::Gitlab => gitlab::comments(self, number, page),
            Kind::Gitea => gitea::comments(self, number),
            Kind::Bitbucket => bitbucket::comments(self, number, page),
        }
    }

    /// Creates a comment on a pull request.
    #[must_use]
    pub fn create_comment(&self, number: u64, body: &str) -> Call<Comment> {
        match self.kind() {
            Kind::Gitlab => gitlab::create_comment(self, number, body),
            Kind::Github | Kind::Gitea => github_api::create_comment(self, number, body),
            Kind::Bitbucket => bitbucket::create_comment(self, number, body),
        }
    }

    /// Replaces the text of a comment.
    #[must_use]
    pub fn update_comment(&self, number: u64, comment: u64, body: &str) -> Call<Comment> {
        match self.kind() {
            Kind::Gitlab => gitlab::update_comment(self, number, comment, body),
            Kind::Github | Kind::Gitea => github_api::update_comment(self, comment, body),
            Kind::Bitbucket => bitbucket::update_comment(self, number, comment, body),
        }
    }

    /// Reads why merges here would not be a fast-forward; none: the call of [`Repository::fast_forward`] asks for one
    /// itself.
    #[must_use]
    pub fn rewrites(&self) -> Option<Call<Option<Rewrites>>> {
        (self.kind() == Kind::Gitlab).then(|| gitlab::rewrites(self))
    }

    /// Moves a pull request's base to exactly this commit, which is its head; what would not be a fast-forward is
    /// refused. GitHub has no such merge: there the reference is moved, and the pull request then counts as merged.
    #[must_use]
    pub fn fast_forward(&self, pull: &PullRequest, head: &Commit) -> Call<()> {
        match self.kind() {
            Kind::Github => github::move_branch(self, &pull.base, head),
            Kind::Gitlab => gitlab::merge(self, pull.number, head),
            Kind::Gitea => gitea::merge(self, pull.number, head),
            Kind::Bitbucket => bitbucket::merge(self, pull.number),
        }
    }

    /// Reads who approved a pull request, and at which commit where the forge reports it.
    #[must_use]
    pub fn approvals(&self, number: u64) -> Call<Vec<Approval>> {
        match self.kind() {
            Kind::Github => github::approvals(self, number),
            Kind::Gitlab => gitlab::approvals(self, number),
            Kind::Gitea => gitea::approvals(self, number),
            Kind::Bitbucket => bitbucket::approvals(self, number),
        }
    }

    /// Reads what a branch requires of a pull request; the answers add up.
    #[must_use]
    pub fn required(&self, branch: &BranchName) -> Vec<Call<Required>> {
        match self.kind() {
            Kind::Github => github::required(self, branch),
            Kind::Gitlab => Vec::new(),
            Kind::Gitea => vec![gitea::required(self, branch)],
            Kind::Bitbucket => Vec::new(),
        }
    }

    /// Reads a page of a commit's checks, the first being 1; the answers add up. Where only one page is read, more
    /// entries are an error.
    #[must_use]
    pub fn checks(&self, commit: &Commit, page: u32) -> Vec<Call<Page<Check>>> {
        match self.kind() {
            Kind::Gitlab => vec![gitlab::checks(self, commit, page)],
            _ if page > 1 => Vec::new(),
            Kind::Github => github::checks(self, commit),
            Kind::Gitea => vec![gitea::checks(self, commit)],
            Kind::Bitbucket => vec![bitbucket::checks(self, commit)],
        }
    }

    /// Reads the number of a GitHub App's installation on this repository, with the App's own token.
    #[must_use]
    pub fn installation(&self) -> Call<u64> {
        github::installation(self)
    }

    /// Creates a token of an installation, for this repository only.
    #[must_use]
    pub fn installation_token(&self, installation: u64) -> Call<AppToken> {
        github::installation_token(self, installation)
    }
}
