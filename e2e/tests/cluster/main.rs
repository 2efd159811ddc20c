//! The cluster tier: the whole stack in a real Kubernetes cluster of three nodes, and what happens to it there.
//!
//! All trials share one cluster and run one after the other, in this order, on the main thread, which lives as long as
//! the processes that it starts. `LAB_AIRGAP=1` chooses images made of Debian packages; `LAB_KEEP=1` leaves the
//! cluster for a look.

mod kubernetes;
mod policies;
mod resilience;
mod shared;
mod values;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use shared::Shared;

/// Shown before each name, for `cargo test` alone does not run this tier.
const NEEDS: &str = "needs Docker: run `just e2e` or `just e2e-airgap`";

fn main() -> ExitCode {
    e2e::process::guard::through(env!("CARGO_BIN_EXE_lab"));
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let shared = Shared::default();
    let trials = [
        // What must be true of every stack.
        shared.trial("every_check_passes", values::every_check_passes),
        // What is true of this one alone.
        shared.trial("every_node_runs_an_exporter", kubernetes::every_node_runs_an_exporter),
        shared.trial("every_endpoint_answers_through_the_node_port", kubernetes::every_endpoint_answers),
        shared.trial("only_prometheus_has_a_token", kubernetes::only_prometheus_has_a_token),
        // What the API server and the network refuse.
        shared.trial_where("pod_security_refuses_a_privileged_pod", policies::pod_security, policies::needs_admission),
        shared.trial_where("network_policy_admits_only_prometheus", policies::network, policies::needs_policies),
        // What a change of the manifests does.
        shared.trial("a_roll_out_to_a_fixture_tree_gives_exact_values_without_a_gap", values::roll_out_to_a_fixture),
        shared.trial("a_roll_out_back_gives_the_node_s_own_values", values::roll_out_back),
        // What goes wrong in the life of a cluster.
        shared.trial("a_deleted_pod_s_successor_is_scraped_within_30_s", resilience::deleted_pod),
        shared.trial("a_killed_container_is_scraped_within_10_s", resilience::killed_container),
        shared.trial("a_restarted_prometheus_keeps_discovering", resilience::restarted_prometheus),
        shared.trial("a_stopped_worker_is_down_and_no_other", resilience::stopped_worker),
    ];
    let trials: Vec<Trial> = trials.into_iter().map(|trial| trial.with_kind(NEEDS).with_ignored_flag(true)).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    match shared.end(conclusion.has_failed()) {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
