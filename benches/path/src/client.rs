//! The sending end: flows side by side for a time, or transfers of a size one after the other.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::content::fill;
use crate::order::{Answer, Order};
use crate::stack::{Connection, Counters, Stack, kernel_counters};

const WRITE: usize = 64 << 10;

/// What one flow achieved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) stack: String,
    /// Mbit/s of content that arrived in the time that counts.
    pub(crate) goodput: f64,
    /// Mbit/s of content from the first byte on.
    pub(crate) overall: f64,
    /// Packets sent again, of all packets; over all kernel flows together for kernel TCP.
    pub(crate) retransmitted: f64,
    /// The transport's own words at the end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) info: String,
}

/// Runs the flows side by side, each begun `apart` after the one before; of each only what arrives between `skip`
/// and `until` after its beginning counts.
pub(crate) fn flows(
    to: SocketAddr,
    stacks: &[Stack],
    apart: Duration,
    skip: Duration,
    until: Duration,
) -> io::Result<Vec<Flow>> {
    thread::scope(|scope| {
        let flows: Vec<_> = (1..)
            .zip(stacks)
            .map(|(seed, stack)| {
                if seed > 1 {
                    thread::sleep(apart);
                }
                scope.spawn(move || timed(to, stack, seed, skip, until))
            })
            .collect();
        flows
            .into_iter()
            .map(|flow| {
                flow.join()
                    .map_err(|_| io::Error::other("a flow panicked"))?
            })
            .collect()
    })
}

fn timed(
    to: SocketAddr,
    stack: &Stack,
    seed: u64,
    skip: Duration,
    until: Duration,
) -> io::Result<Flow> {
    let mut connection = stack.connect(to)?;
    Order::Timed { skip, until }.write(seed, &[], &mut connection)?;
    let mut writer = connection.twin()?;
    let done = AtomicBool::new(false);
    let answer = thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || write_until(&mut *writer, seed, done));
        let answer = Answer::read(&mut connection);
        done.store(true, Ordering::Relaxed);
        answer
    })?;
    if !answer.right {
        return Err(io::Error::other("the content arrived altered"));
    }
    let rate = |bytes: u64, time: Duration| bytes as f64 * 8.0 / time.as_secs_f64() / 1e6;
    let Counters {
        sent,
        retransmitted,
    } = counters(&*connection)?;
    Ok(Flow {
        stack: stack.to_string(),
        goodput: rate(answer.counted, until - skip),
        overall: rate(answer.before + answer.counted, until),
        retransmitted: retransmitted as f64 / sent.max(1) as f64,
        info: connection.describe(),
    })
}

/// Writes the content until the server has answered; the end of the connection ends it too.
fn write_until(to: &mut dyn Connection, seed: u64, done: &AtomicBool) {
    let mut buffer = vec![0; WRITE];
    let mut offset = 0;
    while !done.load(Ordering::Relaxed) {
        fill(seed, offset, &mut buffer);
        if to.write_all(&buffer).is_err() {
            return;
        }
        offset += WRITE as u64;
    }
}

fn counters(connection: &dyn Connection) -> io::Result<Counters> {
    connection.counters().map_or_else(kernel_counters, Ok)
}

/// The seconds of `times` transfers of `bytes`, each from before `connect` to the server's answer.
pub(crate) fn sized(to: SocketAddr, stack: &Stack, bytes: u64, times: u64) -> io::Result<Vec<f64>> {
    (1..=times)
        .map(|seed| transfer(to, stack, bytes, seed))
        .collect()
}

fn transfer(to: SocketAddr, stack: &Stack, bytes: u64, seed: u64) -> io::Result<f64> {
    let begin = Instant::now();
    let mut connection = stack.connect(to)?;
    let mut writer = connection.twin()?;
    let mut buffer = vec![0; WRITE];
    let mut offset = 0;
    while offset < bytes {
        let len = usize::try_from(bytes - offset).unwrap_or(WRITE).min(WRITE);
        fill(seed, offset, &mut buffer[..len]);
        if offset == 0 {
            Order::Sized { bytes }.write(seed, &buffer[..len], &mut writer)?;
        } else {
            writer.write_all(&buffer[..len])?;
        }
        offset += len as u64;
    }
    let answer = Answer::read(&mut connection)?;
    let elapsed = begin.elapsed();
    connection.finish_writing()?;
    if !answer.right || answer.counted != bytes {
        return Err(io::Error::other("the content arrived altered"));
    }
    Ok(elapsed.as_secs_f64())
}
