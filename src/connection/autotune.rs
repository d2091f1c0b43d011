//! How wide the two windows of a connection are: as wide as path and application need, no wider.
//!
//! **Receiving** (dynamic right-sizing). In each round trip the application drains some bytes. A sender that
//! is not held back by the window will have at most that much in flight, and twice that much a round trip later
//! if it is in slow start. So the window is twice what the next round is expected to drain. It grows by what was
//! *read in order* alone: a peer that never fills its first hole, and an application that does not read, get
//! no more. The edge never moves back, whatever the window does (RFC 9293 s3.8.6): see [`RecvCredit`].
//!
//! **Round trips of a receiver.** One that only receives gets no acknowledgements, so it has no samples but that
//! of the handshake. Once in a while, if much has come, it asks with a PROBE.
//!
//! **Sending.** The send buffer is twice the congestion window: one for what is in flight, one for the writer.
//!
//! [`RecvCredit`]: crate::stream::RecvCredit

use std::time::Duration;

use super::Connection;
use crate::config::Config;
use crate::time::Time;
use crate::wire::Offset;

/// What is added to the window, in packets: the first rounds of slow start drain little (RFC 6928 s2 and some).
const EXTRA_PACKETS: u64 = 16;
/// Below this round trip all data in flight lies in the receiver's socket buffer.
const SHORT_RTT: Duration = Duration::from_millis(1);
/// Below this round trip, and on loopback however long a busy machine takes, the path is local: what is in flight
/// lies in the receiver's socket buffer, and is there as soon as it was sent.
const LOCAL_RTT: Duration = Duration::from_micros(250);
/// The widest window on a local path. Less, and the two sides put each other to sleep, as waking takes as long as
/// 100 KiB (loopback: 256 KiB 1.1 GB/s, 512 KiB 1.6, 1 MiB 2.0, 2 MiB no more, measured).
const LOCAL_WINDOW_MAX: u64 = 1 << 20;
/// A round on a local path, at the least: the round trip of a handshake says nothing of one whose ends are busy.
const LOCAL_ROUND: Duration = Duration::from_millis(1);
/// Rounds in a row in which large packets came, until the window grows on a local path. A wide window makes small
/// writes leave one by one, where they would have been sent together while it was closed (loopback, 1 KiB each:
/// 1.1 GB/s became 0.15, measured).
const LARGE_ROUNDS: u8 = 8;
/// Bytes of a large packet, on average: on loopback a quarter of a full one, elsewhere most of one.
const LARGE_ON_LOOPBACK: u64 = 4_096;
const LARGE: u64 = 1_000;
/// The age at which a round trip is measured again, if nothing else brings a sample.
const SAMPLE_AGE_MAX: Duration = Duration::from_secs(1);
/// The receive window while memory is short, bytes: some packets, so that a stream still flows.
pub(crate) const SMALL_WINDOW: u32 = 16 << 10;
/// The send buffer while memory is short, bytes.
const SMALL_SEND_BUFFER: usize = 64 << 10;

/// The receive window of one connection.
#[derive(Clone, Debug)]
pub(super) struct WindowTuner {
    initial: u64,
    max: u64,
    /// The window's bound on a short path, where the socket's buffer holds all that is in flight.
    short_max: u64,
    /// When the round began, when it may end, and what was read before it.
    round_at: Time,
    due_at: Time,
    read_at: Offset,
    /// What the round before drained, if it ended when this one began.
    drained_before: u64,
    /// When a round trip was last measured, and what had been received by then.
    sampled_at: Option<Time>,
    received_at: Offset,
    /// What had been received when the round began.
    received_before: Offset,
    /// Packets that had been received when the round began.
    packets_before: u64,
    /// Rounds in a row in which large packets came, at most [`LARGE_ROUNDS`].
    large_rounds: u8,
}

/// What a round's end is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    /// The time.
    pub now: Time,
    /// The round trip, if it is known.
    pub rtt: Option<Duration>,
    /// The shortest round trip: how long the path is when nobody is late.
    pub min_rtt: Option<Duration>,
    /// The peer is on this machine.
    pub is_loopback: bool,
    /// The end of what the application has read.
    pub read: Offset,
    /// The end of what was received in order.
    pub received: Offset,
    /// Packets received so far.
    pub packets: u64,
    /// The most that a packet carries.
    pub mss: u64,
    /// The window until now.
    pub window: u64,
    /// The endpoint is short of memory.
    pub is_tight: bool,
}

impl Round {
    fn is_local(&self) -> bool {
        self.is_loopback || self.min_rtt.is_some_and(|rtt| rtt < LOCAL_RTT)
    }
}

/// What a round's end leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tuned {
    /// The window from now on.
    pub window: u64,
    /// The round trip is to be measured.
    pub wants_sample: bool,
}

impl WindowTuner {
    /// Windows as the configuration has them.
    pub(super) fn new(now: Time, config: &Config) -> Self {
        WindowTuner {
            initial: u64::from(config.receive_window()),
            max: u64::from(config.receive_window_max()),
            short_max: u64::MAX,
            round_at: now,
            due_at: now,
            read_at: Offset::ZERO,
            drained_before: 0,
            sampled_at: None,
            received_at: Offset::ZERO,
            received_before: Offset::ZERO,
            packets_before: 0,
            large_rounds: 0,
        }
    }

    /// The socket's receive buffer has this many bytes. Half of them count, as the kernel charges for more than
    /// the payload, and other connections may share the socket.
    pub(super) fn set_socket_buffer(&mut self, bytes: u64) {
        self.short_max = bytes / 2;
    }

    /// A round trip was measured, with so much received.
    pub(super) fn on_sample(&mut self, now: Time, received: Offset) {
        self.sampled_at = Some(now);
        self.received_at = received;
    }

    /// Whether a round is over: the only question that is asked for every packet.
    pub(super) fn is_due(&self, now: Time) -> bool {
        now >= self.due_at
    }

    /// A round is over.
    pub(super) fn on_round(&mut self, round: Round) -> Tuned {
        let least = if round.is_local() {
            LOCAL_ROUND
        } else {
            Duration::ZERO
        };
        let rtt = round.rtt.unwrap_or(SAMPLE_AGE_MAX).max(least);
        let drained = round.read.since(self.read_at);
        self.note_sizes(&round, drained);
        let is_alone = round.now - self.round_at >= rtt * 2;
        // In a round that stands alone no growth is seen.
        let before = if is_alone || self.drained_before == 0 {
            drained
        } else {
            self.drained_before
        };
        self.round_at = round.now;
        self.due_at = round.now + rtt;
        self.read_at = round.read;
        self.drained_before = drained;
        let expected = drained + drained.min(2 * drained.saturating_sub(before));
        Tuned {
            window: self.window(&round, expected),
            wants_sample: self.wants_sample(&round),
        }
    }

    /// The window, when the next round is expected to drain `expected` bytes.
    fn window(&self, round: &Round, expected: u64) -> u64 {
        if round.is_tight {
            return self.initial.min(SMALL_WINDOW.into());
        }
        let wanted = (2 * expected).saturating_add(EXTRA_PACKETS * round.mss);
        let most = self.most(round);
        let grown = if expected > 0 && round.rtt.is_some() {
            wanted.min(most)
        } else {
            0
        };
        round.window.min(most).max(self.initial).max(grown)
    }

    /// Counts rounds in which large packets came.
    fn note_sizes(&mut self, round: &Round, drained: u64) {
        let packets = round.packets - self.packets_before;
        self.packets_before = round.packets;
        let large = match round.is_loopback {
            true => LARGE_ON_LOOPBACK,
            false => LARGE,
        };
        if drained < packets.saturating_mul(large) {
            self.large_rounds = 0;
        } else if packets > 0 {
            self.large_rounds = LARGE_ROUNDS.min(self.large_rounds + 1);
        }
    }

    /// The widest window for a path of this length.
    fn most(&self, round: &Round) -> u64 {
        let short = self.max.min(self.short_max.max(self.initial));
        match round.min_rtt {
            _ if round.is_local() && self.large_rounds < LARGE_ROUNDS => self.initial,
            _ if round.is_local() => short.min(LOCAL_WINDOW_MAX.max(self.initial)),
            Some(rtt) if rtt < SHORT_RTT => short,
            _ => self.max,
        }
    }

    /// Whether much has come since the last sample, and that is old: only then does it matter.
    fn wants_sample(&mut self, round: &Round) -> bool {
        let is_old = self
            .sampled_at
            .is_none_or(|at| round.now - at >= SAMPLE_AGE_MAX);
        let has_flowed = round.received.since(self.received_at) >= round.window / 4;
        let flows = round.received > std::mem::replace(&mut self.received_before, round.received);
        let wants = is_old && has_flowed && flows && self.max > self.initial;
        if wants {
            // The next one is due when this one is old, answered or not.
            self.on_sample(round.now, round.received);
        }
        wants
    }

    /// The window that a connection falls back to when it rests.
    pub(super) fn initial(&self) -> u64 {
        self.initial
    }
}

impl Connection {
    /// Whether the peer is on this machine, or as near as that.
    pub(super) fn is_local(&self) -> bool {
        let min_rtt = self.recovery.rtt().min_rtt();
        self.is_loopback() || min_rtt.is_some_and(|rtt| rtt < LOCAL_RTT)
    }

    fn is_loopback(&self) -> bool {
        self.path.current().remote.ip().is_loopback()
    }

    /// Bytes of the receive buffer of the socket that this connection is served by, as the system grants them. While
    /// the shortest round trip is below 1 ms the window does not grow beyond half of it: there is no other
    /// place for what is in flight.
    pub fn set_socket_buffer(&mut self, bytes: usize) {
        self.tuner
            .set_socket_buffer(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Looks at the receive window, once a round trip.
    pub(super) fn tune_receive(&mut self, now: Time) {
        if !self.tuner.is_due(now) {
            return;
        }
        let rtt = self.recovery.rtt();
        let tuned = self.tuner.on_round(Round {
            now,
            rtt: rtt.srtt().map(|_| rtt.expected()),
            min_rtt: rtt.min_rtt(),
            is_loopback: self.is_loopback(),
            read: self.assembler.read_offset(),
            received: self.assembler.rcv_nxt(),
            packets: self.acks.packets(),
            mss: self.mss(),
            window: self.recv_credit.window(),
            is_tight: self.account.is_tight(),
        });
        self.recv_credit.set_window(tuned.window);
        self.wants.liveness |= tuned.wants_sample && self.recv_half.final_size().is_none();
    }

    /// Looks at the send buffer: the congestion window may have changed.
    pub(super) fn tune_send(&mut self) {
        if self.account.is_tight() {
            return self.narrow_send();
        }
        let (least, most) = (self.config.send_buffer(), self.config.send_buffer_max());
        let cwnd = usize::try_from(self.recovery.snapshot().cwnd).unwrap_or(usize::MAX);
        let wanted = cwnd.saturating_mul(2).clamp(least, most);
        if wanted > self.send.capacity() {
            self.send.set_capacity(wanted);
        }
    }

    /// Memory is short: the send buffer takes little more.
    pub(super) fn narrow_send(&mut self) {
        let small = self.config.send_buffer().min(SMALL_SEND_BUFFER);
        self.send.set_capacity(small);
    }

    /// Quiet for long enough: the next burst begins as the first one did. What was promised stays promised.
    pub(super) fn rest_windows(&mut self) {
        self.recv_credit.set_window(self.tuner.initial());
        if self.send.snd_una() == self.send.end() {
            self.send.set_capacity(self.config.send_buffer());
        }
    }
}

#[cfg(test)]
mod tests;
