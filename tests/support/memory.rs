//! What the process holds: memory, sockets, threads. Linux tells it in /proc; elsewhere nothing is checked.

use std::fs;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Resident memory, KiB.
    pub(crate) resident_kib: u64,
    /// Open file descriptors.
    pub(crate) descriptors: usize,
    /// Threads.
    pub(crate) threads: usize,
}

/// What the process holds now; `None` where the system does not tell.
pub(crate) fn held() -> Option<Held> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(Held {
        resident_kib: line.split_whitespace().nth(1)?.parse().ok()?,
        descriptors: fs::read_dir("/proc/self/fd").ok()?.count(),
        threads: fs::read_dir("/proc/self/task").ok()?.count(),
    })
}

/// Growth of resident memory since `before`, KiB; 0 where the system does not tell.
pub(crate) fn growth_kib(before: Option<Held>) -> u64 {
    let now = held();
    now.zip(before).map_or(0, |(now, before)| {
        now.resident_kib.saturating_sub(before.resident_kib)
    })
}
