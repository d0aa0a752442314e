//! An agent's part of the chain: whether it gets the assignment, and whether it accepts it.

use flotilla_shared::clock::agent_clock;
use flotilla_shared::id::ClusterName;
use flotilla_shared::reason::Reason;
use flotilla_status::{GateKind, StepKind, StepState};

use super::steps::{Step, Steps};
use crate::fleet::{Cluster, Connectivity};

/// Explains whether the agent is connected.
pub(super) fn delivery(cluster: &Cluster, connection: Connectivity, steps: &mut Steps) {
    use flotilla_status::StepState::{Ok, Waiting};
    let (state, text, at) = match connection {
        Connectivity::Online { since } => (Ok, "the agent is connected", Some(since)),
        Connectivity::Offline => {
            let last = cluster.last_seen.or(cluster.reported_at);
            (Waiting, "the agent is offline", last)
        }
        Connectivity::Pending | Connectivity::NeverSeen => {
            (Waiting, "the agent has never connected", None)
        }
    };
    let reason = (state != Ok).then_some(Reason::Offline);
    let step = Step::new(StepKind::Delivery, state, text.to_owned());
    steps.add(step.because(reason).at(at));
}

/// Explains the difference of the agent's clock, where there is one.
pub(super) fn clock(cluster: &Cluster, connection: Connectivity, steps: &mut Steps) {
    let ahead = crate::status::clock_ahead(cluster, connection);
    if ahead != 0 {
        let step = Step::new(StepKind::Clock, StepState::Failed, agent_clock(ahead));
        steps.add(step.because(Reason::ClockSkew));
    }
}

/// Explains whether the agent accepted the assignment.
pub(super) fn acceptance(cluster: &Cluster, steps: &mut Steps) {
    use flotilla_status::StepState::{Failed, Ok, Waiting};
    match (&cluster.refusal, cluster.accepted == cluster.assigned_ref()) {
        (Some(refusal), _) => {
            let step = Step::new(StepKind::Acceptance, Failed, refusal.message.clone());
            steps.add(step.because(refusal.reason));
        }
        (None, true) => {
            let text = format!("the agent runs generation {}", cluster.accepted.generation);
            steps.add(Step::new(StepKind::Acceptance, Ok, text));
        }
        (None, false) => {
            let text = match cluster.accepted.generation.0 {
                0 => "the agent has not reported a generation yet".to_owned(),
                generation => format!("the agent runs generation {generation}"),
            };
            steps.add(Step::new(StepKind::Acceptance, Waiting, text));
        }
    }
}

/// A freeze of a cluster's agent is shown like the freeze gate.
const FREEZE: StepKind = StepKind::Gate(GateKind::Freeze);

/// Explains a suspension of the agent's writes, by the hub or by the cluster's own administrators.
pub(super) fn freeze(name: &ClusterName, cluster: &Cluster, steps: &mut Steps) {
    use flotilla_status::StepState::Waiting;
    let suspended = cluster.report.as_ref().map(|report| &report.suspended);
    if let Some(mark) = &cluster.record.suspended {
        let text = crate::status::leaving::suspended(name, cluster);
        let step = Step::new(FREEZE, Waiting, text).of(name.as_str());
        steps.add(step.because(Reason::SuspendedByHub).at(mark.at));
    } else if let Some(why) = suspended.filter(|why| !why.is_empty()) {
        let text = format!("the agent writes nothing in the cluster, whatever is assigned: {why}");
        let step = Step::new(FREEZE, Waiting, text).of(name.as_str());
        steps.add(step.because(Reason::Frozen).at(cluster.reported_at));
    }
}
