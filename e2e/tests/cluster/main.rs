//! The cluster tier: the whole stack in a real Kubernetes cluster of three nodes, and what happens to it there.
//!
//! All trials share one cluster. Those that need other manifests have a stack of their own in it, and overlap.
//! `LAB_AIRGAP=1` chooses images that need no registry; `LAB_KEEP=1` leaves the cluster for a look.

mod admission;
#[path = "../support/fault.rs"]
mod fault;
mod faults;
mod kube_state_metrics;
mod kubernetes;
mod operator;
mod pages;
mod policies;
mod resilience;
mod runbook;
mod shared;
mod sped_up;
mod tls;
#[path = "../support/tls_client.rs"]
mod tls_client;
#[path = "../support/trials.rs"]
mod trials;
mod user_namespace;
mod values;
mod variant;
mod view;

use std::process::ExitCode;

use e2e::backend::kind::Kind;
use trials::{overlapping, trial};

/// Shown before each name, because a plain `cargo test` does not run this tier.
const NEEDS: &str = "needs Docker: run `just e2e` or `just e2e-airgap`";

fn main() -> ExitCode {
    let before = shared::own_kubeconfig();
    let code = trials::run::<Kind>(
        NEEDS,
        vec![
            // What is true of a cluster.
            overlapping(kubernetes::every_node_runs_an_exporter),
            overlapping(kubernetes::every_endpoint_answers_through_the_node_port),
            overlapping(kubernetes::only_prometheus_has_a_token),
            overlapping(runbook::every_command_of_the_runbook_runs),
            // What the API server and the network admit.
            overlapping(admission::the_api_server_admits_every_overlay_and_component),
            overlapping(policies::a_pod_with_grafana_s_labels_reaches_prometheus_by_name_and_nothing_else),
            // TLS and passwords.
            overlapping(tls::prometheus_scrapes_with_a_certificate_and_a_password_and_nobody_without),
            // Who is told of it.
            overlapping(pages::nodes_that_are_cut_off_are_one_page),
            // What a component changes.
            overlapping(user_namespace::in_a_user_namespace_all_is_as_before)
                .unless(user_namespace::without_user_namespaces),
            // What prometheus-operator reads.
            overlapping(operator::its_prometheus_scrapes_every_node_and_has_the_rules)
                .unless(operator::without_its_image),
            overlapping(operator::a_pod_monitor_with_a_wrong_port_name).unless(operator::without_its_image),
            overlapping(operator::a_pod_monitor_that_selects_nothing).unless(operator::without_its_image),
            overlapping(operator::a_rule_that_does_not_parse).unless(operator::without_its_image),
            // What is wrong with the manifests.
            overlapping(faults::a_role_without_watch),
            overlapping(faults::no_toleration),
            overlapping(faults::a_wrong_port_name),
            overlapping(faults::a_wrong_probe_path),
            overlapping(faults::a_wrong_image_tag),
            overlapping(faults::an_update_to_a_wrong_image_tag_stops_at_the_first_node),
            overlapping(faults::a_network_policy_that_shuts_prometheus_out),
            overlapping(faults::a_pod_that_pod_security_refuses),
            overlapping(faults::a_network_that_drops_scrapes),
            overlapping(faults::a_route_that_leads_to_nobody),
            overlapping(faults::a_receiver_that_is_down),
            overlapping(faults::a_prometheus_that_alerts_nobody),
            // What must be true of every stack.
            trial(values::every_check_passes),
            trial(policies::production_admits_prometheus_of_two_namespaces_and_nobody_else),
            // What a change of the manifests does.
            trial(values::a_roll_out_to_a_fixture_tree_gives_exact_values_without_a_gap),
            trial(values::a_roll_out_back_gives_the_node_s_own_values),
            // Pods, containers and nodes that fail.
            trial(resilience::a_deleted_pod_s_successor_is_scraped_within_30_s),
            trial(resilience::a_killed_container_is_scraped_within_10_s),
            trial(resilience::a_restarted_prometheus_keeps_discovering),
            trial(resilience::a_stopped_worker_is_down_and_no_other),
            // It leaves one node of three, so it is the last.
            trial(kube_state_metrics::a_node_that_leaves_raises_no_alert_and_a_lost_one_does)
                .unless(kube_state_metrics::without_its_image),
        ],
    );
    if shared::own_kubeconfig() != before {
        eprintln!("error: the user's own kubeconfig was changed");
        return ExitCode::FAILURE;
    }
    code
}
