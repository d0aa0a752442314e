//! What a stolen hub can do to a cluster: every item of group C of the fault catalogue, with a hub that lies to a real
//! agent. `SECURITY.md` has the table.
//!
//! Each item ends in a refusal with a reason code, an Event inside the cluster, and no write in the API
//! server's audit log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod assignments;
mod beyond;
mod commits;
mod world;

use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::hub_message::Body;
use flotilla_shared::approval::RollbackApproval;
use flotilla_tests::cluster::TestCluster;
use flotilla_tests::eventually;
use flotilla_tests::red_hub::sealed;
use flotilla_tests::repository::git;
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;

use assignments::{c06, c07, c08, c09, c10, c12};
use beyond::{c05, c11, c13, c14};
use commits::{c01, c02, c03, c04};
use world::{CANARY, LIMIT, World, can_sign, config_map, signing_world};

macro_rules! alone {
    ($($name:ident: $item:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let mut world = signing_world!();
            $item(&mut world).await;
            world.still_corrected().await;
            // A restarted agent behaves like the one before it, whether it refused the assignment or not.
            world.stop_agent().await;
            world.start_agent().await;
            world.still_corrected().await;
            world.says_what_runs().await;
            world.stop_agent().await;
        }
    )*};
}

alone! {
    c01_a_repository_or_branch_off_the_list: c01;
    c02_a_commit_that_is_not_on_the_branch: c02;
    c03_an_unsigned_or_wrongly_signed_commit: c03;
    c04_an_older_commit_with_every_kind_of_approval: c04;
    c05_a_freeze_is_told_without_the_hub: c05;
    c06_replayed_lower_other_and_far_generations: c06;
    c07_parts_of_two_generations: c07;
    c08_paths_and_namespaces_outside_the_policy: c08;
    c09_tombstones_for_everything: c09;
    c10_a_policy_in_unknown_fields: c10;
    c11_plugins_and_remote_references: c11;
    c12_too_many_too_large_too_often: c12;
    c13_questions_in_hope_of_secrets: c13;
    c14_a_word_to_deregister: c14;
}

/// All items in a row against one agent, on a real API server if there is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c15_all_of_it_in_a_row() {
    if !can_sign() {
        return;
    }
    let cluster = TestCluster::start(flotilla_apiserver::Config::default()).await;
    let mut world = World::with(cluster.unwrap()).await;
    c01(&mut world).await;
    c02(&mut world).await;
    c03(&mut world).await;
    let good = git(&world.repository.work, &["rev-parse", "HEAD"]).unwrap();
    world.good = good.clone();
    world.honest(&good).await;
    world.runs(&good).await;
    c04(&mut world).await;
    c06(&mut world).await;
    c07(&mut world).await;
    world.honest(&world.good.clone()).await;
    world.runs(&world.good.clone()).await;
    c08(&mut world).await;
    c09(&mut world).await;
    c10(&mut world).await;
    c11(&mut world).await;
    c13(&mut world).await;
    c12(&mut world).await;
    c14(&mut world).await;
    c05(&mut world).await;
    world.stop_agent().await;
}
