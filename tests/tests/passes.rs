//! Passes of one application against an API server, by catalogue id. Each scenario runs on the embedded server, and
//! also on a real one if the envtest variables name it. Deletes are judged by the API server's audit log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

mod passes {
    pub(crate) mod adopt;
    pub(crate) mod apply;
    pub(crate) mod away;
    pub(crate) mod drift;
    pub(crate) mod fault;
    pub(crate) mod lists;
    pub(crate) mod meddler;
    pub(crate) mod order;
    pub(crate) mod prune;
    pub(crate) mod services;
    pub(crate) mod webhook;
    pub(crate) mod world;
}

use flotilla_tests::cluster::TestCluster;
use passes::world::World;

macro_rules! scenarios {
    ($($module:ident :: $name:ident),* $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let cluster = super::embedded().await;
                    let world = super::World::new(&cluster, stringify!($name)).await;
                    super::passes::$module::$name(world).await;
                }
            )*
        }

        /// All scenarios above, on a real API server.
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn on_a_real_api_server() {
            let Some(cluster) = TestCluster::real().await.unwrap() else {
                flotilla_needs::skip("apiserver");
                return;
            };
            $(
                eprintln!("{}", stringify!($name));
                let world = World::new(&cluster, stringify!($name)).await;
                passes::$module::$name(world).await;
            )*
        }
    };
}

async fn embedded() -> TestCluster {
    TestCluster::embedded(flotilla_apiserver::Config::default())
        .await
        .unwrap()
}

scenarios! {
    services::a14_a_service_that_the_server_fills_in_is_no_drift,
    services::a14_a_key_added_to_a_map_that_is_one_field_is_taken_away,
    apply::a_turn_applies_all_and_the_next_one_nothing,
    apply::a01_an_immutable_field_is_reported_and_only_recreated_where_git_says_so,
    apply::a08_one_bad_object_stops_no_other_and_is_not_tried_in_a_tight_loop,
    apply::a10_a_missing_namespace_is_named_and_made_by_the_next_commit,
    apply::a11_an_object_too_large_for_etcd_is_refused_by_name,
    apply::a11_too_large_requests_and_annotations_are_refused_by_name,
    apply::a12_an_exceeded_quota_stops_what_is_too_many_until_there_is_room,
    apply::a12_values_that_the_server_writes_another_way_are_no_drift,
    apply::a13_what_only_a_server_may_set_is_left_out,
    apply::a15_an_account_without_rights_is_told_so_for_each_object,
    fault::a18_watches_that_were_cut_or_fell_silent_are_noticed,
    webhook::a02_a_webhook_that_denies_stops_one_object_and_is_named,
    webhook::a02_a_webhook_that_does_not_answer_stops_what_it_judges_and_nothing_else,
    webhook::a02_a_webhook_in_the_same_set_is_set_up_after_what_it_would_judge,
    webhook::a12_a_webhook_that_changes_fields_makes_no_endless_drift,
    apply::string_data_of_secrets_is_compared_and_removed_like_any_field,
    adopt::a03_an_autoscaler_keeps_its_replicas,
    adopt::a04_replicas_that_leave_git_stay_as_they_are,
    adopt::a05_fields_of_kubectl_apply_become_ours_and_go_when_git_drops_them,
    adopt::ignored_fields_are_left_to_others_and_the_rest_is_corrected,
    adopt::drift_is_reported_with_its_manager_and_not_touched,
    drift::a14_a_port_changed_by_hand_is_changed_back,
    drift::a14_what_people_add_is_taken_away,
    drift::a14_what_controllers_add_and_people_order_is_left,
    drift::a14_additions_are_reported_or_allowed_as_the_policy_says,
    drift::a03_replicas_are_gits_again_when_the_autoscaler_is_gone,
    drift::a14_rules_of_an_aggregating_role_are_the_aggregators,
    drift::a01_every_immutable_field_is_made_anew_where_git_says_so,
    drift::a08_wrong_types_and_doubled_items_are_invalid_at_once,
    drift::a16_what_git_dropped_while_the_agent_was_away_goes,
    lists::a14_lists_changed_by_hand_are_gits_again,
    lists::a14_lists_changed_by_git_are_gits,
    order::hooks_run_before_and_after_once,
    order::what_comes_after_a_hook_waits_for_its_end,
    order::waves_wait_for_each_other_in_one_turn,
    prune::p01_p05_an_empty_set_is_refused_and_clears_itself,
    prune::p11_p12_definitions_and_namespaces_wait_for_a_confirmation,
    prune::p13_over_the_budget_nothing_is_deleted,
    prune::p15_a_damaged_inventory_deletes_nothing_and_is_rebuilt,
    prune::p16_an_object_made_again_by_others_stays,
    prune::p16_an_object_made_again_between_look_and_delete_stays,
    prune::p15_no_forged_record_deletes_what_is_not_ours,
    prune::a_removal_over_the_budget_is_confirmed_in_the_cluster,
    prune::a_released_application_leaves_its_objects_and_remembers_none,
    order::a_claim_that_waits_for_its_first_user_holds_up_no_wave,
    apply::an_object_written_with_and_without_the_default_namespace_is_refused_by_name,
    prune::p17_children_with_our_marks_are_never_pruned,
    prune::p18_finalizers_are_waited_for_by_name,
    prune::a_removed_application_takes_its_objects_along,
}

/// Scenarios that need fault injection or controllers.
mod embedded_only {
    macro_rules! scenarios {
        ($($module:ident :: $name:ident),* $(,)?) => {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let cluster = super::embedded().await;
                    let world = super::World::new(&cluster, stringify!($name)).await;
                    super::passes::$module::$name(world).await;
                }
            )*
        }
    }

    scenarios! {
        apply::a10_a_terminating_namespace_holds_up_its_own_objects_only,
        fault::a06_what_passes_is_tried_again_and_takes_effect_once,
        fault::a06_a_server_that_asks_to_wait_is_waited_for,
        fault::a07_a_server_that_dies_at_any_request_of_a_pass_is_gone_on_with,
        fault::a11_what_the_server_finds_too_large_stops_one_object_only,
        fault::a18_a_watch_from_a_forgotten_version_looks_at_the_whole,
        fault::a19_a_restored_etcd_is_compared_anew_and_nothing_is_deleted,
        fault::a20_rotated_roots_of_the_api_server_are_taken_up_without_a_restart,
        fault::a20_a_rotated_token_is_taken_up_without_a_restart,
        fault::a21_a_slow_server_whose_pages_expire_is_read_to_the_end,
        away::p14_an_aggregated_api_that_is_away_deletes_nothing,
        away::p14_an_aggregated_api_that_comes_back_within_a_pass_deletes_nothing,
        away::p14_a_list_that_expires_half_way_deletes_nothing,
        away::a_definition_with_another_scope_has_its_objects_prepared_anew,
        prune::p18_a_namespace_that_never_goes_is_waited_for_by_name,
        fault::p20_objects_outlive_the_agents_namespace,
    }
}
