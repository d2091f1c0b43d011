use super::*;

const FIRST: u64 = 1_000;
const WINDOW: u64 = 256 << 10;

fn acks() -> Acks {
    Acks::new(PacketNumber::new(FIRST), Duration::from_millis(8))
}

fn packet(number: u64) -> Arrived {
    Arrived {
        number: PacketNumber::new(FIRST + number),
        size: 1_200,
        is_data: true,
        at_once: false,
        ecn: None,
    }
}

/// Receives and acknowledges enough packets to leave the eager start behind.
fn warm() -> Acks {
    let mut acks = acks();
    for number in 0..EAGER_PACKETS {
        acks.on_received(Time::ZERO, packet(number), None, WINDOW);
    }
    acks.on_reported();
    acks
}

fn ranges(acks: &Acks) -> Vec<(u64, u64)> {
    acks.ranges()
        .map(|r| (r.start().get() + 1 - FIRST, r.end().get() + 1 - FIRST))
        .collect()
}

#[test]
fn the_number_before_the_first_counts_as_received() {
    let acks = acks();
    assert_eq!(acks.largest(), PacketNumber::new(FIRST - 1));
    assert_eq!(ranges(&acks), [(0, 0)]);
    assert_eq!(acks.standing(PacketNumber::new(FIRST - 1)), Standing::Old);
    assert_eq!(acks.standing(PacketNumber::new(FIRST - 2)), Standing::Old);
    assert_eq!(acks.standing(PacketNumber::new(FIRST)), Standing::New);
    assert!(!acks.is_owed());
}

#[test]
fn the_first_sixteen_packets_are_acknowledged_two_by_two() {
    let mut acks = acks();
    for number in 0..EAGER_PACKETS {
        acks.on_received(Time::ZERO, packet(number), None, WINDOW);
        assert_eq!(acks.is_due(Time::ZERO), number % 2 == 1, "packet {number}");
        if number % 2 == 1 {
            acks.on_reported();
        }
    }
}

#[test]
fn a_lone_packet_waits_no_longer_than_the_delay_and_a_quarter_round_trip() {
    let table = [
        (None, Duration::from_millis(8)),
        (Some(Duration::from_millis(400)), Duration::from_millis(8)),
        (Some(Duration::from_millis(12)), Duration::from_millis(3)),
        (Some(Duration::from_micros(40)), Duration::from_millis(1)),
    ];
    for (srtt, wait) in table {
        let mut acks = warm();
        let now = Time::from_millis(50);
        acks.on_received(now, packet(EAGER_PACKETS), srtt, WINDOW);
        assert_eq!(acks.deadline(), Some(now + wait), "srtt {srtt:?}");
        assert!(!acks.is_due(now) && acks.is_due(now + wait));
    }
}

#[test]
fn haste_is_asked_for_by_gaps_filled_gaps_marks_and_flags() {
    let cases: [(&str, Arrived); 4] = [
        ("gap", packet(EAGER_PACKETS + 1)),
        (
            "flag",
            Arrived {
                at_once: true,
                ..packet(EAGER_PACKETS)
            },
        ),
        (
            "congestion experienced",
            Arrived {
                ecn: Some(Ecn::Ce),
                ..packet(EAGER_PACKETS)
            },
        ),
        (
            "more than a quarter window",
            Arrived {
                size: 65_537,
                ..packet(EAGER_PACKETS)
            },
        ),
    ];
    for (name, arrived) in cases {
        let mut acks = warm();
        acks.on_received(Time::ZERO, arrived, None, WINDOW);
        assert!(acks.is_due(Time::ZERO), "{name}");
    }
    let mut acks = warm();
    acks.on_received(Time::ZERO, packet(EAGER_PACKETS + 1), None, WINDOW);
    acks.on_reported();
    acks.on_received(Time::ZERO, packet(EAGER_PACKETS), None, WINDOW);
    assert!(acks.is_due(Time::ZERO), "filled gap");
}

#[test]
fn sixty_five_packets_are_acknowledged_at_once() {
    let mut acks = warm();
    for number in 0..=u64::from(PACKETS_MAX) {
        assert!(!acks.is_due(Time::ZERO), "packet {number}");
        let arrived = Arrived {
            size: 100,
            ..packet(EAGER_PACKETS + number)
        };
        acks.on_received(Time::ZERO, arrived, None, WINDOW);
    }
    assert!(acks.is_due(Time::ZERO));
}

#[test]
fn a_forgotten_range_never_counts_as_new() {
    let mut acks = acks();
    let every_other = 2 * (RECEIVED_RANGES_MAX as u64 + 50);
    for number in (1..every_other).step_by(2) {
        acks.on_received(Time::ZERO, packet(number), None, WINDOW);
    }
    assert_eq!(acks.ranges().count(), RECEIVED_RANGES_MAX);
    let lowest = acks.ranges().last().expect("not empty").start().get();
    for number in 0..lowest - FIRST {
        let number = PacketNumber::new(FIRST + number);
        // The hole directly below the lowest range may still be new: nothing was forgotten there.
        if number.next().get() != lowest {
            assert_eq!(acks.standing(number), Standing::Old, "{number:?}");
        }
    }
}

#[test]
fn the_floor_rises_with_what_the_sender_tracks_but_never_passes_the_largest() {
    let mut acks = warm();
    acks.raise_floor(PacketNumber::new(FIRST + 10));
    assert_eq!(ranges(&acks), [(11, EAGER_PACKETS)]);
    assert_eq!(acks.standing(PacketNumber::new(FIRST + 9)), Standing::Old);
    acks.raise_floor(PacketNumber::new(FIRST + 1_000));
    assert_eq!(ranges(&acks), [(EAGER_PACKETS, EAGER_PACKETS)]);
    assert_eq!(
        acks.standing(PacketNumber::new(FIRST + EAGER_PACKETS)),
        Standing::New
    );
    acks.raise_floor(PacketNumber::new(0));
    assert_eq!(
        acks.standing(PacketNumber::new(FIRST)),
        Standing::Old,
        "it never sinks"
    );
}

#[test]
fn every_ack_packet_has_a_higher_number() {
    let mut acks = acks();
    assert_eq!(
        [
            acks.take_ack_number(),
            acks.take_ack_number(),
            acks.take_ack_number()
        ],
        [1, 2, 3]
    );
}

#[test]
fn only_the_first_of_several_marks_asks_for_haste() {
    let mut acks = warm();
    for (number, haste) in (EAGER_PACKETS..).zip([true, false, false]) {
        let marked = Arrived {
            ecn: Some(Ecn::Ce),
            ..packet(number)
        };
        acks.on_received(Time::ZERO, marked, None, WINDOW);
        assert_eq!(acks.is_due(Time::ZERO), haste, "packet {number}");
        acks.on_reported();
    }
}
