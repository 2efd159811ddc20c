//! The container tier: the image that is shipped, run as in a cluster, on a network without a way out.
//!
//! Trials run one after the other, on the main thread. Each starts containers of its own; they share a run, its
//! network, and the image. What a trial leaves, be it by a panic or by Ctrl-C, goes when the last one is done, and what
//! a killed run leaves goes when any later run begins. `LAB_AIRGAP=1` chooses a Prometheus made of Debian packages,
//! `LAB_IMAGE_PROMETHEUS=REF` any other.

mod ends;
mod image;
mod log;
mod privilege;
mod running;
mod scraped;
mod site;
mod swept;
mod values;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use site::Shared;

/// Shown before each name, for `cargo test` alone does not run this tier.
const NEEDS: &str = "needs Docker: run `just e2e-container`";

fn main() -> ExitCode {
    e2e::process::guard::through(env!("CARGO_BIN_EXE_lab"));
    if let Err(error) = e2e::wait::interrupt::listen() {
        eprintln!("no signal handler: {error}");
        return ExitCode::FAILURE;
    }
    let mut args = Arguments::from_args();
    args.test_threads = Some(1);
    let shared = Shared::default();
    let trials = [
        // What the image is made of.
        shared.trial("image::holds_little_besides_the_binary", image::holds_little_besides_the_binary),
        shared.trial("image::says_who_runs_it_and_what_it_is", image::says_who_runs_it_and_what_it_is),
        shared.trial("image::has_no_shell", image::has_no_shell),
        // What its process may do: nothing.
        shared.trial("privilege::the_process_has_none", privilege::the_process_has_none),
        shared.trial("privilege::the_root_is_read_only", privilege::the_root_is_read_only),
        shared.trial("privilege::the_network_is_internal", privilege::the_network_is_internal),
        // What it answers.
        shared.trial("values::a_mounted_tree_is_served_exactly", values::a_mounted_tree_is_served_exactly),
        shared.trial("values::the_live_proc_is_the_node_s_own", values::the_live_proc_is_the_node_s_own),
        shared.trial("values::every_listen_address_is_said_and_answers", values::every_listen_address),
        // How it ends.
        shared.trial("ends::within_1_s_of_a_stop_with_0", ends::within_1_s_of_a_stop),
        shared.trial("ends::within_1_s_of_an_interrupt_with_0", ends::within_1_s_of_an_interrupt),
        shared.trial("ends::with_2_on_a_bad_command_line", ends::with_2_on_a_bad_command_line),
        // A Prometheus on the same network has its samples.
        shared.trial("scraped::every_check_passes_with_exact_values", scraped::every_check_passes),
        // What a killed run leaves does not stay.
        shared.trial("swept::containers_and_networks_of_a_killed_run", swept::what_a_killed_run_left),
    ];
    let trials: Vec<Trial> = trials.into_iter().map(|trial| trial.with_kind(NEEDS).with_ignored_flag(true)).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    match shared.end() {
        Ok(()) => conclusion.exit_code(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
