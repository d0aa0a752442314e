//! A change of the fleet file, pushed with the user's own git: on top of its branch, by fast-forward only. Index, work
//! tree and branches of the clone stay unchanged.

use flotilla_shared::revision::Commit;
use flotilla_spec::EditError;
use similar::TextDiff;

use crate::error::Error;
use crate::git::{Upstream, Workspace};
use crate::printer::Printer;

/// A change that is ready to push.
pub(super) struct Change {
    upstream: Upstream,
    workspace: Workspace,
    head: Commit,
    content: String,
}

impl Change {
    /// Makes the change from the current head of the branch, and shows it. `edit` changes the file's text.
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
                "{} differs from the file on {} of {}; the change is based on the latter",
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

    /// Commits and pushes the change, with actor and reason.
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
                    "{error}\nnothing was changed: {} is unchanged",
                    upstream.branch
                ),
                "run the command again: it starts from the current branch. If the branch does \
                 not accept pushes, omit --push and commit the printed lines in a pull request",
            ));
        }
        printer.say(&format!(
            "pushed {} to {} of {}; run `git pull` in {} to get it",
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
                    "if the existing entry was carried out everywhere, delete it and run the \
                     command again; otherwise omit --push and replace it by hand with: {instead}"
                ),
            );
        }
        EditError::Nothing => {
            "the change goes through waves and gates; `flotilla status` shows the progress"
        }
        EditError::Refused(_) => "change what depends on it first",
        EditError::Invalid(_) => "fix it first; `flotilla-hub check FILE` says where",
        EditError::Unusual(_) => "omit --push and change the file by hand",
    };
    Error::refused(message, hint)
}
