//! Invariants once the sequence settles, checked with the API server and its audit log.

use super::*;

impl World {
    /// Waits for a report; `otherwise` is the failure message if none arrives in time.
    async fn reported(&self, is_done: impl Fn(&Report) -> bool, otherwise: &str) {
        let mut reports = self.agent.reports.clone();
        let reported = reports.wait_for(|report| report.as_ref().is_some_and(|r| is_done(r)));
        // The borrowed report locks its channel, so it must be dropped before the next borrow.
        let reported = tokio::time::timeout(Duration::from_secs(60), reported).await;
        // A closed channel is no report either: the agent has ended.
        let is_reported = matches!(reported, Ok(Ok(_)));
        drop(reported);
        if !is_reported {
            let report = self.agent.reports.borrow().clone();
            panic!("{otherwise}: {:#?}\n{report:#?}", self.done);
        }
    }

    /// Waits until everything assigned is reported Synced at its commit, then checks that with the API server.
    pub(super) async fn quiet(&mut self) {
        if let Some(server) = self.server.server() {
            server.heal();
        }
        let reference = self.assignment().reference;
        let is_done = |report: &Report| {
            report.assignment == reference
                && self.assigned.iter().all(|(name, place)| {
                    let name: ApplicationName = name.parse().unwrap();
                    report.applications.get(&name).is_some_and(|own| {
                        let commit = own.revision.as_ref().map(|r| r.commit.to_string());
                        own.sync == SyncState::Synced
                            && commit.as_ref() == Some(&self.heads[place.0])
                    })
                })
        };
        self.reported(is_done, "never quiet").await;
        for (name, place) in &self.assigned {
            for (object, value) in &self.content[place] {
                let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{object}");
                let mut live = self.server.live(&path).await.unwrap_or_default();
                let value_of = |live: &Value| {
                    let value = live.pointer("/data/value").and_then(Value::as_str);
                    value.unwrap_or_default().to_owned()
                };
                // The agent's watch sees an edit a moment later, so the edit may persist for a while. An outdated value
                // from Git may not.
                let began = tokio::time::Instant::now();
                while value_of(&live) == "by hand" && began.elapsed() < HEALED {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    live = self.server.live(&path).await.unwrap_or_default();
                }
                assert_eq!(
                    value_of(&live),
                    value.to_string(),
                    "{name} is reported Synced, and {object} is not: {:#?}",
                    self.done
                );
                let mark = live
                    .pointer("/metadata/annotations/flotilla.dev~1application")
                    .and_then(Value::as_str);
                assert_eq!(mark, Some(*name), "{object}: {:#?}", self.done);
            }
        }
        let always = self.always.as_ref().unwrap();
        for event in self.server.audit().unwrap() {
            let is_delete = event.verb == "delete" && event.namespace == NAMESPACE;
            assert!(
                !(is_delete && event.code < 300 && always.contains(&event.name)),
                "{} was deleted, and was desired all the time: {:#?}",
                event.name,
                self.done
            );
        }
    }

    /// A name whose objects were handed over ends: with its last object, or as a declared removal.
    pub(super) async fn ended(&self) {
        let desired = self.desired();
        let is_done = |report: &Report| {
            report.applications.iter().all(|(name, own)| {
                self.assigned.contains_key(name.as_str())
                    || (own.reason == Some(Reason::Removed)
                        && self.tombstones.contains_key(name.as_str())
                        && own.objects.is_empty())
                    || (own.sync == SyncState::Orphaned
                        && own
                            .objects
                            .iter()
                            .all(|o| !desired.contains(&*o.object.name))
                        && !own.objects.is_empty())
            })
        };
        self.reported(is_done, "old names do not end").await;
    }
}
