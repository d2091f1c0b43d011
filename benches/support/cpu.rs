//! What this process costs: processor time and memory, from `/proc`. Elsewhere all are 0.

use std::fs;
use std::time::Duration;

/// Linux counts in hundredths of a second here, whatever its own clock is.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of all threads so far, in steps of 10 ms.
pub(crate) fn time() -> Duration {
    let ticks = fs::read_to_string("/proc/self/stat").ok().and_then(|text| {
        // The second field is a name in parentheses, which may have blanks.
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |index: usize| fields.get(index)?.parse::<u32>().ok();
        Some(field(11)? + field(12)?)
    });
    TICK * ticks.unwrap_or(0)
}

/// Resident memory, bytes.
pub(crate) fn memory() -> u64 {
    let kib = fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        });
    kib.unwrap_or(0) * 1_024
}
