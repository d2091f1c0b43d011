//! Measurements in a file of JSON lines: a run that was interrupted goes on where it stopped.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::scenarios::{Figures, Scenario};

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) variant: String,
    pub(crate) round: u64,
    /// Empty if it failed.
    pub(crate) figures: Figures,
    /// Why it failed, or was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
}

/// The file, and what it holds.
pub(crate) struct Results {
    file: PathBuf,
    pub(crate) all: Vec<Outcome>,
}

impl Results {
    /// # Errors
    ///
    /// That of the file, or that it holds something else.
    pub(crate) fn open(file: PathBuf) -> io::Result<Results> {
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let all = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        Ok(Results { file, all })
    }

    /// Whether this was measured.
    pub(crate) fn has(&self, scenario: Scenario, variant: &str, round: u64) -> bool {
        self.all
            .iter()
            .any(|one| one.scenario == scenario && one.variant == variant && one.round == round)
    }

    /// # Errors
    ///
    /// That of the file.
    pub(crate) fn add(&mut self, outcome: Outcome) -> io::Result<()> {
        let mut line = serde_json::to_string(&outcome)?;
        line.push('\n');
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)?;
        file.write_all(line.as_bytes())?;
        self.all.push(outcome);
        Ok(())
    }

    /// The values of one figure, sorted.
    pub(crate) fn values(&self, scenario: Scenario, variant: &str, figure: &str) -> Vec<f64> {
        let outcomes = self.all.iter();
        let mut values: Vec<f64> = outcomes
            .filter(|one| one.scenario == scenario && one.variant == variant)
            .filter_map(|one| one.figures.get(figure).copied())
            .collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// Why the variant has no figures here.
    pub(crate) fn failure(&self, scenario: Scenario, variant: &str) -> Option<&str> {
        let outcomes = self.all.iter();
        let mut failures = outcomes
            .filter(|one| one.scenario == scenario && one.variant == variant)
            .filter_map(|one| one.failure.as_deref());
        failures.next()
    }
}

/// The one in the middle, of an even number the lower of the two; not a number of nothing.
pub(crate) fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or(f64::NAN)
}
