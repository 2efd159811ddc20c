//! The table for a person, and the same as JSON.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fs_err as fs;
use serde_json::{Value, json};

use crate::client::Encoding;
use crate::server::Target;

/// One exporter, scraped in one way.
pub struct Row {
    pub name: String,
    pub target: Target,
    pub encoding: Encoding,
    pub rounds: Vec<Measured>,
}

/// What one round has shown.
pub struct Measured {
    pub cpu: Duration,
    pub took: Duration,
    pub scrapes: usize,
    pub idle: u64,
    pub after: u64,
    pub first_scrape: Duration,
    pub bytes: usize,
    pub binary: u64,
}

/// A column: its name in JSON, its heading, how many decimals, and its value.
type Column = (&'static str, &'static str, usize, fn(&Measured) -> f64);

#[allow(clippy::cast_precision_loss)]
const COLUMNS: [Column; 7] = [
    ("cpu_microseconds_a_scrape", "CPU µs", 1, |round| round.cpu.as_secs_f64() * 1e6 / round.scrapes as f64),
    ("scrapes_a_second", "scrapes/s", 0, |round| round.scrapes as f64 / round.took.as_secs_f64()),
    ("resident_megabytes_idle", "idle MB", 2, |round| round.idle as f64 / 1e6),
    ("resident_megabytes_after", "after MB", 2, |round| round.after as f64 / 1e6),
    ("milliseconds_to_first_scrape", "start ms", 1, |round| round.first_scrape.as_secs_f64() * 1e3),
    ("bytes_a_scrape", "bytes", 0, |round| round.bytes as f64),
    ("binary_megabytes", "binary MB", 2, |round| round.binary as f64 / 1e6),
];

impl Row {
    pub fn new(name: String, target: Target, encoding: Encoding) -> Self {
        Self { name, target, encoding, rounds: Vec::new() }
    }

    fn values(&self, column: Column) -> Vec<f64> {
        let mut values: Vec<f64> = self.rounds.iter().map(column.3).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self, column: Column) -> f64 {
        median(&self.values(column))
    }

    /// Its CPU time by that of the first row, round by round, so that a slow minute affects both.
    pub fn ratio(&self, first: &Self) -> f64 {
        let cpu = COLUMNS[0].3;
        let mut ratios: Vec<f64> = self.rounds.iter().zip(&first.rounds).map(|(it, to)| cpu(it) / cpu(to)).collect();
        ratios.sort_by(f64::total_cmp);
        median(&ratios)
    }

    /// Its CPU time in microseconds a scrape in the round that other load on the machine disturbed least: load only ever adds.
    pub fn quickest(&self) -> f64 {
        self.values(COLUMNS[0])[0]
    }
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Prints the medians.
pub fn print(rows: &[Row]) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    print!("{:width$}  ratio", "");
    for column in COLUMNS {
        print!("  {:>9}", column.1);
    }
    println!("  CPU µs, least to most");
    for row in rows {
        print!("{:width$}  {:5.2}", row.name, row.ratio(&rows[0]));
        for column in COLUMNS {
            print!("  {:9.*}", column.2, row.median(column));
        }
        let spread = row.values(COLUMNS[0]);
        println!("  {:.1} to {:.1}", spread[0], spread[spread.len() - 1]);
    }
}

/// Writes the medians and every round.
pub fn write(rows: &[Row], file: &Path) -> Result<()> {
    let rows: Vec<Value> = rows.iter().map(|row| to_json(row, &rows[0])).collect();
    let text = serde_json::to_string_pretty(&json!({ "rows": rows }))? + "\n";
    fs::write(file, text).with_context(|| file.display().to_string())
}

fn to_json(row: &Row, first: &Row) -> Value {
    let mut value = json!({
        "name": row.name,
        "accepts_gzip": row.encoding == Encoding::Gzip,
        "cpu_ratio_to_exporter": row.ratio(first),
    });
    for column in COLUMNS {
        let rounds: Vec<f64> = row.rounds.iter().map(column.3).collect();
        value[column.0] = json!({ "median": row.median(column), "rounds": rounds });
    }
    value
}
