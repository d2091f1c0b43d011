//! What this process costs: processor time and memory, from `/proc`. Elsewhere all are 0.

use std::fs;
use std::time::Duration;

/// Processor time of the threads that run now, since they began.
pub(crate) fn time() -> Duration {
    let tasks = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten();
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
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
