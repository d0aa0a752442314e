//! `deploy/` is one thing in several forms: Kustomize bases with components, charts, and what join-manifest
//! prints. All render, agree with each other, are taken by API servers, and start the programs that there
//! are, with mounts and rights that suffice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod alike;
mod applied;
mod book;
mod demo;
mod docs;
mod exits;
mod packages;
mod pictures;
mod pods;
mod reader;
mod rendered;
mod run;
mod schemas;
mod tutorial;
