//! From facts to findings.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::findings::{Findings, Group};
use jiff::Timestamp;

use super::{Asked, CheckFacts, Fact, KeyFile, LeaseFacts};
use crate::policy::Policy;

/// The oldest Kubernetes that is supported: server-side apply and aggregated discovery as they are used.
const OLDEST: (u32, u32) = (1, 27);
/// A lease that was not renewed for so long is nobody's.
const LEASE_OLD: i64 = 30;
/// Git caches and records need room.
const ROOM_WRONG: u64 = 64 << 20;
const ROOM_LOOK: u64 = 512 << 20;
/// Credentials of this age should be made anew.
const OLD_DAYS: i64 = 365;

pub(crate) fn judge(facts: &CheckFacts) -> Findings {
    let mut groups = vec![kubernetes(facts)];
    if facts.kubernetes.is_ok() {
        groups.push(rights(facts));
    }
    groups.push(agent(facts));
    groups.push(git(facts));
    groups.push(secrets(facts));
    groups.push(policy(&facts.policy, facts.now));
    Findings::from(groups)
}

fn kubernetes(facts: &CheckFacts) -> Group {
    let mut group = Group::new("cluster");
    match &facts.kubernetes {
        Err(why) => {
            group.wrong(
                format!("the API server cannot be asked: {why}"),
                "run it in the agent's pod, or name a --kubeconfig; look at network policies",
            );
            return group;
        }
        Ok(version) => match minor(version) {
            Some(known) if known >= OLDEST => group.well(format!("it runs Kubernetes {version}")),
            Some(_) => group.wrong(
                format!("it runs Kubernetes {version}"),
                format!("1.{} or newer is needed", OLDEST.1),
            ),
            None => group.unknown(format!("it says that it runs {version:?}"), ""),
        },
    }
    let name = &facts.namespace;
    match &facts.has_namespace {
        None => {}
        Some(Ok(true)) => group.well(format!("namespace {name} is there")),
        Some(Ok(false)) if facts.pre => {
            group.well(format!("namespace {name} is not there yet"));
        }
        Some(Ok(false)) => group.wrong(
            format!("namespace {name} is not there"),
            "install the agent: flotilla cluster join-manifest; or name another with --namespace",
        ),
        // Reading a Namespace is no right that the agent needs.
        Some(Err(why)) => group.unknown(format!("namespace {name} cannot be read: {why}"), ""),
    }
    group
}

fn minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.');
    let major = parts.next()?.parse().ok()?;
    let minor = parts.next()?;
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    Some((major, digits.parse().ok()?))
}

/// One finding for each purpose.
fn rights(facts: &CheckFacts) -> Group {
    let mut group = Group::new("rights");
    let mut purposes: Vec<&str> = Vec::new();
    let mut by_purpose: BTreeMap<&str, Vec<&Asked>> = BTreeMap::new();
    for asked in &facts.rights {
        let purpose = asked.right.purpose.as_str();
        let all = by_purpose.entry(purpose).or_default();
        if all.is_empty() {
            purposes.push(purpose);
        }
        all.push(asked);
    }
    for purpose in purposes {
        let all = by_purpose.remove(purpose).unwrap_or_default();
        let unknown = all.iter().find_map(|asked| asked.allowed.as_ref().err());
        let missing: BTreeSet<String> = all
            .iter()
            .filter(|asked| asked.allowed == Ok(false))
            .map(|asked| {
                let what = match (asked.right.group.as_str(), asked.right.name.as_str()) {
                    ("", "") => asked.right.resource.clone(),
                    ("", name) => format!("{} {name}", asked.right.resource),
                    (group, _) => format!("{}.{group}", asked.right.resource),
                };
                format!("{} {what}", asked.right.verb)
            })
            .collect();
        if !missing.is_empty() {
            let missing: Vec<String> = missing.into_iter().collect();
            let hint = if facts.pre {
                "whoever installs the agent needs these rights, once"
            } else if purpose.starts_with("applying") {
                "add a ClusterRole with the label flotilla.dev/agent-may-apply: \"true\" and all of get, \
                 list, watch, create, patch, delete"
            } else {
                "apply rbac.yaml of this version again, or let join-manifest print it"
            };
            group.wrong(format!("{purpose}: lacks {}", missing.join(", ")), hint);
        } else if let Some(why) = unknown {
            group.unknown(format!("{purpose}: {why}"), "");
        } else {
            group.well(purpose);
        }
    }
    if !facts.unserved.is_empty() {
        group.look(
            format!("not served here: {}", facts.unserved.join(", ")),
            "their definitions (CRDs) are not there, or the policy misspells them",
        );
    }
    group
}

fn agent(facts: &CheckFacts) -> Group {
    let mut group = Group::new("agent");
    match &facts.lease {
        None => {}
        Some(Err(why)) => group.unknown(format!("the lease cannot be read: {why}"), ""),
        Some(Ok(None)) => group.look(
            "no lease: no agent has worked here yet",
            "look at the pods of flotilla-agent",
        ),
        Some(Ok(Some(lease))) => lease_is_held(&mut group, lease, facts.now),
    }
    match &facts.certificate {
        None => {}
        Some(Err(why)) => group.unknown(format!("the certificate cannot be read: {why}"), ""),
        Some(Ok(None)) => group.look(
            "not enrolled yet",
            "it needs a join token (flotilla cluster join-manifest), and then flotilla cluster accept",
        ),
        Some(Ok(Some(certificate))) => {
            let end = certificate.end.strftime("%Y-%m-%d %H:%M UTC");
            let life = certificate.end.duration_since(certificate.begin).as_secs();
            let left = certificate.end.duration_since(facts.now).as_secs();
            let hint = "it renews over the stream at two thirds of its life: see whether the hub is reached";
            if facts.now < certificate.begin {
                let text = "the certificate begins in the future";
                group.wrong(text, "set this machine's clock right");
            } else if left <= 0 {
                group.wrong(format!("the certificate ended on {end}"), hint);
            } else if left < life / 5 {
                group.look(format!("the certificate ends on {end}"), hint);
            } else {
                group.well(format!("the certificate is good until {end}"));
            }
        }
    }
    match &facts.disk {
        None => {}
        Some(Err(why)) => group.wrong(
            format!("the data directory: {why}"),
            "name it with --data-dir",
        ),
        Some(Ok(disk)) => {
            let room = format!("{}: {} MiB are free", disk.path, disk.free >> 20);
            match &disk.writable {
                Err(why) => {
                    let text = format!("{} cannot be written: {why}", disk.path);
                    group.wrong(text, "the volume belongs to user and group 65532");
                }
                Ok(()) if disk.free < ROOM_WRONG => group.wrong(room, "Git caches need room"),
                Ok(()) if disk.free < ROOM_LOOK => group.look(room, "Git caches need room"),
                Ok(()) => group.well(room),
            }
        }
    }
    group
}

fn lease_is_held(group: &mut Group, lease: &LeaseFacts, now: Timestamp) {
    let age = lease.renewed.map(|at| now.duration_since(at).as_secs());
    match (lease.holder.as_str(), age) {
        ("", _) => group.look(
            "nobody holds the lease just now",
            "wait ten seconds, and look again",
        ),
        (holder, Some(age)) if age <= LEASE_OLD => group.well(format!("{holder} works")),
        (holder, _) => group.wrong(
            format!("{holder} holds the lease and does not renew it"),
            "its node may be gone, or clocks differ; look at the agent's pods and their logs",
        ),
    }
}

fn git(facts: &CheckFacts) -> Group {
    let mut group = Group::new("git");
    for repository in &facts.repositories {
        let with = match repository.with.as_str() {
            "" => "without credentials".to_owned(),
            with => format!("with {with}"),
        };
        match &repository.answer {
            Ok(missing) if missing.is_empty() => {
                group.well(format!("{} answers, asked {with}", repository.url));
            }
            Ok(missing) => group.look(
                format!("{} has no branch {}", repository.url, missing.join(", ")),
                "push it, or take it out of the policy",
            ),
            Err(why) => group.wrong(
                format!("{}, asked {with}: {why}", repository.url),
                "the Secret flotilla-agent-git, network policies, or the Git server",
            ),
        }
    }
    if facts.repositories.is_empty() {
        group.look(
            "no repository is known here, so none was asked",
            "name them in the policy, or one with --repo",
        );
    }
    group
}

fn secrets(facts: &CheckFacts) -> Group {
    let mut group = Group::new("keys");
    old(&mut group, "Git credentials", &facts.credentials, facts.now);
    match &facts.age_keys {
        None => {}
        Some(Ok(count)) => {
            group.well(format!("{count} age keys open what SOPS encrypted"));
            old(&mut group, "age keys", &facts.age_files, facts.now);
        }
        // The manifests mount the place whether or not there is a Secret.
        Some(Err(why)) if facts.age_files.is_empty() => {
            group.look(
                format!("nothing that SOPS encrypted can be opened: {why}"),
                "where Git holds such files: the Secret flotilla-agent-sops",
            );
        }
        Some(Err(why)) => group.wrong(
            format!("age keys cannot be used: {why}"),
            "write them as age-keygen does",
        ),
    }
    group
}

fn old(group: &mut Group, what: &str, files: &[KeyFile], now: Timestamp) {
    let days = |file: &KeyFile| {
        let written = file.written?;
        Some(now.duration_since(written).as_secs() / 86_400)
    };
    let old: Vec<&str> = files
        .iter()
        .filter(|file| days(file).is_some_and(|days| days > OLD_DAYS))
        .map(|file| file.name.as_str())
        .collect();
    if !old.is_empty() {
        group.look(
            format!("{what} of more than a year: {}", old.join(", ")),
            "make new ones; they are read anew at each use",
        );
    } else if let Some(oldest) = files.iter().filter_map(days).max() {
        group.well(format!(
            "{what}: the oldest is {} old",
            flotilla_shared::words::counted(usize::try_from(oldest).unwrap_or_default(), "day")
        ));
    }
}

fn policy(policy: &Fact<Policy>, now: Timestamp) -> Group {
    let mut group = Group::new("policy");
    let policy = match policy {
        Ok(policy) => policy,
        Err(why) => {
            group.wrong(
                why.clone(),
                "flotilla-agent policy check FILE; reference/policy.md has its keys",
            );
            return group;
        }
    };
    for statement in policy.explain() {
        if statement.open {
            let hint = format!("{}: in the policy file closes this", statement.key);
            group.look(statement.says, hint);
        }
    }
    for key in &policy.keys {
        let name = &key.name;
        if key.revoked {
            continue;
        }
        match key.valid_until {
            Some(until) if until <= now => group.wrong(
                format!("key {name} is good no more: nothing new that it signs is taken"),
                "pin its successor beside it, and let people sign with that",
            ),
            Some(until) if until.duration_since(now).as_secs() < 30 * 86_400 => group.look(
                format!("key {name} is good for less than thirty days"),
                "pin its successor beside it in time",
            ),
            _ => {}
        }
    }
    if group.findings.is_empty() {
        group.well("nothing is left open");
    }
    group
}
