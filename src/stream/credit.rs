//! Flow control: how far we may send, and how far we let the peer send (RFC 9293 s3.8.6).

use crate::wire::{Offset, Window};

/// How far the peer lets us send. The right edge never moves back.
#[derive(Clone, Debug)]
pub struct SendCredit {}

impl SendCredit {
    /// Before the first ACK block: the window of the peer's opening.
    pub fn new(_window: Window) -> Self {
        SendCredit {}
    }
    /// An ACK block says `window` beyond `ack_offset`; true if the right edge moved.
    pub fn update(&mut self, _ack_offset: Offset, _window: Window) -> bool {
        todo!()
    }
    /// The right edge: no byte at or beyond it may be sent.
    pub fn limit(&self) -> Offset {
        todo!()
    }
    /// The widest window seen, bytes: for the sender's silly-window rule.
    pub fn largest_window(&self) -> u64 {
        todo!()
    }
    /// Whether the window leaves room worth a packet at `snd_nxt`, `unsent` bytes waiting and `mss` the
    /// most that a packet carries: all that waits, or min(mss, half of the largest window) (RFC 9293 s3.8.6.2.1).
    pub fn is_worth_sending(&self, _snd_nxt: Offset, _unsent: u64, _mss: u64) -> bool {
        todo!()
    }
}

/// How far we let the peer send.
#[derive(Clone, Debug)]
pub struct RecvCredit {}

impl RecvCredit {
    /// A window of `window` bytes beyond what the application has read.
    pub fn new(_window: u32) -> Self {
        RecvCredit {}
    }
    /// The right edge that the peer was last told.
    pub fn edge(&self) -> Offset {
        todo!()
    }
    /// The right edge to advertise now that the application has read up to `read_offset`: moves by at
    /// least min(mss, half the window) or not at all, never back (RFC 9293 s3.8.6.2.2). Remembers it.
    pub fn advertise(&mut self, _read_offset: Offset, _mss: u64) -> Offset {
        todo!()
    }
    /// Whether the peer should be told at once: the edge it knows leaves less than a quarter of the
    /// window (or a closed one), and [`RecvCredit::advertise`] would move it.
    pub fn wants_update(&self, _rcv_nxt: Offset, _read_offset: Offset, _mss: u64) -> bool {
        todo!()
    }
    /// The window's size in bytes.
    pub fn window(&self) -> u64 {
        todo!()
    }
}
