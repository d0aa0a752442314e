//! Renders a commit that is not assigned, to see what it would change. In a cache of its own, so that
//! assigned commits neither wait for it nor lose theirs; and nothing of it is recorded.

use std::path::Path;
use std::sync::Arc;

use flotilla_git::{Access, Remote};
use flotilla_shared::digest::Digest;
use jiff::Timestamp;

use super::{ChartContext, DesiredApplication, Rendered, Source, in_time};
use crate::policy::Refusal;

impl Source {
    /// Fetches, judges and renders a commit as if it were assigned.
    ///
    /// # Errors
    /// Why it would not run.
    pub(crate) async fn foresee(
        &self,
        desired: &DesiredApplication,
        ground: ChartContext,
    ) -> Result<Rendered, Refusal> {
        let (source, desired) = (self.clone(), desired.clone());
        let work = tokio::task::spawn_blocking(move || source.foresee_blocking(&desired, &ground));
        in_time(work).await
    }

    fn foresee_blocking(
        &self,
        desired: &DesiredApplication,
        ground: &ChartContext,
    ) -> Result<Rendered, Refusal> {
        let application = &desired.application;
        let git = |error: flotilla_git::Error| Refusal::new(error.reason(), error.to_string());
        let url = application.url.clone();
        let name = Digest::of(url.as_str().as_bytes()).to_string();
        let directory = self.cache.join("plans").join(&name[..16]);
        let cache = Arc::clone(self.caches.lock().entry(directory.clone()).or_default());
        let _one_at_a_time = cache.lock();
        // Earlier questions need no cache. Half of what one fetch may bring leaves room for the next
        // one.
        if size_of(&directory.join("objects").join("pack")) > self.limits.pack_bytes / 2 {
            let _ = std::fs::remove_dir_all(&directory);
        }
        let access = Access::read(self.credentials.as_deref(), &url).map_err(git)?;
        let remote = Remote::open(&directory, url, self.limits.clone(), access).map_err(git)?;
        let branch = &application.revision.branch;
        let commit = &application.revision.commit;
        let bases = self.admission.bases(desired)?;
        let tip = remote.fetch_reaching(branch, commit, &bases).map_err(git)?;
        self.admission
            .consider(&remote, desired, Timestamp::now())?;
        let (rendered, _) = self.read(&remote, desired, tip, ground)?;
        Ok(rendered)
    }
}

fn size_of(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| Some(entry.metadata().ok()?.len()));
    sizes.sum()
}
