//! The container tier: the image that is shipped, run as in a cluster, on an internal network.
//!
//! Each trial starts containers of its own; they share a run, its network, and the image. What a trial
//! leaves after a panic or Ctrl-C is removed after the last one, and what a killed run leaves by the next run.
//! `LAB_AIRGAP=1` chooses a Prometheus made of Debian packages, `LAB_IMAGE_PROMETHEUS=REF` any other.

mod ends;
mod image;
mod log;
mod privilege;
mod running;
mod scraped;
mod site;
mod swept;
#[path = "../tests/support/trials.rs"]
mod trials;
mod values;

use std::process::ExitCode;

use site::Site;
use trials::trial;

/// Shown before each name, for a plain `cargo test` does not run this tier.
const NEEDS: &str = "needs Docker: run `just e2e-container`";

fn main() -> ExitCode {
    trials::run::<Site>(
        NEEDS,
        vec![
            // What the image is made of.
            trial(image::holds_little_besides_the_binary),
            trial(image::says_who_runs_it_and_what_it_is),
            trial(image::has_no_shell),
            trial(image::runs_for_everybody_however_it_was_built),
            // What its process may do: nothing.
            trial(privilege::the_process_has_none),
            trial(privilege::the_root_is_read_only),
            trial(privilege::the_network_is_internal),
            // What it answers.
            trial(values::a_mounted_tree_is_served_exactly),
            trial(values::the_live_proc_is_the_node_s_own),
            trial(values::every_listen_address_is_logged_and_answers),
            // How it ends.
            trial(ends::within_1_s_of_a_stop_with_0),
            trial(ends::within_1_s_of_an_interrupt_with_0),
            trial(ends::with_2_on_a_bad_command_line),
            // A Prometheus on the same network has its samples.
            trial(scraped::every_check_passes_with_exact_values),
            // What a killed run leaves does not stay.
            trial(swept::containers_and_networks_of_a_killed_run),
        ],
    )
}
