//! Runs a scenario in the simulator and writes the trace of its sender, for `plot` and for qvis.
//!
//!     cargo run --release --features sim,trace --example sim_trace -- cubic-sawtooth -o cubic.sqlog
//!     cargo run --release --example plot -- cubic.sqlog -o cubic.svg

mod scenario;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;

use aqueduct::trace::Traces;
use clap::Parser;

use scenario::Scenario;

/// Runs a scenario in virtual time and writes a trace of it.
#[derive(Parser, Debug)]
struct Options {
    /// What is to happen.
    #[arg(value_enum)]
    scenario: Scenario,
    /// Where to write the trace.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// All that is random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let options = Options::parse();
    let file = match File::create(&options.output) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("{}: {error}", options.output.display());
            return ExitCode::FAILURE;
        }
    };
    // One connection is traced: that of the sender.
    let file = Mutex::new(Some(file));
    let traces = Traces::new(move |_| {
        let file = file.lock().ok().and_then(|mut file| file.take());
        Ok(file.map(|file| -> Box<dyn io::Write + Send> { Box::new(file) }))
    });
    let summary = options.scenario.run(options.seed, traces);
    println!("{summary}");
    println!("written: {}", options.output.display());
    ExitCode::SUCCESS
}
