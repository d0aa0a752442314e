//! The hub itself, its tokens, explanations and promotions.

use flotilla_proto::v1;

use super::{MAX_OF_FLEET, MAX_SHORT, labels, list, moment, sent, sent_labels, texts};
use crate::{
    GivenUp, Hub, Move, NewToken, Promotion, Right, Step, StepKind, StepState, Token, text,
};

/// Highest number of fleet file errors, and of notifications that were given up, that are read.
const MAX_LINES: usize = 100;

impl From<&v1::GetHubResponse> for Hub {
    fn from(wire: &v1::GetHubResponse) -> Self {
        Self {
            version: text(&wire.version),
            epoch: wire.epoch,
            operator: text(&wire.operator),
            rights: list(&wire.rights, MAX_SHORT),
            address: text(&wire.address),
            trust_bundle: wire.trust_bundle.clone(),
            started_at: moment(wire.started_at.as_ref()),
            fleet_digest: text(&wire.fleet_digest),
            fleet_loaded_at: moment(wire.fleet_loaded_at.as_ref()),
            fleet_errors: wire.fleet_error.lines().take(MAX_LINES).map(text).collect(),
            now: moment(wire.now.as_ref()),
            store: text(&wire.store),
            store_failing: wire.store_failing,
            decider: text(&wire.decider),
            term: wire.term,
            moves_branches: wire.moves_branches,
            given_up: list(&wire.given_up, MAX_LINES),
            given_up_total: wire.given_up_total,
        }
    }
}

impl From<Hub> for v1::GetHubResponse {
    fn from(hub: Hub) -> Self {
        Self {
            version: hub.version,
            epoch: hub.epoch,
            operator: hub.operator,
            address: hub.address,
            trust_bundle: hub.trust_bundle,
            started_at: sent(hub.started_at),
            fleet_digest: hub.fleet_digest,
            fleet_loaded_at: sent(hub.fleet_loaded_at),
            fleet_error: hub.fleet_errors.join("\n"),
            rights: hub.rights.into_iter().map(Into::into).collect(),
            now: sent(hub.now),
            store: hub.store,
            store_failing: hub.store_failing,
            decider: hub.decider,
            term: hub.term,
            moves_branches: hub.moves_branches,
            given_up: hub.given_up.into_iter().map(Into::into).collect(),
            given_up_total: hub.given_up_total,
        }
    }
}

impl From<&v1::OperatorRight> for Right {
    fn from(wire: &v1::OperatorRight) -> Self {
        Self {
            role: text(&wire.role),
            environments: texts(&wire.environments),
        }
    }
}

impl From<Right> for v1::OperatorRight {
    fn from(right: Right) -> Self {
        Self {
            role: right.role,
            environments: right.environments,
        }
    }
}

impl From<&v1::GivenUpMessage> for GivenUp {
    fn from(wire: &v1::GivenUpMessage) -> Self {
        Self {
            target: text(&wire.target),
            event: text(&wire.event),
            environment: text(&wire.environment),
            rollout: text(&wire.rollout),
            at: moment(wire.at.as_ref()),
            why: text(&wire.why),
        }
    }
}

impl From<GivenUp> for v1::GivenUpMessage {
    fn from(given_up: GivenUp) -> Self {
        Self {
            target: given_up.target,
            event: given_up.event,
            environment: given_up.environment,
            rollout: given_up.rollout,
            at: sent(given_up.at),
            why: given_up.why,
        }
    }
}

impl From<&v1::TokenStatus> for Token {
    fn from(wire: &v1::TokenStatus) -> Self {
        Self {
            id: text(&wire.id),
            cluster: text(&wire.cluster),
            environment: text(&wire.environment),
            labels: labels(&wire.labels),
            expires_at: moment(wire.expires_at.as_ref()),
            redeemed_at: moment(wire.redeemed_at.as_ref()),
            redeemed_by: text(&wire.redeemed_by),
            created_by: text(&wire.created_by),
            auto_accept: wire.auto_accept,
        }
    }
}

impl From<Token> for v1::TokenStatus {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            cluster: token.cluster,
            environment: token.environment,
            labels: sent_labels(token.labels),
            expires_at: sent(token.expires_at),
            redeemed_at: sent(token.redeemed_at),
            redeemed_by: token.redeemed_by,
            created_by: token.created_by,
            auto_accept: token.auto_accept,
        }
    }
}

impl From<&v1::CreateTokenResponse> for NewToken {
    fn from(wire: &v1::CreateTokenResponse) -> Self {
        Self {
            token: text(&wire.token),
            status: Token::from(&wire.status.clone().unwrap_or_default()),
            trust_bundle: wire.trust_bundle.clone(),
            hub_address: text(&wire.hub_address),
        }
    }
}

impl From<NewToken> for v1::CreateTokenResponse {
    fn from(new: NewToken) -> Self {
        Self {
            token: new.token,
            status: Some(new.status.into()),
            trust_bundle: new.trust_bundle,
            hub_address: new.hub_address,
        }
    }
}

impl From<v1::StepState> for StepState {
    fn from(wire: v1::StepState) -> Self {
        match wire {
            v1::StepState::Ok => Self::Ok,
            v1::StepState::Waiting => Self::Waiting,
            v1::StepState::Failed => Self::Failed,
            v1::StepState::Skipped => Self::Skipped,
            v1::StepState::Unspecified => Self::Unknown,
        }
    }
}

impl From<StepState> for v1::StepState {
    fn from(state: StepState) -> Self {
        match state {
            StepState::Ok => Self::Ok,
            StepState::Waiting => Self::Waiting,
            StepState::Failed => Self::Failed,
            StepState::Skipped => Self::Skipped,
            StepState::Unknown => Self::Unspecified,
        }
    }
}

impl From<&v1::ExplainStep> for Step {
    fn from(wire: &v1::ExplainStep) -> Self {
        Self {
            step: StepKind::from(wire.step.as_str()),
            subject: text(&wire.subject),
            state: wire.state().into(),
            text: text(&wire.text),
            reason: text(&wire.reason),
            at: moment(wire.at.as_ref()),
            may_open: wire.may_open,
            opens_at: moment(wire.opens_at.as_ref()),
        }
    }
}

impl From<Step> for v1::ExplainStep {
    fn from(step: Step) -> Self {
        Self {
            step: step.step.to_string(),
            subject: step.subject,
            state: v1::StepState::from(step.state).into(),
            text: step.text,
            reason: step.reason,
            at: sent(step.at),
            may_open: step.may_open,
            opens_at: sent(step.opens_at),
        }
    }
}

impl From<&v1::PreviewPromotionResponse> for Promotion {
    fn from(wire: &v1::PreviewPromotionResponse) -> Self {
        Self {
            environment: text(&wire.environment),
            promotes_from: text(&wire.promotes_from),
            moves: list(&wire.moves, MAX_OF_FLEET),
            clusters: texts(&wire.clusters),
            gates: gates(&wire.gates),
        }
    }
}

/// Evidence has a gate for each cluster of the environment before and each repository. If there are more than the
/// limit, closed gates come first, so that no number of open ones cuts off a closed one.
fn gates(wire: &[v1::ExplainStep]) -> Vec<Step> {
    let read = |gate: &v1::ExplainStep| {
        let step = Step::from(gate);
        // An older hub reports it by the state only.
        let may_open = step.may_open || step.state == StepState::Waiting;
        Step { may_open, ..step }
    };
    if wire.len() <= MAX_OF_FLEET {
        return wire.iter().map(read).collect();
    }
    let is_closed = |gate: &&v1::ExplainStep| StepState::from(gate.state()).holds_back();
    let closed = wire.iter().filter(is_closed);
    let others = wire.iter().filter(|gate| !is_closed(gate));
    closed.chain(others).take(MAX_OF_FLEET).map(read).collect()
}

impl From<Promotion> for v1::PreviewPromotionResponse {
    fn from(promotion: Promotion) -> Self {
        Self {
            environment: promotion.environment,
            promotes_from: promotion.promotes_from,
            moves: promotion.moves.into_iter().map(Into::into).collect(),
            clusters: promotion.clusters,
            gates: promotion.gates.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<&v1::PromotionMove> for Move {
    fn from(wire: &v1::PromotionMove) -> Self {
        Self {
            repository: text(&wire.repository),
            url: text(&wire.url),
            source_branch: text(&wire.source_branch),
            target_branch: text(&wire.target_branch),
            from_commit: text(&wire.from_commit),
            to_commit: text(&wire.to_commit),
            applications: texts(&wire.applications),
            commits: Vec::new(),
            commit_count: 0,
        }
    }
}

/// The commits in between are not sent, since the caller has the repository.
impl From<Move> for v1::PromotionMove {
    fn from(step: Move) -> Self {
        Self {
            repository: step.repository,
            url: step.url,
            source_branch: step.source_branch,
            target_branch: step.target_branch,
            from_commit: step.from_commit,
            to_commit: step.to_commit,
            applications: step.applications,
        }
    }
}
