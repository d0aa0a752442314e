//! A change of the fleet file, pushed with the user's own git: onto what is on its branch now, by
//! fast-forward only. Index, work tree and branches of their clone stay as they are.

use flotilla_shared::revision::Commit;
use flotilla_spec::EditError;
use similar::TextDiff;

use crate::error::Error;
use crate::git::{Upstream, Workspace};
use crate::printer::Printer;

/// A change that is ready to be pushed.
pub(super) struct Change {
    upstream: Upstream,
    workspace: Workspace,
    head: Commit,
    content: String,
}

impl Change {
    /// Makes it of what is on the branch now, and shows it. `edit` changes the file's text.
    pub(super) async fn prepare(
        file: &std::path::Path,
        edit: impl FnOnce(&str) -> Result<String, EditError>,
        printer: &Printer,
    ) -> Result<Self, Error> {
        let upstream = Upstream::of(file).await?;
        let workspace = Workspace::new(Some(&upstream.root)).await?;
        let head = workspace.fetch(&upstream.url, &upstream.branch).await?;
        let before = workspace.file(&head, &upstream.path).await?;
        let content = edit(&before).map_err(|error| refused(&upstream, &error))?;
        if upstream.local().is_some_and(|local| local != before) {
            printer.warn(&format!(
                "{} differs here from what is on {} of {}; the change is made of what is there",
                upstream.path, upstream.branch, upstream.url
            ));
        }
        let shown = TextDiff::from_lines(&before, &content);
        let shown = shown.unified_diff().context_radius(3).to_string();
        printer.say(&format!(
            "\n{} on {} of {}:",
            upstream.path, upstream.branch, upstream.url
        ));
        for line in shown.lines() {
            printer.say(&flotilla_status::text(line));
        }
        Ok(Self {
            upstream,
            workspace,
            head,
            content,
        })
    }

    /// Commits and pushes it, with who and why.
    pub(super) async fn push(
        self,
        subject: &str,
        reason: &str,
        printer: &Printer,
    ) -> Result<(), Error> {
        let Self {
            upstream,
            workspace,
            head,
            content,
        } = self;
        let person = upstream.person().await?;
        let why = match reason {
            "" => String::new(),
            reason => format!("{reason}\n\n"),
        };
        let message = format!("{subject}\n\n{why}Requested-by: {person}\n");
        let commit = workspace.commit_file(&upstream, &head, &content, &message);
        let commit = commit.await?;
        let pushed = workspace
            .push(&upstream.url, &commit, &upstream.branch)
            .await;
        if let Err(error) = pushed {
            return Err(Error::refused(
                format!(
                    "{error}\nnothing was changed: {} is as it was",
                    upstream.branch
                ),
                "run the command again: it begins from what is there then. Where the branch takes no pushes, \
                 leave --push out, and commit the lines that are printed by way of a pull request",
            ));
        }
        printer.say(&format!(
            "pushed {} to {} of {}; `git pull` brings it into {}",
            commit.short(),
            upstream.branch,
            upstream.url,
            upstream.root.display()
        ));
        Ok(())
    }
}

fn refused(upstream: &Upstream, error: &EditError) -> Error {
    let message = format!("{}: {error}", upstream.path);
    let hint = match error {
        EditError::Twice { instead, .. } => {
            return Error::refused(
                message,
                format!(
                    "where what is there was carried out everywhere, take it out, and run the command again; \
                     else leave --push out, and put this in its place by hand: {instead}"
                ),
            );
        }
        EditError::Nothing => {
            "what it says comes by waves and gates; `flotilla status` shows how far"
        }
        EditError::Refused(_) => "change what depends on it first",
        EditError::Invalid(_) => "fix it first; `flotilla-hub check FILE` says where",
        EditError::Unusual(_) => "leave --push out, and change the file by hand",
    };
    Error::refused(message, hint)
}
