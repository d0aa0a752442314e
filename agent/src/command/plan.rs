//! `flotilla-agent plan`: what a pass would change for a commit, without a hub.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use flotilla_render::ValuesFile;
use flotilla_shared::assignment::SyncPolicy;
use flotilla_shared::digest::Digest;
use flotilla_shared::preview::{ApplicationPlan, ObjectChange};
use flotilla_shared::reason::Reason;
use flotilla_shared::report::plain_object;
use flotilla_shared::revision::{RepositoryUrl, TreePath};
use serde_json::{Value, json};

use super::render::{Detail, rendered, tell};
use crate::api::access;
use crate::args::{CommitArgs, PlanArgs, PlanOutput};
use crate::cluster::{Cluster, Memory, Options, PassInput};
use crate::health::Rules;
use crate::observe::managers::Managers;
use crate::plan::{Claims, Intent};
use crate::policy::Policy;
use crate::policy_file;

/// Renders, asks the API server, and prints.
///
/// # Errors
/// When the commit cannot be rendered, or the API server cannot be asked.
pub(super) async fn run(args: PlanArgs) -> anyhow::Result<ExitCode> {
    let policy = policy_file::read(args.policy.as_deref())?;
    if args.policy.is_some() {
        allowed(&policy, &args.source)?;
    }
    let client = access::client(
        args.api.kubeconfig.as_deref(),
        args.api.context.as_deref(),
        access::CHECK_INTERVAL,
    )
    .await?;
    let options = Options {
        namespace: args.api.namespace,
        rules: Arc::new(Rules::new(&policy.health_rules)?),
        managers: Arc::new(Managers::from(&policy.managers)),
        ..Options::default()
    };
    let cluster = Cluster::new(client, options);
    let capabilities = cluster.capabilities().await.context("cannot plan")?;
    let detail = Detail::of(&args.source);
    let source = args.source;
    let namespace = source.default_namespace.clone();
    let rendered =
        tokio::task::spawn_blocking(move || rendered(&source, Some(capabilities))).await??;
    tell(&rendered, detail)?;
    let mut input = PassInput {
        application: args.application,
        content: Digest::of_parts(rendered.files_read.iter().map(String::as_bytes)),
        manifests: Arc::new(rendered.manifests),
        sync_policy: SyncPolicy::default(),
        policy: Arc::new(policy),
        namespace,
        claims: PassInput::fixed(Claims::default()),
        frozen: true,
        intent: Intent::Run,
        waits_for: None,
    };
    let desired_state = cluster.desired_state(&input).await.context("cannot plan")?;
    input.claims = PassInput::fixed(Claims::of_one(
        input.application.as_str(),
        &desired_state.desired,
    ));
    let plan = cluster
        .preview(&input, &desired_state, &Memory::default())
        .await
        .context("cannot plan")?;
    let text = match args.output {
        PlanOutput::Json => format!("{:#}\n", as_json(&plan)),
        PlanOutput::Text => as_text(&plan),
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("the output cannot be written")?;
    Ok(ExitCode::from(code(&plan)))
}

/// Applies the policy's rules on sources, if a policy is given: a plan of a commit that the agent
/// would refuse is worthless. A path on this machine stands for the repository that it is a clone
/// of.
fn allowed(policy: &Policy, source: &CommitArgs) -> anyhow::Result<()> {
    let url: Option<RepositoryUrl> = match source.repo.contains("://") {
        true => Some(source.repo.parse()?),
        false => None,
    };
    let values = source
        .values
        .iter()
        .map(|file| ValuesFile::parse(file).path.parse());
    let values = values.collect::<Result<Vec<TreePath>, _>>()?;
    let paths = std::iter::once(&source.path).chain(&values);
    let refusal = url
        .and_then(|url| policy.url(&url))
        .or_else(|| policy.branch(&source.branch))
        .or_else(|| policy.paths(paths));
    match refusal {
        Some(refusal) => anyhow::bail!("refused ({}): {}", refusal.reason, refusal.message),
        None => Ok(()),
    }
}

/// Exit code: 0 nothing to change, 1 changes, 2 unknown.
fn code(plan: &ApplicationPlan) -> u8 {
    match (plan.error.is_empty(), plan.changes.is_empty()) {
        (false, _) => 2,
        (true, false) => 1,
        (true, true) => 0,
    }
}

/// Names come from Git: each is shortened, and stripped of terminal control characters.
fn object(change: &ObjectChange) -> String {
    let object = &change.object;
    let names = [&object.group, &object.kind, &object.namespace, &object.name];
    plain_object(names.map(String::as_str)).to_string()
}

fn as_json(plan: &ApplicationPlan) -> Value {
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
                "action": change.action.planned(),
                "reason": change.reason.map_or("", Reason::as_str),
                "message": change.message,
                "fields": fields,
            })
        })
        .collect();
    json!({
        "application": plan.application.as_str(),
        "changes": changes,
        "unchanged": plan.unchanged,
        "truncated": plan.truncated,
        "error": plan.error,
    })
}

fn as_text(plan: &ApplicationPlan) -> String {
    let mut text = String::new();
    if !plan.error.is_empty() {
        let _ = writeln!(text, "refused: {}", plan.error);
    }
    for change in &plan.changes {
        let _ = writeln!(text, "{} {}", change.action.planned(), object(change));
        if let Some(reason) = change.reason {
            let _ = writeln!(text, "    {reason}: {}", change.message);
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
    let _ = writeln!(text, "{} unchanged", plan.unchanged);
    text
}

#[cfg(test)]
mod tests {
    use flotilla_shared::object::Action;

    use super::*;

    /// A refusal is not a difference: a script that continues at exit code 1 would take it for one.
    #[test]
    fn a_plan_that_is_refused_exits_with_2() {
        let object = plain_object(["", "ConfigMap", "web", "a"]);
        let change = ObjectChange::of(object, Action::Updated);
        let plan = |changes: usize, error: &str| ApplicationPlan {
            changes: vec![change.clone(); changes],
            error: error.to_owned(),
            ..ApplicationPlan::of("web".parse().unwrap())
        };
        let all = [
            plan(0, ""),
            plan(2, ""),
            plan(0, "refused"),
            plan(2, "refused"),
        ];
        assert_eq!(all.map(|plan| code(&plan)), [0, 1, 2, 2]);
    }
}
