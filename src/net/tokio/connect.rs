//! Connecting to one of several addresses, for tasks.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::net::ToSocketAddrs;

use super::Stream;
use crate::config::Config;
use crate::net::Stream as Blocking;
use crate::net::connect::no_address;
use crate::net::error::{failed, of_blocked};
use crate::net::race::{Race, Step};
use crate::net::stream::is_opened;
use crate::runtime::driver::Nap;
use crate::runtime::{self, Owner, Seat, Side};

/// A connection that is not open yet, and where the task waits for it.
struct Attempt {
    owner: Option<Owner>,
    seat: Seat,
}

impl Attempt {
    fn new(owner: Owner) -> Self {
        Attempt {
            owner: Some(owner),
            seat: Seat::default(),
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(Owner(cell)) = &self.owner else {
            return Poll::Pending;
        };
        let opened = cell.poll_on(&[(Side::Write, &self.seat)], cx, is_opened);
        opened.map(|opened| match opened {
            Ok(opened) => opened.map_err(|reason| failed(cell.peer, reason)),
            Err(blocked) => Err(of_blocked(cell.peer, blocked)),
        })
    }

    fn leave(&self) {
        if let Some(Owner(cell)) = &self.owner {
            cell.leave(Side::Write, &self.seat);
        }
    }

    fn into_owner(mut self) -> Option<Owner> {
        self.leave();
        self.owner.take()
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The attempts of one `connect`.
struct Runners<B> {
    race: Race,
    begin: B,
    attempts: Vec<Attempt>,
    nap: Nap,
    last: Option<io::Error>,
}

impl<B: Fn(SocketAddr) -> io::Result<Owner>> Runners<B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Owner>> {
        loop {
            match self.race.step(runtime::now()) {
                Step::Begin(addr) => match (self.begin)(addr) {
                    Ok(owner) => self.attempts.push(Attempt::new(owner)),
                    Err(error) => self.on_failed(error),
                },
                Step::Wait(until) => {
                    if let Poll::Ready((attempt, opened)) = self.poll_attempts(cx) {
                        match opened {
                            Err(error) => self.on_failed(error),
                            Ok(()) => {
                                return Poll::Ready(attempt.into_owner().ok_or_else(no_address));
                            }
                        }
                    } else if until.is_none_or(|until| self.nap.poll(until, cx).is_pending()) {
                        return Poll::Pending;
                    }
                }
                Step::Lost => return Poll::Ready(Err(self.last.take().unwrap_or_else(no_address))),
            }
        }
    }

    /// Takes the first attempt out that is open or has failed.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Poll<(Attempt, io::Result<()>)> {
        for at in 0..self.attempts.len() {
            if let Poll::Ready(opened) = self.attempts[at].poll(cx) {
                return Poll::Ready((self.attempts.swap_remove(at), opened));
            }
        }
        Poll::Pending
    }

    fn on_failed(&mut self, error: io::Error) {
        self.last = Some(error);
        self.race.on_failed(runtime::now());
    }
}

/// Begins connections to the addresses in a [`Race`], until one is open; the error of the last one that failed.
pub(super) async fn open_first<A: ToSocketAddrs>(
    addr: A,
    config: &Config,
    begin: impl Fn(SocketAddr) -> io::Result<Owner>,
) -> io::Result<Stream> {
    let mut runners = Runners {
        race: Race::new(tokio::net::lookup_host(addr).await?),
        begin,
        attempts: Vec::new(),
        nap: Nap::default(),
        last: None,
    };
    let owner = poll_fn(|cx| runners.poll(cx)).await?;
    Ok(Stream::new(Blocking::from_owner(owner, config), false))
}
