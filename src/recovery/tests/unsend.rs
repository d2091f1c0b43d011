//! A packet that has not left after all has left no trace: two twins, one of which takes packets back.

use proptest::prelude::*;

use super::*;
use crate::wire::EcnCounts;

/// What happens before, between and after; the same for both twins.
#[derive(Clone, Debug)]
enum Op {
    Pass(u64),
    Send {
        count: u64,
        size: u16,
        marked: bool,
        last: bool,
    },
    /// The newest numbers but so many are acknowledged, so many of them.
    Ack {
        back: u64,
        len: u64,
    },
    Deadline,
    Drained(u8),
    Rebound,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..80_000_000_u64).prop_map(Op::Pass),
        Just(Op::Pass(3_000_000_000)),
        (1..20_u64, 40..=MTU, any::<bool>(), any::<bool>()).prop_map(
            |(count, size, marked, last)| {
                Op::Send {
                    count,
                    size,
                    marked,
                    last,
                }
            }
        ),
        (0..30_u64, 0..30_u64).prop_map(|(back, len)| Op::Ack { back, len }),
        Just(Op::Deadline),
        (0..4_u8).prop_map(Op::Drained),
        Just(Op::Rebound),
    ]
}

/// One of the twins.
struct Side {
    recovery: Recovery,
    now: Time,
    marks: EcnCounts,
}

impl Side {
    fn new(congestion: &Congestion) -> Side {
        let mut recovery = Recovery::new(number(0), congestion.clone(), Setup::new(MTU));
        recovery.on_handshake_rtt(ms(30));
        recovery.start_ecn();
        Side {
            recovery,
            now: Time::ZERO,
            marks: EcnCounts::default(),
        }
    }

    fn send(&mut self, count: u64, size: u16, marked: bool, last: bool) {
        for _ in 0..count {
            let number = self.recovery.next_number();
            let contents = Contents {
                marked: marked && self.recovery.mark().is_some(),
                ..contents(number.get())
            };
            let packet = SentPacket {
                number,
                size,
                imm: last,
                contents,
            };
            self.recovery.on_sent(self.now, packet, last);
        }
    }

    fn apply(&mut self, op: &Op) {
        let mut out = Outcome::default();
        match *op {
            Op::Pass(nanos) => self.now += Duration::from_nanos(nanos),
            Op::Send {
                count,
                size,
                marked,
                last,
            } => self.send(count, size, marked, last),
            Op::Ack { back, len } => {
                let next = self.recovery.next_number().get();
                if let Some(high) = next.checked_sub(back + 1) {
                    let range = number(high.saturating_sub(len))..=number(high);
                    self.marks.ect0 += 1;
                    let counts = Some(self.marks);
                    let ranges = std::iter::once(range);
                    // A number that was left out is refused, by both in the same way.
                    let _ = self
                        .recovery
                        .on_ack(self.now, ranges, ms(1), counts, &mut out);
                }
            }
            Op::Deadline => {
                if let Some(due) = self.recovery.deadline() {
                    self.now = self.now.max(due.at);
                    self.recovery.on_timeout(self.now, &mut out);
                }
            }
            Op::Drained(limit) => {
                let limits = [
                    Limit::Application,
                    Limit::Window,
                    Limit::Cwnd,
                    Limit::Pacing,
                ];
                self.recovery
                    .on_drained(self.now, limits[usize::from(limit)]);
            }
            Op::Rebound => self.recovery.on_rebound(self.now, &mut out),
        }
    }

    fn state(&mut self) -> String {
        self.recovery.begin_batch(self.now);
        self.recovery.rest();
        format!("{:#?}", self.recovery)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_taken_back_leaves_no_trace(
        algorithm in 0..4_usize,
        before in prop::collection::vec(op(), 0..40),
        kept in 0..5_u64,
        taken in 1..20_u64,
        size in 40..=MTU,
        marked in any::<bool>(),
        last in any::<bool>(),
        after in prop::collection::vec(op(), 0..10),
    ) {
        let congestion = [Congestion::NewReno, Congestion::Cubic, Congestion::Bbr, Congestion::Auto];
        let mut twins = [Side::new(&congestion[algorithm]), Side::new(&congestion[algorithm])];
        for twin in &mut twins {
            before.iter().for_each(|op| twin.apply(op));
            twin.recovery.begin_batch(twin.now);
            twin.recovery.rest();
        }
        let [never, back] = &mut twins;
        never.send(kept, size, marked, last);
        let from = never.recovery.next_number();
        let told_pause = |side: &Side| side.recovery.untold.as_ref().and_then(|untold| untold.pause());
        let pause = told_pause(never);
        back.send(kept + taken, size, marked, last);
        let mut out = Outcome::default();
        back.recovery.unsend(from, &mut out);
        let returned: Vec<u64> = (from.get()..from.get() + taken).rev().collect();
        prop_assert_eq!(packets(&out.lost), returned, "what they carried comes back");
        // Only that the pause was long stays known to the controller; it is told once.
        if told_pause(back) == pause {
            prop_assert_eq!(never.state(), back.state());
            for op in &after {
                for twin in [&mut *never, &mut *back] {
                    twin.apply(op);
                }
                prop_assert_eq!(never.state(), back.state());
            }
        }
    }
}

/// After a long pause the window shrinks once, however often the first packet is refused.
#[test]
fn a_refused_packet_ends_a_pause_once() {
    let mut side = Side::new(&Congestion::NewReno);
    for _ in 0..4 {
        let count = side.recovery.window_packets();
        side.send(count, MTU, false, false);
        side.apply(&Op::Pass(30_000_000));
        side.apply(&Op::Ack {
            back: 0,
            len: 10_000,
        });
    }
    side.now += Duration::from_secs(60);
    side.recovery.begin_batch(side.now);
    let next = side.recovery.next_number();
    let mut windows = Vec::new();
    for _ in 0..3 {
        side.send(1, MTU, false, true);
        side.recovery.unsend(next, &mut Outcome::default());
        windows.push(side.recovery.snapshot().cwnd);
        assert!(side.recovery.idle_since.is_some(), "it still pauses");
    }
    assert!(
        windows.iter().all(|cwnd| *cwnd == windows[0]),
        "{windows:?}"
    );
}
