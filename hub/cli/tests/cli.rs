//! The program as operators use it: whole outputs as snapshots, and the binary itself against a Fleet API over real
//! mTLS and a real Git repository.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

#[path = "cli/book.rs"]
mod book;
#[path = "cli/chart.rs"]
mod chart;
#[path = "cli/chart_servers.rs"]
mod chart_servers;
#[path = "cli/chart_trust.rs"]
mod chart_trust;
#[path = "cli/check.rs"]
mod check;
#[path = "cli/commands.rs"]
mod commands;
#[path = "cli/compared.rs"]
mod compared;
#[path = "cli/deploy.rs"]
mod deploy;
#[path = "cli/exits.rs"]
mod exits;
#[path = "cli/fixture.rs"]
mod fixture;
#[path = "cli/plan.rs"]
mod plan;
#[path = "cli/promote.rs"]
mod promote;
#[path = "cli/real_git.rs"]
mod real_git;
#[path = "cli/removal.rs"]
mod removal;
#[path = "cli/rendering.rs"]
mod rendering;
#[path = "cli/renders.rs"]
mod renders;
#[path = "cli/repository.rs"]
mod repository;
#[path = "cli/rollouts.rs"]
mod rollouts;
#[path = "cli/schema.rs"]
mod schema;
#[path = "cli/service.rs"]
mod service;
