//! [`Driver`]: the task of one connection. It writes what the session says, reads what the other side says, and looks after
//! deadlines.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::link::Link;
use crate::time::Time;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes written at once: what is urgent waits for no more than that.
const WRITE_BYTES: usize = 32 << 10;
/// Rounds without giving other tasks a turn.
const ROUNDS_MAX: usize = 32;
/// So long the last frames of a session that has ended may take to leave: a peer that reads nothing keeps no task.
const GOODBYE: Duration = Duration::from_secs(5);

/// What runs a session on a stream.
pub(super) struct Driver<S> {
    link: Arc<Link>,
    io: S,
    /// Frames on their way into the stream, and how much of them is in it.
    batch: Vec<u8>,
    written: usize,
    /// Something was written since the last flush.
    is_unflushed: bool,
    buffer: Vec<u8>,
    timer: Timer,
    goodbye: Option<Pin<Box<Sleep>>>,
    /// The stream carries nothing any more.
    is_broken: bool,
}

/// Wakes the task at the session's next deadline.
struct Timer {
    sleep: Pin<Box<Sleep>>,
    armed_for: Option<Time>,
}

impl Timer {
    /// Whether `at` has come; the task is woken when it does.
    fn poll(&mut self, at: Time, instant: Instant, cx: &mut Context<'_>) -> bool {
        if self.armed_for != Some(at) {
            self.armed_for = Some(at);
            self.sleep.as_mut().reset(instant);
        }
        let has_come = self.sleep.as_mut().poll(cx).is_ready();
        if has_come {
            self.armed_for = None;
        }
        has_come
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// # Panics
    /// In a runtime without a timer.
    pub(super) fn new(link: Arc<Link>, io: S) -> Self {
        Driver {
            link,
            io,
            batch: Vec::with_capacity(WRITE_BYTES),
            written: 0,
            is_unflushed: false,
            buffer: vec![0; READ_BYTES],
            timer: Timer {
                sleep: Box::pin(sleep(Duration::ZERO)),
                armed_for: None,
            },
            goodbye: None,
            is_broken: false,
        }
    }

    /// One round; whether anything was done.
    fn round(&mut self, cx: &mut Context<'_>) -> bool {
        let wrote = self.write(cx);
        let read = self.read(cx);
        let fired = self.look_after_deadlines(cx);
        wrote || read || fired
    }

    /// Writes, if there is something to write; whether the stream took any.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        if self.written == self.batch.len() && !self.next_batch() {
            return self.flush(cx);
        }
        let rest = &self.batch[self.written..];
        match Pin::new(&mut self.io).poll_write(cx, rest) {
            Poll::Ready(Ok(0)) => self.fail("the stream takes nothing any more"),
            Poll::Ready(Ok(len)) => {
                self.written += len;
                self.is_unflushed = true;
            }
            Poll::Ready(Err(error)) => self.fail(&error.to_string()),
            Poll::Pending => return false,
        }
        true
    }

    /// What is written is to leave, also through what holds it back (TLS). Of no use to the caller: it never asks for a round.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.is_unflushed = false,
                Poll::Ready(Err(error)) => self.fail(&error.to_string()),
                Poll::Pending => {}
            }
        }
        false
    }

    /// Takes frames to write; false if there are none.
    fn next_batch(&mut self) -> bool {
        self.batch.clear();
        self.written = 0;
        let mut state = self.link.lock();
        while self.batch.len() < WRITE_BYTES {
            let Some(frame) = state.core.session.poll_output() else {
                break;
            };
            self.batch.extend_from_slice(&frame);
        }
        if self.batch.is_empty() {
            return false;
        }
        // What was read only now, because answers had to leave first, has events too; and bodies have room.
        self.link.settle(state);
        true
    }

    /// Reads, if the session wants it; whether anything came.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_broken || !self.link.lock().core.session.wants_input() {
            return false;
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                self.link.close("the peer has closed the connection");
            }
            Poll::Ready(Ok(())) => {
                let bytes = buffer.filled();
                self.link
                    .with(|core, now| core.session.handle_bytes(now, bytes));
            }
            Poll::Ready(Err(error)) => self.fail(&error.to_string()),
            Poll::Pending => return false,
        }
        true
    }

    fn look_after_deadlines(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.link.lock().core.session.poll_timeout() else {
            return false;
        };
        let has_come = self.timer.poll(at, self.link.clock().instant(at), cx);
        if has_come {
            let late = |now: Time| now.max(at);
            self.link
                .with(|core, now| core.session.handle_timeout(late(now)));
        }
        has_come
    }

    /// The stream has failed.
    fn fail(&mut self, why: &str) {
        self.is_broken = true;
        self.link.close(why);
    }

    /// Whether the session has ended, and its last frames are written or will never be.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_broken {
            return true;
        }
        if !self.link.lock().core.session.is_closed() {
            return false;
        }
        let goodbye = self
            .goodbye
            .get_or_insert_with(|| Box::pin(sleep(GOODBYE)))
            .as_mut();
        if goodbye.poll(cx).is_ready() {
            return true;
        }
        let all_written = self.written == self.batch.len() && !self.next_batch();
        all_written && Pin::new(&mut self.io).poll_shutdown(cx).is_ready()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        driver.link.on_driver_waits(cx);
        for _ in 0..ROUNDS_MAX {
            let has_done = driver.round(cx);
            if driver.is_over(cx) {
                return Poll::Ready(());
            }
            if !has_done {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.link.on_driver_gone();
    }
}
