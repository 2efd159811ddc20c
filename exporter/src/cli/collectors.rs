//! The two flags of every collector, built from the collector table.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::collector::{Collector, TABLE};

const DISABLE_DEFAULTS: &str = "collector.disable-defaults";

/// Adds `--collector.NAME` and `--no-collector.NAME` for each collector; of the two, the later wins.
pub(super) fn add_flags(command: Command) -> Command {
    let switch = |name: String, help: String| Arg::new(name.clone()).long(name).help(help).action(ArgAction::SetTrue);
    let help = "Run no collector unless its own flag enables it".to_string();
    let command = command.arg(switch(DISABLE_DEFAULTS.to_string(), help));
    TABLE.iter().fold(command, |command, collector| {
        let (on, off) = (on(*collector), off(*collector));
        let default = if collector.enabled_by_default() { " (default: on)" } else { " (default: off)" };
        let help = format!("Enable the {} collector: {}{default}", collector.name(), collector.help());
        let without = format!("Disable the {} collector", collector.name());
        command.arg(switch(on, help).overrides_with(off.clone())).arg(switch(off, without))
    })
}

/// The collectors to run, in the table's order.
pub(super) fn chosen(matches: &ArgMatches) -> Vec<&'static dyn Collector> {
    let defaults = !matches.get_flag(DISABLE_DEFAULTS);
    let runs = |collector: &&'static dyn Collector| {
        matches.get_flag(&on(*collector))
            || (defaults && collector.enabled_by_default() && !matches.get_flag(&off(*collector)))
    };
    TABLE.iter().copied().filter(runs).collect()
}

fn on(collector: &dyn Collector) -> String {
    format!("collector.{}", collector.name())
}

fn off(collector: &dyn Collector) -> String {
    format!("no-collector.{}", collector.name())
}
