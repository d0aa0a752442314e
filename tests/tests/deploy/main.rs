//! `deploy/` has several forms of the same thing: Kustomize bases with components, charts, and the output of
//! join-manifest. All render, agree with each other, are accepted by API servers, and start existing programs with
//! sufficient mounts and rights.

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
