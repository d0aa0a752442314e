//! One writer per cluster: a Lease (coordination.k8s.io/v1) elects one pod of the DaemonSet, and a fence
//! keeps a pod that lost it from writing (I5).
//!
//! As in client-go's leaderelection, the clocks of other pods are not trusted: a lease counts as
//! expired when its record has not changed for its whole duration by this pod's monotonic clock. The
//! holder stops itself [`MARGIN`] before another pod can take over, even if it was suspended in between
//! without noticing.

use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::api::{Api, Error};
use crate::fence::Fence;

/// Name of the Lease, in the agent's namespace.
pub const LEASE: &str = "flotilla-agent";
/// Duration of a lease without renewal.
pub const DURATION: Duration = Duration::from_secs(10);
/// Time between renewals, and between a standby's looks.
pub const RENEW: Duration = Duration::from_secs(3);
/// A holder stops writing this long before its lease runs out.
pub const MARGIN: Duration = Duration::from_secs(2);

/// A Lease's record, as far as an election goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The holder; empty: none.
    pub holder: String,
    /// When the holder acquired it, as the holder wrote it.
    pub acquired: String,
    /// When it was renewed, as the holder wrote it; only compared, never trusted.
    pub renewed: String,
    /// Number of changes of the holder.
    pub transitions: i64,
    /// Duration in seconds.
    pub seconds: u64,
}

impl Record {
    /// Returns the record with `me` as the holder; `before`: the current record.
    fn held(me: &str, before: Option<&Self>, transitions: i64, now: String) -> Self {
        let mine = before.filter(|before| before.holder == me && !before.acquired.is_empty());
        Self {
            holder: me.to_owned(),
            acquired: mine.map_or_else(|| now.clone(), |before| before.acquired.clone()),
            renewed: now,
            transitions,
            seconds: DURATION.as_secs(),
        }
    }

    /// Returns the record without a holder.
    fn given_back(self, now: String) -> Self {
        Self {
            holder: String::new(),
            acquired: now.clone(),
            renewed: now,
            ..self
        }
    }
}

/// A moment as a Lease has it.
fn moment() -> String {
    format!("{:.6}", Timestamp::now())
}

/// Next action of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Write the record with ourselves as its holder.
    Take {
        /// The number of transitions to write.
        transitions: i64,
    },
    /// Another pod holds it: wait.
    Wait,
}

/// Election state of one pod. Pure: the caller passes records and the monotonic clock.
#[derive(Debug, Default)]
pub struct Election {
    seen: Option<(Record, Duration)>,
}

impl Election {
    /// Decides by the current record. None: there is no Lease yet.
    pub fn judge(&mut self, me: &str, record: Option<&Record>, now: Duration) -> Decision {
        let Some(record) = record else {
            return Decision::Take { transitions: 0 };
        };
        if record.holder == me {
            return Decision::Take {
                transitions: record.transitions,
            };
        }
        let next = Decision::Take {
            transitions: record.transitions + 1,
        };
        if record.holder.is_empty() {
            return next;
        }
        match &self.seen {
            Some((seen, since)) if seen == record => {
                let lasts = Duration::from_secs(record.seconds.clamp(1, 3600));
                if now.saturating_sub(*since) > lasts {
                    next
                } else {
                    Decision::Wait
                }
            }
            _ => {
                self.seen = Some((record.clone(), now));
                Decision::Wait
            }
        }
    }
}

/// Takes part in the election.
pub struct Elector {
    api: Api,
    path: String,
    namespace: String,
    me: String,
    fence: Fence,
    election: Election,
    started: Instant,
}

impl Elector {
    /// `me` is unique among all processes that may run at once: a pod's name.
    pub(crate) fn new(api: &Api, namespace: &str, me: String, fence: Fence) -> Self {
        Self {
            // Unfenced: the fence opens only after these writes have renewed the lease.
            api: api.unfenced(),
            path: format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"),
            namespace: namespace.to_owned(),
            me,
            fence,
            election: Election::default(),
            started: Instant::now(),
        }
    }

    /// Waits until this process holds the lease. False: it was stopped first.
    pub async fn acquire(&mut self, stop: &CancellationToken) -> bool {
        let mut told = String::new();
        loop {
            match self.attempt().await {
                Ok(None) => {
                    tracing::info!(holder = self.me, "this pod leads");
                    return true;
                }
                Ok(Some(holder)) => {
                    if told != holder {
                        tracing::info!(holder, "standing by: another pod leads");
                        told = holder;
                    }
                }
                Err(error) => tracing::warn!(
                    %error,
                    "cannot read or write the lease; the agent's own namespace (--namespace) \
                     must exist, and its service account must have rights on Leases in it"
                ),
            }
            let jitter = rand::Rng::random_range(&mut rand::rng(), 0.6..1.0);
            tokio::select! {
                () = tokio::time::sleep(RENEW.mul_f64(jitter)) => {}
                () = stop.cancelled() => return false,
            }
        }
    }

    /// Renews the lease until another pod has it, or `stop` is asked for.
    ///
    /// If the lease expires because the API server is away, only the fence closes: no other pod can
    /// have taken it, and the hub should learn why nothing is written.
    pub async fn hold(&mut self, stop: &CancellationToken) {
        let mut wait = RENEW;
        let mut was_held = true;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => return,
            }
            let attempt = tokio::time::timeout(DURATION / 3, self.attempt());
            wait = match attempt.await {
                Ok(Ok(None)) => {
                    self.fence.fails("");
                    RENEW
                }
                Ok(Ok(Some(holder))) => {
                    tracing::warn!(holder, "another pod leads now");
                    break;
                }
                Ok(Err(error)) => {
                    // Retried twice a second, but logged once.
                    if self.fence.fails(&error.message) {
                        tracing::warn!(%error, "cannot renew the lease");
                    }
                    Duration::from_millis(500)
                }
                Err(_) => Duration::from_millis(500),
            };
            let is_held = self.fence.is_held();
            if was_held && !is_held {
                tracing::warn!("the lease expired; nothing is written until it is held again");
            }
            was_held = is_held;
        }
        self.fence.hold_until(None);
    }

    /// Gives the lease back. Called after the last write.
    pub async fn release(&mut self) {
        if !self.fence.is_held() {
            return;
        }
        self.fence.hold_until(None);
        let Ok(Some((record, version))) = self.read().await else {
            return;
        };
        if record.holder == self.me {
            let given = record.given_back(moment());
            let write = self.write(&given, Some(&version));
            if tokio::time::timeout(Duration::from_secs(2), write)
                .await
                .is_err()
            {
                tracing::debug!("the lease was not released in time");
            }
        }
    }

    /// Reads the lease, and takes or renews it if possible. Returns another holder, if there is one.
    async fn attempt(&mut self) -> Result<Option<String>, Error> {
        // The lease counts from before the request: the server may have accepted it at any moment after that.
        let asked = Instant::now();
        let found = self.read().await?;
        let now = self.started.elapsed();
        let record = found.as_ref().map(|(record, _)| record);
        let holder = record
            .map(|record| record.holder.clone())
            .unwrap_or_default();
        match self.election.judge(&self.me, record, now) {
            Decision::Wait => Ok(Some(holder)),
            Decision::Take { transitions } => {
                let next = Record::held(&self.me, record, transitions, moment());
                let version = found.as_ref().map(|(_, version)| version.as_str());
                match self.write(&next, version).await {
                    Ok(()) => {
                        self.fence.hold_until(asked.checked_add(DURATION - MARGIN));
                        Ok(None)
                    }
                    // Another pod took the lease first.
                    Err(error) if error.code == 409 => Ok(Some("another pod".to_owned())),
                    Err(error) => Err(error),
                }
            }
        }
    }

    async fn read(&self) -> Result<Option<(Record, String)>, Error> {
        let found = self.api.find(&format!("{}/{LEASE}", self.path)).await?;
        Ok(found.map(|live| {
            let text = |pointer: &str| {
                let value = live.pointer(pointer).and_then(Value::as_str);
                value.unwrap_or_default().to_owned()
            };
            let number = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64);
            let record = Record {
                holder: text("/spec/holderIdentity"),
                acquired: text("/spec/acquireTime"),
                renewed: text("/spec/renewTime"),
                transitions: number("/spec/leaseTransitions").unwrap_or(0),
                seconds: number("/spec/leaseDurationSeconds")
                    .and_then(|seconds| u64::try_from(seconds).ok())
                    .unwrap_or(DURATION.as_secs()),
            };
            (record, text("/metadata/resourceVersion"))
        }))
    }

    /// Under optimistic concurrency: of two pods that take it at once, one gets a conflict.
    async fn write(&self, record: &Record, version: Option<&str>) -> Result<(), Error> {
        let body = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": LEASE,
                "namespace": self.namespace,
                "resourceVersion": version,
            },
            "spec": {
                "holderIdentity": record.holder,
                "leaseDurationSeconds": record.seconds,
                "leaseTransitions": record.transitions,
                "renewTime": record.renewed,
                "acquireTime": record.acquired,
            },
        });
        let (method, path) = match version {
            Some(_) => (Method::PUT, format!("{}/{LEASE}", self.path)),
            None => (Method::POST, self.path.clone()),
        };
        let sent = self
            .api
            .send(method, &path, "application/json", Some(&body))
            .await;
        sent.map(|_| ()).map_err(|mut error| {
            // Creating a Lease cannot fail because that Lease is missing, so a 404 means that its namespace is.
            if error.code == 404 && version.is_none() {
                error.message = format!(
                    "the agent's own namespace {} does not exist: recreate it, with its roles \
                     and its inventory; until then nothing is written ({})",
                    self.namespace, error.message
                );
            }
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(holder: &str, renewed: &str) -> Record {
        Record {
            holder: holder.to_owned(),
            acquired: "long ago".to_owned(),
            renewed: renewed.to_owned(),
            transitions: 3,
            seconds: 10,
        }
    }

    /// As client-go writes it, and as tools that read Leases expect it.
    #[test]
    fn when_it_was_acquired_changes_with_its_holder_and_with_nothing_else() {
        let held = |before: Option<&Record>| Record::held("me", before, 3, "now".to_owned());
        let renewed = held(Some(&record("me", "before")));
        assert_eq!(
            (renewed.acquired.as_str(), renewed.renewed.as_str()),
            ("long ago", "now")
        );
        for before in [
            None,
            Some(record("you", "before")),
            Some(record("", "before")),
        ] {
            let taken = held(before.as_ref());
            assert_eq!(
                (taken.holder.as_str(), taken.acquired.as_str()),
                ("me", "now")
            );
        }
        // A lease written by an older agent or by hand may lack the time of its acquisition.
        let unsaid = Record {
            acquired: String::new(),
            ..record("me", "before")
        };
        assert_eq!(held(Some(&unsaid)).acquired, "now");
        let given = record("me", "before").given_back("now".to_owned());
        assert_eq!((given.holder.as_str(), given.transitions), ("", 3));
        assert_eq!(
            (given.acquired.as_str(), given.renewed.as_str()),
            ("now", "now")
        );
    }

    #[test]
    fn a17_a_lease_is_taken_only_after_its_record_stood_still_for_its_duration() {
        let mut election = Election::default();
        let second = Duration::from_secs;
        let mut judge = |record: Option<&Record>, at| election.judge("me", record, second(at));
        assert_eq!(judge(None, 0), Decision::Take { transitions: 0 });
        assert_eq!(judge(Some(&record("you", "a")), 0), Decision::Wait);
        assert_eq!(judge(Some(&record("you", "a")), 9), Decision::Wait);
        assert_eq!(judge(Some(&record("you", "b")), 10), Decision::Wait);
        assert_eq!(judge(Some(&record("you", "b")), 20), Decision::Wait);
        let take = Decision::Take { transitions: 4 };
        assert_eq!(judge(Some(&record("you", "b")), 21), take);
        assert_eq!(judge(Some(&record("", "c")), 21), take);
        let renew = Decision::Take { transitions: 3 };
        assert_eq!(judge(Some(&record("me", "c")), 21), renew);
    }

    #[test]
    fn n06_wall_clocks_that_jump_neither_take_nor_lose_a_lease() {
        let mut election = Election::default();
        let second = Duration::from_secs;
        // The holder's wall clock, as recorded in the lease, jumps a century ahead and back.
        for (at, renewed) in [(0, "2026"), (5, "2126"), (10, "1970"), (15, "1970")] {
            let record = record("you", renewed);
            assert_eq!(
                election.judge("me", Some(&record), second(at)),
                Decision::Wait
            );
        }
        let still = record("you", "1970");
        let take = Decision::Take { transitions: 4 };
        assert_eq!(election.judge("me", Some(&still), second(21)), take);
    }

    #[test]
    fn a_holder_stops_before_another_may_begin() {
        assert!(RENEW * 2 < DURATION - MARGIN);
        assert!(DURATION + RENEW < Duration::from_secs(15), "the promise");
    }
}
