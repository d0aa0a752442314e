//! Environments with their clusters.

use flotilla_shared::clock::agent_clock;
use flotilla_shared::health::{Health, SyncState};
use flotilla_status::{
    Branch, Cluster, Connectivity, Environment, Fleet, Placement, Revision, RolloutState,
    short_commit,
};
use jiff::Timestamp;

use super::rollout::{headline, next, note, pinned, stopped, tone};
use super::{
    Cell, Paint, Table, Tone, age, connection_cell, count, dash, health_cell, health_tone,
    sync_cell,
};

/// Options of the output.
#[derive(Debug, Clone, Copy)]
pub struct StatusOptions {
    pub wide: bool,
    pub paint: Paint,
    /// Time that ages are computed from.
    pub now: Timestamp,
}

/// Output of `flotilla status`.
#[must_use]
pub fn status(fleet: &Fleet, options: StatusOptions) -> String {
    let mut out = String::new();
    for environment in &fleet.environments {
        out.push_str(&summary(environment, options));
    }
    if fleet.clusters.is_empty() {
        let first = fleet
            .environments
            .iter()
            .all(|environment| environment.clusters == 0);
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(if first {
            "no clusters yet; flotilla cluster join-manifest NAME --env ENV prints what to apply in one\n"
        } else {
            "no clusters\n"
        });
        return out;
    }
    let order = |cluster: &Cluster| {
        fleet
            .environments
            .iter()
            .position(|environment| environment.name == cluster.environment)
            .unwrap_or(usize::MAX)
    };
    let mut clusters: Vec<&Cluster> = fleet.clusters.iter().collect();
    clusters.sort_by_key(|cluster| (order(cluster), cluster.name.clone()));
    let mut heads = vec![
        "ENVIRONMENT",
        "CLUSTER",
        "REVISION",
        "SYNC",
        "HEALTH",
        "AGENT",
        "AGE",
    ];
    if options.wide {
        heads.extend([
            "APPS",
            "OBJECTS",
            "GENERATION",
            "SEEN",
            "KUBERNETES",
            "VERSION",
        ]);
    }
    let mut table = Table::new(heads);
    for cluster in &clusters {
        table.row(row(cluster, options));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&table.render(options.paint));
    let problems: String = clusters
        .iter()
        .flat_map(|cluster| {
            let mut lines = problems(cluster, options.paint, options.now);
            if order(cluster) == usize::MAX && cluster.connection != Connectivity::Pending {
                lines.insert(0, without_environment(cluster, options.paint));
            }
            lines
        })
        .collect();
    if !problems.is_empty() {
        out.push('\n');
        out.push_str(&problems);
    }
    out
}

/// One line for an environment.
fn summary(environment: &Environment, options: StatusOptions) -> String {
    let paint = options.paint;
    let heads: Vec<String> = environment
        .branches
        .iter()
        .map(|branch| {
            let seen = age(branch.seen_at, options.now);
            let head = match &branch.head {
                Some(head) => format!("{} for {seen}", short_commit(&head.commit)),
                None => "not read yet".to_owned(),
            };
            let approved = branch.approved.as_ref().map_or(String::new(), |commit| {
                format!(", clusters go to {}", short_commit(commit))
            });
            if branch.reason.is_empty() {
                format!("{} {head}{approved}", branch.repository)
            } else {
                let problem = paint.paint(Tone::Bad, &branch.reason);
                let read = branch.checked_at.map_or(String::new(), |at| {
                    format!("; last read {} ago", age(Some(at), options.now))
                });
                format!(
                    "{} {head}{approved} ({problem}: {}{read})",
                    branch.repository, branch.message,
                )
            }
        })
        .collect();
    let tone = if environment.failed > 0 {
        Tone::Bad
    } else if environment.current == environment.clusters {
        Tone::Good
    } else {
        Tone::Warn
    };
    let current = format!(
        "{} of {} current",
        environment.current, environment.clusters
    );
    let mut parts = vec![
        paint.paint(tone, &current),
        format!("{} online", environment.online),
    ];
    if environment.failed > 0 {
        let failed = format!("{} failed", environment.failed);
        parts.push(paint.paint(Tone::Bad, &failed));
    }
    if environment.online > 0 {
        let health = environment.health;
        parts.push(paint.paint(health_tone(health), health.as_str()));
    }
    let mut out = format!(
        "{}: {}; branch {}: {}\n",
        paint.paint(Tone::Head, &environment.name),
        parts.join(", "),
        environment.branch,
        heads.join("; ")
    );
    for (tone, line) in steering(environment, options.now) {
        out.push_str(&format!("  {}\n", paint.paint(tone, &line)));
    }
    out
}

/// What moves through an environment or holds it up, a line each: its rollout, commits that failed, who stopped it, and
/// its pin.
fn steering(environment: &Environment, now: Timestamp) -> Vec<(Tone, String)> {
    let mut lines = Vec::new();
    if let Some(rollout) = &environment.rollout
        && !rollout.state.is_quiet()
    {
        let is_undone = rollout.state == RolloutState::RolledBack;
        if !is_undone || !environment.quarantined.is_empty() {
            let note = note(rollout).map(|note| format!(": {note}"));
            let text = headline(rollout, now) + &note.unwrap_or_default();
            lines.push((tone(&rollout.state), text));
        }
        lines.extend(next(rollout).map(|next| (Tone::Note, format!("next: {next}"))));
    }
    for failure in &environment.quarantined {
        let alone = match failure.commits.as_slice() {
            [alone] => Some(alone.commit.as_str()),
            _ => None,
        };
        lines.push((Tone::Bad, failure.told(&environment.name, alone)));
    }
    let stopped = stopped(&environment.paused, &environment.hold, now);
    lines.extend(stopped.map(|line| (Tone::Warn, line)));
    if let Some(pin) = &environment.pin {
        lines.push((
            Tone::Warn,
            format!("all of it is pinned {}", pinned(pin, now)),
        ));
    }
    lines
}

fn row(cluster: &Cluster, options: StatusOptions) -> Vec<Cell> {
    let accepted = cluster.connection != Connectivity::Pending;
    let blank = |cell: Cell| if accepted { cell } else { Cell::from("-") };
    let mut cells = vec![
        Cell::from(dash(&cluster.environment)),
        Cell::from(cluster.name.as_str()),
        revision(cluster),
        blank(sync_cell(cluster.sync)),
        blank(health_cell(cluster.health)),
        connection_cell(cluster.connection),
        Cell::from(age(applied_at(cluster), options.now)),
    ];
    if options.wide {
        let placements = cluster.applications.iter();
        let good = placements
            .clone()
            .filter(|placement| placement.is_current())
            .count();
        let objects: u32 = placements
            .clone()
            .map(|placement| placement.counts.total)
            .sum();
        let current: u32 = placements.map(|placement| placement.counts.current).sum();
        let generation = |generation: Option<u64>| {
            generation.map_or("-".to_owned(), |generation| generation.to_string())
        };
        let (assigned, runs) = (cluster.assigned_generation, cluster.accepted_generation);
        cells.extend([
            Cell::from(format!("{good}/{}", cluster.applications.len())),
            Cell::from(format!("{current}/{objects}")),
            Cell::from(if assigned == runs {
                generation(assigned)
            } else {
                format!("{} -> {}", generation(runs), generation(assigned))
            }),
            Cell::from(age(cluster.last_seen, options.now)),
            Cell::from(dash(&cluster.kubernetes_version)),
            Cell::from(dash(&cluster.agent_version)),
        ]);
    }
    cells
}

/// The current revision, and the desired one where it differs.
pub(super) fn revision(cluster: &Cluster) -> Cell {
    let of = |pick: fn(&Placement) -> String| {
        let mut all: Vec<String> = cluster.applications.iter().map(pick).collect();
        all.sort();
        all.dedup();
        match all.as_slice() {
            [] => "-".to_owned(),
            [revision] => revision.clone(),
            several => count(several.len(), "revision"),
        }
    };
    let runs = of(|placement| {
        placement
            .revision
            .as_ref()
            .map_or("-".to_owned(), Revision::short)
    });
    let assigned = of(|placement| {
        placement
            .assigned
            .as_ref()
            .map_or("-".to_owned(), Revision::short)
    });
    if cluster
        .applications
        .iter()
        .all(|placement| placement.assigned == placement.revision || placement.assigned.is_none())
    {
        Cell::from(runs)
    } else {
        Cell::new(Tone::Warn, format!("{runs} -> {assigned}"))
    }
}

fn applied_at(cluster: &Cluster) -> Option<Timestamp> {
    cluster
        .applications
        .iter()
        .filter_map(|placement| placement.applied_at)
        .max()
}

/// Reports a cluster whose environment is no longer in the fleet file: its state may be fine, but it gets nothing new.
fn without_environment(cluster: &Cluster, paint: Paint) -> String {
    let (name, environment) = (&cluster.name, &cluster.environment);
    format!(
        "{name}: {}: the fleet file has no environment {}; flotilla explain {name} says what to do\n",
        paint.paint(Tone::Bad, "NoEnvironment"),
        dash(environment),
    )
}

fn problems(cluster: &Cluster, paint: Paint, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |tone: Tone, subject: &str, what: &str, reason: &str, message: &str| {
        let what = paint.paint(tone, if reason.is_empty() { what } else { reason });
        let colon = if message.is_empty() { "" } else { ": " };
        lines.push(format!("{subject}: {what}{colon}{message}\n"));
    };
    if cluster.connection == Connectivity::Pending {
        let message = format!(
            "its key waits; run: flotilla cluster accept {} --fingerprint {}",
            cluster.name, cluster.pending_fingerprint
        );
        add(Tone::Warn, &cluster.name, "Pending", "", &message);
        return lines;
    }
    if let Some(pin) = &cluster.pin {
        add(Tone::Warn, &cluster.name, "Pinned", "", &pinned(pin, now));
    }
    if let Some(ahead) = cluster.clock_ahead_seconds {
        add(
            Tone::Bad,
            &cluster.name,
            "ClockSkew",
            "",
            &agent_clock(ahead),
        );
    }
    if !cluster.locked.is_empty() {
        add(Tone::Bad, &cluster.name, "Locked", "", &cluster.locked);
    }
    if cluster.refused {
        add(
            Tone::Bad,
            &cluster.name,
            "Refused",
            &cluster.reason,
            &cluster.message,
        );
    }
    if !cluster.suspended.is_empty() {
        add(
            Tone::Warn,
            &cluster.name,
            "Suspended",
            "",
            &cluster.suspended,
        );
    }
    for placement in &cluster.applications {
        let bad = !matches!(placement.sync, SyncState::Synced | SyncState::Applying)
            || placement.health == Health::Failed
            || !placement.reason.is_empty();
        if !bad || (placement.reason.is_empty() && placement.message.is_empty()) {
            continue;
        }
        let what = if placement.sync == SyncState::Synced {
            placement.health.as_str()
        } else {
            placement.sync.as_str()
        };
        let tone = if placement.health == Health::Failed
            || matches!(placement.sync, SyncState::Refused | SyncState::OutOfSync)
        {
            Tone::Bad
        } else {
            Tone::Warn
        };
        let subject = format!("{}/{}", cluster.name, placement.application);
        add(tone, &subject, what, &placement.reason, &placement.message);
    }
    lines
}

/// One line for a branch that moved, became readable or unreadable.
#[must_use]
pub fn moved(environment: &Environment, branch: &Branch, now: Timestamp) -> String {
    let head = branch
        .head
        .as_ref()
        .map_or("not read yet".to_owned(), |head| short_commit(&head.commit));
    let problem = match branch.reason.as_str() {
        "" => String::new(),
        reason => format!(" | {reason}: {}", branch.message),
    };
    format!(
        "{} {} {} branch {} {head}{problem}\n",
        now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        environment.name,
        branch.repository,
        environment.branch,
    )
}

/// One line for one change, for `--watch` without a terminal.
#[must_use]
pub fn change(cluster: &Cluster, options: StatusOptions) -> String {
    let mut line = format!(
        "{} {}/{} {} {} {} {}",
        options.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        dash(&cluster.environment),
        cluster.name,
        revision(cluster).text(),
        cluster.sync,
        cluster.health,
        cluster.connection.as_str(),
    );
    let problems = problems(cluster, Paint::Plain, options.now);
    if let Some(first) = problems.first() {
        line.push_str(" | ");
        line.push_str(first.trim_end());
        if problems.len() > 1 {
            line.push_str(&format!(" (and {} more)", problems.len() - 1));
        }
    }
    line.push('\n');
    line
}
