//! A hostile peer against a naive twin: whatever is acknowledged and whenever it times out, packets and
//! bytes are conserved, and every packet is told lost at most once and acknowledged at most once.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    InFlight,
    Lost,
    Acked,
}

#[derive(Clone, Debug)]
enum Op {
    Pass(u64),
    Send { count: u64, size: u16, probe: bool },
    Ack(Vec<(u64, u64)>, u64),
    Deadline,
    NewPath,
    Rebound,
}

fn op() -> impl Strategy<Value = Op> {
    let range = (0_u64..40, 0_u64..20);
    prop_oneof![
        4 => (0_u64..200_000_000).prop_map(Op::Pass),
        8 => (1_u64..12, 100_u16..1_472, prop::bool::weighted(0.1))
            .prop_map(|(count, size, probe)| Op::Send { count, size, probe }),
        8 => (prop::collection::vec(range, 1..5), 0_u64..50)
            .prop_map(|(ranges, delay)| Op::Ack(ranges, delay)),
        4 => Just(Op::Deadline),
        1 => Just(Op::NewPath),
        1 => Just(Op::Rebound),
    ]
}

struct Twin {
    script: Script,
    now: Time,
    /// State, size, and whether it was sent on the present path.
    packets: BTreeMap<u64, (State, u16, bool)>,
}

impl Twin {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Pass(nanos) => self.now += Duration::from_nanos(*nanos),
            Op::Send { count, size, probe } => self.send(*count, *size, *probe),
            Op::Ack(ranges, delay) => self.ack(ranges, ms(*delay)),
            Op::Deadline => {
                if let Some((at, _)) = self.script.deadline() {
                    self.now = self.now.max(at);
                    self.script.timeout(self.now);
                    assert!(
                        self.script.deadline().is_none_or(|(at, _)| at > self.now),
                        "a deadline that was served is over"
                    );
                    self.settle();
                }
            }
            Op::Rebound => {
                self.script.out = Outcome::default();
                self.script
                    .recovery
                    .on_rebound(self.now, &mut self.script.out);
                self.settle();
                self.packets
                    .values_mut()
                    .for_each(|packet| packet.2 = false);
            }
            Op::NewPath => {
                self.script.recovery.on_new_path(MTU);
                self.packets
                    .values_mut()
                    .for_each(|packet| packet.2 = false);
            }
        }
        self.check();
    }

    fn send(&mut self, count: u64, size: u16, probe: bool) {
        for _ in 0..count {
            let number = self.script.recovery.next_number();
            let mut contents = contents(number.get());
            if probe {
                contents.data.end = contents.data.start;
                contents.mtu_probe = Some(size);
            }
            self.packets
                .insert(number.get(), (State::InFlight, size, true));
            let packet = SentPacket {
                number,
                size,
                imm: false,
                contents,
            };
            self.script.recovery.on_sent(self.now, packet, count == 1);
        }
    }

    fn ack(&mut self, ranges: &[(u64, u64)], delay: Duration) {
        let next = self.script.recovery.next_number().get();
        if next == 0 {
            return;
        }
        let ranges: Vec<_> = ranges
            .iter()
            .map(|&(back, len)| {
                let high = (next - 1).saturating_sub(back);
                high.saturating_sub(len)..=high
            })
            .collect();
        self.script.ack_after(self.now, &ranges, delay);
        self.settle();
    }

    /// Applies the outcome to the twin.
    fn settle(&mut self) {
        for n in self.script.acked() {
            let packet = self.packets.get_mut(&n).unwrap();
            assert_ne!(packet.0, State::Acked, "{n} is acknowledged once");
            packet.0 = State::Acked;
        }
        for n in self.script.lost() {
            let packet = self.packets.get_mut(&n).unwrap();
            assert_eq!(packet.0, State::InFlight, "{n} is lost once");
            packet.0 = State::Lost;
        }
    }

    fn check(&self) {
        let in_flight = || {
            self.packets
                .values()
                .filter(|packet| packet.0 == State::InFlight)
        };
        let snapshot = self.script.recovery.snapshot();
        let bytes: u64 = in_flight()
            .filter(|packet| packet.2)
            .map(|packet| u64::from(packet.1))
            .sum();
        assert_eq!(snapshot.bytes_in_flight, bytes);
        assert_eq!(
            snapshot.packets_in_flight,
            u64::try_from(in_flight().count()).unwrap()
        );
        assert!(snapshot.packets_spurious <= snapshot.packets_lost);
        assert!(snapshot.cwnd >= 2 * u64::from(MTU));
        let oldest = self.script.recovery.oldest_tracked();
        assert!(
            self.packets
                .range(..oldest.get())
                .all(|(_, packet)| packet.0 != State::InFlight)
        );
        self.script.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn packets_and_bytes_are_conserved_whatever_the_peer_says(ops in prop::collection::vec(op(), 1..80)) {
        let mut twin = Twin { script: Script::with_rtt(30), now: Time::ZERO, packets: BTreeMap::new() };
        for op in &ops {
            twin.apply(op);
        }
    }
}
