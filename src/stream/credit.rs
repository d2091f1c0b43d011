//! Flow control: how far we may send, and how far we let the peer send (RFC 9293 s3.8.6).
//!
//! Both edges are absolute offsets that only grow: an acknowledgement that comes late, or a peer that
//! shrinks its window, moves nothing back (RFC 9293 s3.8.6, "shrinking the window").
//!
//! Both sides keep out of the silly window (RFC 9293 s3.8.6.2): the receiver does not offer crumbs, and the
//! sender does not send into them. Data that no window holds back is never delayed here.

use crate::wire::{Offset, Window};

/// How far the peer lets us send. The right edge never moves back.
///
/// ```
/// use aqueduct::stream::SendCredit;
/// use aqueduct::wire::{Offset, Window};
///
/// let mut credit = SendCredit::new(Window::new(1_000));
/// assert!(credit.update(Offset::new(600), Window::new(1_000)));
/// assert!(!credit.update(Offset::new(600), Window::new(10)), "a smaller window is ignored");
/// assert_eq!(credit.limit(), Offset::new(1_600));
/// ```
#[derive(Clone, Debug)]
pub struct SendCredit {
    limit: Offset,
    largest_window: u64,
}

impl SendCredit {
    /// Before the first ACK block: the window of the peer's opening.
    pub fn new(window: Window) -> Self {
        let bytes = u64::from(window.get());
        SendCredit {
            limit: Offset::ZERO.plus(bytes),
            largest_window: bytes,
        }
    }

    /// An ACK block says `window` beyond `ack_offset`; true if the right edge moved.
    pub fn update(&mut self, ack_offset: Offset, window: Window) -> bool {
        let bytes = u64::from(window.get());
        self.largest_window = self.largest_window.max(bytes);
        let edge = ack_offset.plus(bytes);
        let moved = edge > self.limit;
        self.limit = self.limit.max(edge);
        moved
    }

    /// The right edge: no byte at or beyond it may be sent.
    pub fn limit(&self) -> Offset {
        self.limit
    }

    /// The widest window seen, bytes: for the sender's silly-window rule.
    pub fn largest_window(&self) -> u64 {
        self.largest_window
    }

    /// Whether the window leaves room worth a packet at `snd_nxt`, `unsent` bytes waiting and `mss` the
    /// most that a packet carries: all that waits, or min(mss, half of the largest window) (RFC 9293 s3.8.6.2.1).
    pub fn is_worth_sending(&self, snd_nxt: Offset, unsent: u64, mss: u64) -> bool {
        let room = self.limit.since(snd_nxt);
        let enough = unsent.min(mss).min(self.largest_window / 2).max(1);
        unsent > 0 && room >= enough
    }
}

/// How far we let the peer send.
///
/// ```
/// use aqueduct::stream::RecvCredit;
/// use aqueduct::wire::Offset;
///
/// let mut credit = RecvCredit::new(10_000);
/// assert_eq!(credit.advertise(Offset::new(100), 1_400), Offset::new(10_000), "100 are not worth it");
/// assert_eq!(credit.advertise(Offset::new(1_400), 1_400), Offset::new(11_400));
/// ```
#[derive(Clone, Debug)]
pub struct RecvCredit {
    window: u64,
    edge: Offset,
}

impl RecvCredit {
    /// A window of `window` bytes beyond what the application has read, promised from the first byte on.
    pub fn new(window: u32) -> Self {
        let window = u64::from(window);
        RecvCredit {
            window,
            edge: Offset::ZERO.plus(window),
        }
    }

    /// The right edge that the peer was last told.
    pub fn edge(&self) -> Offset {
        self.edge
    }

    /// The right edge to advertise now that the application has read up to `read_offset`: moves by at
    /// least min(mss, half the window) or not at all, never back (RFC 9293 s3.8.6.2.2). Remembers it.
    pub fn advertise(&mut self, read_offset: Offset, mss: u64) -> Offset {
        if let Some(edge) = self.next_edge(read_offset, mss) {
            self.edge = edge;
        }
        self.edge
    }

    /// Whether the peer should be told at once: the edge it knows leaves less than a quarter of the
    /// window, or less than a sender waits for, and [`RecvCredit::advertise`] would move it.
    ///
    /// The second condition matters where few packets fill the window: a sender that keeps out of the
    /// silly window would stand still before a quarter of the window is reached.
    pub fn wants_update(&self, rcv_nxt: Offset, read_offset: Offset, mss: u64) -> bool {
        let left = self.edge.since(rcv_nxt);
        let is_short = left < self.worth_telling(mss).max(self.window / 4);
        is_short && self.next_edge(read_offset, mss).is_some()
    }

    /// Where the edge would move to, if that is worth telling.
    fn next_edge(&self, read_offset: Offset, mss: u64) -> Option<Offset> {
        let edge = read_offset.plus(self.window);
        (edge.since(self.edge) >= self.worth_telling(mss)).then_some(edge)
    }

    /// The least step of the edge, bytes.
    fn worth_telling(&self, mss: u64) -> u64 {
        mss.min(self.window / 2).max(1)
    }

    /// Makes the window wider or narrower, bytes. A narrower one takes nothing back: the edge stands until
    /// the application has read enough (RFC 9293 s3.8.6, "shrinking the window").
    pub fn set_window(&mut self, window: u64) {
        self.window = window;
    }

    /// The window's size in bytes.
    pub fn window(&self) -> u64 {
        self.window
    }
}

#[cfg(test)]
mod tests;
