//! `notifications.yaml`: targets of notifications and the events that each one gets.

mod email;

use std::collections::BTreeSet;
use std::path::PathBuf;

use flotilla_shared::id::EnvironmentName;
use flotilla_shared::loopback;
use flotilla_yaml::config::{ConfigError, Located, mapping};
use serde::Deserialize;

pub use email::Mail;

use crate::event::{Event, Kind};
use crate::severity::Severity;

const MAX_TARGETS: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    api_version: String,
    kind: String,
    #[serde(default)]
    link: String,
    #[serde(default)]
    targets: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    format: Format,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    url_file: Option<PathBuf>,
    #[serde(default)]
    token_file: Option<PathBuf>,
    #[serde(default)]
    secret_file: Option<PathBuf>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    user_file: Option<PathBuf>,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default)]
    environments: BTreeSet<EnvironmentName>,
    #[serde(default)]
    events: BTreeSet<Kind>,
    #[serde(default)]
    min_severity: Severity,
}

/// Type of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// CloudEvents 1.0 in JSON, for programs.
    Webhook,
    /// A bot: one message for each rollout that changes, details in its thread.
    Slack,
    /// An incoming webhook of Slack: a message when something begins, needs attention, and ends.
    SlackWebhook,
    /// The URL of a Microsoft Teams workflow.
    Teams,
    /// A Discord webhook.
    Discord,
    /// Alertmanager's API, version 2.
    Alertmanager,
    /// PagerDuty's Events API, version 2.
    PagerDuty,
    /// Grafana's annotations: a region over each rollout.
    Grafana,
    /// A mail server: a message when something begins, needs attention, and ends.
    Email,
}

/// A target of notifications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name: letters, digits and `-`, at most 63; unique in the file.
    pub name: String,
    /// Its `type`, which decides what is sent and which keys are allowed.
    pub format: Format,
    /// Its URL; empty: in `url_file`, or fixed for its type.
    pub url: String,
    /// A file with the URL.
    pub url_file: Option<PathBuf>,
    /// A file with the token.
    pub token_file: Option<PathBuf>,
    /// A file with the key that a webhook is signed with.
    pub secret_file: Option<PathBuf>,
    /// The Slack channel.
    pub channel: String,
    /// Email settings, for a target of that type.
    pub mail: Option<Mail>,
    environments: BTreeSet<EnvironmentName>,
    events: BTreeSet<Kind>,
    min_severity: Severity,
}

impl Target {
    /// Returns whether the target gets an event. Events of the whole fleet count for every environment.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let here = self.environments.is_empty()
            || event.environment.is_empty()
            || self
                .environments
                .iter()
                .any(|environment| environment.as_str() == event.environment);
        let named = self.events.is_empty() || self.events.contains(&event.kind);
        // An event that resolves a message has to reach every target that got the message.
        let bad_enough = event.kind.severity() >= self.min_severity
            || (event.kind.ends() && !self.is_chat())
            || (event.kind == Kind::ClusterBack && !self.is_chat());
        here && named && bad_enough
    }

    fn is_chat(&self) -> bool {
        matches!(
            self.format,
            Format::Slack | Format::SlackWebhook | Format::Teams | Format::Discord | Format::Email
        )
    }
}

/// The content of `notifications.yaml`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// Base URL of the fleet's pages; empty: none.
    pub link: String,
    /// The targets.
    pub targets: Vec<Target>,
}

impl Config {
    /// Returns the URL of a page about an event; empty: none.
    #[must_use]
    pub fn page(&self, event: &Event) -> String {
        let base = self.link.trim_end_matches('/');
        match (base, event.rollout.as_str(), event.environment.as_str()) {
            ("", ..) => String::new(),
            (base, "", "") => base.to_owned(),
            (base, "", environment) => format!("{base}/env/{environment}"),
            (base, rollout, _) => format!("{base}/rollout/{rollout}"),
        }
    }
}

/// Reads the file.
///
/// # Errors
/// Every problem that was found, with file, line and key; a file with one is not used at all.
pub fn parse(name: &str, text: &str) -> Result<Config, Vec<ConfigError>> {
    let located = mapping::<File>(name, text, &["targets"]).map_err(|error| vec![error])?;
    let mut errors = Vec::new();
    let file = &located.value;
    let mut wrong = |path: &str, message: &str| errors.push(located.error(path, message));
    if file.api_version != "flotilla.dev/v1alpha1" {
        wrong("apiVersion", "it must be flotilla.dev/v1alpha1");
    }
    if file.kind != "Notifications" {
        wrong("kind", "it must be Notifications");
    }
    if !file.link.is_empty() && !file.link.starts_with("https://") {
        wrong("link", "it must begin with https://");
    }
    if file.targets.len() > MAX_TARGETS {
        wrong("targets", "there are more than 64");
    }
    let mut targets: Vec<Target> = Vec::new();
    for (index, entry) in file.targets.iter().enumerate() {
        let path = format!("targets[{index}]");
        check(&located, &path, entry, &mut errors);
        let mail = (entry.format == Format::Email).then(|| email::read(entry));
        let mail = mail.transpose().unwrap_or_else(|wrong| {
            let all = wrong.into_iter();
            errors.extend(all.map(|(key, text)| located.error(&format!("{path}{key}"), text)));
            None
        });
        if targets.iter().any(|other| other.name == entry.name) {
            let message = format!("target {} is listed twice", entry.name);
            errors.push(located.error(&format!("{path}.name"), message));
        }
        targets.push(Target {
            name: entry.name.clone(),
            format: entry.format,
            url: entry.url.clone().unwrap_or_default(),
            url_file: entry.url_file.clone(),
            token_file: entry.token_file.clone(),
            secret_file: entry.secret_file.clone(),
            channel: entry.channel.clone().unwrap_or_default(),
            mail,
            environments: entry.environments.clone(),
            events: entry.events.clone(),
            min_severity: entry.min_severity,
        });
    }
    if errors.is_empty() {
        let link = file.link.clone();
        Ok(Config { link, targets })
    } else {
        Err(errors)
    }
}

fn check(located: &Located<File>, path: &str, entry: &Entry, errors: &mut Vec<ConfigError>) {
    let mut wrong =
        |key: &str, message: &str| errors.push(located.error(&format!("{path}{key}"), message));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if entry.name.is_empty() || entry.name.len() > 63 || !entry.name.chars().all(plain) {
        wrong(".name", "letters, digits and -, at most 63");
    }
    let known = matches!(entry.format, Format::Slack | Format::PagerDuty);
    // These URLs are credentials themselves.
    let secret = matches!(
        entry.format,
        Format::SlackWebhook | Format::Teams | Format::Discord
    );
    let is_mail = entry.format == Format::Email;
    let of_mail = entry.from.is_some()
        || !entry.to.is_empty()
        || entry.user_file.is_some()
        || entry.password_file.is_some()
        || entry.ca_file.is_some();
    if of_mail && !is_mail {
        wrong(
            "",
            "from, to, userFile, passwordFile and caFile are for email",
        );
    }
    match (&entry.url, &entry.url_file) {
        _ if is_mail => {}
        (Some(_), Some(_)) => wrong(".urlFile", "give either url or urlFile"),
        (None, None) if !known => wrong("", "url or urlFile is required"),
        (Some(_), None) if secret => {
            wrong(
                ".url",
                "this URL is a secret: put it into a file and give that as urlFile",
            );
        }
        (Some(url), None) if !loopback::is_private(url) => {
            wrong(".url", "it must begin with https://");
        }
        _ => {}
    }
    let takes_token = matches!(
        entry.format,
        Format::Slack
            | Format::PagerDuty
            | Format::Grafana
            | Format::Alertmanager
            | Format::Webhook
    );
    let needs_token = matches!(
        entry.format,
        Format::Slack | Format::PagerDuty | Format::Grafana
    );
    match entry.token_file {
        None if needs_token => wrong("", "tokenFile is required"),
        Some(_) if !takes_token => wrong(".tokenFile", "this type does not use one"),
        _ => {}
    }
    if entry.secret_file.is_some() && entry.format != Format::Webhook {
        wrong(".secretFile", "only webhook supports signing");
    }
    match &entry.channel {
        None if entry.format == Format::Slack => wrong("", "channel is required"),
        Some(_) if entry.format != Format::Slack => wrong(".channel", "only slack has channels"),
        Some(channel) if channel.is_empty() || channel.len() > 200 => {
            wrong(".channel", "it is not a channel");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(targets: &str) -> Result<Config, Vec<String>> {
        let text = format!(
            "apiVersion: flotilla.dev/v1alpha1\nkind: Notifications\nlink: https://f.example.org/\n\
             targets:\n{targets}"
        );
        parse("n.yaml", &text).map_err(|all| all.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn mistakes_are_named_with_file_line_and_key() {
        for (text, expected) in [
            ("- {name: a, type: webhook}\n", "url or urlFile is required"),
            (
                "- {name: a, type: webhook, url: 'http://h/x'}\n",
                "https://",
            ),
            (
                "- {name: a, type: webhook, url: 'http://localhost:x@h/x'}\n",
                "https://",
            ),
            (
                "- {name: a, type: teams, url: 'https://h/x'}\n",
                "put it into a file",
            ),
            (
                "- {name: a, type: slack, channel: c}\n",
                "tokenFile is required",
            ),
            (
                "- {name: a, type: slack, tokenFile: /t}\n",
                "channel is required",
            ),
            (
                "- {name: a, type: discord, urlFile: /u, tokenFile: /t}\n",
                "does not use one",
            ),
            (
                "- {name: a, type: grafana, url: 'https://h', tokenFile: /t, secretFile: /s}\n",
                "only webhook",
            ),
            (
                "- {name: 'a b', type: webhook, url: 'https://h'}\n",
                "letters, digits",
            ),
            (
                "- {name: a, type: webhook, url: 'https://h'}\n- {name: a, type: webhook, url: 'https://h'}\n",
                "listed twice",
            ),
            (
                "- {name: a, type: webhook, url: 'https://h', events: [rolloutBegun]}\n",
                "rolloutBegun",
            ),
            (
                "- {name: a, type: email, url: 'https://h', from: a@b.c, to: [a@b.c]}\n",
                "smtps://",
            ),
            (
                "- {name: a, type: email, url: 'smtp://h', from: \"a@b.c\\r\\nBcc: x@y\", to: [a@b.c]}\n",
                "not an address",
            ),
            (
                "- {name: a, type: email, url: 'smtp://h', from: a@b.c, to: [a@b.c], userFile: /u}\n",
                "go together",
            ),
            (
                "- {name: a, type: email, url: 'smtp://h', from: a@b.c, to: [a@b.c], tokenFile: /t}\n",
                "does not use one",
            ),
            (
                "- {name: a, type: webhook, url: 'https://h', caFile: /c}\n",
                "for email",
            ),
            (
                "- {name: a, type: webhook, url: 'https://h', secret: hunter2}\n",
                "unknown key",
            ),
        ] {
            let errors = read(text).unwrap_err();
            assert!(
                errors.len() == 1 && errors[0].contains(expected),
                "{text}: {errors:?}"
            );
            assert!(
                errors[0].starts_with("n.yaml:") && !errors[0].contains("hunter2"),
                "{errors:?}"
            );
        }
    }

    #[test]
    fn who_is_told_what() {
        let config = read(
            "- {name: all, type: webhook, url: 'https://h'}\n\
             - {name: prod, type: slackWebhook, urlFile: /u, environments: [prod], minSeverity: warning}\n\
             - {name: pager, type: pagerDuty, tokenFile: /t, minSeverity: critical}\n\
             - {name: some, type: teams, urlFile: /u, events: [fight]}\n",
        )
        .unwrap();
        let told = |kind, environment: &str| -> Vec<&str> {
            let event = Event {
                kind,
                at: jiff::Timestamp::UNIX_EPOCH,
                environment: environment.to_owned(),
                rollout: String::new(),
                commit: String::new(),
                clusters: Vec::new(),
                count: 0,
                actor: String::new(),
                reason: String::new(),
            };
            let targets = config.targets.iter().filter(|target| target.wants(&event));
            targets.map(|target| target.name.as_str()).collect()
        };
        assert_eq!(told(Kind::RolloutStarted, "prod"), ["all"]);
        assert_eq!(told(Kind::RolloutHalted, "prod"), ["all", "prod", "pager"]);
        assert_eq!(told(Kind::RolloutHalted, "dev"), ["all", "pager"]);
        assert_eq!(told(Kind::StoreFailing, ""), ["all", "prod", "pager"]);
        assert_eq!(told(Kind::Fight, "dev"), ["all", "some"]);
        // A raised alert is resolved.
        assert_eq!(told(Kind::RolloutSucceeded, "prod"), ["all", "pager"]);
    }

    #[test]
    fn every_kind_has_a_word_of_its_own() {
        for kind in Kind::ALL {
            let word = serde_json::to_value(kind).unwrap();
            assert_eq!(word, kind.as_str());
        }
        assert_eq!(Kind::ALL.len(), 20);
    }
}
