//! A peer that appears at another address.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{ConnectionKey, Fate, Link};
use aqueduct::wire::Body;

use crate::{Pair, ms, secs};

fn path() -> Link {
    Link::new()
        .rate_bits(10_000_000)
        .queue_bytes(60_000)
        .delay(ms(25))
}

/// P06: a NAT gives the client another port, again and again.
#[test]
fn an_upload_survives_new_ports() {
    let mut pair = Pair::new(1, path());
    let client = pair.client;
    for n in 1..8 {
        pair.sim.after(ms(700) * n, move |sim| sim.rebind(client));
    }
    let took = pair.upload(6_000_000, secs(60));
    println!("6 MB with 7 rebindings: {took:?}");
    assert!(took < secs(12), "{took:?}");
}

/// The server sends, so that only what the reader says shows the new port; it asks when data stops in its midst.
#[test]
fn a_download_survives_new_ports() {
    let mut pair = Pair::new(2, path());
    let client = pair.client;
    for n in 1..8 {
        pair.sim.after(ms(700) * n, move |sim| sim.rebind(client));
    }
    pair.listen(|| Transfer::send(6_000_000).label(1));
    let begin = pair.sim.now();
    let key = pair.connect(Transfer::sink().expecting(1));
    pair.run_to_close(key, secs(120));
    let took = pair.sim.now() - begin;
    println!("6 MB with 7 rebindings: {took:?}");
    assert!(took < secs(75), "{took:?}, TIME_WAIT included");
    assert_eq!(pair.sim.report(key).read, 6_000_000);
}

/// A new host address: the old path is dead, so the connection moves after it proved both.
#[test]
fn a_connection_moves_to_a_new_host_when_the_old_one_is_dead() {
    let mut pair = Pair::new(3, path());
    pair.listen(Transfer::sink);
    let key = pair.connect(Transfer::send(3_000_000));
    pair.sim.run_for(secs(1));
    let elsewhere = "10.9.9.9:999".parse().expect("an address");
    pair.sim.rebind_to(pair.client, elsewhere);
    pair.run_to_close(key, secs(60));
    assert!(pair.sim.is_delivered(key));
    assert_eq!(pair.sim.report(pair.peer(key)).failure, None);
}

/// P07: a copy of an old packet from somewhere else draws nothing there.
#[test]
fn a_replayed_packet_from_elsewhere_moves_nothing() {
    let mut pair = Pair::new(4, path());
    pair.listen(|| Transfer::sink().ending(Ending::Stay));
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let copies = std::rc::Rc::clone(&seen);
    pair.sim.filter(pair.client, pair.server, move |passing| {
        copies.borrow_mut().push(passing.bytes.to_vec());
        Fate::Pass
    });
    let key = pair.connect(Transfer::send(200_000).ending(Ending::Stay));
    assert!(
        pair.sim
            .run_until(secs(10), |sim| sim.bytes_delivered() == 200_000)
    );
    let thief = pair.sim.add_host("thief");
    pair.sim.link(pair.server, thief, Link::new());
    let address = pair.sim.address(thief);
    for bytes in seen.borrow().iter() {
        pair.sim.inject(address, pair.server, bytes);
    }
    pair.sim.run_for(secs(5));
    let drawn = pair.sim.link_stats(pair.server, thief);
    let replayed = seen.borrow().len();
    println!("{replayed} replays drew {} datagrams", drawn.entered);
    assert_eq!(drawn.entered, 1, "the SYN, answered as any SYN");
    assert_eq!(pair.sim.with(key, |io| io.write(&[1; 10])), Some(Ok(10)));
    pair.sim.run_for(secs(1));
    assert!(pair.sim.is_delivered(key));
}

/// A packet that overtook its original, from elsewhere: the old host answers, so nothing moves.
#[test]
fn a_raced_packet_from_another_host_does_not_steal_the_stream() {
    let mut pair = Pair::new(5, path());
    pair.sim
        .listen(pair.server, Config::default(), || Transfer::send(4_000_000));
    let thief = pair.sim.add_host("thief");
    pair.sim.link(pair.server, thief, Link::new());
    let address = pair.sim.address(thief);
    let taken = std::rc::Rc::new(std::cell::RefCell::new(None));
    let copy = std::rc::Rc::clone(&taken);
    pair.sim.filter(pair.client, pair.server, move |passing| {
        if passing.index == 60 {
            *copy.borrow_mut() = Some(passing.bytes.to_vec());
        }
        Fate::Pass
    });
    let key = pair.connect(Transfer::sink());
    assert!(pair.sim.run_until(secs(20), |_| taken.borrow().is_some()));
    let bytes = taken.borrow().clone().expect("taken");
    pair.sim.inject(address, pair.server, &bytes);
    pair.run_to_close(key, secs(60));
    assert_eq!(pair.sim.report(key).read, 4_000_000);
    let stolen = pair.sim.link_stats(pair.server, thief);
    println!(
        "the thief got {} datagrams, {} bytes",
        stolen.entered, stolen.entered_bytes
    );
    assert!(stolen.entered <= 3, "challenges at most");
}

/// The longest time without a delivered byte within a second after the client got a new port.
fn gap_after_rebinding(pair: &mut Pair) -> Duration {
    pair.sim.rebind(pair.client);
    gap_from_now(pair)
}

/// The longest time without a delivered byte in the next second.
fn gap_from_now(pair: &mut Pair) -> Duration {
    let (mut gap, mut since) = (Duration::ZERO, pair.sim.now());
    let mut delivered = pair.sim.bytes_delivered();
    for _ in 0..2_000 {
        pair.sim.run_for(Duration::from_micros(500));
        let now = pair.sim.now();
        if pair.sim.bytes_delivered() > delivered {
            delivered = pair.sim.bytes_delivered();
            since = now;
        }
        gap = gap.max(now - since);
    }
    gap
}

/// Every algorithm, for what an interruption costs.
fn algorithms() -> [Congestion; 4] {
    [
        Congestion::NewReno,
        Congestion::Cubic,
        Congestion::Bbr,
        Congestion::Auto,
    ]
}

/// A transfer in either direction, with one algorithm at both ends, for so long; the client's end of it.
fn running(pair: &mut Pair, config: Config, upload: bool, time: Duration) -> ConnectionKey {
    let (client, server) = (pair.client, pair.server);
    let listening = config.clone();
    let key = if upload {
        pair.sim.listen(server, listening, Transfer::sink);
        let send = Transfer::send(1 << 40);
        pair.sim.connect(client, server, config, send)
    } else {
        let send = || Transfer::send(1 << 40);
        pair.sim.listen(server, listening, send);
        pair.sim.connect(client, server, config, Transfer::sink())
    };
    pair.sim.run_for(time);
    key
}

/// The longest gap after one rebinding, in smoothed round trips of the sender just before it.
fn round_trips_lost(pair: &mut Pair, config: Config, upload: bool, time: Duration) -> f64 {
    let key = running(pair, config, upload, time);
    let ends = [key, pair.peer(key)];
    let srtt = ends.map(|key| pair.sim.info(key).expect("open").srtt.expect("measured"));
    let gap = gap_after_rebinding(pair);
    let failures = ends.map(|key| pair.sim.report(key).failure.clone());
    assert_eq!(failures, [None, None]);
    let round_trips = gap.as_secs_f64() / srtt[usize::from(!upload)].as_secs_f64();
    println!("{time:?}: {gap:?} {srtt:?} {round_trips:.2}");
    round_trips
}

/// P06: the stream pauses for two round trips at most, wherever the rebinding falls.
#[test]
fn a_new_port_costs_at_most_two_round_trips() {
    for congestion in algorithms() {
        for upload in [true, false] {
            let mut worst = 0.0;
            for step in 0..50 {
                let mut pair = Pair::new(step, path());
                let time = ms(1_500) + ms(7) * u32::try_from(step).expect("few");
                let config = Config::default().with_congestion(congestion.clone());
                let lost = round_trips_lost(&mut pair, config, upload, time);
                worst = f64::max(worst, lost);
            }
            println!("{congestion:?}, upload {upload}: the longest gap is {worst:.2} round trips");
            assert!(worst <= 2.0, "{worst}");
        }
    }
}

/// The same where no queue pads the round trip, and the receiver's window holds the sender back.
#[test]
fn a_new_port_costs_at_most_two_round_trips_where_the_window_is_the_limit() {
    for congestion in algorithms() {
        for upload in [true, false] {
            for window in [16 << 10, 64 << 10, 256 << 10] {
                let mut worst = 0.0;
                for step in 0..10 {
                    let mut pair = Pair::new(step, Link::new().delay(ms(25)));
                    let time = ms(1_500) + ms(17) * u32::try_from(step).expect("few");
                    let config = Config::default()
                        .with_congestion(congestion.clone())
                        .with_receive_window(window);
                    let lost = round_trips_lost(&mut pair, config, upload, time);
                    worst = f64::max(worst, lost);
                }
                println!(
                    "{congestion:?}, upload {upload}, window {window}: {worst:.2} round trips"
                );
                assert!(worst <= 2.0, "{worst}");
            }
        }
    }
}

/// Another address instead of another port is followed only once the old one has had a probe timeout to answer, or
/// whoever once saw a packet could draw the stream to himself. The receiver asks after a round trip at most; challenge
/// and probe leave together; then data needs one way.
#[test]
fn a_new_address_costs_a_download_two_round_trips_and_a_probe_timeout() {
    for congestion in algorithms() {
        for step in 0..10 {
            let mut pair = Pair::new(step, path());
            let time = ms(1_500) + ms(37) * u32::try_from(step).expect("few");
            let config = Config::default().with_congestion(congestion.clone());
            let key = running(&mut pair, config, false, time);
            let info = pair.sim.info(pair.peer(key)).expect("open");
            let srtt = info.srtt.expect("measured");
            let timeout = srtt + (info.rttvar * 4).max(ms(1)) + ms(8);
            let elsewhere = "10.9.9.9:999".parse().expect("an address");
            pair.sim.rebind_to(pair.client, elsewhere);
            let gap = gap_from_now(&mut pair);
            println!("{congestion:?}, {time:?}: {gap:?}, {srtt:?}, timeout {timeout:?}");
            assert!(gap <= 2 * srtt + timeout, "{gap:?}");
        }
    }
}

/// PROBEs that the client sent.
fn count_probes(pair: &mut Pair) -> Rc<Cell<u64>> {
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    pair.sim.filter(pair.client, pair.server, move |passing| {
        let packet = passing.packet();
        let is_probe = packet.is_some_and(|packet| matches!(packet.body, Body::Probe(_)));
        counted.set(counted.get() + u64::from(is_probe));
        Fate::Pass
    });
    count
}

/// A reader asks only when a flow stops in its midst: nobody is asked about a writer who pauses, a reader who does
/// not read, or an idle stream, and nothing wakes up for them.
#[test]
fn quiet_connections_are_not_asked_about() {
    // With a window that stays as it is, nobody asks for round trips.
    let config = || Config::default().with_receive_window(100_000);
    let server: [fn() -> Transfer; 3] = [
        || Transfer::send(1_000).ending(Ending::Stay),
        || {
            let pieces = Transfer::send(600_000).writes_of(6_000);
            pieces.writes_every(ms(400)).ending(Ending::Stay)
        },
        || Transfer::send(10_000_000).ending(Ending::Stay),
    ];
    for (case, make) in server.into_iter().enumerate() {
        let mut pair = Pair::new(6, path());
        pair.sim.listen(pair.server, config(), make);
        let probes = count_probes(&mut pair);
        let reader = Transfer::sink().ending(Ending::Stay);
        // The last one reads a piece at a time, and lets the window close in between.
        let reader = if case == 2 {
            reader.reads_of(1_000).reads_every(secs(3))
        } else {
            reader
        };
        // The third packet of the handshake is one, where there is nothing to send.
        pair.sim.connect(pair.client, pair.server, config(), reader);
        pair.sim.run_for(secs(50));
        println!("case {case}: {} probes", probes.get());
        assert_eq!(probes.get(), 1, "case {case}");
        if case == 0 {
            let events = pair.sim.events();
            pair.sim.run_for(secs(3_600));
            assert!(pair.sim.events() - events <= 10);
        }
    }
}
