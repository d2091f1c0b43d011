//! What the system says of this process, and what this process tells the other.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::exit;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::time::TimeVal;

/// The kernel's objects that a socket consists of, as it names them.
const SOCKET_OBJECTS: [&str; 7] = [
    "TCP",
    "UDP",
    "sock_inode_cache",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
    "eventpoll_epi",
    "filp",
];

/// The time, for measurements.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits while nothing is to be done.
#[expect(
    clippy::disallowed_methods,
    reason = "to be idle for a time is the work"
)]
pub(crate) fn pause(time: Duration) {
    thread::sleep(time);
}

/// `time` in nanoseconds.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Processor time of this process, of its threads that have ended too.
pub(crate) fn processor_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Duration::ZERO;
    };
    duration(usage.user_time()) + duration(usage.system_time())
}

fn duration(time: TimeVal) -> Duration {
    let part = |count: i64| u64::try_from(count).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec())) + Duration::from_micros(part(time.tv_usec()))
}

/// Resident bytes of this process.
pub(crate) fn resident_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}

/// Open sockets of this process.
pub(crate) fn sockets() -> u64 {
    let files = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
    u64::try_from(sockets.count()).unwrap_or(u64::MAX)
}

/// Bytes of all the kernel's objects for sockets; `None` where it does not say.
pub(crate) fn socket_memory() -> Option<u64> {
    let table = fs::read_to_string("/proc/slabinfo").ok()?;
    let bytes = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_socket = SOCKET_OBJECTS.contains(&words.next()?);
        let objects: u64 = words.next()?.parse().ok()?;
        let size: u64 = words.nth(1)?.parse().ok()?;
        is_socket.then_some(objects * size)
    });
    Some(bytes.sum())
}

/// Allows this process, and those that it starts, as many open files as the system does.
///
/// # Errors
///
/// The system's error.
pub(crate) fn raise_file_limit() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// In the server: says where it listens, and sees to it that it does not outlive who started it.
///
/// # Errors
///
/// The system's error.
pub(crate) fn announce(address: SocketAddr) -> io::Result<()> {
    println!("{address}");
    io::stdout().flush()?;
    thread::spawn(|| {
        // Who started it holds the other end, and its death closes it.
        let _ = io::stdin().read(&mut [0]);
        exit(0);
    });
    Ok(())
}
