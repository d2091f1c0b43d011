//! Draws a trace: time-sequence, window, round trip and rate, above each other on one axis of time.
//!
//!     cargo run --release --example plot -- TRACE -o out.svg
//!
//! TRACE is a file that `Config::with_trace_dir` has written. The picture is an SVG whose size depends on its width and
//! not on the trace: what falls onto one column of pixels is drawn as its first, last, lowest and highest point.

mod chart;
mod history;
mod series;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use history::History;

/// Draws a trace.
#[derive(Parser, Debug)]
struct Options {
    /// The trace: qlog 0.3 in JSON-SEQ, as aqueduct writes it.
    trace: PathBuf,
    /// Where to write the picture, an SVG.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Begin at this time, seconds.
    #[arg(long, value_name = "SECONDS")]
    from: Option<f64>,
    /// End at this time, seconds.
    #[arg(long, value_name = "SECONDS")]
    to: Option<f64>,
    /// Width of the picture, pixels.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(300..=10_000))]
    width: u32,
    /// A line above the picture, instead of what the trace calls itself.
    #[arg(long)]
    title: Option<String>,
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Trace(#[from] trace::TraceError),
    #[error("nothing happens from {from} s to {to} s: the trace ends at {end:.3} s")]
    NothingThere { from: f64, to: f64, end: f64 },
    #[error("{} cannot be written: {what}", .path.display())]
    Output { path: PathBuf, what: String },
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("plot: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<String, Failure> {
    let mut history = History::default();
    let header = trace::read(&options.trace, |event| history.add(&event))?;
    let end = history.end();
    let (from, to) = (options.from.unwrap_or(0.0), options.to.unwrap_or(end));
    let shows_something = from < to && from < end && to > 0.0;
    if !shows_something {
        return Err(Failure::NothingThere { from, to, end });
    }
    let view = chart::View {
        from,
        to,
        width: options.width,
        title: options.title.as_deref().unwrap_or(&header),
    };
    chart::draw(&options.output, &history, &view).map_err(|error| Failure::Output {
        path: options.output.clone(),
        what: error.to_string(),
    })?;
    Ok(format!(
        "{}: {} packets sent, {} repeated, {} lost, {from:.3} s to {to:.3} s",
        options.output.display(),
        history.packets_sent,
        history.packets_repeated,
        history.packets_lost,
    ))
}
