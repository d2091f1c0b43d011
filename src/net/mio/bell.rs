//! A descriptor that says when a try is worth it.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::runtime::Seat;

/// The most that an `eventfd` counts: it has no room, and so is not writable.
const FULL: u64 = u64::MAX - 1;

/// What the events of a bell say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tone {
    /// The descriptor is readable while the bell rings.
    Readable,
    /// It is writable while the bell rings.
    Writable,
}

/// Rings from a wake-up until somebody finds that there is nothing to do.
#[derive(Debug)]
struct Bell {
    fd: EventFd,
    tone: Tone,
    /// The lock is held over the system call, so that the descriptor says the same.
    rings: Mutex<bool>,
}

impl Bell {
    fn set(&self, on: bool) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        if *rings == on {
            return;
        }
        let counts = on == (self.tone == Tone::Readable);
        let done = match (counts, self.tone) {
            (false, _) => self.fd.read().map(drop),
            (true, Tone::Readable) => self.fd.write(1).map(drop),
            (true, Tone::Writable) => self.fd.write(FULL).map(drop),
        };
        match done {
            Ok(()) => *rings = on,
            Err(error) => tracing::warn!(%error, "an event could not be told"),
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.set(true);
    }
}

/// A bell in use: where it waits, and whether a poll listens to it.
#[derive(Debug)]
pub(super) struct Sign {
    pub(super) seat: Seat,
    pub(super) waker: Waker,
    bell: Arc<Bell>,
    is_registered: bool,
}

impl Sign {
    /// A sign that rings.
    pub(super) fn new(tone: Tone) -> io::Result<Self> {
        let fd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let bell = Arc::new(Bell {
            fd,
            tone,
            rings: Mutex::new(tone == Tone::Writable),
        });
        bell.set(true);
        Ok(Sign {
            seat: Seat::default(),
            waker: bell.clone().into(),
            bell,
            is_registered: false,
        })
    }

    /// A try is worth it.
    pub(super) fn ring(&self) {
        self.bell.set(true);
    }

    /// A try found nothing; what comes from here on rings.
    pub(super) fn quiet(&self) {
        self.bell.set(false);
    }

    /// Has the poll listen, or not.
    pub(super) fn listen(
        &mut self,
        registry: &Registry,
        token: Token,
        wanted: bool,
    ) -> io::Result<()> {
        let fd = self.bell.fd.as_fd().as_raw_fd();
        let interest = match self.bell.tone {
            Tone::Readable => Interest::READABLE,
            Tone::Writable => Interest::WRITABLE,
        };
        match (self.is_registered, wanted) {
            (false, true) => registry.register(&mut SourceFd(&fd), token, interest)?,
            (true, true) => registry.reregister(&mut SourceFd(&fd), token, interest)?,
            (true, false) => registry.deregister(&mut SourceFd(&fd))?,
            (false, false) => {}
        }
        self.is_registered = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn each_ring_is_one_event_and_silence_is_none() {
        for tone in [Tone::Readable, Tone::Writable] {
            let mut poll = Poll::new().unwrap();
            let mut events = Events::with_capacity(4);
            let mut sign = Sign::new(tone).unwrap();
            sign.listen(poll.registry(), Token(3), true).unwrap();
            for _ in 0..3 {
                poll.poll(&mut events, None).unwrap();
                let event = events.iter().next().expect("it rings");
                assert_eq!(event.is_readable(), tone == Tone::Readable);
                assert_eq!(event.is_writable(), tone == Tone::Writable);
                sign.quiet();
                poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
                assert!(events.is_empty());
                sign.waker.wake_by_ref();
                sign.ring();
            }
            sign.listen(poll.registry(), Token(3), false).unwrap();
            poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
            assert!(events.is_empty());
        }
    }
}
