//! Signed approvals to go back in history: written here, signed by the user's own `ssh-keygen` (so that agents, tokens
//! and passphrases work as for Git), forwarded by the hub, verified by the agents.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_shared::approval::{NAMESPACE, RollbackApproval};
use flotilla_shared::health::SyncState;
use flotilla_shared::id::ClusterName;
use flotilla_shared::report::plain_line;
use flotilla_shared::revision::{Commit, RepositoryUrl};
use flotilla_status::Placement;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt as _;

use crate::client::{Client, Detail};
use crate::error::Error;
use crate::printer::Printer;

/// Clusters that an approval is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Cluster(&'a str),
    Environment(&'a str),
}

/// Content of an approval.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    pub(super) subject: Subject<'a>,
    /// Name and URL of the repository.
    pub(super) repository: &'a str,
    pub(super) url: &'a RepositoryUrl,
    pub(super) to: &'a Commit,
    pub(super) life: Duration,
}

/// Writes the approval and shows it. The current commit of each cluster comes from the hub; a wrong one only makes an
/// approval that the cluster's agent rejects.
pub(super) async fn make(
    client: &Client,
    terms: &Terms<'_>,
    printer: &Printer,
) -> Result<RollbackApproval, Error> {
    let mut filter = v1::ClusterFilter::default();
    match terms.subject {
        Subject::Cluster(name) => filter.clusters.push(name.to_owned()),
        Subject::Environment(name) => filter.environments.push(name.to_owned()),
    }
    let clusters = client.clusters(&filter, Detail::Full).await?;
    let mut from: BTreeMap<ClusterName, Commit> = BTreeMap::new();
    for cluster in &clusters {
        let is_meant = match terms.subject {
            Subject::Cluster(name) => cluster.name == name,
            Subject::Environment(name) => cluster.environment == name,
        };
        let running = cluster
            .applications
            .iter()
            .find_map(|placement| running(placement, terms.repository));
        if let (true, Some(commit)) = (is_meant, running)
            && commit != terms.to.as_str()
        {
            from.insert(cluster.name.parse()?, commit.parse()?);
        }
    }
    if from.is_empty() {
        return Err(Error::refused(
            format!("no cluster would go back to {}", terms.to.short()),
            "`flotilla status` shows what they run",
        ));
    }
    let life = i64::try_from(terms.life.as_secs()).unwrap_or(i64::MAX);
    let approval = RollbackApproval {
        repository: terms.url.clone(),
        to: terms.to.clone(),
        from,
        expires_at: Timestamp::from_second(Timestamp::now().as_second().saturating_add(life))
            .unwrap_or(Timestamp::MAX),
        nonce: format!("{:032x}", rand::random::<u128>()),
    };
    printer.say("You sign:\n");
    for line in approval.to_text().lines() {
        printer.say(&format!("  {}", flotilla_status::text(line)));
    }
    Ok(approval)
}

/// Returns the commit of a repository that an application's agent accepted last, as far as the hub knows.
fn running<'a>(placement: &'a Placement, repository: &str) -> Option<&'a str> {
    let assigned = placement.assigned.as_ref()?;
    if assigned.repository != repository {
        return None;
    }
    match &placement.revision {
        Some(applied) if placement.sync == SyncState::Refused => Some(&applied.commit),
        _ => Some(&assigned.commit),
    }
}

/// Signs with `ssh-keygen -Y sign`, which may ask on the terminal.
pub(super) async fn sign(
    approval: &RollbackApproval,
    key: &Path,
) -> Result<v1::SignedApproval, Error> {
    let text = approval.to_text();
    let failed = |why: &str| {
        Error::refused(
            format!(
                "ssh-keygen cannot sign with {}: {}",
                key.display(),
                plain_line(why, 400)
            ),
            "name a private SSH key, or a public one whose private half your SSH agent holds",
        )
    };
    let mut child = tokio::process::Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    if let Some(mut input) = child.stdin.take() {
        input
            .write_all(text.as_bytes())
            .await
            .map_err(Error::Local)?;
    }
    let output = child.wait_with_output().await.map_err(Error::Local)?;
    if !output.status.success() || output.stdout.is_empty() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(v1::SignedApproval {
        content: text.into_bytes(),
        signature: output.stdout,
    })
}
