//! What the record says about earlier runs of an application, and what is added to it about the present one.

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::revision::Revision;

use super::kept::EarlierRun;
use super::release::ReleaseRecord;
use super::{Admission, DesiredApplication, Source};

impl Source {
    /// What is known about an application from earlier processes.
    pub(crate) fn before(&self, name: &ApplicationName) -> Option<EarlierRun> {
        self.admission.before(name)
    }

    /// Whether the record holds another accepted assignment than this one.
    pub(crate) fn has_another(&self, desired: &DesiredApplication) -> bool {
        let record = self.admission.record.lock();
        let is_known = record.kept.contains_key(&desired.name);
        is_known && !record.keeps(desired)
    }

    /// The accepted commit was applied in full; for a chart, with the content that was rendered.
    pub(crate) fn ran(&self, name: &ApplicationName, revision: &Revision, chart: Option<Digest>) {
        self.admission.ran(name, revision, chart);
    }

    /// An application is no longer to run: its earlier assignment must not be continued with.
    pub(crate) fn let_go(&self, name: &ApplicationName) {
        self.admission.let_go(name);
    }
}

impl Admission {
    fn before(&self, name: &ApplicationName) -> Option<EarlierRun> {
        let record = self.record.lock();
        record.kept.get(name).map(|kept| kept.before(name))
    }

    fn ran(&self, name: &ApplicationName, revision: &Revision, chart: Option<Digest>) {
        self.note(|record| {
            let kept = record.kept.get(name);
            let is_news = kept.is_some_and(|kept| kept.ran.as_ref() != Some(revision));
            let standing = record.releases.get(name);
            let has_run = |standing: &ReleaseRecord| Some(standing.key) == chart && !standing.ran;
            let chart_is_news = standing.is_some_and(has_run);
            (is_news || chart_is_news).then(|| {
                let mut next = record.clone();
                if let Some(kept) = next.kept.get_mut(name) {
                    kept.ran = Some(revision.clone());
                }
                if let (true, Some(standing)) = (chart_is_news, next.releases.get_mut(name)) {
                    standing.ran = true;
                }
                next
            })
        });
    }

    fn let_go(&self, name: &ApplicationName) {
        self.note(|record| {
            record.kept.contains_key(name).then(|| {
                let mut next = record.clone();
                next.kept.remove(name);
                next
            })
        });
    }
}
