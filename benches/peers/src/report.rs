//! The tables, in Markdown.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use crate::peers::{VARIANTS, Variant};
use crate::picture;
use crate::results::{Results, median};
use crate::scenarios::Scenario;

/// One table.
pub(crate) struct Table {
    pub(crate) scenario: Scenario,
    pub(crate) title: &'static str,
    /// Names of the figures; the first one is drawn and compared.
    pub(crate) figures: &'static [&'static str],
    /// Digits behind the point.
    digits: usize,
    /// Whether less is better.
    pub(crate) lower_is_better: bool,
}

const IDLE: &[&str] = &[
    "server, user B",
    "server, kernel B",
    "client, user B",
    "client, kernel B",
    "CPU while idle, %",
];

#[rustfmt::skip]
pub(crate) const TABLES: &[Table] = &[
    table(Scenario::Bulk, "Bulk, loopback, writes of 64 KiB", &["MB/s", "CPU s/GiB"], 2, false),
    table(Scenario::Veth, "Bulk, veth with MTU 1500, writes of 64 KiB", &["MB/s", "CPU s/GiB"], 2, false),
    table(Scenario::PingPong, "Ping-pong of 64 B, loopback", &["p50 us", "p99 us"], 1, true),
    table(Scenario::Connects, "Connect, one byte each way, close; one after the other", &["a second"], 0, false),
    table(Scenario::Connects64, "The same, 64 at once", &["a second"], 0, false),
    table(Scenario::Many, "Connections that send at once (1,000, or `--many`)", &["MB/s", "Jain"], 3, false),
    table(Scenario::Idle, "Idle connections (10,000, or `--idle`), for each", IDLE, 0, true),
];

const fn table(
    scenario: Scenario,
    title: &'static str,
    figures: &'static [&'static str],
    digits: usize,
    lower_is_better: bool,
) -> Table {
    Table {
        scenario,
        title,
        figures,
        digits,
        lower_is_better,
    }
}

/// Writes `peers.md` and `peers.svg` into the directory.
///
/// # Errors
///
/// That of a file.
pub(crate) fn write(results: &Results, directory: &Path) -> io::Result<String> {
    fs::create_dir_all(directory)?;
    let mut text = format!("{}\n", machine());
    for table in TABLES {
        // Writing to a string does not fail.
        let _ = write_table(results, table, &mut text);
    }
    fs::write(directory.join("peers.md"), &text)?;
    picture::draw(results, &directory.join("peers.svg"))?;
    Ok(text)
}

/// What was measured on.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{count} processors ({model}), Linux {}, {} {}. Medians, with the least and the most.",
        kernel.trim(),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
    )
}

/// The variants that the table has rows for.
pub(crate) fn rows<'r>(
    results: &'r Results,
    table: &'r Table,
) -> impl Iterator<Item = &'static Variant> + 'r {
    VARIANTS.iter().filter(|variant| {
        let outcomes = results.all.iter();
        outcomes
            .filter(|one| one.scenario == table.scenario)
            .any(|one| one.variant == variant.name)
    })
}

fn write_table(results: &Results, table: &Table, text: &mut String) -> std::fmt::Result {
    let rows: Vec<_> = rows(results, table).collect();
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let compared = median(&results.values(table.scenario, first.name, table.figures[0]));
    let names = table.figures.join(" | ");
    writeln!(text, "\n| {} | {names} | of {} |", table.title, first.name)?;
    writeln!(text, "|---|{}---:|", "---:|".repeat(table.figures.len()))?;
    for variant in rows {
        if let Some(failure) = results.failure(table.scenario, variant.name) {
            writeln!(text, "| {}: {failure} |", variant.name)?;
            continue;
        }
        write!(text, "| {} |", variant.name)?;
        for figure in table.figures {
            let values = results.values(table.scenario, variant.name, figure);
            write!(text, " {} |", shown(&values, digits(table, figure)))?;
        }
        let own = median(&results.values(table.scenario, variant.name, table.figures[0]));
        let ratio = own / compared;
        if ratio.is_finite() {
            writeln!(text, " {ratio:.2} |")?;
        } else {
            writeln!(text, " - |")?;
        }
    }
    Ok(())
}

/// Whole megabytes, other figures with the digits of the table.
fn digits(table: &Table, figure: &str) -> usize {
    match figure {
        "MB/s" => 0,
        "CPU while idle, %" => 2,
        _ => table.digits,
    }
}

fn shown(sorted: &[f64], digits: usize) -> String {
    match sorted {
        [] => "-".to_owned(),
        [one] => format!("{one:.digits$}"),
        [first, .., last] => {
            format!(
                "{:.digits$} ({first:.digits$}-{last:.digits$})",
                median(sorted)
            )
        }
    }
}
