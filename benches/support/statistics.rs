//! Medians with their spread, percentiles, and tables in Markdown.

use std::time::Duration;

/// One figure, measured several times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

impl Samples {
    /// Takes one more.
    pub(crate) fn add(&mut self, value: u64) {
        let place = self.0.partition_point(|sample| *sample <= value);
        self.0.insert(place, value);
    }

    /// The middle one; of an even number the lower of the two.
    pub(crate) fn median(&self) -> u64 {
        percentile(&self.0, 50)
    }

    /// The median and, if there are several, the smallest and the largest: `12.3 (11.9-12.8)`.
    pub(crate) fn show(&self, print: impl Fn(u64) -> String) -> String {
        let median = print(self.median());
        match &self.0[..] {
            [first, .., last] => format!("{median} ({}-{})", print(*first), print(*last)),
            _ => median,
        }
    }
}

/// The smallest of `sorted` that at least `percent` % of them do not exceed; 0 of nothing.
pub(crate) fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// `bytes` in `time` as bytes a second.
pub(crate) fn per_second(count: u64, time: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// `time` in nanoseconds.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Bytes a second as `421 MB/s` (10^6).
pub(crate) fn megabytes(rate: u64) -> String {
    (rate / 1_000_000).to_string()
}

/// Nanoseconds as `117.3` microseconds.
pub(crate) fn micros(nanos: u64) -> String {
    format!("{}.{}", nanos / 1_000, nanos / 100 % 10)
}

/// `part / whole` with two decimals.
pub(crate) fn ratio(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 100 / u128::from(whole.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// Prints `rows` below `head` as a table in Markdown.
pub(crate) fn print_table(head: &[&str], rows: &[Vec<String>]) {
    println!("\n| {} |", head.join(" | "));
    println!("|---|{}", "---:|".repeat(head.len() - 1));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}
