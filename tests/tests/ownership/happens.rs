//! The random steps of a sequence: renames, moves, removals, edits, crashes of the agent, faults of the server.

use super::*;

impl World {
    /// Executes a random step.
    pub(super) async fn act(&mut self) {
        let name = *self.assigned.keys().choose(&mut self.rng).unwrap();
        let place = self.assigned[name];
        let is_always = place == PLACES[0] || place == PLACES[1];
        let action = self.rng.random_range(0..11);
        match action {
            0..=2 => {
                let Some(next) = self.free_name() else { return };
                self.done.push(format!("{name} is renamed {next}"));
                self.assigned.remove(name);
                self.tombstones.remove(next);
                self.assigned.insert(next, place);
            }
            3 => {
                self.done
                    .push(format!("a commit to repository {}", place.0));
                self.push(place.0);
            }
            4 => {
                // From one directory to the other in one commit.
                let (from, to) = match self.rng.random_bool(0.5) {
                    true => (PLACES[0], PLACES[1]),
                    false => (PLACES[1], PLACES[0]),
                };
                let movers = self.content[&from]
                    .keys()
                    .filter(|n| n.starts_with("mover"));
                let Some(mover) = movers.choose(&mut self.rng).cloned() else {
                    return;
                };
                let value = self.content.get_mut(&from).unwrap().remove(&mover).unwrap();
                self.content
                    .get_mut(&to)
                    .unwrap()
                    .insert(mover.clone(), value);
                self.done
                    .push(format!("{mover} moves from {} to {}", from.1, to.1));
                self.push(0);
            }
            5 if !is_always => {
                self.done.push(format!("{name} is not assigned any more"));
                self.assigned.remove(name);
            }
            6 => {
                let (Some(next), Some(place)) = (
                    self.free_name(),
                    [PLACES[2], PLACES[3]].choose(&mut self.rng),
                ) else {
                    return;
                };
                if self.assigned.values().any(|other| other == place) {
                    return;
                }
                self.done.push(format!("{next} is assigned {place:?}"));
                self.tombstones.remove(next);
                self.assigned.insert(next, *place);
            }
            7 => {
                self.suspended = !self.suspended;
                self.done.push(format!("suspended: {}", self.suspended));
            }
            8 => {
                let is_same = self.rng.random_bool(0.5);
                self.done
                    .push(format!("the agent dies; its cluster is kept: {is_same}"));
                self.crash(is_same).await;
            }
            9 if !is_always => {
                let delete = self.rng.random_bool(0.5);
                self.done
                    .push(format!("{name} is removed, with its objects: {delete}"));
                self.assigned.remove(name);
                self.tombstones.insert(name, delete);
            }
            10 => {
                let object = self.desired().into_iter().choose(&mut self.rng).unwrap();
                self.done.push(format!("somebody edits {object}"));
                let path = format!(
                    "/api/v1/namespaces/{NAMESPACE}/configmaps/{object}?fieldManager=kubectl-edit"
                );
                let body = json!({"data": {"value": "by hand"}});
                let merge = "application/merge-patch+json";
                let _ = self
                    .server
                    .request("PATCH", &path, merge, Some(&body))
                    .await;
            }
            _ => return,
        }
        self.assign();
    }

    async fn crash(&mut self, is_same: bool) {
        // Either an orderly stop, as when the lease is lost, or a crash.
        if self.rng.random_bool(0.5) {
            self.agent.stop.cancel();
            let _ = (&mut self.agent.task).await;
        } else {
            self.agent.task.abort();
            self.agent.stop.cancel();
        }
        if !is_same {
            self.cluster = Cluster::new(self.server.client(), Options::default());
        }
        self.agent = Self::start(&self.cluster, &self.directory);
    }

    pub(super) fn weather(&mut self) {
        let kinds = [
            FaultKind::Hang(Duration::from_millis(30)),
            FaultKind::HangAfter(Duration::from_millis(60)),
            FaultKind::AnswerLost,
            FaultKind::CutAfter,
            FaultKind::Status(503),
        ];
        let kind = kinds.choose(&mut self.rng).unwrap().clone();
        let verb = *["patch", "list", "get", "delete"]
            .choose(&mut self.rng)
            .unwrap();
        let times = self.rng.random_range(1..3);
        let Some(server) = self.server.server() else {
            return;
        };
        server.inject(Fault {
            verb: verb.to_owned(),
            resource: "configmaps".to_owned(),
            kind,
            times,
        });
    }
}
