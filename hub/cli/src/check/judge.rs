//! From facts to findings.

use std::collections::BTreeMap;

use flotilla_shared::clock::{let_run_ntp, off_by};
use flotilla_shared::findings::{Findings, Group, Skew, skew};
use flotilla_status::{Cluster, Connectivity, Environment, Hub, RolloutState};
use jiff::Timestamp;

use super::{CheckFacts, ContextFacts, Fact, FactError, FleetFile, HubFacts, Validity};

/// Difference of clocks, seconds, above which soaks, windows and new certificates are affected.
const CLOCK_LOOK: i64 = 5;
/// Difference of clocks, seconds, above which new certificates are rejected.
const CLOCK_WRONG: i64 = 60;
/// Age of the last read, seconds, above which a branch counts as not followed.
const UNREAD: i64 = 600;
/// Number of names in a text; further ones are counted.
const NAMES: usize = 5;

pub(crate) fn judge(facts: &CheckFacts) -> Findings {
    let mut groups = vec![context(&facts.context, facts.now)];
    match &facts.hub {
        None => {}
        Some(Err(missing)) => {
            let mut group = Group::new("hub");
            group.wrong(missing.why.clone(), missing.hint.clone());
            groups.push(group);
        }
        Some(Ok(hub)) => {
            groups.push(clock(hub));
            groups.push(about_hub(hub, facts.version));
            groups.push(authority(hub, facts.context.as_ref().ok(), facts.now));
            groups.push(rights(&hub.hub));
        }
    }
    let hub = facts.hub.as_ref().and_then(|hub| hub.as_ref().ok());
    groups.push(fleet_file(hub, facts.fleet_file.as_ref()));
    if let Some(environments) = &facts.environments {
        groups.push(known("environments", environments, |group, all| {
            about_environments(group, all, facts.now);
        }));
    }
    if let Some(clusters) = &facts.clusters {
        let version = hub.map(|hub| hub.hub.version.as_str());
        groups.push(known("clusters", clusters, |group, all| {
            about_clusters(group, all, version, facts.now);
        }));
    }
    Findings::from(groups)
}

/// Unwraps a fact, or returns the finding that it is not available.
fn known<T>(name: &'static str, fact: &Fact<T>, judge: impl FnOnce(&mut Group, &T)) -> Group {
    let mut group = Group::new(name);
    match fact {
        Ok(fact) => judge(&mut group, fact),
        Err(missing) => missing.unknown(&mut group),
    }
    group
}

impl FactError {
    fn unknown(&self, group: &mut Group) {
        group.unknown(self.why.clone(), self.hint.clone());
    }
}

fn day(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Joins some names, and counts the rest.
fn names<'n>(names: impl Iterator<Item = &'n str> + Clone) -> String {
    let all = names.clone().count();
    let some: Vec<&str> = names.take(NAMES).collect();
    match all.saturating_sub(some.len()) {
        0 => some.join(", "),
        more => format!("{} and {more} more", some.join(", ")),
    }
}

/// Describes the remaining life of a certificate.
fn life(group: &mut Group, what: &str, validity: &Validity, now: Timestamp, hint: &str) {
    let end = day(validity.end);
    if now < validity.begin {
        let text = format!("{what} begins on {}", day(validity.begin));
        group.wrong(text, "set this machine's clock right");
    } else if now >= validity.end {
        group.wrong(format!("{what} ended on {end}"), hint);
    } else if validity.is_in_its_last_fifth(now) {
        let text = format!("{what} ends on {end}: less than a fifth of its life is left");
        group.look(text, hint);
    } else {
        group.well(format!("{what} is good until {end}"));
    }
}

fn context(fact: &Fact<ContextFacts>, now: Timestamp) -> Group {
    let mut group = Group::new("context");
    let facts = match fact {
        Ok(facts) => facts,
        Err(missing) => {
            group.wrong(missing.why.clone(), missing.hint.clone());
            return group;
        }
    };
    group.well(format!("{} names the hub {}", facts.name, facts.hub));
    match &facts.certificate {
        Some(validity) => {
            let hint = "renew it: flotilla context renew; after its end an admin makes a new context file \
                        with flotilla operator set NAME --role ROLE --write-context FILE";
            life(&mut group, "your certificate", validity, now, hint);
        }
        None => group.well("you are logged in through an identity provider"),
    }
    group
}

fn clock(facts: &HubFacts) -> Group {
    let mut group = Group::new("clock");
    let Some(theirs) = facts.hub.now else {
        let text = "the hub does not tell its time: it is older than this program";
        group.unknown(text, "");
        return group;
    };
    let (before, after) = facts.asked;
    // The hub read its clock at some time between question and answer.
    let off = if theirs < before {
        before.duration_since(theirs)
    } else if theirs > after {
        theirs.duration_since(after)
    } else {
        jiff::SignedDuration::ZERO
    }
    .as_secs();
    let which = if theirs < before {
        "behind"
    } else {
        "ahead of"
    };
    let hint = let_run_ntp("both");
    match off {
        0 => group.well("this machine's clock and the hub's agree"),
        1..=CLOCK_LOOK => group.well(format!("the hub's clock is {off}s {which} this machine's")),
        _ if off <= CLOCK_WRONG => {
            group.look(
                format!("the hub's clock is {off}s {which} this machine's"),
                hint,
            );
        }
        _ => group.wrong(
            format!("the hub's clock is {off}s {which} this machine's"),
            hint,
        ),
    }
    group
}

fn about_hub(facts: &HubFacts, version: &str) -> Group {
    let mut group = Group::new("hub");
    let hub = &facts.hub;
    let upgrade = "upgrade the hub first, then agents; the command line at any time";
    let text = format!("it runs {}, this program is {version}", hub.version);
    match skew(&hub.version, version) {
        Skew::Same => group.well(text),
        Skew::Older => group.look(format!("{text}: the hub is older"), upgrade),
        Skew::Newer => group.look(
            format!("{text}: this program is older"),
            "use the command line of the hub's version",
        ),
        Skew::Unreadable => group.unknown(text, ""),
    }
    match (hub.store.as_str(), hub.store_failing) {
        ("", _) => group.unknown("it does not tell how its store works: it is older", ""),
        (store, true) => group.wrong(
            format!("its store ({store}) is not writable"),
            "the hub's log says why: a full disk, a database that is away, a lost lease",
        ),
        (store, false) => group.well(format!("its store ({store}) is writable")),
    }
    if hub.store == "postgresql" {
        match hub.decider.as_str() {
            "" => group.look(
                "no replica is recorded as the leader",
                "wait for a takeover (six seconds); then read the replicas' logs",
            ),
            decider => group.well(format!(
                "the replica at {decider} leads; leadership changed {} times",
                ordinal(hub.term)
            )),
        }
    } else if hub.store == "sqlite" {
        group.well("a single process, without replicas");
    }
    match hub.fleet_errors.first() {
        None => group.well(format!(
            "the fleet file {} is in force",
            hub.fleet_digest.get(..12).unwrap_or(&hub.fleet_digest)
        )),
        Some(first) => group.wrong(
            format!("the fleet file on its disk is not in force: {first}"),
            "fix it; flotilla-hub check FILE lists every mistake",
        ),
    }
    group
}

fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

fn authority(facts: &HubFacts, context: Option<&ContextFacts>, now: Timestamp) -> Group {
    let mut group = Group::new("authority");
    let hint = "rotate it while it is valid: flotilla-hub ca rotate, and later --finish";
    if facts.roots.is_empty() {
        group.unknown("the hub hands out no readable root certificates", "");
    }
    for root in &facts.roots {
        let short = root.fingerprint.get(..12).unwrap_or(&root.fingerprint);
        let age = now.duration_since(root.begin).as_secs() / 86_400;
        let age = flotilla_shared::words::counted(usize::try_from(age).unwrap_or_default(), "day");
        let what = format!("root {short}, {age} old,");
        life(&mut group, &what, root, now, hint);
    }
    if facts.roots.len() > 1 {
        group.look(
            format!(
                "{} roots are trusted: a rotation is under way",
                facts.roots.len()
            ),
            "finish it once every agent has a certificate of the new one: flotilla-hub ca status",
        );
    }
    if let Some(context) = context {
        let known = |root: &Validity| {
            context
                .roots
                .iter()
                .any(|trusted| trusted.fingerprint == root.fingerprint)
        };
        if facts.roots.is_empty() {
            return group;
        }
        if facts.roots.iter().all(known) {
            group.well("this context trusts the same");
        } else {
            group.look(
                "this context lacks some of them, and will not trust the hub once the old root \
                 is gone",
                "flotilla context renew",
            );
        }
    }
    group
}

fn rights(hub: &Hub) -> Group {
    let mut group = Group::new("rights");
    let mut any = false;
    for right in hub.rights.iter().filter(|right| right.role != "none") {
        any = true;
        let place = match right.environments.as_slice() {
            [] => "everywhere".to_owned(),
            some => format!("in {}", some.join(", ")),
        };
        group.well(format!("{} is {} {place}", hub.operator, right.role));
    }
    if !any {
        group.wrong(
            format!("{} has no role here", hub.operator),
            "an admin gives a role: flotilla operator set NAME --role viewer",
        );
    }
    group
}

fn fleet_file(hub: Option<&HubFacts>, file: Option<&Fact<FleetFile>>) -> Group {
    let mut group = Group::new("fleet file");
    let file = match file {
        None => return group,
        Some(Ok(file)) => file,
        Some(Err(missing)) => {
            group.wrong(missing.why.clone(), missing.hint.clone());
            return group;
        }
    };
    match hub {
        None => group.unknown(format!("{} cannot be compared", file.path), ""),
        Some(hub) if hub.hub.fleet_digest == file.digest => {
            group.well(format!("{} is in force at the hub", file.path));
        }
        Some(_) => group.wrong(
            format!("{} is not in force at the hub", file.path),
            "deploy it to the hub (which reads the file again by itself), or get the newer one; \
             a ConfigMap takes up to a minute to arrive",
        ),
    }
    group
}

fn about_environments(group: &mut Group, all: &[Environment], now: Timestamp) {
    if all.is_empty() {
        group.look(
            "there is none",
            "name one under environments: in the fleet file",
        );
    }
    for environment in all {
        let name = &environment.name;
        let count = group.findings.len();
        for branch in &environment.branches {
            let what = format!(
                "{name}: branch {} of {}",
                environment.branch, branch.repository
            );
            let unread = branch
                .checked_at
                .is_none_or(|at| now.duration_since(at).as_secs() > UNREAD);
            if !branch.reason.is_empty() {
                let text = format!(
                    "{what} cannot be read: {}: {}",
                    branch.reason, branch.message
                );
                group.wrong(text, "the hub's credentials, the URL, or the Git server");
            } else if unread {
                let text = format!("{what} has not been read for ten minutes");
                group.wrong(text, "read the hub's log");
            }
        }
        let says = |text: String| (text, format!("flotilla explain {name}"));
        let mut look = |text: String| {
            let (text, hint) = says(text);
            group.look(text, hint);
        };
        if let Some(mark) = &environment.paused {
            look(format!("{name} is paused by {}: {}", mark.by, mark.reason));
        }
        if let Some(mark) = &environment.hold {
            look(format!("{name}: {}: {}", mark.held(), mark.reason));
        }
        if environment.pin.is_some() {
            look(format!("{name} is pinned"));
        }
        if !environment.quarantined.is_empty() {
            look(format!("{name} has a quarantined head"));
        }
        if let Some(rollout) = &environment.rollout
            && rollout.state == RolloutState::Halted
        {
            let (text, hint) = says(format!(
                "{name}: rollout {} halted: {}",
                rollout.id, rollout.note
            ));
            group.wrong(text, hint);
        }
        if group.findings.len() == count {
            group.well(format!("{name} follows its branch {}", environment.branch));
        }
    }
}

fn about_clusters(group: &mut Group, all: &[Cluster], hub: Option<&str>, now: Timestamp) {
    let of = |matches: &dyn Fn(&Cluster) -> bool| -> Option<(usize, String)> {
        let found: Vec<&str> = all
            .iter()
            .filter(|cluster| matches(cluster))
            .map(|cluster| cluster.name.as_str())
            .collect();
        (!found.is_empty()).then(|| (found.len(), names(found.iter().copied())))
    };
    let accepted = |cluster: &Cluster| cluster.connection != Connectivity::Pending;
    let count = all.iter().filter(|cluster| accepted(cluster)).count();
    let online = all
        .iter()
        .filter(|cluster| cluster.connection == Connectivity::Online)
        .count();
    group.well(format!("{count} in the fleet, {online} online"));
    if let Some((_, who)) = of(&|cluster| cluster.connection == Connectivity::Pending) {
        let hint =
            "compare its key and accept it: flotilla cluster accept NAME --fingerprint SHA256";
        group.look(format!("waiting to be accepted: {who}"), hint);
    }
    if let Some((_, who)) = of(&|cluster| !cluster.locked.is_empty()) {
        let hint = "two agents use one identity: find out which ones, then flotilla cluster \
             unlock NAME --reason TEXT";
        group.wrong(format!("locked: {who}"), hint);
    }
    if let Some((_, who)) = of(&|cluster| matches!(cluster.connection, Connectivity::Offline)) {
        let hint = "what runs there keeps running; read the agent's log, or run flotilla-agent check \
             there";
        group.look(format!("offline: {who}"), hint);
    }
    if let Some((_, who)) = of(&|cluster| cluster.connection == Connectivity::NeverSeen) {
        group.look(format!("accepted and never connected: {who}"), "");
    }
    if let Some((_, who)) = of(&|cluster| cluster.refused) {
        let hint = "flotilla explain NAME says why";
        group.wrong(format!("refuse their assignment: {who}"), hint);
    }
    if let Some((_, who)) = of(&|cluster| cluster.suspension.is_some()) {
        let hint = "flotilla resume NAME lets its agent write again";
        group.look(format!("suspended: {who}"), hint);
    }
    if let Some((_, who)) =
        of(&|cluster| !cluster.suspended.is_empty() && cluster.suspension.is_none())
    {
        group.look(format!("frozen by their owners: {who}"), "");
    }
    let off: Vec<String> = all
        .iter()
        .filter_map(|cluster| {
            Some(format!(
                "{} ({} the hub's)",
                cluster.name,
                off_by(cluster.clock_ahead_seconds?)
            ))
        })
        .collect();
    if !off.is_empty() {
        let who = names(off.iter().map(String::as_str));
        let hint = let_run_ntp("hub and agents");
        group.wrong(format!("the agent's clock is far off: {who}"), hint);
    }
    // An agent renews at two thirds of its certificate's life, so an expired one shows that renewal fails.
    let ended = |cluster: &Cluster| {
        accepted(cluster) && cluster.certificate_expires_at.is_some_and(|end| end <= now)
    };
    if let Some((_, who)) = of(&ended) {
        let hint = "they renew by their key when they connect; read their agents' logs";
        group.wrong(format!("the agent's certificate has expired: {who}"), hint);
    }
    versions(group, all, hub);
}

fn versions(group: &mut Group, all: &[Cluster], hub: Option<&str>) {
    let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let seen = all
        .iter()
        .filter(|cluster| !cluster.agent_version.is_empty());
    for cluster in seen {
        by_version
            .entry(&cluster.agent_version)
            .or_default()
            .push(&cluster.name);
    }
    let Some(hub) = hub else { return };
    for (version, who) in by_version {
        let text = format!("agents run {version}: {}", names(who.iter().copied()));
        match skew(version, hub) {
            Skew::Same => group.well(text),
            Skew::Older => {
                group.look(
                    format!("{text}; the hub is {hub}"),
                    "upgrade them, in waves as with any change",
                );
            }
            Skew::Newer => group.look(
                format!("{text}; the hub is at {hub}"),
                "upgrade the hub first",
            ),
            Skew::Unreadable => group.unknown(text, ""),
        }
    }
}
