//! The input of a chart: the application's settings, what the cluster serves, and its earlier
//! releases. Pure.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_render::{Answers, Capabilities, Facts, Queries, Release};
use flotilla_shared::chart::{ChartOptions, Crds, Generated};
use flotilla_shared::digest::Digest;
use flotilla_shared::reason::Reason;

use super::desired::DesiredApplication;
use crate::policy::Refusal;

/// What a chart needs to know about the cluster.
#[derive(Debug, Clone)]
pub struct ChartContext {
    /// What the cluster serves, or why that is not known.
    pub capabilities: Result<Capabilities, String>,
    /// The revision before this agent's own record of releases: of a release by Helm, or 0 for objects
    /// of the application that were applied in another way. None: there was nothing before.
    pub before: Option<u64>,
    /// The secret that generated values are derived from; it is known only inside the cluster.
    pub seed: Option<String>,
}

impl Default for ChartContext {
    fn default() -> Self {
        Self {
            capabilities: Err("the cluster was not asked which APIs it serves".to_owned()),
            before: None,
            seed: None,
        }
    }
}

/// A release as the agent's own record has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReleaseRecord {
    /// A digest of everything that it was rendered from, except the cluster.
    pub(super) key: Digest,
    /// `.Release.Revision`
    pub(super) revision: u64,
    /// Whether something of the application ran before it.
    pub(super) is_upgrade: bool,
    /// Whether it was applied in full.
    pub(super) ran: bool,
}

impl ReleaseRecord {
    /// The release of the next render, after the recorded one.
    pub(super) fn next(last: Option<&Self>, key: Digest, before: Option<u64>) -> Self {
        let (revision, is_upgrade) = match (last, before) {
            (Some(last), _) if last.key == key => return last.clone(),
            (Some(last), _) => (last.revision, last.ran || last.is_upgrade),
            (None, Some(before)) => (before, true),
            (None, None) => (0, false),
        };
        Self {
            key,
            revision: revision.saturating_add(1),
            is_upgrade,
            ran: false,
        }
    }
}

/// The digest of everything that an application's chart is made from, except the cluster: equal keys are one
/// release.
pub(super) fn key(
    desired: &DesiredApplication,
    files: &BTreeSet<String>,
    ids: &BTreeMap<String, String>,
) -> Digest {
    let application = &desired.application;
    let default = ChartOptions::default();
    let options = application.helm.as_deref().unwrap_or(&default);
    let crds = match options.crds {
        Crds::Apply => "apply",
        Crds::Create => "create",
        Crds::Skip => "skip",
    };
    let generated = match options.generated {
        Generated::Refuse => "refuse",
        Generated::Derived => "derived",
    };
    let word = |flag: bool| if flag { "yes" } else { "no" };
    let mut parts: Vec<&str> = vec![
        "chart",
        application.path.as_str(),
        release_name(desired),
        namespace(desired),
        &options.values,
        crds,
        generated,
        word(options.strict),
        word(options.skip_schema),
    ];
    parts.extend(options.values_files.iter().map(|file| file.path.as_str()));
    parts.push("files");
    for file in files {
        let id = ids.get(file).map(String::as_str).unwrap_or_default();
        parts.extend([file.as_str(), id]);
    }
    parts.push("facts");
    parts.extend(desired.facts.iter().flat_map(Facts::parts));
    Digest::of_parts(parts.into_iter().map(str::as_bytes))
}

/// The key together with the answers of the cluster: equal digests are equal renders.
pub(super) fn source_digest(standing: &ReleaseRecord, answers: &Answers) -> Digest {
    let revision = standing.revision.to_string();
    let kind = match standing.is_upgrade {
        true => "upgrade",
        false => "install",
    };
    let key = standing.key.to_string();
    let parts = [key.as_str(), kind, &revision]
        .into_iter()
        .chain(answers.parts());
    Digest::of_parts(parts.map(str::as_bytes))
}

/// The release's name: as the application sets it, or the name of the application.
pub(crate) fn release_name(desired: &DesiredApplication) -> &str {
    let options = desired.application.helm.as_deref();
    match options.map_or("", |options| options.release_name.as_str()) {
        "" => desired.name.as_str(),
        name => name,
    }
}

/// The release's namespace.
pub(crate) fn namespace(desired: &DesiredApplication) -> &str {
    match desired.application.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    }
}

/// The application's settings for its chart; [`on`] fills in the part of the cluster.
pub(super) fn declared(desired: &DesiredApplication, sealed: &BTreeSet<String>) -> Release {
    let default = ChartOptions::default();
    let options = desired.application.helm.as_deref().unwrap_or(&default);
    Release {
        sealed: sealed.clone(),
        ..Release::declared(release_name(desired), namespace(desired), options)
    }
}

/// Fills in the part of the cluster; returns the recorder of the questions to it as well.
///
/// # Errors
/// When the cluster could not be asked.
pub(super) fn on(
    release: &mut Release,
    desired: &DesiredApplication,
    ground: &ChartContext,
    standing: &ReleaseRecord,
) -> Result<(Capabilities, Queries), Refusal> {
    let unknown =
        |why: &String| Refusal::new(Reason::ClusterUnavailable, format!("for its chart: {why}"));
    let capabilities = ground.capabilities.as_ref().map_err(unknown)?;
    let (noting, asked) = capabilities.clone().noting();
    release.capabilities = noting;
    release.revision = i64::try_from(standing.revision).unwrap_or(i64::MAX);
    release.is_upgrade = standing.is_upgrade;
    let options = desired.application.helm.as_deref();
    if options.is_some_and(|options| options.generated == Generated::Derived) {
        let seed = ground.seed.clone();
        let why =
            "the agent's own secret, from which generated values are derived, does not exist yet";
        release.seed = Some(seed.ok_or_else(|| Refusal::new(Reason::ClusterUnavailable, why))?);
    }
    Ok((capabilities.clone(), asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_what_comes_after_something_that_ran() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let first = ReleaseRecord::next(None, one, None);
        assert_eq!((first.revision, first.is_upgrade), (1, false));
        // Rendered again, by this process or another.
        assert_eq!(ReleaseRecord::next(Some(&first), one, None), first);
        // The first revision never ran, so the commit that corrects it still installs.
        let mended = ReleaseRecord::next(Some(&first), two, None);
        assert_eq!((mended.revision, mended.is_upgrade), (2, false));
        let ran = ReleaseRecord { ran: true, ..first };
        let second = ReleaseRecord::next(Some(&ran), two, None);
        assert_eq!((second.revision, second.is_upgrade), (2, true));
        // A failed upgrade does not change that an earlier revision ran.
        let third = ReleaseRecord::next(Some(&second), one, None);
        assert_eq!((third.revision, third.is_upgrade), (3, true));
    }

    #[test]
    fn a_release_of_helm_or_older_objects_are_upgraded() {
        let key = Digest::of(b"1");
        let taken = ReleaseRecord::next(None, key, Some(7));
        assert_eq!((taken.revision, taken.is_upgrade), (8, true));
        let older = ReleaseRecord::next(None, key, Some(0));
        assert_eq!((older.revision, older.is_upgrade), (1, true));
        // The agent's own record takes precedence over a release found in the cluster.
        let own = ReleaseRecord::next(Some(&older), Digest::of(b"2"), Some(7));
        assert_eq!(own.revision, 2);
    }
}
