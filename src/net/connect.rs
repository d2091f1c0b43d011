//! Connecting to one of several addresses, on the calling thread.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::Stream;
use super::error::{failed, of_blocked};
use super::race::{Race, Step};
use super::stream::is_opened;
use crate::config::Config;
use crate::error::CloseReason;
use crate::runtime::{self, Blocked, Limit, Owner, Side};
use crate::time::Time;

/// While several attempts run, one of them can be waited for; the others are looked at so often.
const LOOK: Duration = Duration::from_millis(10);

/// Begins connections to the addresses in a [`Race`], until one is open; the error of the last one that failed.
pub(super) fn open_first<A: ToSocketAddrs>(
    addr: A,
    config: &Config,
    begin: impl Fn(SocketAddr) -> io::Result<Owner>,
) -> io::Result<Stream> {
    let mut race = Race::new(addr.to_socket_addrs()?);
    let (mut attempts, mut last) = (Vec::new(), None);
    loop {
        let step = race.step(runtime::now());
        let error = match step {
            Step::Begin(addr) => match begin(addr) {
                Ok(owner) => {
                    attempts.push(owner);
                    continue;
                }
                Err(error) => error,
            },
            Step::Wait(until) => match wait(&mut attempts, until) {
                Some((owner, Ok(()))) => return Ok(Stream::from_owner(owner, config)),
                Some((_, Err(error))) => error,
                None => continue,
            },
            Step::Lost => return Err(last.unwrap_or_else(no_address)),
        };
        last = Some(error);
        race.on_failed(runtime::now());
    }
}

pub(super) fn no_address() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "could not resolve to any addresses",
    )
}

/// Waits until one of the attempts is open or has failed, and takes it out; `None` if it is time to look again.
fn wait(attempts: &mut Vec<Owner>, until: Option<Time>) -> Option<(Owner, io::Result<()>)> {
    let newest = attempts.len().checked_sub(1)?;
    for at in 0..newest {
        let opened = is_opened(&mut attempts[at].0.lock());
        if let Some(opened) = opened {
            return Some(outcome(attempts.swap_remove(at), Ok(opened)));
        }
    }
    let left = until.map(|until| until - runtime::now());
    let limit = match left {
        None if newest == 0 => Limit::Never,
        None => Limit::After(LOOK),
        Some(left) if newest == 0 => Limit::After(left),
        Some(left) => Limit::After(left.min(LOOK)),
    };
    match attempts[newest]
        .0
        .block_on(Side::Write, |_| limit, is_opened)
    {
        Err(Blocked::TimedOut) => None,
        opened => Some(outcome(attempts.swap_remove(newest), opened)),
    }
}

fn outcome(
    owner: Owner,
    opened: Result<Result<(), CloseReason>, Blocked>,
) -> (Owner, io::Result<()>) {
    let peer = owner.0.peer;
    let outcome = match opened {
        Ok(opened) => opened.map_err(|reason| failed(peer, reason)),
        Err(blocked) => Err(of_blocked(peer, blocked)),
    };
    (owner, outcome)
}
