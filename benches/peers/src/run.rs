//! Measures what is not measured yet: rounds interleaved, two fresh processes for each measurement.

use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::Options;
use crate::peers::{self, VARIANTS, Variant};
use crate::place::{self, Side, Veth};
use crate::results::{Outcome, Results};
use crate::scenarios::{Figures, Scenario};
use crate::system;

/// What a measurement may take beyond its own time: 10,000 connections to be made, one after the other.
const PATIENCE: Duration = Duration::from_secs(45);
/// Rounds of what hardly varies, and takes long.
const IDLE_ROUNDS: u64 = 3;

/// Measures all that the options ask for.
///
/// # Errors
///
/// That of a file. A measurement that fails is noted as such.
pub(crate) fn run(options: &Options, results: &mut Results) -> io::Result<()> {
    system::raise_file_limit()?;
    let certificate = tempfile::tempdir()?;
    peers::make_certificate(certificate.path())?;
    for &scenario in &options.scenarios() {
        let veth = match scenario {
            Scenario::Veth => match Veth::new() {
                Ok(veth) => Some(veth),
                Err(error) => {
                    println!("veth: SKIPPED, it needs root and the command ip: {error}");
                    continue;
                }
            },
            _ => None,
        };
        let bench = Bench {
            options,
            scenario,
            veth,
            certificate: certificate.path(),
        };
        bench.run(results)?;
    }
    Ok(())
}

struct Bench<'o> {
    options: &'o Options,
    scenario: Scenario,
    veth: Option<Veth>,
    certificate: &'o std::path::Path,
}

impl Bench<'_> {
    fn run(&self, results: &mut Results) -> io::Result<()> {
        let rounds = match self.scenario {
            Scenario::Idle => self.options.rounds.min(IDLE_ROUNDS),
            _ => self.options.rounds,
        };
        for round in 1..=rounds {
            for variant in VARIANTS.iter().filter(|one| self.takes(one)) {
                if results.has(self.scenario, variant.name, round) {
                    continue;
                }
                let outcome = self.outcome(variant, round);
                println!("{}", line(&outcome));
                results.add(outcome)?;
            }
        }
        Ok(())
    }

    fn takes(&self, variant: &Variant) -> bool {
        let only = &self.options.only;
        let is_wanted = only.is_empty() || only.iter().any(|name| name == variant.name);
        is_wanted && variant.scenarios.contains(&self.scenario)
    }

    fn outcome(&self, variant: &Variant, round: u64) -> Outcome {
        let measured = match variant.hindrance() {
            Some(why) => Err(io::Error::other(format!("SKIPPED, {why}"))),
            None => self.measure(variant),
        };
        let (figures, failure) = match measured {
            Ok(figures) => (figures, None),
            Err(error) => (Figures::new(), Some(error.to_string())),
        };
        Outcome {
            scenario: self.scenario,
            variant: variant.name.to_owned(),
            round,
            figures,
            failure,
        }
    }

    /// Starts a server and a client, and reads what the client says.
    fn measure(&self, variant: &Variant) -> io::Result<Figures> {
        let mut server = Running(self.command(Side::Server, variant)?.spawn()?);
        let address = server.first_line(PATIENCE)?;
        let mut command = self.command(Side::Client, variant)?;
        let mut client = Running(command.args(["--to", address.trim()]).spawn()?);
        let said = client.first_line(self.options.amount.time() * 8 + PATIENCE)?;
        Ok(serde_json::from_str(&said)?)
    }

    fn command(&self, side: Side, variant: &Variant) -> io::Result<Command> {
        let program = env::current_exe()?;
        let options = self.options;
        let mut command = place::command(options.placement, self.veth.as_ref(), side, &program);
        let amount = &options.amount;
        command
            .args(["--variant", variant.name])
            .arg(format!("--scenario={}", name(self.scenario)))
            .arg("--certificate")
            .arg(self.certificate)
            .arg(format!("--milliseconds={}", amount.milliseconds))
            .arg(format!("--idle={}", amount.idle))
            .arg(format!("--many={}", amount.many));
        if side == Side::Server {
            let at = place::listen_at(self.veth.as_ref());
            command.arg(format!("--at={at}"));
        }
        Ok(command)
    }
}

/// A process; dropping it ends it.
struct Running(Child);

impl Running {
    /// The first line that it prints; an error if that takes too long.
    fn first_line(&mut self, patience: Duration) -> io::Result<String> {
        let Some(output) = self.0.stdout.take() else {
            return Err(io::Error::other("the process has no output"));
        };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            let read = output.read_line(&mut line).map(|_| line);
            // Who waited may have gone; what else the process prints must not block it.
            let _ = sender.send(read);
            let _ = output.read_to_end(&mut Vec::new());
        });
        match receiver.recv_timeout(patience) {
            Ok(line) => match line? {
                line if line.is_empty() => Err(io::Error::other("it ended with an error")),
                line => Ok(line),
            },
            Err(_) => Err(io::Error::other(format!(
                "no end within {} s",
                patience.as_secs()
            ))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, or it ends now; there is nothing to do about an error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The scenario as the command line names it.
pub(crate) fn name(scenario: Scenario) -> String {
    let value = clap::ValueEnum::to_possible_value(&scenario);
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn line(outcome: &Outcome) -> String {
    let figures: Vec<_> = outcome
        .figures
        .iter()
        .map(|(name, value)| format!("{value:.2} {name}"))
        .collect();
    let said = outcome.failure.clone().unwrap_or(figures.join(", "));
    let scenario = name(outcome.scenario);
    format!(
        "{scenario}, round {}: {}: {said}",
        outcome.round, outcome.variant
    )
}
