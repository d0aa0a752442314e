//! Rollback with a signed approval: a pin on the old commit itself, in place of a new commit.

use std::path::Path;

use flotilla_proto::v1;
use flotilla_shared::revision::Commit;

use super::super::{approval, steer};
use super::Reversion;
use crate::error::Error;

impl Reversion<'_> {
    /// Shows the approval, asks, and pins the environment with it.
    pub(super) async fn pin(&self, to: &Commit, key: &Path) -> Result<(), Error> {
        let name = self.environment.name.as_str();
        let terms = approval::Terms {
            subject: approval::Subject::Environment(name),
            repository: self.repository,
            url: &self.url,
            to,
            life: self.args.signing.approval_expires,
        };
        let unsigned = approval::make(self.client, &terms, self.printer).await?;
        if self.args.dry_run {
            return Ok(());
        }
        self.consent(&format!("\nSign this, and pin {name} to it?"))?;
        let request = v1::SteerRequest {
            action: v1::SteerAction::Pin.into(),
            environment: name.to_owned(),
            repository: self.repository.to_owned(),
            commit: to.to_string(),
            reason: self.args.reason.clone(),
            approval: Some(approval::sign(&unsigned, key).await?),
            ..v1::SteerRequest::default()
        };
        steer::send(self.client, request).await?;
        self.printer.say(&format!(
            "pinned {name} to {}; `flotilla unpin --env {name}` lets it go forward again",
            to.short()
        ));
        Ok(())
    }
}
