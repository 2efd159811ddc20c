//! The `local` tier: real exporter processes, a real Prometheus, no Docker and no root.
//!
//! It has a `main` of its own, because children die with the *thread* that started them (see `e2e::guard`): the stack
//! that many trials share belongs to a thread that lives until all of them are done. Below is the table of contents.
//! A Prometheus that cannot be had fails the trials, with the command that gets it.

mod alerts;
mod cluster_needs;
mod ends;
mod failing;
mod faults;
mod fetching;
mod lab;
mod passing;
mod ports;
mod several;
mod stacks;
mod usage;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// So many trials run at once: most of their time they wait for Prometheus' first sample.
const AT_ONCE: usize = 6;

fn trials() -> Vec<Trial> {
    vec![
        // Every alert fires and resolves. It takes longest, so it goes first.
        trial("alerts::every_alert_fires_and_resolves", alerts::every_alert_fires_and_resolves),
        // Every check passes where it should.
        trial("passing::every_check_on_the_live_proc", passing::every_check_on_the_live_proc),
        trial("passing::every_check_on_a_fixture_tree_exactly", passing::every_check_on_a_fixture_tree_exactly),
        trial("passing::a_tree_that_changes_is_read_anew", passing::a_tree_that_changes_is_read_anew),
        // Each check fails when what it guards is broken, and says why. The expectation is wrong …
        trial("failing::an_exporter_that_does_not_answer", failing::an_exporter_that_does_not_answer),
        trial("failing::a_node_without_a_target", failing::a_node_without_a_target),
        trial("failing::a_node_of_another_name", failing::a_node_of_another_name),
        trial("failing::values_that_differ_from_the_tree", failing::values_that_differ_from_the_tree),
        trial("failing::an_uptime_that_is_not_the_kernels", failing::an_uptime_that_is_not_the_kernels),
        trial("failing::an_uptime_that_stands_still", failing::an_uptime_that_stands_still),
        // … or Prometheus' configuration is.
        trial("failing::a_wrong_port_and_no_alerts", failing::a_wrong_port_and_no_alerts),
        trial("failing::a_relabelling_that_drops_every_target", failing::a_relabelling_that_drops_every_target),
        trial("failing::no_node_label", failing::no_node_label),
        trial("failing::a_pod_label_two_durations_and_no_rules", failing::a_pod_label_two_durations_and_no_rules),
        trial("failing::two_targets_without_instance_and_a_rule", failing::two_targets_without_instance_and_a_rule),
        trial("failing::a_rule_file_that_does_not_load", failing::a_rule_file_that_does_not_load),
        // Parts that die, and starts that fail: said with the last log lines, and nothing is left.
        trial("faults::prometheus_killed", faults::prometheus_killed),
        trial("faults::the_exporter_killed", faults::the_exporter_killed),
        trial("faults::a_bad_file_in_the_tree", faults::a_bad_file_in_the_tree),
        trial("faults::no_tree", faults::no_tree),
        trial("faults::an_exporter_that_is_none", faults::an_exporter_that_is_none),
        trial("faults::a_prometheus_that_ends_at_once", faults::a_prometheus_that_ends_at_once),
        trial("faults::a_prometheus_that_is_none", faults::a_prometheus_that_is_none),
        // However a lab ends, nothing stays.
        trial("ends::an_interrupt_while_it_stays", ends::an_interrupt_while_it_stays),
        trial("ends::a_termination_before_the_first_scrape", ends::a_termination_before_the_first_scrape),
        trial("ends::a_hang_up", ends::a_hang_up),
        trial("ends::an_interrupt_during_the_start", ends::an_interrupt_during_the_start),
        trial("ends::a_terminated_check_keeps_its_evidence", ends::a_terminated_check_keeps_its_evidence),
        trial("ends::after_the_time_it_was_given", ends::after_the_time_it_was_given),
        trial("ends::a_kill_takes_the_children_along", ends::a_kill_takes_the_children_along),
        trial("ends::a_sweep_spares_the_living_and_the_kept", ends::a_sweep_spares_the_living_and_the_kept),
        // Several labs, and the commands that look at them.
        trial("several::labs_do_not_disturb_each_other", several::labs_do_not_disturb_each_other),
        trial("several::no_lab", several::no_lab),
        trial("ports::taken_ones_are_replaced_and_shown", ports::taken_ones_are_replaced_and_shown),
        // The command line, its outputs and its exit codes.
        trial("usage::a_bad_command_line", usage::a_bad_command_line),
        trial("usage::grafana_that_cannot_be_had_is_skipped", usage::grafana_that_cannot_be_had_is_skipped),
        trial("usage::a_picture_needs_grafana_and_chromium", usage::a_picture_needs_grafana_and_chromium),
        trial("usage::prometheus_that_cannot_be_had_is_said", usage::prometheus_that_cannot_be_had_is_said),
        trial("usage::doctor_lists_every_need", usage::doctor_lists_every_need),
        trial("usage::a_reader_that_goes", usage::a_reader_that_goes),
        // What a cluster needs is asked for before anything is made; no engine is needed to see that.
        trial("cluster_needs::no_docker", cluster_needs::no_docker),
        trial("cluster_needs::an_engine_that_does_not_answer", cluster_needs::an_engine_that_does_not_answer),
        trial("cluster_needs::an_engine_that_is_not_ours_to_use", cluster_needs::an_engine_that_is_not_ours_to_use),
        trial("cluster_needs::no_kind", cluster_needs::no_kind),
        trial("cluster_needs::a_kind_that_is_too_old", cluster_needs::a_kind_that_is_too_old),
        trial("cluster_needs::a_kubectl_that_is_too_old", cluster_needs::a_kubectl_that_is_too_old),
        trial("cluster_needs::an_image_that_cannot_be_had", cluster_needs::an_image_that_cannot_be_had),
        trial("cluster_needs::flags_of_the_other_backend", cluster_needs::flags_of_the_other_backend),
        // Where Prometheus comes from, with a cache of its own and a stand-in for the network.
        trial("fetching::a_tarball_checked_against_its_release", fetching::a_tarball_checked_against_its_release),
        trial("fetching::a_tarball_with_another_hash", fetching::a_tarball_with_another_hash),
        trial("fetching::two_runs_at_once_fetch_one_package", fetching::two_runs_at_once_fetch_one_package),
    ]
}

fn main() -> ExitCode {
    e2e::process::guard::through(env!("CARGO_BIN_EXE_lab"));
    if let Err(error) = e2e::wait::interrupt::listen() {
        eprintln!("no signal handler: {error}");
        return ExitCode::FAILURE;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let conclusion = libtest_mimic::run(&arguments, trials());
    stacks::end_shared();
    conclusion.exit_code()
}

fn trial(name: &str, run: fn() -> anyhow::Result<()>) -> Trial {
    Trial::test(name, move || run().map_err(|error| Failed::from(format!("{error:#}"))))
}
