//! The two half machines of a connection, and their view in the words of RFC 9293.
//!
//! ```text
//! send half:     Open -> FinQueued -> FinSent -> FinAcked            any -> Reset
//! receive half:  Open -> FinKnown  -> AllReceived -> AllRead         any -> Reset
//! ```
//!
//! Each half knows nothing of the other, so there is no state in which a FIN could be forgotten
//! (RFC 9293 s3.6). The states of RFC 9293 s3.3.2 are computed from both, for people.

use super::info::TcpState;
use crate::error::PeerFault;
use crate::wire::Offset;

/// What becomes of the bytes that this side sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SendHalf {
    /// The application may write.
    Open,
    /// It has written its last byte; the FIN waits behind the data.
    FinQueued,
    /// The FIN was sent, perhaps more than once.
    FinSent,
    /// The peer has everything and the FIN.
    FinAcked,
    /// Aborted, by either side.
    Reset,
}

impl SendHalf {
    /// The application shuts its writing down; true if that changed anything.
    pub(super) fn shut(&mut self) -> bool {
        let opens = *self == SendHalf::Open;
        if opens {
            *self = SendHalf::FinQueued;
        }
        opens
    }

    /// A packet with the FIN left.
    pub(super) fn on_fin_sent(&mut self) {
        if *self == SendHalf::FinQueued {
            *self = SendHalf::FinSent;
        }
    }

    /// The packet with the FIN is lost: it must go again.
    pub(super) fn on_fin_lost(&mut self) {
        if *self == SendHalf::FinSent {
            *self = SendHalf::FinQueued;
        }
    }

    /// The peer has the FIN. A FIN that is queued again because it seemed lost had been sent before.
    pub(super) fn on_fin_acked(&mut self) {
        if matches!(self, SendHalf::FinQueued | SendHalf::FinSent) {
            *self = SendHalf::FinAcked;
        }
    }

    /// Whether a FIN is due or under way.
    pub(super) fn is_shut(self) -> bool {
        self != SendHalf::Open
    }
}

/// What becomes of the bytes that the peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RecvHalf {
    /// The peer may send.
    Open,
    /// The final size is known, data is missing.
    FinKnown(Offset),
    /// Everything has arrived.
    AllReceived(Offset),
    /// The application has read the end of the stream.
    AllRead(Offset),
    /// Aborted, by either side.
    Reset,
}

impl RecvHalf {
    /// The final size, once known.
    pub(super) fn final_size(self) -> Option<Offset> {
        match self {
            RecvHalf::FinKnown(size) | RecvHalf::AllReceived(size) | RecvHalf::AllRead(size) => {
                Some(size)
            }
            RecvHalf::Open | RecvHalf::Reset => None,
        }
    }

    /// A segment ends at `end` (with the FIN, if `fin`), `highest` being the end of all seen so far.
    ///
    /// # Errors
    /// If that contradicts the final size: RFC 9000 s4.5 calls it a final size error.
    pub(super) fn check(self, end: Offset, fin: bool, highest: Offset) -> Result<(), PeerFault> {
        let consistent = match self.final_size() {
            Some(size) => end <= size && (!fin || end == size),
            None => !fin || highest <= end,
        };
        if consistent {
            Ok(())
        } else {
            Err(PeerFault::FinalSize)
        }
    }

    /// The FIN says that the stream ends at `size`; true if that is news.
    pub(super) fn on_fin(&mut self, size: Offset) -> bool {
        let news = *self == RecvHalf::Open;
        if news {
            *self = RecvHalf::FinKnown(size);
        }
        news
    }

    /// Everything below `rcv_nxt` has arrived; true if that completes the stream.
    pub(super) fn on_received(&mut self, rcv_nxt: Offset) -> bool {
        match *self {
            RecvHalf::FinKnown(size) if rcv_nxt == size => {
                *self = RecvHalf::AllReceived(size);
                true
            }
            _ => false,
        }
    }

    /// The application met the end of the stream.
    pub(super) fn on_end_read(&mut self) {
        if let RecvHalf::AllReceived(size) = *self {
            *self = RecvHalf::AllRead(size);
        }
    }

    /// Whether every byte and the FIN have arrived.
    pub(super) fn is_complete(self) -> bool {
        matches!(self, RecvHalf::AllReceived(_) | RecvHalf::AllRead(_))
    }
}

/// Which FIN came first, as far as this side can tell: the side whose FIN went first keeps TIME_WAIT.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum FinOrder {
    /// No FIN yet.
    #[default]
    None,
    /// Ours was sent before theirs was complete: active close.
    OursFirst,
    /// Theirs was complete before ours was sent: passive close.
    TheirsFirst,
}

/// The RFC 9293 state that both halves amount to, once the connection is open.
pub(super) fn tcp_state(send: SendHalf, recv: RecvHalf, order: FinOrder) -> TcpState {
    match (send, recv.is_complete()) {
        (SendHalf::Reset, _) => TcpState::Closed,
        _ if recv == RecvHalf::Reset => TcpState::Closed,
        (SendHalf::Open, false) => TcpState::Established,
        (SendHalf::Open, true) => TcpState::CloseWait,
        (SendHalf::FinQueued | SendHalf::FinSent, false) => TcpState::FinWait1,
        (SendHalf::FinQueued | SendHalf::FinSent, true) => match order {
            FinOrder::OursFirst => TcpState::Closing,
            FinOrder::TheirsFirst | FinOrder::None => TcpState::LastAck,
        },
        (SendHalf::FinAcked, false) => TcpState::FinWait2,
        (SendHalf::FinAcked, true) => match order {
            FinOrder::OursFirst => TcpState::TimeWait,
            FinOrder::TheirsFirst | FinOrder::None => TcpState::Closed,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Offset = Offset::new(10);
    const SENDS: [SendHalf; 5] = [
        SendHalf::Open,
        SendHalf::FinQueued,
        SendHalf::FinSent,
        SendHalf::FinAcked,
        SendHalf::Reset,
    ];
    const RECVS: [RecvHalf; 5] = [
        RecvHalf::Open,
        RecvHalf::FinKnown(SIZE),
        RecvHalf::AllReceived(SIZE),
        RecvHalf::AllRead(SIZE),
        RecvHalf::Reset,
    ];

    /// Every (state, event) pair of the send half, as a table that a reader can check by eye.
    #[test]
    fn send_half_has_exactly_these_transitions() {
        use SendHalf::*;
        type Step = fn(&mut SendHalf);
        let steps: [(&str, Step, [SendHalf; 5]); 4] = [
            (
                "shut",
                |s| {
                    s.shut();
                },
                [FinQueued, FinQueued, FinSent, FinAcked, Reset],
            ),
            (
                "fin sent",
                SendHalf::on_fin_sent,
                [Open, FinSent, FinSent, FinAcked, Reset],
            ),
            (
                "fin lost",
                SendHalf::on_fin_lost,
                [Open, FinQueued, FinQueued, FinAcked, Reset],
            ),
            (
                "fin acked",
                SendHalf::on_fin_acked,
                [Open, FinAcked, FinAcked, FinAcked, Reset],
            ),
        ];
        for (name, step, expected) in steps {
            for (before, after) in SENDS.into_iter().zip(expected) {
                let mut half = before;
                step(&mut half);
                assert_eq!(half, after, "{before:?} on {name}");
            }
        }
    }

    #[test]
    fn receive_half_has_exactly_these_transitions() {
        use RecvHalf::*;
        type Step = fn(&mut RecvHalf);
        let steps: [(&str, Step, [RecvHalf; 5]); 4] = [
            (
                "fin",
                |r| {
                    r.on_fin(SIZE);
                },
                [
                    FinKnown(SIZE),
                    FinKnown(SIZE),
                    AllReceived(SIZE),
                    AllRead(SIZE),
                    Reset,
                ],
            ),
            (
                "all received",
                |r| {
                    r.on_received(SIZE);
                },
                [
                    Open,
                    AllReceived(SIZE),
                    AllReceived(SIZE),
                    AllRead(SIZE),
                    Reset,
                ],
            ),
            (
                "part received",
                |r| {
                    r.on_received(Offset::new(9));
                },
                [
                    Open,
                    FinKnown(SIZE),
                    AllReceived(SIZE),
                    AllRead(SIZE),
                    Reset,
                ],
            ),
            (
                "end read",
                RecvHalf::on_end_read,
                [Open, FinKnown(SIZE), AllRead(SIZE), AllRead(SIZE), Reset],
            ),
        ];
        for (name, step, expected) in steps {
            for (before, after) in RECVS.into_iter().zip(expected) {
                let mut half = before;
                step(&mut half);
                assert_eq!(half, after, "{before:?} on {name}");
            }
        }
    }

    #[test]
    fn final_size_never_changes_and_nothing_lies_beyond_it() {
        let (below, above) = (Offset::new(9), Offset::new(11));
        for known in &RECVS[1..4] {
            assert!(known.check(SIZE, true, SIZE).is_ok());
            assert!(known.check(below, false, SIZE).is_ok());
            assert!(
                known.check(below, true, SIZE).is_err(),
                "a second, smaller final size"
            );
            assert!(
                known.check(above, false, SIZE).is_err(),
                "data beyond the final size"
            );
        }
        assert!(
            RecvHalf::Open.check(below, true, SIZE).is_err(),
            "below what was received"
        );
        assert!(RecvHalf::Open.check(SIZE, true, SIZE).is_ok());
    }

    #[test]
    fn rfc_9293_names_follow_from_the_halves() {
        use TcpState::*;
        let expected = [
            (
                FinOrder::OursFirst,
                [Established, Established, CloseWait, CloseWait, Closed],
            ),
            (
                FinOrder::OursFirst,
                [FinWait1, FinWait1, Closing, Closing, Closed],
            ),
            (
                FinOrder::TheirsFirst,
                [FinWait1, FinWait1, LastAck, LastAck, Closed],
            ),
            (
                FinOrder::OursFirst,
                [FinWait2, FinWait2, TimeWait, TimeWait, Closed],
            ),
            (FinOrder::TheirsFirst, [Closed; 5]),
        ];
        for ((send, (order, row)), index) in SENDS.into_iter().zip(expected).zip(0..) {
            for (recv, state) in RECVS.into_iter().zip(row) {
                assert_eq!(
                    tcp_state(send, recv, order),
                    state,
                    "{index}: {send:?} {recv:?}"
                );
            }
        }
    }
}
