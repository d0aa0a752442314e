//! Random events: messages, faults, operators and pushes.

use flotilla_shared::problem::Problem;

use super::*;

impl Simulation {
    /// Delivers one message, which may be lost, doubled or overtaken.
    pub(super) fn deliver(&mut self) {
        if self.network.is_empty() {
            return;
        }
        let index = if self.calm {
            0
        } else {
            self.rng.random_range(0..self.network.len())
        };
        let message = self.network.remove(index);
        if !self.calm && self.rng.random_bool(0.1) {
            return;
        }
        let twice = !self.calm && self.rng.random_bool(0.05);
        match message {
            Message::ToHub(event) => {
                if twice {
                    self.feed((*event).clone());
                }
                self.feed(*event);
            }
            Message::ToAgent(name, session, decoded) => {
                let Some(agent) = self.agents.get_mut(&name) else {
                    return;
                };
                if agent.session != Some(session) || agent.cut {
                    return;
                }
                self.check_not_taken_back(&name, &decoded);
                let had = self
                    .agents
                    .get(&name)
                    .and_then(|agent| agent.assignment.clone());
                if let Some(had) = had
                    && had.reference.place() < decoded.reference.place()
                {
                    self.check_web_kept(&name, &had, &decoded);
                }
                let Some(agent) = self.agents.get_mut(&name) else {
                    return;
                };
                let reference = decoded.reference;
                let refusal =
                    if reference.place() <= agent.accepted.place() && reference != agent.accepted {
                        Some(Problem::new(Reason::StaleAssignment, "older"))
                    } else {
                        if reference != agent.accepted {
                            agent.accepted = reference;
                            agent.assignment = Some(decoded);
                            agent.applied_at = Some(self.now);
                        }
                        None
                    };
                let highest = self.highest.entry(name.clone()).or_default();
                assert!(agent.accepted.place() >= highest.place(), "I4: never back");
                *highest = agent.accepted;
                let acked = Event::Acked {
                    cluster: name,
                    session,
                    assignment: reference,
                    refusal,
                    accepted: agent.accepted,
                };
                self.network.push(Message::ToHub(Box::new(acked)));
            }
            Message::AskReport(name, session) => {
                let Some(agent) = self.agents.get(&name) else {
                    return;
                };
                if agent.session == Some(session) && !agent.cut {
                    let event = Event::Reported(name, session, agent.report.clone(), agent.digest);
                    self.network.push(Message::ToHub(Box::new(event)));
                }
            }
        }
    }

    pub(super) fn agents_act(&mut self, chance: f64) {
        let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
        for name in names {
            if !self.rng.random_bool(chance) {
                continue;
            }
            let Some(agent) = self.agents.get_mut(&name) else {
                continue;
            };
            if agent.cut {
                agent.session = None;
                continue;
            }
            let before = agent.digest;
            agent.look(self.now);
            self.check_deleted(&name);
            let Some(agent) = self.agents.get_mut(&name) else {
                continue;
            };
            let event = match agent.session {
                None => {
                    self.sessions += 1;
                    agent.session = Some(SessionId(self.sessions));
                    let hello = Hello {
                        accepted: agent.accepted,
                        ..Hello::default()
                    };
                    Event::Connected(name, SessionId(self.sessions), hello)
                }
                Some(session) if agent.digest != before => {
                    Event::Reported(name, session, agent.report.clone(), agent.digest)
                }
                Some(session) => Event::Heartbeat {
                    cluster: name,
                    session,
                    accepted: agent.accepted,
                    report: agent.digest,
                    clock: None,
                },
            };
            self.network.push(Message::ToHub(Box::new(event)));
        }
    }

    pub(super) fn push(&mut self, branch: &str) {
        self.commits += 1;
        let repository = match self.edits_all {
            true => *file::REPOSITORIES.choose(&mut self.rng).unwrap(),
            false => "fleet",
        };
        let head = (repository.parse().unwrap(), branch.parse().unwrap());
        self.branches.insert(head, commit(self.commits));
    }

    pub(super) fn read_heads(&mut self) {
        for repository in file::REPOSITORIES {
            self.read_heads_of(repository.parse().unwrap());
        }
    }

    fn read_heads_of(&mut self, repository: RepositoryName) {
        let asked: Vec<BranchName> = file::ENVIRONMENTS
            .iter()
            .map(|branch| branch.parse().unwrap())
            .collect();
        let mut found = self.heads_of(&repository);
        // Occasionally a branch is missing, which removes nothing (P6).
        if !self.calm && self.rng.random_bool(0.1) {
            let gone = asked.choose(&mut self.rng);
            found.retain(|branch, _| Some(branch) != gone);
        }
        self.note_moved(&repository, &found);
        self.feed(Event::HeadsRead {
            repository,
            asked,
            found,
        });
    }

    /// Returns the branches of a repository.
    fn heads_of(&self, repository: &RepositoryName) -> BTreeMap<BranchName, Commit> {
        let all = self.branches.iter();
        let own = all.filter(|((of, _), _)| of == repository);
        own.map(|((_, branch), commit)| (branch.clone(), commit.clone()))
            .collect()
    }

    /// The directories of a commit are read, or cannot be read.
    pub(super) fn read_trees(&mut self) {
        let repository = match self.edits_all {
            true => *file::REPOSITORIES.choose(&mut self.rng).unwrap(),
            false => "fleet",
        };
        let repository: RepositoryName = repository.parse().unwrap();
        let missing = self.hub.missing_trees(&repository);
        // Occasionally a commit that is no longer needed.
        let any = commit(self.rng.random_range(0..self.commits + 2));
        let commit = missing.choose(&mut self.rng).cloned().unwrap_or(any);
        let event = if !self.calm && self.rng.random_bool(0.2) {
            Event::TreesFailed {
                repository,
                problem: Problem::new(Reason::RepositoryUnavailable, "down"),
            }
        } else {
            let directories = directories(&commit);
            Event::TreesRead {
                repository,
                commit,
                directories,
            }
        };
        self.feed(event);
    }

    /// A cluster that was started before its wave has to render the same from the target.
    pub(super) fn check_passed(&mut self) {
        for rollout in self.hub.rollouts().values() {
            if rollout.state.is_over() {
                continue;
            }
            let ahead = rollout.clusters.iter().filter(|(_, progress)| {
                progress.phase.is_touched() && progress.wave > rollout.wave
            });
            for (name, progress) in ahead {
                if !self.passed.insert((rollout.id.clone(), name.clone())) {
                    continue;
                }
                assert!(progress.unchanged, "{name} ran ahead in {}", rollout.id);
                let cluster = &self.hub.clusters()[name];
                let assigned = cluster.assigned.as_ref().unwrap();
                // An application that the file has just removed is no longer assigned, but was rendered before.
                let known = cluster
                    .report
                    .iter()
                    .flat_map(|report| &report.applications);
                let known = known
                    .filter(|(_, report)| !is_over(report) && report.sync != SyncState::Orphaned);
                if !known
                    .map(|(app, _)| app)
                    .eq(assigned.assignment.applications.keys())
                {
                    continue;
                }
                let rendered = assigned
                    .assignment
                    .applications
                    .iter()
                    .map(|(app, application)| {
                        let commit = &rollout.target[&application.revision.repository];
                        let source_digest = Digest::of(&tree(commit, application.path.as_str()));
                        let report = ApplicationReport {
                            source_digest,
                            ..ApplicationReport::default()
                        };
                        (app.clone(), Box::new(report))
                    });
                let rendered = Report {
                    applications: rendered.collect(),
                    assignment: assigned.reference,
                    ..Report::default()
                };
                let from = crate::fleet::rendered::rendered_from(&rendered, Some(assigned));
                assert_eq!(progress.rendered_from, from, "{name} in {}", rollout.id);
            }
        }
    }

    /// A random event.
    pub(super) fn happen(&mut self) {
        let branch = *["dev", "stage", "prod"].choose(&mut self.rng).unwrap();
        let environment: EnvironmentName = branch.parse().unwrap();
        match self.rng.random_range(0..100) {
            0..4 => self.push(branch),
            4..12 => self.read_heads(),
            12..14 => {
                let lost = self.takes_all && self.rng.random_bool(0.5);
                let repository = if lost { "lost" } else { "fleet" };
                self.feed(Event::HeadsFailed {
                    repository: repository.parse().unwrap(),
                    asked: vec![branch.parse().unwrap()],
                    problem: Problem::new(Reason::RepositoryUnavailable, "down"),
                });
            }
            14..15 if self.rng.random_bool(0.8) => self.crash(),
            14..15 if self.rng.random_bool(0.5) => self.back_up(),
            14..15 => self.put_back(),
            15..17 => {
                let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
                let name = names.choose(&mut self.rng).unwrap();
                let agent = self.agents.get_mut(name).unwrap();
                agent.cut = !agent.cut;
            }
            17..18 => {
                let seconds = self.rng.random_range(-120..120);
                self.now = self
                    .now
                    .saturating_add(SignedDuration::from_secs(seconds))
                    .unwrap();
            }
            18..19 => {
                let index = self.rng.random_range(0..self.agents.len() + 1);
                self.join(index);
            }
            19..20 => {
                let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
                let name = names.choose(&mut self.rng).unwrap().clone();
                // The first five stay: an environment without clusters proves nothing to the next.
                if name.as_str() < "c5" {
                    return;
                }
                let relabelled = ClusterRecord {
                    environment: Some(environment),
                    ..ClusterRecord::default()
                };
                self.feed(Event::ClusterPut(name, relabelled));
            }
            20..22 => {
                let action = match self.rng.random_range(0..6) {
                    0 => Action::Pause(environment),
                    1 => Action::Resume(environment),
                    2 => Action::Retry(environment),
                    3 => Action::Abort(environment),
                    4 => Action::Pin {
                        subject: Subject::Environment(environment),
                        commit: None,
                        repository: None,
                        expires_at: None,
                        approval: None,
                        overriding: GateOverride::Denied,
                    },
                    _ => Action::Unpin(Subject::Environment(environment)),
                };
                self.act(&action);
            }
            22..23 => self.edit(),
            23..24 => self.suspend_or_resume(),
            24..33 if self.edits_all => self.edit(),
            33..34 if self.edits_all => self.pin_or_unpin(),
            34..35 if self.edits_all => {
                let names: Vec<ClusterName> = self.agents.keys().cloned().collect();
                let name = names.choose(&mut self.rng).unwrap();
                self.agents.get_mut(name).unwrap().change_by_hand();
            }
            24..60 => self.agents_act(0.3),
            60..63 => self.read_trees(),
            63..70 => {
                self.now = self
                    .now
                    .saturating_add(SignedDuration::from_secs(2))
                    .unwrap();
                self.feed(Event::Tick);
            }
            _ => self.deliver(),
        }
    }

    pub(super) fn act(&mut self, action: &Action) {
        self.try_act(action);
    }

    /// Performs an action. Returns whether it was accepted.
    pub(super) fn try_act(&mut self, action: &Action) -> bool {
        let Ok(taken) = self.hub.act(action, "ada", "why not", self.now) else {
            return false;
        };
        let mut effects = taken.effects;
        if let Action::Unpin(subject)
        | Action::Pin {
            subject: subject @ Subject::Environment(_),
            ..
        } = action
        {
            self.note_let_go(subject);
        }
        let audits = |effects: &[Effect]| {
            effects
                .iter()
                .filter(|effect| matches!(effect, Effect::Audit(_)))
                .count()
        };
        assert!(audits(&effects) >= 1, "I2: no act without an entry");
        effects.extend(self.hub.advance(self.now));
        self.check_passed();
        self.check_done();
        order_effects(&mut effects);
        let before = self.disk.audit.len();
        self.store(&effects);
        assert_eq!(self.disk.audit.len(), before + audits(&effects));
        for effect in effects {
            if let Effect::Send(name, session, decoded) = effect {
                self.network.push(Message::ToAgent(name, session, decoded));
            }
        }
        true
    }
}
