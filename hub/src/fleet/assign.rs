//! Assignments of clusters, from declarations and heads.

use std::collections::BTreeMap;

use flotilla_shared::assignment::{ApplicationAssignment, Assignment, Renderer};
use flotilla_shared::id::{ApplicationName, ClusterName, Generation};
use flotilla_shared::problem::Problem;
use flotilla_shared::reason::Reason;
use flotilla_shared::revision::{BranchName, Revision};
use flotilla_shared::wire::DecodedAssignment;
use jiff::Timestamp;

use super::cluster::PlacedApplication;
use super::plan::{Plan, SpecSource};
use super::taking::Losses;
use super::{Effect, Fleet, StoredAssignment};
use crate::spec::{DeclaredApplication, Environment};

impl Fleet {
    /// Returns whether there are clusters whose assignment still has to be computed: each advance does that for some of
    /// them, so that a fleet of any size accepts and answers other events in between. Until then each cluster continues
    /// with its present assignment, and does not count as current.
    #[must_use]
    pub fn has_due(&self) -> bool {
        self.clusters.has_due()
    }

    /// Computes the assignments of the next batch of marked clusters.
    pub(super) fn assign_due(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        for name in self.clusters.next_due() {
            self.assign(&name, now, effects);
        }
        self.clusters.end_round();
    }

    /// Computes a cluster's assignment; stores and sends it where it changed. Returns whether it did.
    pub(super) fn assign(
        &mut self,
        name: &ClusterName,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let versions = &mut self.versions;
        let Some(cluster) = self.clusters.no_longer_due(name, versions) else {
            return false;
        };
        if cluster.record.pending.is_some() || cluster.record.credential.locked.is_some() {
            return false;
        }
        let (previous, floor) = (cluster.assigned.clone(), cluster.floor);
        let spec = std::sync::Arc::clone(self.spec());
        let environment_name = self.environment_of(name);
        let environment = environment_name
            .as_ref()
            .and_then(|name| spec.environment(name));
        // A cluster that belongs nowhere keeps its last assignment: it is orphaned, not emptied (P10).
        if let Some(next) = self.kept_as_it_is(name, environment) {
            return self.give(name, next, now, effects);
        }
        let Some(environment) = environment else {
            return false;
        };
        let plan = self.plan(name, environment, now);
        let before = previous.as_ref().map(|stored| &stored.assignment);
        let nothing = BTreeMap::new();
        let ran = before.map_or(&nothing, |before| &before.applications);
        let labels = match (&plan.specification, before) {
            (SpecSource::As(_, specification), _) => {
                self.labels_under(specification, (name, &environment.name))
            }
            (SpecSource::Kept, Some(before)) => before.labels.clone(),
            (SpecSource::Kept, None) => self.labels_of(name),
        };
        let (applications, placed) = self.applications(name, environment, &labels, &plan, ran);
        if let Some(why) = self.held(
            name,
            environment,
            &plan,
            (&applications, &labels),
            &placed,
            now,
        ) {
            self.hold(name, why);
            return false;
        }
        let here = (name, environment);
        let unresolved = self.unresolved(here, &plan, &placed, before);
        let Losses {
            tombstones,
            withheld,
        } = self.losses(here, &labels, &plan, (&placed, &unresolved), before);
        let mut required_features =
            required_features(applications.values().map(|application| &**application));
        if !tombstones.is_empty() {
            required_features.push("tombstones".to_owned());
        }
        let record = self.record_of(name);
        let next = Assignment {
            epoch: self.epoch,
            generation: Generation(floor.saturating_add(1)),
            cluster: name.clone(),
            environment: environment.name.clone(),
            issued_at: now,
            required_features,
            applications,
            removed_by: match tombstones.is_empty() {
                true => String::new(),
                false => plan.rollout.clone(),
            },
            tombstones,
            unresolved,
            labels,
            suspended: record.is_some_and(|record| record.suspended.is_some()),
            approvals: self.approvals(name, environment, now),
        };
        let changed_placement = self.clusters.note(name).is_some_and(|cluster| {
            if let SpecSource::As(revision, _) = &plan.specification {
                cluster.specified = Some(revision.clone());
            }
            let waited = std::mem::replace(&mut cluster.withheld, withheld.clone());
            std::mem::replace(&mut cluster.placed, placed.clone()) != placed || waited != withheld
        });
        if changed_placement {
            self.clusters.change(name, &mut self.versions);
        }
        self.give(name, next, now, effects)
    }

    /// Returns the assignment that a cluster keeps, where at most its right to write changes; none: it is assigned like
    /// any other.
    fn kept_as_it_is(
        &self,
        name: &ClusterName,
        environment: Option<&Environment>,
    ) -> Option<Assignment> {
        let cluster = self.clusters.get(name)?;
        let suspended = cluster.record.suspended.is_some();
        let before = &cluster.assigned.as_ref()?.assignment;
        let stays = suspended && !self.is_unsettled(cluster);
        let is_orphaned = environment.is_none() && before.epoch == self.epoch;
        (stays || is_orphaned).then(|| Assignment {
            suspended,
            ..before.clone()
        })
    }

    /// Stores and sends an assignment where it changed. Returns whether it did.
    fn give(
        &mut self,
        name: &ClusterName,
        mut next: Assignment,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let Some(cluster) = self.clusters.get(name) else {
            return false;
        };
        let (previous, floor) = (cluster.assigned.clone(), cluster.floor);
        if let Some(previous) = &previous {
            let before = &previous.assignment;
            next.issued_at = before.issued_at;
            next.generation = before.generation;
            if next == *before && before.generation.0 > floor {
                return false;
            }
            next.issued_at = now;
            // Generations start again in a new epoch, which orders above the old one.
            next.generation = if before.epoch == self.epoch {
                Generation(before.generation.0.max(floor).saturating_add(1))
            } else {
                Generation(floor.saturating_add(1))
            };
        }
        // What the hub encodes can be decoded. If it were over a limit, the old assignment would stay, rather than be
        // replaced by one that agents refuse.
        let Ok(decoded) = DecodedAssignment::of(next) else {
            return false;
        };
        let decoded = std::sync::Arc::new(decoded);
        if let Some(cluster) = self.clusters.change(name, &mut self.versions) {
            cluster.give(decoded.clone(), now);
        }
        self.touch_environments();
        effects.push(Effect::StoreAssignment(
            name.clone(),
            StoredAssignment { decoded },
        ));
        self.offer(name, effects);
        true
    }

    /// Sends the assignment to the cluster's stream, unless the agent already has it or a newer one.
    pub(super) fn offer(&mut self, name: &ClusterName, effects: &mut Vec<Effect>) {
        let epoch = self.epoch;
        let Some(cluster) = self.clusters.get(name) else {
            return;
        };
        let (Some((session, _)), Some(assigned)) = (cluster.session, cluster.assigned.clone())
        else {
            return;
        };
        let ours = assigned.reference;
        if cluster.accepted == ours || ours.epoch < epoch {
            // An assignment of an older epoch is no longer offered.
            return;
        }
        // The agent accepted a later assignment than this hub knows, as after a restore of an old backup (P8). It would
        // refuse this one; an operator has to decide.
        if cluster.accepted.place() >= ours.place() {
            let accepted = cluster.accepted;
            let knows = match accepted.place() == ours.place() {
                true => "this hub made a different assignment with that number".to_owned(),
                false => format!(
                    "this hub only knows epoch {} generation {}",
                    ours.epoch, ours.generation
                ),
            };
            let text = format!(
                "the agent runs epoch {} generation {}, but {knows}; was the hub restored from \
                 a backup? Stop the hub and raise its epoch: flotilla-hub raise-epoch",
                accepted.epoch, accepted.generation
            );
            if let Some(cluster) = self.clusters.change(name, &mut self.versions) {
                cluster.refusal = Some(Problem::new(Reason::AgentAhead, text));
            }
            return;
        }
        effects.push(Effect::Send(name.clone(), session, assigned));
    }

    /// Returns the applications placed on a cluster, with the problems of those that cannot be assigned: those of the
    /// specification in force there, as far as the fleet file still places them. A removal from the fleet file takes
    /// effect at once; an addition or change waits for its rollout.
    fn applications(
        &self,
        name: &ClusterName,
        environment: &Environment,
        labels: &BTreeMap<String, String>,
        plan: &Plan,
        previous: &BTreeMap<ApplicationName, Box<ApplicationAssignment>>,
    ) -> (
        BTreeMap<ApplicationName, Box<ApplicationAssignment>>,
        BTreeMap<ApplicationName, PlacedApplication>,
    ) {
        let mut applications = BTreeMap::new();
        let mut placed = BTreeMap::new();
        let here = (name, environment);
        let current = self.labels_of(name);
        let stays = |app: &ApplicationName| self.places(app, (name, &environment.name), &current);
        let mut take = |app_name: &ApplicationName, result| {
            let problem = match result {
                Ok(assignment) => {
                    applications.insert(app_name.clone(), Box::new(assignment));
                    None
                }
                Err(problem) => {
                    // A problem removes nothing: the application keeps its former assignment.
                    if let Some(before) = previous.get(app_name) {
                        applications.insert(app_name.clone(), before.clone());
                    }
                    Some(Box::new(problem))
                }
            };
            placed.insert(app_name.clone(), PlacedApplication { problem });
        };
        let is_kept = |before: &ApplicationAssignment| {
            plan.specification == SpecSource::Kept
                || plan.kept.contains(&before.revision.repository)
        };
        let is_kept =
            |app: &ApplicationName| previous.get(app).is_some_and(|stored| is_kept(stored));
        for (app_name, before) in previous
            .iter()
            .filter(|(app, _)| stays(app) && is_kept(app))
        {
            let mut kept = (**before).clone();
            plan.rollout_of(&kept.revision.repository)
                .clone_into(&mut kept.rollout);
            if let Some(commit) = plan.commits.get(&kept.revision.repository) {
                kept.revision.commit = commit.clone();
            }
            take(app_name, Ok(kept));
        }
        match &plan.specification {
            SpecSource::Kept => {}
            SpecSource::As(_, specification) => {
                for (app_name, declared) in &specification.applications {
                    let application = &declared.application;
                    if stays(app_name)
                        && !is_kept(app_name)
                        && application
                            .placement
                            .matches(name, &environment.name, labels)
                    {
                        let branch = &specification.branch;
                        take(
                            app_name,
                            self.application(here, labels, plan, (branch, declared)),
                        );
                    }
                }
            }
        }
        for assignment in applications.values_mut() {
            assignment
                .depends_on
                .retain(|dependency| placed.contains_key(dependency));
        }
        (applications, placed)
    }

    fn application(
        &self,
        (name, environment): (&ClusterName, &Environment),
        labels: &BTreeMap<String, String>,
        plan: &Plan,
        (branch, declared): (&BranchName, &DeclaredApplication),
    ) -> Result<ApplicationAssignment, Problem> {
        let application = &declared.application;
        let path = application
            .path
            .fill(name, &environment.name, labels)
            .map_err(|error| Problem::new(Reason::TemplateFailed, error.to_string()))?;
        let helm = application
            .helm
            .as_ref()
            .map(|helm| helm.fill(&path, name, &environment.name, labels))
            .transpose()
            .map_err(|error| Problem::new(Reason::TemplateFailed, error.to_string()))?;
        let commit = plan
            .commits
            .get(&application.repository)
            .cloned()
            .ok_or_else(|| {
                let head = self.head(&application.repository, branch);
                match head.and_then(|head| head.problem.clone()) {
                    Some(Problem { reason, message }) => {
                        Problem::new(reason, format!("the hub has no commit: {message}"))
                    }
                    None if head.is_some_and(|head| head.commit.is_some()) => Problem::new(
                        Reason::WaitsForRollout,
                        "no rollout has delivered a commit here yet",
                    ),
                    None => Problem::new(
                        Reason::NoRevision,
                        format!("branch {branch} has not been read yet"),
                    ),
                }
            })?;
        Ok(ApplicationAssignment {
            revision: Revision {
                repository: application.repository.clone(),
                branch: branch.clone(),
                commit,
            },
            url: declared.url.clone(),
            path,
            renderer: application.renderer,
            sync_policy: application.sync_policy.clone(),
            depends_on: application.depends_on.clone(),
            substitute: application.substitute,
            rollout: plan.rollout_of(&application.repository).to_owned(),
            namespace: application.namespace.clone(),
            helm: helm.map(Box::new),
        })
    }
}

/// Returns the features that an agent needs to handle the assignment safely.
fn required_features<'a>(
    applications: impl Iterator<Item = &'a ApplicationAssignment>,
) -> Vec<String> {
    let mut features = std::collections::BTreeSet::new();
    for application in applications {
        if application.substitute {
            features.insert("substitute");
        }
        features.extend(application.renderer.feature());
        // An agent that does not know charts would ignore the field, so the feature is required whatever the renderer.
        if application.helm.is_some() {
            features.extend(Renderer::Helm.feature());
        }
        if !application.depends_on.is_empty() {
            features.insert("depends-on");
        }
    }
    features.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use flotilla_shared::assignment::AssignmentRef;
    use flotilla_shared::id::Epoch;

    use super::*;
    use crate::fleet::{ClusterRecord, Event, Hello, SessionId};
    use crate::spec;

    const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments: [{name: prod, branch: prod}]
applications: [{name: web, repository: fleet, path: web}]
";

    fn heads(number: u64) -> Event {
        let branch: flotilla_shared::revision::BranchName = "prod".parse().unwrap();
        Event::HeadsRead {
            repository: "fleet".parse().unwrap(),
            asked: vec![branch.clone()],
            found: [(branch, format!("{number:040x}").parse().unwrap())].into(),
        }
    }

    fn name(index: u64) -> ClusterName {
        format!("c{index}").parse().unwrap()
    }

    fn sends(effects: &[Effect]) -> usize {
        let is_send = |effect: &&Effect| matches!(effect, Effect::Send(..));
        effects.iter().filter(is_send).count()
    }

    #[test]
    fn a_commit_for_many_clusters_holds_nobody_else_up() {
        let now = Timestamp::UNIX_EPOCH;
        let mut fleet = Fleet::new(Epoch(1));
        fleet.clusters.work_out_at_once(3);
        let spec = std::sync::Arc::new(spec::parse("f", FILE).unwrap());
        fleet.step(Event::SpecChanged(spec), now);
        for index in 0..8 {
            let record = ClusterRecord {
                environment: Some("prod".parse().unwrap()),
                ..ClusterRecord::default()
            };
            fleet.step(Event::ClusterPut(name(index), record), now);
            let hello = Hello::default();
            fleet.step(Event::Connected(name(index), SessionId(index), hello), now);
        }
        assert_eq!(sends(&fleet.step(heads(1), now)), 3);
        assert!(fleet.has_due());
        let late = fleet.clusters()[&name(7)].clone();
        assert!(late.is_due(), "and so not current, whatever its agent said");
        // One cluster connects in between, and is assigned at once.
        let hello = Hello::default();
        let answered = fleet.absorb(Event::Connected(name(7), SessionId(100), hello), now);
        assert_eq!(sends(&answered), 1);
        assert!(!fleet.clusters()[&name(7)].is_due());
        assert_eq!(sends(&fleet.advance(now)), 3);
        // A newer commit arrives: clusters that are still due get only that one.
        let mut effects = fleet.step(heads(2), now);
        while fleet.has_due() {
            effects.extend(fleet.advance(now));
        }
        assert_eq!(sends(&effects), 8);
        let place = |index: u64| fleet.clusters()[&name(index)].assigned_ref().generation.0;
        let first = place(0);
        assert_eq!(place(6), first - 1, "nobody gets what is old already");
        assert_ne!(
            fleet.clusters()[&name(6)].assigned_ref(),
            AssignmentRef::default()
        );
    }
}
