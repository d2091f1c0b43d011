//! Measurements in a file of JSON lines: a run that was interrupted goes on where it stopped.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::client::Flow;
use crate::path::{Link, Path};

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Result {
    /// What it belongs to: `matrix`, `share`, `jain`, `sized`.
    pub(crate) kind: String,
    pub(crate) path: Path,
    /// The flows' stacks, in order; of sized transfers the stack and the bytes.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) flows: Vec<Flow>,
    /// Seconds of sized transfers.
    #[serde(default)]
    pub(crate) times: Vec<f64>,
    pub(crate) link: Link,
}

/// The file.
pub(crate) struct Results {
    file: PathBuf,
    pub(crate) all: Vec<Result>,
}

impl Results {
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let all = text
            .lines()
            .map(serde_json::from_str)
            .collect::<std::result::Result<_, _>>()?;
        Ok(Results { file, all })
    }

    pub(crate) fn find(&self, kind: &str, path: &Path, name: &str) -> Option<&Result> {
        self.all
            .iter()
            .find(|one| one.kind == kind && one.path == *path && one.name == name)
    }

    pub(crate) fn add(&mut self, result: Result) -> io::Result<()> {
        let mut line = serde_json::to_string(&result)?;
        line.push('\n');
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)?;
        file.write_all(line.as_bytes())?;
        self.all.push(result);
        Ok(())
    }
}

/// The value in the middle; the `percent`th of the sorted values in general.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len().saturating_sub(1) * percent).div_ceil(100);
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Jain's index of fairness: 1 if all are equal, 1/n if one has all.
pub(crate) fn jain(values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|value| value * value).sum();
    sum * sum / (values.len() as f64 * squares)
}
