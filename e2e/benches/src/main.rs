//! `just bench`: what a scrape costs, of the exporter, of a floor (a server that only reads the files and writes as many
//! bytes), and of its peers.
//!
//! Each is scraped over four kept connections with the headers that Prometheus sends, pinned to one core, in rounds that
//! take turns, so that other load on the machine affects all alike. The medians of the rounds are shown, with their
//! ratios to the exporter's, which depend less on the machine than the numbers do.

mod client;
mod report;
mod server;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use client::Encoding;
use report::{Measured, Row};
use server::{Server, Target};

/// Measures what a scrape costs.
#[derive(Parser)]
struct Options {
    /// The exporter under test.
    #[arg(long, default_value = "dist/mini-node-exporter")]
    exporter: PathBuf,
    /// Another one, such as `before=old/mini-node-exporter --web.listen-address={address}`.
    #[arg(long, value_name = "NAME=COMMAND")]
    peer: Vec<String>,
    /// Fail unless this row takes at least RATIO times the CPU time of the exporter, each in its quickest round.
    #[arg(long, value_name = "NAME=RATIO")]
    at_least: Vec<String>,
    /// Scrapes in a round.
    #[arg(long, default_value_t = 4000)]
    scrapes: usize,
    /// Rounds, of which the median is shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the numbers are written.
    #[arg(long, default_value = "docs/bench.json")]
    json: PathBuf,
}

fn main() -> Result<()> {
    let options = Options::parse();
    if options.rounds == 0 || options.scrapes == 0 {
        bail!("--rounds and --scrapes must be at least 1");
    }
    let mut rows = rows(&options)?;
    for round in 1..=options.rounds {
        for row in &mut rows {
            eprintln!("round {round} of {}: {}", options.rounds, row.name);
            let measured = measure(&row.target, row.encoding, options.scrapes);
            row.rounds.push(measured.with_context(|| row.name.clone())?);
        }
    }
    report::print(&rows);
    report::write(&rows, &options.json)?;
    options.at_least.iter().try_for_each(|limit| hold(limit, &rows))
}

fn hold(limit: &str, rows: &[Row]) -> Result<()> {
    let (name, least) = limit.split_once('=').with_context(|| format!("--at-least `{limit}` is not NAME=RATIO"))?;
    let least: f64 = least.parse().with_context(|| format!("--at-least `{limit}`"))?;
    let row = rows.iter().find(|row| row.name == name).with_context(|| format!("--at-least: no row `{name}`"))?;
    let (peer, exporter) = (row.quickest(), rows[0].quickest());
    let ratio = peer / exporter;
    if ratio < least {
        bail!(
            "in their quickest rounds {name} takes {peer:.1} µs of CPU a scrape and the exporter {exporter:.1}: \
             {ratio:.1} times as much, less than {least}"
        );
    }
    Ok(())
}

/// The exporter comes first: the others are compared with it.
fn rows(options: &Options) -> Result<Vec<Row>> {
    let exporter = options.exporter.display();
    let floor = std::env::current_exe().context("cannot find the floor")?.with_file_name("floor");
    let mut commands = vec![
        ("exporter".to_string(), format!("{exporter} --web.listen-address={{address}}")),
        (
            "exporter, no process_*".to_string(),
            format!("{exporter} --web.disable-exporter-metrics --web.listen-address={{address}}"),
        ),
        ("floor".to_string(), format!("{} {{address}}", floor.display())),
    ];
    for peer in &options.peer {
        let (name, command) = peer.split_once('=').with_context(|| format!("--peer {peer:?} is not NAME=COMMAND"))?;
        commands.push((name.to_string(), command.to_string()));
    }
    let mut rows = Vec::new();
    for (name, command) in commands {
        let target = Target::parse(&command).with_context(|| name.clone())?;
        // Whether it compresses shows in what one scrape carries.
        let (server, _) = Server::start(&target).with_context(|| name.clone())?;
        let compresses = client::scrape(server.address(), Encoding::Gzip)?.compressed;
        rows.push(Row::new(name.clone(), target.clone(), Encoding::Gzip));
        if compresses {
            rows.push(Row::new(format!("{name}, not gzipped"), target, Encoding::Plain));
        }
    }
    Ok(rows)
}

fn measure(target: &Target, encoding: Encoding, scrapes: usize) -> Result<Measured> {
    let (server, first_scrape) = Server::start(target)?;
    let idle = server.resident()?;
    client::load(server.address(), encoding, scrapes / 10 + 1)?;
    let before = server.cpu()?;
    let took = client::load(server.address(), encoding, scrapes)?;
    let cpu = server.cpu()?.saturating_sub(before);
    let bytes = client::scrape(server.address(), encoding)?.bytes;
    Ok(Measured { cpu, took, scrapes, idle, after: server.resident()?, first_scrape, bytes, binary: target.bytes()? })
}
