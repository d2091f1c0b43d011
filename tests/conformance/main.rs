//! What any stream connection must do, eleven cases for threads and the same eleven for tasks.
//!
//! Basic input and output, ping-pong, racing readers, racing writers, and time limits: on reads, on writes, past,
//! present, future, and while the stream closes; and all methods at once. The cases are those that network stacks
//! are usually held to; none of them asserts a time.
#![cfg(feature = "tokio")]
#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod threads;

/// Bytes that pass in the basic case: more than all buffers between the two sides hold.
const BASIC: usize = 8 << 20;
/// Round trips of the ping-pong.
const ROUNDS: u64 = 500;
/// Threads or tasks that race.
const RACERS: usize = 10;
/// Tries of each of them.
const TRIES: usize = 10;

/// What was carried, whoever carried which part: how many bytes, and their sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    bytes: u64,
    sum: u64,
}

impl Tally {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sum += bytes.iter().copied().map(u64::from).sum::<u64>();
    }

    fn with(self, other: Tally) -> Tally {
        Tally {
            bytes: self.bytes + other.bytes,
            sum: self.sum + other.sum,
        }
    }
}
