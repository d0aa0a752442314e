//! What the record says of an application from before, and what is noted in it of what runs.

use flotilla_shared::digest::Digest;
use flotilla_shared::id::ApplicationName;
use flotilla_shared::revision::Revision;

use super::kept::Before;
use super::release::Standing;
use super::{Admission, DesiredApplication, Source};

impl Source {
    /// What is known of an application from before.
    pub(crate) fn before(&self, name: &ApplicationName) -> Option<Before> {
        self.admission.before(name)
    }

    /// Whether something is known from before, and it is not this.
    pub(crate) fn has_another(&self, desired: &DesiredApplication) -> bool {
        let record = self.admission.record.lock();
        let is_known = record.kept.contains_key(&desired.name);
        is_known && !record.keeps(desired)
    }

    /// What was accepted was applied in full; of a chart, with the content that was rendered.
    pub(crate) fn ran(&self, name: &ApplicationName, revision: &Revision, chart: Option<Digest>) {
        self.admission.ran(name, revision, chart);
    }

    /// An application is not to run any more: what it was is nothing to go on with.
    pub(crate) fn let_go(&self, name: &ApplicationName) {
        self.admission.let_go(name);
    }
}

impl Admission {
    fn before(&self, name: &ApplicationName) -> Option<Before> {
        let record = self.record.lock();
        record.kept.get(name).map(|kept| kept.before(name))
    }

    fn ran(&self, name: &ApplicationName, revision: &Revision, chart: Option<Digest>) {
        self.note(|record| {
            let kept = record.kept.get(name);
            let is_news = kept.is_some_and(|kept| kept.ran.as_ref() != Some(revision));
            let standing = record.releases.get(name);
            let has_run = |standing: &Standing| Some(standing.key) == chart && !standing.ran;
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
