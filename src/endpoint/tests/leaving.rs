//! What is remembered of connections that are over.

use super::*;

fn wait(remote: SocketAddr) -> Farewell {
    Farewell::TimeWait(last_ack(remote))
}

#[test]
fn time_wait_answers_numbered_packets_with_the_last_acknowledgement_only() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let (handle, open) = host.open(secs(0), from, 8);
    host.endpoint.remove(secs(1), handle, wait(from));
    assert_eq!((host.endpoint.len(), host.endpoint.time_wait_len()), (0, 1));
    let cid = open.local_cid;

    let mut acks = Vec::new();
    for (at, packet) in (1..).zip(numbered(cid).iter().chain([&fin(cid, 10)])) {
        acks.push(host.receive(secs(1 + at), from, packet).reply());
    }
    for (number, ack) in (41..).zip(&acks) {
        let packet = wire::decode(ack).expect("a packet");
        assert!(
            matches!(packet.body, Body::Ack { number: n } if n == number),
            "one more each time"
        );
        assert_eq!((packet.dcid, packet.pn.get()), (Some(id(0xbeef)), 7));
        let block = packet.ack.expect("an ACK block");
        assert_eq!(block.fields.ack_offset, Offset::new(12_346));
        let first = PacketNumber::new(1);
        let ranges = block
            .expand(PacketNumber::new(0x1_0000_0009), first)
            .expect("valid");
        assert_eq!(ranges.largest(), PacketNumber::new(0x1_0000_0005));
        assert_eq!(ranges.iter().count(), 1);
    }
    // RFC 1337, and no ping-pong between two entries.
    for packet in answers(cid) {
        let reason = host.receive(secs(9), from, &packet).drop_reason();
        assert_eq!(reason, DropReason::TimeWait);
    }
}

#[test]
fn one_entry_answers_once_in_ten_milliseconds() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let (handle, open) = host.open(secs(0), from, 8);
    let (second, other) = host.open(secs(0), from, 9);
    host.endpoint.remove(secs(1), handle, wait(from));
    host.endpoint.remove(secs(1), second, wait(from));
    let mut replies = 0;
    for micro in 0..100_000 {
        let now = secs(1) + Duration::from_micros(micro);
        match host.receive(now, from, &fin(open.local_cid, micro)) {
            Outcome::Reply(_) => replies += 1,
            outcome => assert_eq!(outcome.drop_reason(), DropReason::TimeWait),
        }
    }
    assert_eq!(replies, 10);
    // The limit is each entry's own: nobody can use up another's answers.
    host.receive(secs(1), from, &fin(other.local_cid, 1))
        .reply();
}

#[test]
fn an_entry_answers_elsewhere_only_what_is_as_long_as_the_answer() {
    let mut host = Host::new(Listening::Yes);
    let (handle, open) = host.open(secs(0), address(CLIENT), 8);
    host.endpoint.remove(secs(1), handle, wait(address(CLIENT)));
    let short = fin(open.local_cid, 1);
    // The peer behind another port of its NAT.
    host.receive(secs(2), address("192.0.2.7:9"), &short)
        .reply();
    let elsewhere = address("203.0.113.5:9");
    let reason = host.receive(secs(3), elsewhere, &short).drop_reason();
    assert_eq!(reason, DropReason::TimeWait);
    let long = data(open.local_cid, 2, &[0; 100]);
    host.receive(secs(3), elsewhere, &long).reply();
}

#[test]
fn an_entry_lives_for_two_msl_and_a_fin_restarts_it() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let (handle, open) = host.open(secs(0), from, 8);
    host.endpoint.remove(secs(10), handle, wait(from));
    assert_eq!(host.endpoint.poll_timeout(), Some(secs(70)));
    let cid = open.local_cid;
    // Data does not restart it, a FIN does.
    host.receive(secs(20), from, &data(cid, 9, b"x")).reply();
    host.receive(secs(40), from, &fin(cid, 10)).reply();
    host.endpoint.handle_timeout(secs(70));
    assert_eq!(host.endpoint.time_wait_len(), 1);
    assert_eq!(host.endpoint.poll_timeout(), Some(secs(100)));
    let last = secs(100) - Duration::from_nanos(1);
    host.receive(last, from, &data(cid, 11, b"x")).reply();
    // Run out, though nobody has taken it away yet: the peer is told that nobody knows it.
    let unknown = host.receive(secs(100), from, &data(cid, 12, b"x")).reply();
    assert_eq!(
        wire::glance(&unknown).expect("a packet").kind,
        Kind::Unknown
    );
    host.endpoint.handle_timeout(secs(100));
    assert_eq!(host.endpoint.time_wait_len(), 0);
    assert_eq!(host.endpoint.poll_timeout(), None);
}

#[test]
fn an_entry_lives_for_three_probe_timeouts_even_if_two_msl_is_shorter() {
    let config = EndpointConfig::new().with_time_wait(Duration::ZERO);
    let mut host = Host::with(Listening::No, config);
    let (handle, open, _) = host.endpoint.open(address(CLIENT), 0).expect("opens");
    let mut last = last_ack(address(CLIENT));
    last.three_pto = Duration::from_millis(4_500);
    host.endpoint
        .remove(secs(10), handle, Farewell::TimeWait(last));
    let now = secs(10) + last.three_pto;
    host.receive(now, address(CLIENT), &fin(open.local_cid, 1))
        .reply();
    host.endpoint.handle_timeout(secs(15));
    assert_eq!(host.endpoint.time_wait_len(), 1, "the FIN restarted it");
    host.endpoint.handle_timeout(secs(20));
    assert_eq!(host.endpoint.time_wait_len(), 0);
}

/// the replayed third packet always meets something that stops it.
#[test]
fn a_third_packet_replayed_at_any_time_opens_nothing() {
    for farewell in [Farewell::Spent, wait(address(CLIENT))] {
        for closed_at in [0, 1, 29, 30, 45] {
            for time_wait in [0, 60] {
                let life = Duration::from_secs(time_wait);
                let mut host =
                    Host::with(Listening::Yes, EndpointConfig::new().with_time_wait(life));
                let from = address(CLIENT);
                let answer = host.syn_ack(secs(100), from, &Syn::new(8).bytes());
                let packet = third(&answer);
                let arrival = host.receive(secs(100), from, &packet).arrival();
                let (handle, ..) = host.endpoint.admit(arrival);
                for second in 0..=120 {
                    let now = secs(100 + second);
                    if second == closed_at {
                        host.endpoint.remove(now, handle, farewell);
                    }
                    if host.endpoint.poll_timeout().is_some_and(|due| due <= now) {
                        host.endpoint.handle_timeout(now);
                    }
                    let outcome = host.receive(now, from, &packet);
                    assert!(!matches!(outcome, Outcome::Arrival(_)), "second {second}");
                }
                assert!(host.endpoint.is_empty());
            }
        }
    }
}

#[test]
fn a_spent_id_is_unknown_to_packets_without_a_cookie() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let answer = host.syn_ack(secs(0), from, &Syn::new(8).bytes());
    let arrival = host.receive(secs(0), from, &third(&answer)).arrival();
    let (handle, open, _) = host.endpoint.admit(arrival);
    host.endpoint.remove(secs(1), handle, Farewell::Spent);
    let unknown = host
        .receive(secs(1), from, &data(open.local_cid, 5, b"x"))
        .reply();
    assert_eq!(
        wire::glance(&unknown).expect("a packet").kind,
        Kind::Unknown
    );
    let reason = host.receive(secs(1), from, &third(&answer)).drop_reason();
    assert_eq!(reason, DropReason::Spent);
}

#[test]
fn a_full_spent_set_turns_arrivals_away_and_forgets_nobody() {
    let mut host = Host::new(Listening::Yes);
    host.endpoint.spent_max = 3;
    let from = address(CLIENT);
    let mut thirds = Vec::new();
    let mut handles = Vec::new();
    for cid in 1..=3 {
        let answer = host.syn_ack(secs(0), from, &Syn::new(cid).bytes());
        let arrival = host.receive(secs(0), from, &third(&answer)).arrival();
        handles.push(host.endpoint.admit(arrival).0);
        thirds.push(third(&answer));
    }
    // Live ones count: each will need its place.
    let fourth = host.syn_ack(secs(0), from, &Syn::new(4).bytes());
    let reason = host.receive(secs(0), from, &third(&fourth)).drop_reason();
    assert_eq!(reason, DropReason::SpentFull);
    for handle in handles {
        host.endpoint.remove(secs(0), handle, Farewell::Spent);
    }
    let reason = host.receive(secs(1), from, &third(&fourth)).drop_reason();
    assert_eq!(reason, DropReason::SpentFull);
    for packet in &thirds {
        assert_eq!(
            host.receive(secs(1), from, packet).drop_reason(),
            DropReason::Spent
        );
    }
    host.endpoint.handle_timeout(secs(60));
    host.open(secs(60), from, 5);
}

#[test]
fn a_handle_names_one_connection_for_ever() {
    let mut host = Host::new(Listening::No);
    let from = address(CLIENT);
    let (old, ..) = host.endpoint.open(from, 0).expect("opens");
    host.endpoint.remove(secs(0), old, Farewell::Spent);
    let (new, open, _) = host.endpoint.open(from, 0).expect("opens");
    assert_eq!(new.index, old.index, "the slot is used again");
    assert_ne!(new.generation, old.generation);
    // What is done with the old handle does not concern the new connection.
    host.endpoint.remove(secs(0), old, Farewell::Spent);
    host.endpoint.on_opened(old, id(8));
    let found = host.receive(secs(0), from, &data(open.local_cid, 1, b""));
    assert!(matches!(found, Outcome::Connection(to, _) if to == new));
    let unknown = build(Kind::Unknown, Some(id(8)), 1, |_| {});
    assert_eq!(
        host.receive(secs(0), from, &unknown).drop_reason(),
        DropReason::NoConnection
    );
}

/// and "memory flat under churn" at once: a minute of connections, closed at once.
#[test]
fn churn_leaves_nothing_behind() {
    let mut host = Host::new(Listening::Yes);
    let from = address(CLIENT);
    let mut peak = 0;
    for round in 0..3 {
        for count in 0..20_000_u64 {
            let now = secs(round * 200) + Duration::from_millis(count);
            let (handle, open) = host.open(now, from, round * 100_000 + count + 1);
            let farewell = if count % 2 == 0 {
                Farewell::Spent
            } else {
                wait(from)
            };
            host.endpoint.remove(now, handle, farewell);
            let (handle, ..) = host.endpoint.open(open.remote, 0).expect("opens");
            host.endpoint.remove(now, handle, farewell);
            if host.endpoint.poll_timeout().is_some_and(|due| due <= now) {
                host.endpoint.handle_timeout(now);
            }
        }
        let capacity = capacity(&host.endpoint);
        if round == 0 {
            peak = capacity;
        }
        assert!(
            capacity <= peak,
            "round {round}: {capacity} after a peak of {peak}"
        );
        host.endpoint.handle_timeout(secs(round * 200 + 100));
        let endpoint = &host.endpoint;
        assert_eq!(
            (
                endpoint.len(),
                endpoint.time_wait_len(),
                endpoint.spent.len()
            ),
            (0, 0, 0)
        );
        assert_eq!(endpoint.passive, 0);
        assert_eq!(endpoint.poll_timeout(), None);
        assert!(
            self::capacity(endpoint) < 500,
            "{}",
            self::capacity(endpoint)
        );
    }
}

/// Entries for which the endpoint holds memory.
pub(super) fn capacity(endpoint: &Endpoint) -> usize {
    endpoint.table.capacity() + endpoint.time_wait.capacity() + endpoint.spent.capacity()
}
