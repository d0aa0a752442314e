//! Lists, a row for each item.

use std::collections::BTreeMap;

use flotilla_shared::words::counted;
use flotilla_status::{
    Application, Cluster, Connectivity, Environment, Hub, Right, Token, short_commit,
};
use jiff::Timestamp;

use super::status::revision;
use super::{
    Cell, Paint, Table, Tone, age, connection_cell, dash, health_cell, is_over, sync_cell, until,
};

/// `a=b,c=d`.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    dash(&pairs.join(",")).to_owned()
}

/// Columns of a list of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// The usual columns.
    Usual,
    /// Also versions, certificates and pending keys.
    Wide,
}

#[must_use]
pub fn clusters(clusters: &[Cluster], width: Width, paint: Paint, now: Timestamp) -> String {
    let mut heads = vec![
        "NAME",
        "ENVIRONMENT",
        "AGENT",
        "SEEN",
        "REVISION",
        "SYNC",
        "HEALTH",
        "LABELS",
    ];
    if width == Width::Wide {
        heads.extend(["KUBERNETES", "VERSION", "CERTIFICATE", "WAITING KEY"]);
    }
    let mut table = Table::new(heads);
    for cluster in clusters {
        // A pending cluster has not reported yet.
        let known = |cell| match cluster.connection {
            Connectivity::Pending => Cell::from("-"),
            _ => cell,
        };
        let mut cells = vec![
            Cell::from(cluster.name.as_str()),
            Cell::from(dash(&cluster.environment)),
            connection_cell(cluster.connection),
            Cell::from(age(cluster.last_seen, now)),
            revision(cluster),
            known(sync_cell(cluster.sync)),
            known(health_cell(cluster.health)),
            Cell::from(labels(&cluster.labels)),
        ];
        if width == Width::Wide {
            cells.extend([
                Cell::from(dash(&cluster.kubernetes_version)),
                Cell::from(dash(&cluster.agent_version)),
                Cell::from(until(cluster.certificate_expires_at, now)),
                Cell::from(dash(&cluster.pending_fingerprint)),
            ]);
        }
        table.row(cells);
    }
    or_none(&table, "clusters", paint)
}

#[must_use]
pub fn applications(applications: &[Application], paint: Paint) -> String {
    let mut table = Table::new([
        "NAME",
        "REPOSITORY",
        "PATH",
        "RENDERER",
        "CURRENT",
        "FAILED",
        "HEALTH",
    ]);
    for application in applications {
        let failed = if application.failed > 0 {
            Tone::Bad
        } else {
            Tone::Plain
        };
        table.row([
            Cell::from(application.name.as_str()),
            Cell::from(application.repository.as_str()),
            Cell::from(application.path.as_str()),
            Cell::from(application.renderer.as_str()),
            Cell::from(format!("{}/{}", application.current, application.clusters)),
            Cell::new(failed, application.failed.to_string()),
            health_cell(application.health),
        ]);
    }
    or_none(&table, "applications", paint)
}

/// Environments, a row for the branch of each repository.
#[must_use]
pub fn environments(environments: &[Environment], paint: Paint, now: Timestamp) -> String {
    let mut table = Table::new([
        "NAME",
        "FROM",
        "REPOSITORY",
        "BRANCH",
        "HEAD",
        "SINCE",
        "READ",
        "CURRENT",
        "FAILED",
        "HEALTH",
    ]);
    for environment in environments {
        let failed = if environment.failed > 0 {
            Tone::Bad
        } else {
            Tone::Plain
        };
        for branch in &environment.branches {
            let head = branch.head.as_ref();
            let problem = if branch.reason.is_empty() {
                Tone::Plain
            } else {
                Tone::Bad
            };
            table.row([
                Cell::from(environment.name.as_str()),
                Cell::from(dash(&environment.promotes_from)),
                Cell::from(branch.repository.as_str()),
                Cell::from(environment.branch.as_str()),
                Cell::from(head.map_or("-".to_owned(), |head| short_commit(&head.commit))),
                Cell::from(age(branch.seen_at, now)),
                Cell::new(problem, age(branch.checked_at, now)),
                Cell::from(format!("{}/{}", environment.current, environment.clusters)),
                Cell::new(failed, environment.failed.to_string()),
                health_cell(environment.health),
            ]);
        }
    }
    let mut out = or_none(&table, "environments", paint);
    for environment in environments {
        for branch in environment
            .branches
            .iter()
            .filter(|branch| !branch.reason.is_empty())
        {
            out.push_str(&format!(
                "\n{}/{}: {}: {}\n",
                branch.repository,
                environment.branch,
                paint.paint(Tone::Bad, &branch.reason),
                branch.message
            ));
        }
    }
    out
}

#[must_use]
pub fn tokens(tokens: &[Token], paint: Paint, now: Timestamp) -> String {
    let mut table = Table::new([
        "ID",
        "STATE",
        "CLUSTER",
        "ENVIRONMENT",
        "LABELS",
        "ACCEPT",
        "CREATED BY",
    ]);
    for token in tokens {
        let state = if token.redeemed_at.is_some() {
            let text = format!(
                "used {} ago by {}",
                age(token.redeemed_at, now),
                token.redeemed_by
            );
            Cell::new(Tone::Dim, text)
        } else if is_over(token.expires_at, now) {
            Cell::new(Tone::Dim, "expired")
        } else {
            let ends = until(token.expires_at, now);
            Cell::new(Tone::Good, format!("ends {ends}"))
        };
        table.row([
            Cell::from(token.id.as_str()),
            state,
            Cell::from(dash(&token.cluster)),
            Cell::from(dash(&token.environment)),
            Cell::from(labels(&token.labels)),
            Cell::from(if token.auto_accept {
                "at once"
            } else {
                "by hand"
            }),
            Cell::from(token.created_by.as_str()),
        ]);
    }
    or_none(&table, "tokens", paint)
}

#[must_use]
pub fn hub(hub: &Hub, paint: Paint, now: Timestamp) -> String {
    let digest: String = hub.fleet_digest.chars().take(12).collect();
    let mut out = format!(
        "version:     {}\naddress:     {}\nyou are:     {}{}\nruns for:    {}\nepoch:       {}\n\
         fleet file:  {}, in force for {}\n",
        hub.version,
        hub.address,
        hub.operator,
        rights(&hub.rights),
        age(hub.started_at, now),
        hub.epoch,
        dash(&digest),
        age(hub.fleet_loaded_at, now),
    );
    if !hub.fleet_errors.is_empty() {
        let text = "the fleet file on disk is not in force:";
        out.push_str(&format!("\n{}\n", paint.paint(Tone::Bad, text)));
        for error in &hub.fleet_errors {
            out.push_str(&format!("  {error}\n"));
        }
    }
    if hub.given_up_total > 0 {
        out.push_str(&given_up(hub, paint, now));
    }
    out
}

/// Notifications that targets never got.
fn given_up(hub: &Hub, paint: Paint, now: Timestamp) -> String {
    let total = usize::try_from(hub.given_up_total).unwrap_or(usize::MAX);
    let mut title = format!("{} given up", counted(total, "notification"));
    if hub.given_up.len() < total {
        title.push_str(&format!(", the last {}", hub.given_up.len()));
    }
    let mut table = Table::new(vec!["TARGET", "EVENT", "WHERE", "AGE", "WHY"]);
    for delivery in &hub.given_up {
        let place = match delivery.rollout.as_str() {
            "" => delivery.environment.as_str(),
            rollout => rollout,
        };
        table.row(vec![
            Cell::from(delivery.target.as_str()),
            Cell::from(delivery.event.as_str()),
            Cell::from(dash(place)),
            Cell::from(age(delivery.at, now)),
            Cell::from(delivery.why.as_str()),
        ]);
    }
    format!(
        "\n{}\n{}",
        paint.paint(Tone::Bad, &format!("{title}:")),
        table.render(paint)
    )
}

/// `, promoter in stage`.
fn rights(rights: &[Right]) -> String {
    let mut text = String::new();
    for right in rights {
        let place = match right.environments.as_slice() {
            [] => String::new(),
            some => format!(" in {}", some.join(", ")),
        };
        text.push_str(&format!(", {}{place}", right.role));
    }
    text
}

fn or_none(table: &Table, what: &str, paint: Paint) -> String {
    if table.is_empty() {
        return format!("no {what}\n");
    }
    table.render(paint)
}
