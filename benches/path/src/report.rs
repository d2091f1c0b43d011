//! The table, and which pictures are drawn.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path as File, PathBuf};

use crate::path::Path;
use crate::picture;
use crate::plan::{PAIRS, START, cells};
use crate::results::{Result, Results, jain, percentile};

/// Writes `path.md` and the pictures into the directory.
pub(crate) fn write(results: PathBuf, directory: &File) -> io::Result<()> {
    let results = Results::open(results)?;
    fs::create_dir_all(directory)?;
    let mut text = String::new();
    matrix(&results, &mut text);
    single(&results, &mut text);
    shares(&results, &mut text);
    sizes(&results, &mut text);
    fs::write(directory.join("path.md"), text)?;
    for figure in [picture::GOODPUT, picture::DELAY, picture::REPEATED] {
        picture::draw(&figure, &results, directory)?;
    }
    Ok(())
}

/// Round trip of the 95th percentile, ms: the path's own and the time in its queue.
pub(crate) fn delay(result: &Result) -> f64 {
    result.path.rtt + result.link.queue_p95_us as f64 / 1e3
}

fn line(text: &mut String, row: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{row}");
}

/// Every path with every pair: goodput, delay, repeated.
fn matrix(results: &Results, text: &mut String) {
    line(
        text,
        format_args!(
            "| path | algorithm | goodput, Mbit/s: ours, kernel, ratio | after {START} s, share of the link: ours, kernel | p95 of the round trip, ms: ours, kernel | sent again, %: ours, kernel |\n|---|---|---|---|---|---|"
        ),
    );
    let mut ratios = Vec::new();
    for path in cells() {
        for (ours, kernel) in PAIRS {
            let (Some(a), Some(b)) = (
                results.find("matrix", &path, ours),
                results.find("matrix", &path, kernel),
            ) else {
                continue;
            };
            let (Some(own), Some(other)) = (a.flows.first(), b.flows.first()) else {
                continue;
            };
            let ratio = own.overall / other.overall;
            ratios.push((ours, ratio));
            line(
                text,
                format_args!(
                    "| {path} | {} | {:.2}, {:.2}, {ratio:.2} | {:.3}, {:.3} | {:.0}, {:.0} | {:.2}, {:.2} |",
                    ours.trim_start_matches("aqueduct:"),
                    own.overall,
                    other.overall,
                    own.goodput / path.rate,
                    other.goodput / path.rate,
                    delay(a),
                    delay(b),
                    own.retransmitted * 100.0,
                    other.retransmitted * 100.0,
                ),
            );
        }
    }
    line(text, format_args!(""));
    for (ours, _) in PAIRS {
        let found: Vec<_> = ratios
            .iter()
            .filter(|(name, _)| *name == ours)
            .map(|(_, ratio)| *ratio)
            .collect();
        let below = found.iter().filter(|ratio| **ratio < 0.97).count();
        line(
            text,
            format_args!(
                "{ours}: {} paths, ratio of goodput median {:.2}, least {:.2}, below 0.97 on {below}.\n",
                found.len(),
                percentile(&found, 50),
                percentile(&found, 0),
            ),
        );
    }
}

/// Single flows on the paths of the figures.
fn single(results: &Results, text: &mut String) {
    let rows = results.all.iter().filter(|one| one.kind == "figures");
    line(
        text,
        format_args!(
            "| path | flow | Mbit/s after 3 s | round trip p50, p95, ms | sent again, % |\n|---|---|---:|---:|---:|"
        ),
    );
    for one in rows {
        let Some(flow) = one.flows.first() else {
            continue;
        };
        line(
            text,
            format_args!(
                "| {} | {} | {:.1} | {:.0}, {:.0} | {:.2} |",
                one.path,
                one.name,
                flow.goodput,
                one.path.rtt + one.link.queue_p50_us as f64 / 1e3,
                delay(one),
                flow.retransmitted * 100.0
            ),
        );
    }
    line(text, format_args!(""));
}

fn shares(results: &Results, text: &mut String) {
    line(
        text,
        format_args!(
            "| path | flows | Mbit/s | share of the first, or Jain's index |\n|---|---|---|---:|"
        ),
    );
    let kinds = ["share", "jain"];
    for one in results.all.iter().filter(|one| kinds.contains(&&*one.kind)) {
        let goodput: Vec<_> = one.flows.iter().map(|flow| flow.goodput).collect();
        let figure = if one.kind == "jain" {
            jain(&goodput)
        } else {
            goodput[0] / goodput.iter().sum::<f64>()
        };
        let each: Vec<_> = goodput.iter().map(|rate| format!("{rate:.1}")).collect();
        line(
            text,
            format_args!(
                "| {} | {} | {} | {figure:.2} |",
                one.path,
                described(&one.name),
                each.join(" ")
            ),
        );
    }
    line(text, format_args!(""));
}

/// Ten equal names are one name, ten times.
fn described(name: &str) -> String {
    let names: Vec<_> = name.split(' ').collect();
    if names.len() > 2 && names.iter().all(|one| *one == names[0]) {
        return format!("{} x {}", names.len(), names[0]);
    }
    names.join(" beside ")
}

fn sizes(results: &Results, text: &mut String) {
    line(
        text,
        format_args!("| path | stack, bytes | median, s | p95, s |\n|---|---|---:|---:|"),
    );
    for one in results.all.iter().filter(|one| one.kind == "sized") {
        line(
            text,
            format_args!(
                "| {} | {} | {:.3} | {:.3} |",
                one.path,
                one.name,
                percentile(&one.times, 50),
                percentile(&one.times, 95)
            ),
        );
    }
}

/// The paths of the matrix that were measured with this stack, in order, with a figure of each.
pub(crate) fn series(
    results: &Results,
    stack: &str,
    figure: impl Fn(&Result) -> Option<f64>,
) -> Vec<(usize, f64)> {
    cells()
        .iter()
        .enumerate()
        .filter_map(|(index, path): (usize, &Path)| {
            let one = results.find("matrix", path, stack)?;
            Some((index, figure(one)?))
        })
        .collect()
}
