//! From facts to findings.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_shared::findings::{Findings, Group};
use jiff::Timestamp;

use super::{CheckFacts, Fact, KeyFile, LeaseFacts, RightCheck};
use crate::policy::Policy;

/// Oldest supported version of Kubernetes: it has server-side apply and aggregated discovery.
const OLDEST: (u32, u32) = (1, 27);
/// Seconds without renewal after which a lease counts as expired.
const LEASE_OLD: i64 = 30;
/// Free space, in bytes, below which the check fails, or warns.
const ROOM_WRONG: u64 = 64 << 20;
const ROOM_LOOK: u64 = 512 << 20;
/// Age in days above which credentials should be rotated.
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
                format!("the API server cannot be queried: {why}"),
                "run the check in the agent's pod or give --kubeconfig; check network policies",
            );
            return group;
        }
        Ok(version) => match minor(version) {
            Some(known) if known >= OLDEST => group.well(format!("Kubernetes {version}")),
            Some(_) => group.wrong(
                format!("Kubernetes {version}"),
                format!("Kubernetes 1.{} or newer is required", OLDEST.1),
            ),
            None => group.unknown(format!("unknown version of Kubernetes: {version:?}"), ""),
        },
    }
    let name = &facts.namespace;
    match &facts.has_namespace {
        None => {}
        Some(Ok(true)) => group.well(format!("namespace {name} exists")),
        Some(Ok(false)) if facts.pre => {
            group.well(format!("namespace {name} does not exist yet"));
        }
        Some(Ok(false)) => group.wrong(
            format!("namespace {name} does not exist"),
            "install the agent: flotilla cluster join-manifest; or give another namespace with \
             --namespace",
        ),
        // The agent needs no right to read Namespaces, so this is not a failure.
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
    let mut by_purpose: BTreeMap<&str, Vec<&RightCheck>> = BTreeMap::new();
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
                "the person who installs the agent needs these rights once"
            } else if purpose.starts_with("applying") {
                "add a ClusterRole with the label flotilla.dev/agent-may-apply: \"true\" and all of get, \
                 list, watch, create, patch, delete"
            } else {
                "apply rbac.yaml of this version again, or print it with join-manifest"
            };
            group.wrong(format!("{purpose}: missing {}", missing.join(", ")), hint);
        } else if let Some(why) = unknown {
            group.unknown(format!("{purpose}: {why}"), "");
        } else {
            group.well(purpose);
        }
    }
    if !facts.unserved.is_empty() {
        group.look(
            format!("not served by this cluster: {}", facts.unserved.join(", ")),
            "their CRDs are not installed, or the policy misspells them",
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
            "no lease: no agent has run here yet",
            "check the pods of flotilla-agent",
        ),
        Some(Ok(Some(lease))) => lease_is_held(&mut group, lease, facts.now),
    }
    match &facts.certificate {
        None => {}
        Some(Err(why)) => group.unknown(format!("the certificate cannot be read: {why}"), ""),
        Some(Ok(None)) => group.look(
            "not enrolled yet",
            "the agent needs a join token (flotilla cluster join-manifest), and then flotilla \
             cluster accept",
        ),
        Some(Ok(Some(certificate))) => {
            let end = certificate.end.strftime("%Y-%m-%d %H:%M UTC");
            let life = certificate.end.duration_since(certificate.begin).as_secs();
            let left = certificate.end.duration_since(facts.now).as_secs();
            let hint = "it is renewed over the stream to the hub at two thirds of its lifetime: \
                 check that the hub is reachable";
            if facts.now < certificate.begin {
                let text = "the certificate is not valid yet";
                group.wrong(text, "correct this machine's clock");
            } else if left <= 0 {
                group.wrong(format!("the certificate expired on {end}"), hint);
            } else if left < life / 5 {
                group.look(format!("the certificate expires on {end}"), hint);
            } else {
                group.well(format!("the certificate is valid until {end}"));
            }
        }
    }
    match &facts.disk {
        None => {}
        Some(Err(why)) => group.wrong(format!("data directory: {why}"), "give it with --data-dir"),
        Some(Ok(disk)) => {
            let room = format!("{}: {} MiB free", disk.path, disk.free >> 20);
            match &disk.writable {
                Err(why) => {
                    let text = format!("{} cannot be written: {why}", disk.path);
                    group.wrong(text, "the volume must belong to user and group 65532");
                }
                Ok(()) if disk.free < ROOM_WRONG => group.wrong(room, "Git caches need more space"),
                Ok(()) if disk.free < ROOM_LOOK => group.look(room, "Git caches need more space"),
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
            "the lease currently has no holder",
            "wait ten seconds and check again",
        ),
        (holder, Some(age)) if age <= LEASE_OLD => group.well(format!("{holder} is the leader")),
        (holder, _) => group.wrong(
            format!("{holder} holds the lease but does not renew it"),
            "its node may be down, or clocks may differ; check the agent's pods and their logs",
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
                group.well(format!("{} is reachable {with}", repository.url));
            }
            Ok(missing) => group.look(
                format!("{} has no branch {}", repository.url, missing.join(", ")),
                "push the branch, or remove it from the policy",
            ),
            Err(why) => group.wrong(
                format!("{}, tried {with}: {why}", repository.url),
                "check the Secret flotilla-agent-git, network policies and the Git server",
            ),
        }
    }
    if facts.repositories.is_empty() {
        group.look(
            "no repository is known, so none was checked",
            "list repositories in the policy, or give one with --repo",
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
            group.well(format!("age keys for SOPS: {count}"));
            old(&mut group, "age keys", &facts.age_files, facts.now);
        }
        // The manifests mount this directory whether or not the Secret exists.
        Some(Err(why)) if facts.age_files.is_empty() => {
            group.look(
                format!("files encrypted with SOPS cannot be decrypted: {why}"),
                "if Git holds such files, put an age key into the Secret flotilla-agent-sops",
            );
        }
        Some(Err(why)) => group.wrong(
            format!("age keys cannot be used: {why}"),
            "write them in the format of age-keygen",
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
            format!("{what} older than a year: {}", old.join(", ")),
            "rotate them; they are read again at each use",
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
                "flotilla-agent policy check FILE; reference/policy.md lists its keys",
            );
            return group;
        }
    };
    for statement in policy.explain() {
        if statement.open {
            let hint = format!("restrict it with {}: in the policy file", statement.key);
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
                format!("key {name} has expired: new signatures by it are rejected"),
                "pin its successor beside it, and sign with that one",
            ),
            Some(until) if until.duration_since(now).as_secs() < 30 * 86_400 => group.look(
                format!("key {name} expires in less than thirty days"),
                "pin its successor beside it before then",
            ),
            _ => {}
        }
    }
    if group.findings.is_empty() {
        group.well("the policy leaves nothing open");
    }
    group
}
