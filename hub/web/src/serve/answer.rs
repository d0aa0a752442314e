//! Calls to the hub for a page, and the page.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use flotilla_proto::v1;
use flotilla_status::{
    ApplicationPlan, Cluster, Decisions, Entry, FleetPlan, Hub, Promotion, Rollout, Step, text,
};
use jiff::Timestamp;
use tokio::time::Instant;

use super::Site;
use super::views::{Age, Key};
use crate::ask::ask;
use crate::entrance::Reader;
use crate::filter::Filter;
use crate::grouping::WAVE;
use crate::mirror::Mirror;
use crate::pages::{
    ApplicationPage, AuditPage, ClusterPage, ClustersPage, EnvironmentPage, EnvironmentView, Frame,
    Home, PageData, PlanPage, PromotePage, RolloutPage, RolloutView, RolloutsPage, TroublePage,
};

/// Entries of the audit log on a page.
const ENTRIES: u32 = 50;
/// Rollouts on a page.
const ROLLOUTS: u32 = 20;

/// The page of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    Home,
    Environment {
        name: String,
        group: String,
        open: String,
    },
    Rollout(String),
    Cluster(String),
    Application {
        cluster: String,
        application: String,
        diff: bool,
    },
    Clusters(Filter),
    Promote(String),
    Plan(String),
    Rollouts,
    Audit,
}

/// A rendered page, or its error.
pub(super) struct DrawnPage {
    pub(super) status: StatusCode,
    pub(super) html: String,
}

impl Page {
    /// Whether the mirror suffices to draw it, without calls to the hub.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Home | Self::Clusters(_))
    }

    /// Whether its content grows without a change of the fleet.
    pub(super) fn grows(&self) -> bool {
        matches!(self, Self::Plan(_))
    }

    fn title(&self) -> String {
        match self {
            Self::Home => "Fleet".to_owned(),
            Self::Environment { name, .. } | Self::Cluster(name) | Self::Rollout(name) => {
                name.clone()
            }
            Self::Application {
                cluster,
                application,
                ..
            } => format!("{application} in {cluster}"),
            Self::Clusters(_) => "Clusters".to_owned(),
            Self::Promote(name) => format!("Promotion to {name}"),
            Self::Plan(_) => "Plan".to_owned(),
            Self::Rollouts => "Rollouts".to_owned(),
            Self::Audit => "Audit".to_owned(),
        }
    }
}

impl Site {
    /// Draws a page for its reader. `flash` is the outcome of the last action.
    pub(super) fn draw<'a>(
        &'a self,
        reader: &'a Reader,
        page: &'a Page,
        path: &'a str,
        flash: Option<String>,
        age: Age,
    ) -> futures::future::BoxFuture<'a, DrawnPage> {
        Box::pin(self.drawn(reader, page, path, flash, age))
    }

    async fn drawn(
        &self,
        reader: &Reader,
        page: &Page,
        path: &str,
        flash: Option<String>,
        age: Age,
    ) -> DrawnPage {
        let seen = Arc::clone(&self.seen.borrow());
        let now = Timestamp::now();
        let mut frame = Frame::new(&reader.hub, &seen.mirror, path, &page.title(), now);
        frame.token.clone_from(&reader.form_token);
        frame.signs_out = reader.signs_out;
        frame.flash = flash;
        let fill = reader.fill(self, page, (path, age), frame.clone(), &seen.mirror, now);
        match fill.await {
            Ok(html) => DrawnPage {
                status: StatusCode::OK,
                html,
            },
            Err(error) => {
                let status = status_of(error.code());
                let html = TroublePage::new(frame, text(error.message())).render();
                DrawnPage {
                    status,
                    html: html.unwrap_or_default(),
                }
            }
        }
    }
}

/// Returns the HTTP status where the hub gives no answer for a page. An error in the hub's answer is not reported as a
/// fault of the connection to it.
fn status_of(code: tonic::Code) -> StatusCode {
    use tonic::Code;
    match code {
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied | Code::Unauthenticated => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss => StatusCode::BAD_GATEWAY,
    }
}

impl Reader {
    async fn fill(
        &self,
        site: &Site,
        page: &Page,
        (path, age): (&str, Age),
        frame: Frame,
        mirror: &Mirror,
        now: Timestamp,
    ) -> Result<String, tonic::Status> {
        let hub: &Hub = &self.hub;
        let html = match page {
            Page::Home => Home::new(frame, hub, &site.overview(mirror)).render(),
            Page::Clusters(filter) => ClustersPage::new(frame, mirror, filter.clone()).render(),
            Page::Environment { name, group, open } => {
                let make = self.environment((name, group, open), mirror, now);
                let view = site
                    .environments
                    .get(Key::new(hub, path), age, Instant::now(), make);
                EnvironmentPage::new(frame, hub, view.await?).render()
            }
            Page::Rollout(id) => {
                let make = self.rollout(id, mirror, now);
                let view = site
                    .rollouts
                    .get(Key::new(hub, path), age, Instant::now(), make);
                RolloutPage::new(frame, hub, view.await?).render()
            }
            Page::Cluster(name) => {
                let cluster = self.cluster(name).await?;
                let mut entries = self.audit(&cluster.environment).await?;
                entries.retain(|entry| entry.clusters.iter().any(|cluster| cluster == name));
                let asked = PageData {
                    steps: self.explain(name).await?,
                    entries,
                    ..PageData::default()
                };
                ClusterPage::new(frame, hub, cluster, asked, now).render()
            }
            Page::Application {
                cluster,
                application,
                diff,
            } => {
                let found = self.cluster(cluster).await?;
                let mut placements = found.applications.into_iter();
                let placement = placements
                    .find(|placement| placement.application == *application)
                    .ok_or_else(|| {
                        tonic::Status::not_found(format!(
                            "{cluster} runs no application {application:?}"
                        ))
                    })?;
                let plans = if *diff {
                    Some(self.diff(cluster, application).await?)
                } else {
                    None
                };
                ApplicationPage::new(frame, placement, plans, now).render()
            }
            Page::Promote(name) => {
                if mirror.known && mirror.environment(name).is_none() {
                    let text = format!("there is no environment {name:?}");
                    return Err(tonic::Status::not_found(text));
                }
                let request = v1::PreviewPromotionRequest {
                    environment: name.clone(),
                    ..v1::PreviewPromotionRequest::default()
                };
                let answer = ask(&self.api, request, |mut api, request| async move {
                    api.preview_promotion(request).await
                })
                .await?;
                PromotePage::new(frame, hub, Promotion::from(&answer)).render()
            }
            Page::Plan(id) => {
                let request = v1::GetPlanRequest { id: id.clone() };
                let answer = ask(&self.api, request, |mut api, request| async move {
                    api.get_plan(request).await
                })
                .await?;
                let plan = answer.plan.as_ref().map(FleetPlan::from);
                let plan = plan.ok_or_else(|| tonic::Status::not_found("there is no such plan"))?;
                PlanPage::new(frame, plan).render()
            }
            Page::Rollouts => RolloutsPage::new(frame, self.rollouts("").await?).render(),
            Page::Audit => AuditPage::new(frame, self.audit("").await?).render(),
        };
        html.map_err(|error| {
            tonic::Status::internal(format!("the page cannot be rendered: {error}"))
        })
    }

    async fn environment(
        &self,
        (name, group, open): (&str, &str, &str),
        mirror: &Mirror,
        now: Timestamp,
    ) -> Result<EnvironmentView, tonic::Status> {
        if !mirror.known {
            return Err(tonic::Status::unavailable(
                "the fleet is still loading; reload in a moment",
            ));
        }
        let environment = mirror
            .environment(name)
            .ok_or_else(|| tonic::Status::not_found(format!("there is no environment {name:?}")))?;
        let waves = match group == WAVE {
            true => Some(self.waves(name).await?),
            false => None,
        };
        let asked = PageData {
            open: open.to_owned(),
            waves,
            steps: self.explain(name).await?,
            rollouts: self.rollouts(name).await?,
            entries: self.audit(name).await?,
            group: group.to_owned(),
        };
        Ok(EnvironmentView::new(mirror, environment, asked, now))
    }

    async fn rollout(
        &self,
        id: &str,
        mirror: &Mirror,
        now: Timestamp,
    ) -> Result<RolloutView, tonic::Status> {
        let request = v1::GetRolloutRequest {
            subject: id.to_owned(),
        };
        let answer = ask(&self.api, request, |mut api, request| async move {
            api.get_rollout(request).await
        })
        .await?;
        let rollout = answer.rollout.as_ref().map(Rollout::from);
        let rollout = rollout
            .ok_or_else(|| tonic::Status::not_found(format!("{id:?} has no rollout yet")))?;
        let decisions = answer
            .decisions
            .as_ref()
            .map(Decisions::from)
            .unwrap_or_default();
        let entries = self.audit(&rollout.environment).await?;
        let told = (rollout, decisions);
        Ok(RolloutView::new(mirror, told, &entries, now))
    }

    /// Returns the wave of each cluster in an environment's last rollout.
    async fn waves(&self, environment: &str) -> Result<BTreeMap<String, String>, tonic::Status> {
        let request = v1::GetRolloutRequest {
            subject: environment.to_owned(),
        };
        let answer = ask(&self.api, request, |mut api, request| async move {
            api.get_rollout(request).await
        })
        .await?;
        let rollout = answer.rollout.as_ref().map(Rollout::from);
        let clusters = rollout.into_iter().flat_map(|rollout| rollout.clusters);
        Ok(clusters
            .map(|cluster| (cluster.cluster, cluster.wave))
            .collect())
    }

    async fn cluster(&self, name: &str) -> Result<Cluster, tonic::Status> {
        let request = v1::GetClusterRequest {
            name: name.to_owned(),
        };
        let answer = ask(&self.api, request, |mut api, request| async move {
            api.get_cluster(request).await
        })
        .await?;
        let cluster = answer.cluster.as_ref().map(Cluster::from);
        cluster.ok_or_else(|| tonic::Status::not_found(format!("there is no cluster {name:?}")))
    }

    async fn explain(&self, subject: &str) -> Result<Vec<Step>, tonic::Status> {
        let request = v1::ExplainRequest {
            subject: subject.to_owned(),
        };
        let answer = ask(&self.api, request, |mut api, request| async move {
            api.explain(request).await
        })
        .await?;
        Ok(answer.steps.iter().map(Step::from).collect())
    }

    async fn rollouts(&self, environment: &str) -> Result<Vec<Rollout>, tonic::Status> {
        let request = v1::ListRolloutsRequest {
            environment: environment.to_owned(),
            limit: ROLLOUTS,
        };
        let answer = ask(&self.api, request, |mut api, request| async move {
            api.list_rollouts(request).await
        })
        .await?;
        Ok(answer.rollouts.iter().map(Rollout::from).collect())
    }

    async fn audit(&self, environment: &str) -> Result<Vec<Entry>, tonic::Status> {
        let request = v1::ListAuditRequest {
            environment: environment.to_owned(),
            after: 0,
            limit: ENTRIES,
        };
        let answer = ask(&self.api, request, |mut api, request| async move {
            api.list_audit(request).await
        })
        .await?;
        let mut entries: Vec<Entry> = answer.entries.iter().map(Entry::from).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
        Ok(entries)
    }

    async fn diff(
        &self,
        cluster: &str,
        application: &str,
    ) -> Result<Vec<ApplicationPlan>, tonic::Status> {
        let request = v1::DiffRequest {
            cluster: cluster.to_owned(),
            application: application.to_owned(),
            removal: false,
        };
        let answer = ask(&self.api, request, |mut api, request| async move {
            api.diff(request).await
        })
        .await?;
        Ok(answer
            .applications
            .iter()
            .map(ApplicationPlan::from)
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hub_says_no_to_is_no_fault_of_the_way_to_it() {
        use tonic::Code;
        for (code, status) in [
            (Code::NotFound, 404),
            (Code::InvalidArgument, 400),
            (Code::FailedPrecondition, 409),
            (Code::PermissionDenied, 403),
            (Code::ResourceExhausted, 429),
            (Code::Unavailable, 503),
            (Code::DeadlineExceeded, 504),
            (Code::Internal, 502),
        ] {
            assert_eq!(status_of(code).as_u16(), status, "{code:?}");
        }
    }
}
