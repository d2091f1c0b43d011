use std::time::Duration;

use proptest::prelude::*;

use super::{EXTRA_PACKETS, LARGE_ROUNDS, LOCAL_WINDOW_MAX, Round, SMALL_WINDOW, WindowTuner};
use crate::config::Config;
use crate::stream::RecvCredit;
use crate::time::Time;
use crate::wire::Offset;

const MSS: u64 = 1_452;
const INITIAL: u64 = 256 << 10;
const RTT: Duration = Duration::from_millis(40);

/// A tuner, and a reader whose rounds it sees.
struct Reader {
    tuner: WindowTuner,
    round: Round,
    /// Bytes that each packet carries.
    packet: u64,
}

impl Reader {
    fn new(config: &Config) -> Self {
        let mut tuner = WindowTuner::new(Time::ZERO, config);
        tuner.on_sample(Time::ZERO, Offset::ZERO);
        Reader {
            tuner,
            round: Round {
                now: Time::ZERO,
                rtt: Some(RTT),
                min_rtt: Some(RTT),
                is_loopback: false,
                read: Offset::ZERO,
                received: Offset::ZERO,
                packets: 0,
                mss: MSS,
                window: u64::from(config.receive_window()),
                is_tight: false,
            },
            packet: MSS,
        }
    }

    /// A round of this length in which the application reads so much; the window after it.
    fn round(&mut self, time: Duration, drained: u64) -> u64 {
        self.round.now += time;
        self.round.read = self.round.read.plus(drained);
        self.round.received = self.round.read;
        self.round.packets += drained.div_ceil(self.packet);
        assert!(self.tuner.is_due(self.round.now));
        self.round.window = self.tuner.on_round(self.round).window;
        self.round.window
    }
}

#[test]
fn a_steady_reader_gets_twice_what_it_drains_in_a_round_trip() {
    let mut reader = Reader::new(&Config::default());
    reader.round(RTT, 500_000);
    for _ in 0..3 {
        let window = reader.round(RTT, 500_000);
        assert_eq!(window, 2 * 500_000 + EXTRA_PACKETS * MSS);
    }
}

#[test]
fn a_reader_of_little_keeps_the_window_that_it_began_with() {
    let mut reader = Reader::new(&Config::default());
    for _ in 0..100 {
        assert_eq!(reader.round(RTT, 100_000), INITIAL);
    }
    assert_eq!(reader.round(RTT, 0), INITIAL, "nor does a pause change it");
}

#[test]
fn a_sender_in_slow_start_finds_room_for_the_round_after_next() {
    let mut reader = Reader::new(&Config::default());
    let mut drained = 15_000;
    for _ in 0..9 {
        drained *= 2;
        let window = reader.round(RTT, drained);
        // What is in flight while the next round is drained doubles during it.
        assert!(window >= 4 * drained.min(8 << 20), "{window} for {drained}");
    }
}

#[test]
fn the_window_grows_to_its_most_and_never_narrows_while_data_flows() {
    let mut reader = Reader::new(&Config::default().with_receive_window_max(1 << 20));
    for drained in [600_000, 600_000, 1, 0, 2_000_000, 5] {
        assert!(reader.round(RTT, drained) <= 1 << 20);
    }
    assert_eq!(reader.round.window, 1 << 20);
}

#[test]
fn a_window_that_was_set_stays_as_it_was_set() {
    let mut reader = Reader::new(&Config::default().with_receive_window(10_000));
    for _ in 0..9 {
        assert_eq!(reader.round(RTT, 1 << 20), 10_000);
    }
}

#[test]
fn a_burst_after_a_pause_counts_as_itself_alone() {
    let mut reader = Reader::new(&Config::default());
    reader.round(RTT, 10);
    let window = reader.round(Duration::from_secs(60), 250_000);
    assert_eq!(
        window,
        2 * 250_000 + EXTRA_PACKETS * MSS,
        "no growth is expected of it"
    );
}

#[test]
fn a_short_path_gets_half_of_the_socket_buffer() {
    let mut reader = Reader::new(&Config::default());
    reader.tuner.set_socket_buffer(800_000);
    reader.round.min_rtt = Some(Duration::from_micros(300));
    for _ in 0..9 {
        assert!(reader.round(RTT, 1 << 20) <= 400_000);
    }
    assert_eq!(reader.round.window, 400_000);
    reader.round.min_rtt = Some(Duration::from_millis(1));
    assert!(
        reader.round(RTT, 1 << 20) > 1 << 20,
        "a longer path has room of its own"
    );
    reader.round.min_rtt = Some(Duration::from_micros(999));
    assert_eq!(
        reader.round(RTT, 1 << 20),
        400_000,
        "a late sample shows that the path is short"
    );
}

#[test]
fn on_this_machine_the_window_grows_to_what_keeps_both_sides_awake() {
    let mut reader = Reader::new(&Config::default());
    reader.tuner.set_socket_buffer(8 << 20);
    reader.round.min_rtt = Some(Duration::from_micros(249));
    for _ in 1..LARGE_ROUNDS {
        assert_eq!(reader.round(RTT, 1 << 20), INITIAL, "not yet");
    }
    assert_eq!(reader.round(RTT, 1 << 20), LOCAL_WINDOW_MAX);
    assert_eq!(
        reader.round(RTT, 1_000),
        LOCAL_WINDOW_MAX,
        "little, in full packets"
    );
    reader.round.min_rtt = Some(Duration::from_millis(3));
    reader.round.is_loopback = true;
    reader.packet = 16_304;
    assert_eq!(
        reader.round(RTT, 1 << 20),
        LOCAL_WINDOW_MAX,
        "a busy machine"
    );
    reader.tuner.set_socket_buffer(800_000);
    assert_eq!(
        reader.round(RTT, 1 << 20),
        400_000,
        "half of the socket buffer"
    );
}

#[test]
fn on_this_machine_no_window_grows_for_small_packets() {
    let mut reader = Reader::new(&Config::default());
    reader.tuner.set_socket_buffer(8 << 20);
    reader.round.is_loopback = true;
    for round in 0..50 {
        // Every now and then, but never for long, they come in full packets.
        reader.packet = if round % 8 == 0 { 1_000 } else { 16_304 };
        assert_eq!(reader.round(RTT, 1 << 20), INITIAL);
    }
}

#[test]
fn a_round_on_this_machine_is_no_shorter_than_a_millisecond() {
    let mut reader = Reader::new(&Config::default());
    reader.round.is_loopback = true;
    reader.round.rtt = Some(Duration::from_micros(40));
    reader.round(RTT, 1 << 20);
    assert!(
        !reader
            .tuner
            .is_due(reader.round.now + Duration::from_micros(999))
    );
    assert!(
        reader
            .tuner
            .is_due(reader.round.now + Duration::from_millis(1))
    );
}

#[test]
fn while_memory_is_short_the_window_is_small_and_then_as_at_first() {
    let mut reader = Reader::new(&Config::default());
    reader.round(RTT, 1 << 20);
    reader.round.is_tight = true;
    assert_eq!(reader.round(RTT, 1 << 20), u64::from(SMALL_WINDOW));
    reader.round.is_tight = false;
    assert_eq!(reader.round(RTT, 0), INITIAL);
}

#[test]
fn a_receiver_measures_its_round_trip_once_a_second_while_much_comes() {
    let mut reader = Reader::new(&Config::default());
    let mut asked = 0;
    for _ in 0..250 {
        reader.round(RTT, 100_000);
        let seen = reader.tuner.sampled_at == Some(reader.round.now);
        asked += u32::from(seen);
    }
    assert_eq!(asked, 10, "in ten seconds");
    let mut idle = Reader::new(&Config::default());
    for _ in 0..250 {
        idle.round(RTT, 200);
        assert_eq!(
            idle.tuner.sampled_at,
            Some(Time::ZERO),
            "little came: it does not matter"
        );
    }
}

#[test]
fn without_a_round_trip_nothing_grows_but_one_is_asked_for() {
    let mut tuner = WindowTuner::new(Time::ZERO, &Config::default());
    let tuned = tuner.on_round(Round {
        now: Time::from_millis(2_000),
        rtt: None,
        min_rtt: None,
        is_loopback: false,
        read: Offset::new(1 << 20),
        received: Offset::new(1 << 20),
        packets: 1_000,
        mss: MSS,
        window: INITIAL,
        is_tight: false,
    });
    assert_eq!((tuned.window, tuned.wants_sample), (INITIAL, true));
}

#[derive(Clone, Debug)]
enum Op {
    /// So much comes, as far as the window lets it.
    Receive(u64),
    /// The application reads so much.
    Read(u64),
    /// Time passes, and the window is looked at.
    Round { millis: u64, is_tight: bool },
    /// An ACK block leaves.
    Tell,
    /// A second without anything.
    Rest,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..2_000_000_u64).prop_map(Op::Receive),
        6 => (1..2_000_000_u64).prop_map(Op::Read),
        6 => (1..200_u64, prop::bool::weighted(0.2))
            .prop_map(|(millis, is_tight)| Op::Round { millis, is_tight }),
        6 => Just(Op::Tell),
        1 => Just(Op::Rest),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// W11: whatever application and memory do, no ACK block takes back what an earlier one promised, and what is
    /// promised beyond the read bytes is never more than the widest window so far.
    #[test]
    fn the_edge_never_moves_back(
        ops in prop::collection::vec(op(), 1..200),
        rtt_micros in prop_oneof![1..1_000_u64, 1_000..500_000_u64],
        socket_buffer in 1_000..10_000_000_u64,
    ) {
        let config = Config::default();
        let mut tuner = WindowTuner::new(Time::ZERO, &config);
        tuner.set_socket_buffer(socket_buffer);
        let mut credit = RecvCredit::new(config.receive_window());
        let (mut now, mut received, mut read) = (Time::ZERO, Offset::ZERO, Offset::ZERO);
        let (mut told, mut widest) = (credit.edge(), INITIAL);
        for op in ops {
            match op {
                Op::Receive(bytes) => received = received.plus(bytes).min(told),
                Op::Read(bytes) => read = read.plus(bytes).min(received),
                Op::Round { millis, is_tight } => {
                    now += Duration::from_millis(millis);
                    if tuner.is_due(now) {
                        let tuned = tuner.on_round(Round {
                            now,
                            rtt: Some(Duration::from_micros(rtt_micros)),
                            min_rtt: Some(Duration::from_micros(rtt_micros)),
                            is_loopback: false,
                            read,
                            received,
                            packets: received.get() / MSS,
                            mss: MSS,
                            window: credit.window(),
                            is_tight,
                        });
                        credit.set_window(tuned.window);
                    }
                }
                Op::Rest => credit.set_window(tuner.initial()),
                Op::Tell => {
                    let edge = credit.advertise(read, MSS);
                    prop_assert!(edge >= told, "{edge:?} after {told:?}");
                    told = edge;
                }
            }
            widest = widest.max(credit.window());
            prop_assert!(widest <= u64::from(config.receive_window_max()));
            prop_assert!(told.since(read) <= widest, "{told:?} with {read:?} read");
        }
    }
}
