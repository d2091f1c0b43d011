//! How other threads reach a sleeping loop: a list of commands, and a wake-up that is asked for once.

use std::io;
use std::sync::atomic::Ordering;

use super::lock;
use super::platform::{AtomicBool, Mutex, Waker};

/// What a loop can be asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Look whether anything is left to serve: an owner has gone.
    Review,
    /// End as if the loop had a bug.
    #[cfg(test)]
    Panic,
}

/// The letters for one loop.
#[derive(Debug)]
pub(crate) struct Mailbox {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
    /// Whether a wake-up is on its way that the loop has not seen.
    woken: AtomicBool,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker) -> Self {
        Mailbox {
            commands: Mutex::default(),
            waker,
            woken: AtomicBool::new(false),
        }
    }

    /// Leaves a command and wakes the loop.
    pub(crate) fn send(&self, command: Command) {
        lock(&self.commands).push(command);
        self.wake();
    }

    /// Wakes the loop; costs a system call only if none is on its way.
    pub(crate) fn wake(&self) {
        if self.woken.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Err(error) = self.waker.wake() {
            report(&error);
        }
    }

    /// Takes all commands. Whoever writes one from now on wakes the loop again.
    pub(crate) fn take(&self) -> Vec<Command> {
        if !self.woken.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *lock(&self.commands))
    }
}

fn report(error: &io::Error) {
    tracing::warn!(%error, "the thread that serves a socket could not be woken");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn many_wake_ups_are_one_event_and_no_command_is_lost() {
        let mut poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        let mut events = Events::with_capacity(8);
        for round in 0..3 {
            for _ in 0..=round {
                mailbox.send(Command::Review);
            }
            poll.poll(&mut events, None).unwrap();
            assert_eq!(events.iter().count(), 1);
            assert_eq!(mailbox.take().len(), round + 1);
            assert!(mailbox.take().is_empty());
        }
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
    }
}
