//! Agents, thieves of tokens and operators, and a hub that may die at any point, all from one seed. The laws of
//! enrolment are checked at every step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flotilla_shared::id::Epoch;
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::fleet::{
    Connectivity, Effect, Event, Fleet, Hello, IssuedCertificate, OFFLINE_AFTER, SessionId,
    StoredCluster,
};
use crate::spec;

const FILE: &str = "apiVersion: flotilla.dev/v1alpha1
kind: Fleet
repositories: [{name: fleet, url: 'https://git.example.com/fleet.git'}]
environments: [{name: prod, branch: prod}]
applications: [{name: web, repository: fleet, path: web}]
clusters: [{name: c0, environment: prod}]
";

/// What survives the hub: its store.
#[derive(Default)]
struct Disk {
    clusters: BTreeMap<ClusterName, ClusterRecord>,
    retired: BTreeMap<ClusterName, u64>,
    tokens: BTreeMap<String, Token>,
}

/// A certificate with the key that it was issued for.
#[derive(Clone)]
struct HeldCertificate {
    name: ClusterName,
    key: usize,
    counter: u64,
    /// Number of the name's holder for which it was issued: names are released and taken again.
    turn: u64,
}

/// An attempt whose token was read, and that was not judged yet.
struct PendingAttempt {
    attempt: Attempt,
    token: Option<Token>,
}

struct World {
    rng: StdRng,
    fleet: Fleet,
    disk: Disk,
    now: Timestamp,
    asked: Vec<PendingAttempt>,
    /// Certificates that are about to be issued: name and key.
    granted: Vec<(ClusterName, String)>,
    held: Vec<HeldCertificate>,
    /// The key that holds each name, and the number of its turn; turns are counted over all names.
    owners: BTreeMap<ClusterName, (String, u64)>,
    turns: u64,
    sessions: u64,
    joined: usize,
    refused: usize,
}

fn key(index: usize) -> String {
    format!("key{index}")
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            rng: StdRng::seed_from_u64(seed),
            fleet: Fleet::new(Epoch(1)),
            disk: Disk::default(),
            now: Timestamp::new(1_790_000_000, 0).unwrap(),
            asked: Vec::new(),
            granted: Vec::new(),
            held: Vec::new(),
            owners: BTreeMap::new(),
            turns: 0,
            sessions: 0,
            joined: 0,
            refused: 0,
        };
        world.boot();
        world
    }

    /// Starts a hub: the first one, the same one after a crash, or another replica.
    fn boot(&mut self) {
        self.asked.clear();
        self.granted.clear();
        self.fleet = Fleet::new(Epoch(1));
        let clusters = self
            .disk
            .clusters
            .iter()
            .map(|(name, record)| StoredCluster {
                name: name.clone(),
                record: record.clone(),
                assignment: None,
                report: None,
                current_since: None,
            });
        let restored = Event::Restored {
            heads: Vec::new(),
            clusters: clusters.collect(),
            environments: Vec::new(),
            rollouts: Vec::new(),
            retired: self.disk.retired.clone().into_iter().collect(),
            specifications: Vec::new(),
        };
        self.fleet.step(restored, self.now);
        let spec = Arc::new(spec::parse("f", FILE).unwrap());
        self.fleet.step(Event::SpecChanged(spec), self.now);
    }

    fn store(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::StoreCluster(name, record) => {
                    self.disk.clusters.insert(name.clone(), (**record).clone());
                }
                Effect::DeleteCluster(name) => {
                    self.disk.clusters.remove(name);
                }
                Effect::Retire(name, counter) => {
                    self.disk.retired.insert(name.clone(), *counter);
                }
                Effect::RedeemToken(id, by) => {
                    let token = self.disk.tokens.get_mut(id).unwrap();
                    assert_eq!(token.redeemed, None, "a token lets one in");
                    assert_eq!(token.revoked_at, None, "and none once it is revoked");
                    token.redeemed = Some(by.clone());
                }
                Effect::RevokeToken(id, at) => {
                    self.disk.tokens.get_mut(id).unwrap().revoked_at = Some(*at);
                }
                _ => {}
            }
        }
    }

    /// Returns whether the hub died before the effects were stored; if so, it is started again. If not, the caller
    /// stores them.
    fn dies_before(&mut self) -> bool {
        let dies = self.rng.random_bool(0.03);
        if dies {
            self.boot();
        }
        dies
    }

    fn name(&mut self) -> ClusterName {
        format!("c{}", self.rng.random_range(0..3)).parse().unwrap()
    }

    fn make_token(&mut self) {
        let id = format!("t{}", self.disk.tokens.len());
        let named = self.rng.random_bool(0.5);
        let cluster = named.then(|| self.name());
        let life = *[5, 60, 600].choose(&mut self.rng).unwrap();
        let placed = self.rng.random_bool(0.7);
        let new = NewToken {
            cluster,
            environment: placed.then(|| "prod".parse().unwrap()),
            expires_at: self.now + SignedDuration::from_secs(life),
            auto_accept: self.rng.random_bool(0.5),
            ..NewToken::default()
        };
        let token = Token {
            id: id.clone(),
            new,
            redeemed: None,
            revoked_at: None,
        };
        self.disk.tokens.insert(id, token);
    }

    /// The first half of an attempt: any key, token, name and UID.
    fn ask(&mut self) {
        let tokens: Vec<Token> = self.disk.tokens.values().cloned().collect();
        let from = tokens.len().saturating_sub(5);
        let token = tokens[from..].choose(&mut self.rng).cloned();
        let name = self.name();
        let index = self.rng.random_range(0..4);
        let uid = match self.rng.random_range(0..4) {
            0 => String::new(),
            1 => format!("u{}", self.rng.random_range(0..4)),
            _ => format!("u{index}"),
        };
        let attempt = Attempt {
            name,
            key: key(index),
            uid,
        };
        self.asked.push(PendingAttempt { attempt, token });
    }

    /// The second half of an attempt that waits.
    fn judge(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.asked.len());
        let PendingAttempt { attempt, token } = self.asked.swap_remove(index);
        let owner = self.owners.get(&attempt.name).cloned();
        let (judged, effects) = self.fleet.enrol(&attempt, token.clone(), self.now);
        let uses = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::RedeemToken(..)))
            .count();
        let joins = matches!(judged, Ok(EnrolmentDecision::Join(_)));
        assert_eq!(
            uses,
            usize::from(joins),
            "only what succeeds uses a token up"
        );
        let locks = effects.iter().any(|effect| {
            matches!(effect, Effect::StoreCluster(_, record) if record.credential.locked.is_some())
        });
        assert!(!locks, "nobody is locked by an attempt");
        if judged.is_err() {
            self.refused += 1;
        }
        if self.dies_before() {
            return;
        }
        self.store(&effects);
        match judged {
            Ok(EnrolmentDecision::Join(record)) => {
                assert_eq!(owner, None, "a taken name went to a second key");
                self.turns += 1;
                self.joined += 1;
                self.owners
                    .insert(attempt.name.clone(), (attempt.key.clone(), self.turns));
                if record.pending.is_none() {
                    self.granted.push((attempt.name, attempt.key));
                }
            }
            Ok(EnrolmentDecision::Certificate) => {
                assert_eq!(owner.map(|(key, _)| key).as_ref(), Some(&attempt.key));
                self.granted.push((attempt.name, attempt.key));
            }
            Ok(EnrolmentDecision::Wait) => {
                assert_eq!(owner.map(|(key, _)| key).as_ref(), Some(&attempt.key));
            }
            Err(_) => {}
        }
        if self.rng.random_bool(0.05) {
            // The decision is stored, and the caller gets no answer.
            self.boot();
        }
    }

    /// Issues a certificate to a key that may have lost the name meanwhile.
    fn certify(&mut self) {
        if self.granted.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.granted.len());
        let (name, asker) = self.granted.swap_remove(index);
        let certificate = IssuedCertificate {
            counter: 0,
            issuer: String::new(),
            key: asker.clone(),
            expires_at: self.now + SignedDuration::from_hours(24),
        };
        let (counter, effects) = self.fleet.certify(&name, &asker, certificate);
        if self.dies_before() {
            return;
        }
        self.store(&effects);
        if let Ok(counter) = counter {
            let (owner, turn) = self.owners[&name].clone();
            assert_eq!(owner, asker, "a certificate of {name} for a second key");
            self.held.push(HeldCertificate {
                name,
                key: asker[3..].parse().unwrap(),
                counter,
                turn,
            });
        }
    }

    /// Opens a stream with any certificate that was ever issued, from its own cluster or, with a copy of the key, from
    /// another one.
    fn connect(&mut self) {
        let Some(held) = self.held.choose(&mut self.rng).cloned() else {
            return;
        };
        let uid = if self.rng.random_bool(0.9) {
            held.key
        } else {
            self.rng.random_range(0..4)
        };
        self.sessions += 1;
        let hello = Hello {
            counter: held.counter,
            cluster_uid: format!("u{uid}"),
            ..Hello::default()
        };
        let locked = |fleet: &Fleet| {
            let cluster = fleet.clusters().get(&held.name);
            cluster.is_some_and(|cluster| cluster.record.credential.locked.is_some())
        };
        let before = locked(&self.fleet);
        let session = SessionId(self.sessions);
        let connected = Event::Connected(held.name.clone(), session, hello);
        let effects = self.fleet.step(connected, self.now);
        let present = self.owners.get(&held.name).map(|(_, turn)| *turn);
        let is_present = present == Some(held.turn);
        if !before && locked(&self.fleet) {
            assert!(is_present, "locked by somebody without its key");
        }
        let closed = effects
            .iter()
            .any(|effect| matches!(effect, Effect::Close(_, stream, ..) if *stream == session));
        assert!(closed || is_present, "a stream of who had the name before");
        if !self.dies_before() {
            self.store(&effects);
        }
    }

    fn person(&mut self) {
        let name = self.name();
        let Some(record) = self.disk.clusters.get(&name).cloned() else {
            return;
        };
        let event = match self.rng.random_range(0..6) {
            0 => Event::ClusterRemoved(name.clone()),
            1..4 => {
                if record.pending.is_none() {
                    return;
                }
                let accepted = ClusterRecord {
                    environment: Some("prod".parse().unwrap()),
                    pending: None,
                    ..record
                };
                Event::ClusterPut(name.clone(), accepted)
            }
            _ => Event::Unlocked(name.clone()),
        };
        let removes = matches!(event, Event::ClusterRemoved(_));
        let effects = self.fleet.step(event, self.now);
        if self.dies_before() {
            return;
        }
        self.store(&effects);
        if removes {
            self.owners.remove(&name);
        }
    }

    fn revoke(&mut self) {
        let ids: Vec<String> = self.disk.tokens.keys().cloned().collect();
        let Some(id) = ids.choose(&mut self.rng).cloned() else {
            return;
        };
        let effects = self.fleet.revoke_token(&id, self.now);
        if !self.dies_before() {
            self.store(&effects);
        }
    }

    fn happen(&mut self) {
        match self.rng.random_range(0..100) {
            0..8 => self.make_token(),
            8..40 => self.ask(),
            40..65 => self.judge(),
            65..78 => self.certify(),
            78..88 => self.connect(),
            88..93 => self.person(),
            93..95 => self.revoke(),
            95..97 => self.boot(),
            _ => self.now += SignedDuration::from_secs(20),
        }
        self.check();
    }

    fn check(&self) {
        for (name, (owner, _)) in &self.owners {
            let record = &self.disk.clusters[name];
            assert_eq!(holder(record), Some(owner.as_str()), "whose {name} is");
        }
        assert_eq!(self.disk.clusters.len(), self.owners.len());
        let redeemed: BTreeSet<(ClusterName, String)> = self
            .disk
            .tokens
            .values()
            .filter_map(|token| token.redeemed.clone())
            .map(|by| (by.cluster, by.key))
            .collect();
        assert!(redeemed.len() <= self.turns.try_into().unwrap_or(usize::MAX));
    }

    /// Whatever happened before, an unlocked holder of a name gets its certificate with any valid token, and a new key
    /// gets a free name.
    fn is_still_open(&mut self) {
        self.boot();
        let attempt = Attempt {
            name: "newcomer".parse().unwrap(),
            key: "key of a newcomer".to_owned(),
            uid: "uid of a newcomer".to_owned(),
        };
        let owners = self.owners.clone().into_iter();
        let mut all: Vec<Attempt> = owners
            .map(|(name, (key, _))| Attempt {
                name,
                key,
                uid: String::new(),
            })
            .collect();
        all.push(attempt);
        for attempt in all {
            let token = Token {
                id: "good".to_owned(),
                new: NewToken {
                    environment: Some("prod".parse().unwrap()),
                    expires_at: self.now + SignedDuration::from_secs(60),
                    auto_accept: true,
                    ..NewToken::default()
                },
                redeemed: None,
                revoked_at: None,
            };
            let (judged, effects) = self.fleet.enrol(&attempt, Some(token), self.now);
            let is_new = attempt.name.as_str() == "newcomer";
            match judged {
                Ok(EnrolmentDecision::Join(record)) => assert!(is_new && record.pending.is_none()),
                Ok(_) => assert!(
                    !is_new && effects.is_empty(),
                    "no token is used up for nothing"
                ),
                Err(Refusal::Locked { .. }) => assert!(!is_new),
                Err(other) => panic!("{attempt:?}: {other}"),
            }
        }
    }
}

/// Tokens × clusters × keys × UIDs, in any order. `FLOTILLA_RUNS` sets the number of sequences.
#[test]
fn e06_no_sequence_gives_a_taken_name_away_locks_without_its_key_or_wastes_a_token() {
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let seed = number("FLOTILLA_SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("enrolment: FLOTILLA_SEED={seed}");
    let (mut joined, mut refused, mut connected) = (0, 0, 0);
    for run in 0..number("FLOTILLA_RUNS").unwrap_or(500) {
        let seed = seed.wrapping_add(run);
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..200 {
                world.happen();
            }
            let online = world.fleet.clusters().values().filter(|cluster| {
                matches!(
                    cluster.connection(world.now, OFFLINE_AFTER),
                    Connectivity::Online { .. }
                )
            });
            let online = online.count();
            world.is_still_open();
            (world.joined, world.refused, online)
        });
        assert!(result.is_ok(), "FLOTILLA_SEED={seed} fails");
        let (more, less, online) = result.unwrap_or_default();
        joined += more;
        refused += less;
        connected += online;
    }
    assert!(
        joined > 100 && refused > 100 && connected > 20,
        "it says nothing"
    );
}
