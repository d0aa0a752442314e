//! What a commit would change in an environment, with clusters grouped by equal answers.

use flotilla_shared::object::{ObjectNames, ObjectRef};
use flotilla_shared::report::plain_object;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{PlannedAction, Revision, is_empty, text};

/// Overall result of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// Nothing would change in any cluster.
    Nothing,
    /// Something would change, and every cluster would accept it.
    Changes,
    /// A cluster did not answer, or would not accept the change.
    CannotSay,
}

/// Result of a group of clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PlanVerdict {
    /// Nothing would change.
    Nothing,
    /// Something would change.
    Changes,
    /// Part of it would be rejected, or needs an operator.
    Conflict,
    /// The agent's policy refuses the commit.
    Refused,
    /// The agent could not make the plan.
    Failed,
    /// No answer arrived in time.
    TimedOut,
    /// No agent is connected.
    Offline,
    /// A value of a newer hub.
    Unknown,
}

/// A plan of a commit for an environment.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetPlan {
    /// The hub's id of the plan.
    pub id: String,
    /// Name of the environment whose clusters are asked.
    pub environment: String,
    /// The commit, and the branch on which agents found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// The only application that is planned; empty: all.
    #[serde(skip_serializing_if = "is_empty")]
    pub application: String,
    /// When the plan was requested.
    pub started_at: Option<Timestamp>,
    /// The overall result.
    pub answer: Answer,
    /// Summary of all groups in one line.
    pub summary: String,
    /// Whether no more answers are expected.
    pub done: bool,
    /// Number of clusters that have not answered yet.
    pub waiting: u32,
    /// Number of clusters of the environment that run none of its applications.
    pub unconcerned: u32,
    /// Groups of equal answers; those with changes first, those without last.
    pub groups: Vec<PlanGroup>,
}

impl FleetPlan {
    /// Makes a plan with its overall result from these answers and `waiting` clusters that have not answered; fields
    /// about the request stay empty.
    #[must_use]
    pub fn answered(groups: Vec<PlanGroup>, waiting: u32) -> Self {
        Self {
            id: String::new(),
            environment: String::new(),
            revision: None,
            application: String::new(),
            started_at: None,
            answer: answer(&groups, waiting),
            summary: summary(&groups, waiting),
            done: waiting == 0,
            waiting,
            unconcerned: 0,
            groups,
        }
    }

    /// Returns it with its texts cut and cleaned, as if it came from a hub, for callers that show a plan in the process
    /// that made it.
    #[must_use]
    pub fn cut(self) -> Self {
        let groups = self.groups.into_iter().map(PlanGroup::cut).collect();
        Self {
            id: text(&self.id),
            environment: text(&self.environment),
            revision: self.revision.map(|revision| Revision {
                repository: text(&revision.repository),
                branch: text(&revision.branch),
                commit: text(&revision.commit),
            }),
            application: text(&self.application),
            started_at: self.started_at,
            done: self.done,
            unconcerned: self.unconcerned,
            ..Self::answered(groups, self.waiting)
        }
    }
}

/// A group of clusters with the same answer.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanGroup {
    /// Result of the group.
    pub verdict: PlanVerdict,
    /// Names of the group's clusters.
    pub clusters: Vec<String>,
    /// What would change, by application.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<PlannedApplication>,
    /// Why there is no plan, as a CamelCase code; empty: there is one.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Message for operators.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
    /// Whether the changes were left out for lack of room; the clusters' changes may then differ from each other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub folded: bool,
}

/// One application of a group.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedApplication {
    /// Its name in the fleet file.
    pub application: String,
    /// Objects that would change, or are left alone on purpose.
    pub changes: Vec<PlannedChange>,
    /// Number of objects without a change, in the first of the clusters.
    pub unchanged: u32,
    /// Whether the list is cut short.
    pub truncated: bool,
    /// Why there is no plan, as a CamelCase code; empty: there is one.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// Message for operators.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
}

/// One object of an application.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedChange {
    /// The object, such as `Deployment.apps web/frontend`.
    #[serde(serialize_with = "in_words")]
    #[schemars(with = "String")]
    pub object: ObjectRef,
    /// The action that would be taken.
    pub action: PlannedAction,
    /// Why the action would not be taken, as a CamelCase code; empty: it would.
    #[serde(skip_serializing_if = "is_empty")]
    pub reason: String,
    /// In a conflict: the managers that own the fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
    /// Paths of the fields that differ (RFC 6901), without values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Message for operators.
    #[serde(skip_serializing_if = "is_empty")]
    pub message: String,
}

fn in_words<S: Serializer>(object: &ObjectRef, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(object)
}

/// Returns an object's names, cut, and without misleading characters.
pub(crate) fn cut_object(object: &ObjectRef) -> ObjectRef {
    let ObjectNames {
        group,
        kind,
        namespace,
        name,
    } = &**object;
    let names = plain_object([group, kind, namespace, name]);
    ObjectRef::from(ObjectNames {
        group: text(&names.group),
        kind: text(&names.kind),
        namespace: text(&names.namespace),
        name: text(&names.name),
    })
}

fn cut_all(texts: &[String]) -> Vec<String> {
    texts.iter().map(|one| text(one)).collect()
}

impl PlannedApplication {
    fn cut(self) -> Self {
        Self {
            application: text(&self.application),
            changes: self.changes.into_iter().map(PlannedChange::cut).collect(),
            unchanged: self.unchanged,
            truncated: self.truncated,
            reason: text(&self.reason),
            message: text(&self.message),
        }
    }
}

impl PlannedChange {
    fn cut(self) -> Self {
        Self {
            object: cut_object(&self.object),
            action: self.action,
            reason: text(&self.reason),
            managers: cut_all(&self.managers),
            fields: cut_all(&self.fields),
            message: text(&self.message),
        }
    }

    /// Returns whether the change would be made.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.action.is_done()
    }

    /// Returns what prevents the change, in a few words; empty: nothing.
    #[must_use]
    pub fn trouble(&self) -> String {
        match (self.is_done(), self.managers.as_slice()) {
            (true, _) => String::new(),
            (false, []) if self.reason.is_empty() => format!("{} {}", self.action, self.object),
            (false, []) => format!("{} on {}", self.reason, self.object),
            (false, managers) => {
                let s = if managers.len() == 1 { "" } else { "s" };
                let names = managers.join(", ");
                format!("conflict with manager{s} {names} on {}", self.object)
            }
        }
    }
}

impl PlanGroup {
    fn cut(self) -> Self {
        let applications = self.applications.into_iter();
        Self {
            verdict: self.verdict,
            clusters: cut_all(&self.clusters),
            applications: applications.map(PlannedApplication::cut).collect(),
            reason: text(&self.reason),
            message: text(&self.message),
            folded: self.folded,
        }
    }

    fn changes(&self) -> impl Iterator<Item = &PlannedChange> {
        self.applications.iter().flat_map(|one| &one.changes)
    }

    /// Returns the group's result in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let count = self.clusters.len();
        let s = if count == 1 { "" } else { "s" };
        let why = match (self.reason.as_str(), self.message.as_str()) {
            ("", "") => String::new(),
            ("", message) => format!(": {message}"),
            (reason, _) => format!(": {reason}"),
        };
        match self.verdict {
            PlanVerdict::Nothing => format!("{count} cluster{s} without a change"),
            PlanVerdict::Changes if self.folded => {
                format!("{count} cluster{s}: changes that differ from each other")
            }
            PlanVerdict::Changes => {
                let changes = self.changes().filter(|one| one.is_done()).count();
                let more = self.applications.iter().any(|one| one.truncated);
                let number = if more { "more than " } else { "" };
                let same = if count == 1 { "" } else { "the same " };
                let es = if changes == 1 { "" } else { "s" };
                format!("{count} cluster{s}: {same}{number}{changes} change{es}")
            }
            PlanVerdict::Conflict if self.folded => {
                format!("{count} cluster{s}: changes that would be rejected")
            }
            PlanVerdict::Conflict => {
                let mut troubles = self.changes().map(PlannedChange::trouble);
                let first = troubles.find(|words| !words.is_empty()).unwrap_or_default();
                let rest = troubles.filter(|words| !words.is_empty()).count();
                let more = if rest == 0 {
                    String::new()
                } else {
                    format!(" and {rest} more")
                };
                format!("{count} cluster{s}: {first}{more}")
            }
            PlanVerdict::Refused => format!("{count} refused{why}"),
            PlanVerdict::Failed => format!("{count} failed{why}"),
            PlanVerdict::TimedOut => format!("{count} did not answer in time"),
            PlanVerdict::Offline => format!("{count} offline"),
            PlanVerdict::Unknown => format!("{count} with an answer that this version cannot read"),
        }
    }
}

/// Returns the overall result of groups while `waiting` clusters have not answered.
pub(crate) fn answer(groups: &[PlanGroup], waiting: u32) -> Answer {
    let of = |group: &PlanGroup| match group.verdict {
        PlanVerdict::Nothing => Answer::Nothing,
        PlanVerdict::Changes => Answer::Changes,
        _ => Answer::CannotSay,
    };
    let unfinished = (waiting > 0).then_some(Answer::CannotSay);
    let all = groups.iter().map(of).chain(unfinished);
    all.max().unwrap_or(Answer::Nothing)
}

/// Returns the summary of groups in one line.
pub(crate) fn summary(groups: &[PlanGroup], waiting: u32) -> String {
    let mut parts: Vec<String> = groups.iter().map(PlanGroup::words).collect();
    if waiting > 0 {
        parts.push(format!("{waiting} still to answer"));
    }
    if parts.is_empty() {
        parts.push("no cluster runs it".to_owned());
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use flotilla_proto::v1;

    use super::*;

    fn change(action: v1::Action, reason: &str, managers: &[&str]) -> v1::ObjectChange {
        v1::ObjectChange {
            object: Some(v1::ObjectRef {
                group: "apps".to_owned(),
                kind: "Deployment".to_owned(),
                namespace: "shop".to_owned(),
                name: "web".to_owned(),
            }),
            action: action.into(),
            reason: reason.to_owned(),
            managers: managers.iter().map(|name| (*name).to_owned()).collect(),
            ..v1::ObjectChange::default()
        }
    }

    fn group(
        verdict: v1::PlanVerdict,
        clusters: usize,
        changes: Vec<v1::ObjectChange>,
    ) -> v1::PlanGroup {
        v1::PlanGroup {
            verdict: verdict.into(),
            clusters: (0..clusters).map(|number| format!("c{number}")).collect(),
            applications: vec![v1::ApplicationPlan {
                application: "shop".to_owned(),
                changes,
                ..v1::ApplicationPlan::default()
            }],
            ..v1::PlanGroup::default()
        }
    }

    fn plan(groups: Vec<v1::PlanGroup>, waiting: u32) -> FleetPlan {
        FleetPlan::from(&v1::FleetPlan {
            groups,
            waiting,
            ..v1::FleetPlan::default()
        })
    }

    #[test]
    fn the_summary_says_who_is_the_same_and_who_is_not() {
        use v1::{Action, PlanVerdict as Verdict};
        let four = vec![change(Action::Updated, "", &[]); 4];
        let conflict = change(Action::Failed, "Conflict", &["X"]);
        let mut refused = group(Verdict::Refused, 1, Vec::new());
        refused.reason = "SignatureMissing".to_owned();
        let shown = plan(
            vec![
                group(Verdict::Changes, 312, four),
                group(Verdict::Conflict, 2, vec![conflict]),
                refused,
                group(Verdict::Offline, 3, Vec::new()),
            ],
            0,
        );
        assert_eq!(
            shown.summary,
            "312 clusters: the same 4 changes; 2 clusters: conflict with manager X on Deployment.apps \
             shop/web; 1 refused: SignatureMissing; 3 offline"
        );
        assert_eq!(shown.answer, Answer::CannotSay);
    }

    #[test]
    fn what_is_not_known_of_one_cluster_is_not_known() {
        use v1::{Action, PlanVerdict as Verdict};
        let one = || group(Verdict::Changes, 1, vec![change(Action::Created, "", &[])]);
        let none = || group(Verdict::Nothing, 7, Vec::new());
        assert_eq!(plan(vec![none()], 0).answer, Answer::Nothing);
        assert_eq!(plan(Vec::new(), 0).answer, Answer::Nothing);
        let changes = plan(vec![one(), none()], 0);
        assert_eq!(changes.answer, Answer::Changes);
        assert_eq!(
            changes.summary,
            "1 cluster: 1 change; 7 clusters without a change"
        );
        assert_eq!(plan(vec![one()], 1).answer, Answer::CannotSay);
        for verdict in [
            Verdict::Conflict,
            Verdict::Refused,
            Verdict::Failed,
            Verdict::TimedOut,
            Verdict::Offline,
            Verdict::Unspecified,
        ] {
            let with = plan(vec![none(), group(verdict, 1, Vec::new())], 0);
            assert_eq!(with.answer, Answer::CannotSay, "{verdict:?}");
        }
    }

    #[test]
    fn what_a_hub_sends_steers_no_terminal() {
        let mut group = group(v1::PlanVerdict::Failed, 1, Vec::new());
        group.message = "a\u{1b}[2Jb".to_owned();
        let shown = plan(vec![group], 0);
        assert!(!shown.summary.contains('\u{1b}'), "{:?}", shown.summary);
    }
}
