//! `flotilla-agent plan`: what a turn would change for a commit, without a hub.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use flotilla_proto::v1;
use flotilla_shared::assignment::SyncPolicy;
use flotilla_shared::digest::Digest;
use serde_json::{Value, json};

use super::render::rendered;
use crate::app;
use crate::args::{Plan, PlanOutput};
use crate::cluster::{Cluster, Memory, Options, TurnInput};
use crate::health::Rules;
use crate::plan::Claims;

/// Renders, asks the API server, and prints.
///
/// # Errors
/// When the commit cannot be rendered, or the API server cannot be asked.
pub(super) async fn run(args: Plan) -> anyhow::Result<ExitCode> {
    let policy = app::read_policy(args.policy.as_deref())?;
    let client = app::client(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
    let source = args.source;
    let rendered = tokio::task::spawn_blocking(move || rendered(&source)).await??;
    let options = Options {
        namespace: args.namespace,
        rules: Arc::new(Rules::new(&policy.health_rules)?),
        ..Options::default()
    };
    let cluster = Cluster::new(client, options);
    let mut input = TurnInput {
        application: args.application,
        content: Digest::of_parts(rendered.files_read.iter().map(String::as_bytes)),
        manifests: Arc::new(rendered.manifests),
        sync_policy: SyncPolicy::default(),
        policy: Arc::new(policy),
        namespace: args.default_namespace,
        claims: Arc::new(Claims::default()),
        frozen: true,
        removed: false,
    };
    let wish = cluster.wish(&input).await.context("cannot plan")?;
    let name = input.application.to_string();
    let mine = |desired: &Arc<crate::plan::Desired>| {
        (desired.object.clone(), BTreeSet::from([name.clone()]))
    };
    input.claims = Arc::new(Claims {
        owners: wish.desired.iter().map(mine).collect::<BTreeMap<_, _>>(),
        complete: true,
    });
    let plan = cluster
        .preview(&input, &wish, &Memory::default())
        .await
        .context("cannot plan")?;
    let text = match args.output {
        PlanOutput::Json => format!("{:#}\n", as_json(&plan)),
        PlanOutput::Text => as_text(&plan),
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("the output cannot be written")?;
    let differs = !plan.changes.is_empty() || !plan.error.is_empty();
    Ok(if differs {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn object(change: &v1::ObjectChange) -> String {
    let object = change.object.clone().unwrap_or_default();
    flotilla_shared::object::ObjectRef {
        group: object.group,
        kind: object.kind,
        namespace: object.namespace,
        name: object.name,
    }
    .to_string()
}

fn action(change: &v1::ObjectChange) -> &'static str {
    match change.action() {
        v1::Action::Created => "create",
        v1::Action::Updated => "update",
        v1::Action::Pruned => "delete",
        v1::Action::Skipped => "skip",
        v1::Action::Held => "hold",
        v1::Action::Failed => "fail",
        v1::Action::Unchanged | v1::Action::Unspecified => "none",
    }
}

fn as_json(plan: &v1::ApplicationPlan) -> Value {
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .map(|change| {
            let fields: Vec<Value> = change
                .fields
                .iter()
                .map(|f| json!({"path": f.path, "live": f.live, "desired": f.desired}))
                .collect();
            json!({
                "object": object(change),
                "action": action(change),
                "reason": change.reason,
                "message": change.message,
                "fields": fields,
            })
        })
        .collect();
    json!({
        "application": plan.application,
        "changes": changes,
        "unchanged": plan.unchanged,
        "truncated": plan.truncated,
        "error": plan.error,
    })
}

fn as_text(plan: &v1::ApplicationPlan) -> String {
    let mut text = String::new();
    if !plan.error.is_empty() {
        let _ = writeln!(text, "refused: {}", plan.error);
    }
    for change in &plan.changes {
        let _ = writeln!(text, "{} {}", action(change), object(change));
        if !change.reason.is_empty() {
            let _ = writeln!(text, "    {}: {}", change.reason, change.message);
        }
        for field in &change.fields {
            let shown = |value: &str| match value {
                "" => "(none)".to_owned(),
                value => value.to_owned(),
            };
            let (live, desired) = (shown(&field.live), shown(&field.desired));
            let _ = writeln!(text, "    {}: {live} -> {desired}", field.path);
        }
    }
    if plan.truncated {
        let _ = writeln!(text, "... and more");
    }
    let _ = writeln!(text, "{} as they should be", plan.unchanged);
    text
}
