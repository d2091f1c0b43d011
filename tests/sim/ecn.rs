//! ECN (G07): marks instead of losses, and paths that do what they should not with marks.

use std::cell::Cell;
use std::rc::Rc;

use aqueduct::Info;
use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::recovery::EcnState;
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{Bottleneck, ConnectionKey, EcnFault, Fate, Link, Loss, Reorder, seeds};
use aqueduct::wire::{Ecn, Kind};

use crate::{Pair, ms, secs};

fn path() -> Link {
    Link::new()
        .rate_bits(20_000_000)
        .queue_bytes(200_000)
        .delay(ms(20))
}

fn with(congestion: Congestion) -> Config {
    Config::default().with_congestion(congestion)
}

/// Begins an upload whose connection stays.
fn begin(pair: &mut Pair, bytes: u64, config: Config) -> ConnectionKey {
    pair.listen(|| Transfer::sink().expecting(8).ending(Ending::Stay));
    let app = Transfer::send(bytes).label(8).ending(Ending::Stay);
    pair.sim.connect(pair.client, pair.server, config, app)
}

/// An upload, and what its sender knows when all is acknowledged.
fn upload(pair: &mut Pair, bytes: u64, config: Config) -> Info {
    let key = begin(pair, bytes, config);
    let done = pair.sim.run_until(secs(600), |sim| {
        sim.bytes_delivered() == bytes && sim.is_delivered(key)
    });
    assert!(done, "{} bytes came", pair.sim.bytes_delivered());
    pair.sim.info(key).expect("it stays")
}

/// Two hosts; in one direction a queue that marks what joins more than the product of rate and round trip.
fn marking(seed: u64) -> Pair {
    let mut pair = Pair::new(seed, Link::new().delay(ms(20)));
    let queue = Bottleneck::new()
        .rate_bits(20_000_000)
        .queue_bytes(1_000_000)
        .mark_above(100_000);
    let queue = pair.sim.add_bottleneck(queue);
    let (client, server) = (pair.client, pair.server);
    pair.sim
        .change_link(client, server, |link| link.through(queue));
    pair
}

/// A queue that marks fills the link like one that drops, and nothing is sent twice.
#[test]
fn marks_replace_losses() {
    for congestion in [Congestion::NewReno, Congestion::Cubic] {
        let mut pair = marking(1);
        let begin = pair.sim.now();
        let info = upload(&mut pair, 20_000_000, with(congestion.clone()));
        let took = pair.sim.now() - begin;
        println!(
            "{congestion:?}: 20 MB in {took:?}, {} packets marked of {}",
            info.packets_marked, info.packets_sent
        );
        assert_eq!(info.ecn, EcnState::Capable);
        assert_eq!((info.packets_lost, info.packets_retransmitted), (0, 0));
        assert!(info.packets_marked > 0);
        // 20 MB take 8 s at the rate of the link; slow start and headers come on top.
        assert!(took < ms(8_800), "{took:?}");
    }
}

/// Marks on whole flights: the window is halved once for each round trip, and marks of packets from
/// before a reduction change nothing.
#[test]
fn a_flight_of_marks_is_one_reduction_in_each_round_trip() {
    let mut pair = Pair::new(2, Link::new().delay(ms(50)));
    let config = with(Congestion::NewReno).with_send_buffer(8 << 20);
    let key = begin(&mut pair, 50_000_000, config);
    // 300 ms: slow start has grown the window, and the receive window of 256 KiB does not bound it yet.
    pair.sim.run_for(ms(400));
    let before = pair.sim.info(key).expect("open");
    assert_eq!(before.ecn, EcnState::Capable);
    assert_eq!(before.packets_marked, 0);
    pair.sim
        .filter(pair.client, pair.server, |passing| match passing.ecn {
            Some(_) => Fate::Remark(Some(Ecn::Ce)),
            None => Fate::Pass,
        });
    let mut reductions = Vec::new();
    let mut ssthresh = before.ssthresh;
    // The first of the marked packets is acknowledged a round trip later.
    for _ in 0..800 {
        pair.sim.run_for(ms(1));
        let info = pair.sim.info(key).expect("open");
        if info.ssthresh != ssthresh {
            reductions.push((pair.sim.now(), ssthresh.min(before.cwnd * 2), info.ssthresh));
            ssthresh = info.ssthresh;
        }
    }
    let after = pair.sim.info(key).expect("open");
    println!(
        "{} packets marked: {reductions:?}, from {} bytes",
        after.packets_marked, before.cwnd
    );
    assert!(after.packets_marked > 100);
    // The window cannot shrink below two datagrams, so only the first reductions show.
    assert!((5..=8).contains(&reductions.len()), "{reductions:?}");
    for pair in reductions.windows(2) {
        let apart = pair[1].0 - pair[0].0;
        assert!(apart >= ms(100), "two reductions within {apart:?}");
    }
    assert_eq!((after.packets_lost, after.packets_retransmitted), (0, 0));
}

/// The receiver's count is the number of marks that the link set, packet for packet.
#[test]
fn every_mark_is_counted_once() {
    for seed in seeds(1, 4) {
        let mut pair = Pair::new(seed, path().duplicate(0.05, 2));
        let (client, server) = (pair.client, pair.server);
        pair.sim.change_link(client, server, |link| link.mark(0.01));
        let info = upload(&mut pair, 3_000_000, with(Congestion::NewReno));
        let marked = pair.sim.link_stats(client, server).marked;
        println!(
            "seed {seed}: {marked} marks, {} counted",
            info.packets_marked
        );
        assert!(info.packets_marked > 0);
        // A link marks a datagram before it doubles it. What was lost in the queue is not counted.
        assert!(info.packets_marked <= marked && marked <= info.packets_marked + info.packets_lost);
        assert_eq!(info.ecn, EcnState::Capable);
    }
}

/// quic-go #4088, neqo #2741: a path may lose, repeat and reorder what it likes, and still carry marks.
#[test]
fn a_bad_path_that_carries_marks_stays_trusted() {
    let bad = path()
        .loss(Loss::random(0.05))
        .reorder(0.05, Reorder::Delay(ms(30)))
        .reordering_jitter(ms(8))
        .duplicate(0.05, 3)
        .mark(0.01);
    for seed in seeds(1, 20) {
        let mut pair = Pair::new(seed, bad.clone());
        let info = upload(&mut pair, 1_000_000, with(Congestion::NewReno));
        assert_eq!(info.ecn, EcnState::Capable, "seed {seed}");
    }
}

/// Five seconds without a path are no proof that it drops marked packets.
#[test]
fn a_blackout_does_not_end_ecn() {
    let mut pair = Pair::new(3, path());
    let (client, server) = (pair.client, pair.server);
    pair.sim
        .after(secs(1), move |sim| sim.partition(client, server));
    pair.sim.after(secs(6), move |sim| sim.heal(client, server));
    let info = upload(&mut pair, 10_000_000, with(Congestion::NewReno));
    assert_eq!(info.ecn, EcnState::Capable);
}

/// Each kind of broken box, from the beginning and from the middle of a transfer on: the transfer goes on
/// without ECN, and hardly slower than over a good path.
#[test]
fn a_path_that_breaks_marks_is_used_without() {
    let clean = {
        let mut pair = Pair::new(4, path());
        let begin = pair.sim.now();
        upload(&mut pair, 5_000_000, with(Congestion::NewReno));
        pair.sim.now() - begin
    };
    for fault in [
        EcnFault::Bleach,
        EcnFault::Ect1,
        EcnFault::Ce,
        EcnFault::Drop,
    ] {
        for from in [ms(0), ms(700)] {
            let mut pair = Pair::new(4, path());
            let (client, server) = (pair.client, pair.server);
            pair.sim.after(from, move |sim| {
                sim.change_link(client, server, |link| link.ecn(fault));
            });
            let begin = pair.sim.now();
            let info = upload(&mut pair, 5_000_000, with(Congestion::NewReno));
            let took = pair.sim.now() - begin;
            println!(
                "{fault:?} from {from:?} on: {:?} after {took:?}, without fault {clean:?}",
                info.ecn
            );
            // From the middle of a transfer on, a mark on everything is congestion like any other.
            if fault != EcnFault::Ce || from == ms(0) {
                assert_eq!(info.ecn, EcnState::Failed, "{fault:?} from {from:?} on");
                assert!(
                    took < clean + secs(2),
                    "{fault:?}: {took:?} after {clean:?}"
                );
            }
        }
    }
}

/// The first packets of a small exchange vanish because of their mark: the probe after a timeout has none.
#[test]
fn a_path_that_drops_marks_costs_a_small_exchange_one_timeout() {
    let mut pair = Pair::new(5, path().ecn(EcnFault::Drop));
    let took = pair.upload_by(Congestion::NewReno, 1_000, secs(20));
    println!("1 kB over a path that drops marked packets: {took:?}");
    assert!(took < secs(1), "{took:?}");
}

/// What a new path does with marks is found out anew.
#[test]
fn a_new_path_is_tested_again() {
    let mut pair = Pair::new(6, path().ecn(EcnFault::Bleach));
    let (client, server) = (pair.client, pair.server);
    pair.sim.listen(server, with(Congestion::NewReno), || {
        Transfer::send(6_000_000).label(8).ending(Ending::Stay)
    });
    let app = Transfer::sink().expecting(8).ending(Ending::Stay);
    let key = pair
        .sim
        .connect(client, server, with(Congestion::NewReno), app);
    pair.sim.run_for(ms(800));
    let sender = pair.peer(key);
    assert_eq!(pair.sim.info(sender).expect("open").ecn, EcnState::Failed);
    let elsewhere = "10.9.9.9:999".parse().expect("an address");
    pair.sim.rebind_to(client, elsewhere);
    for (from, to) in [(client, server), (server, client)] {
        pair.sim
            .change_link(from, to, |link| link.ecn(EcnFault::None));
    }
    // The client only receives: something must show where it is.
    pair.sim.with(key, |io| io.write(b"here"));
    let done = pair
        .sim
        .run_until(secs(60), |sim| sim.report(key).read == 6_000_000);
    assert!(done, "{:?}", pair.sim.report(key));
    assert_eq!(pair.sim.info(sender).expect("open").ecn, EcnState::Capable);
}

/// Only packets whose congestion somebody answers say that they may be marked.
#[test]
fn who_answers_no_marks_sends_none() {
    for (congestion, marks) in [
        (Congestion::NewReno, true),
        (Congestion::Cubic, true),
        (Congestion::Bbr, false),
    ] {
        let mut pair = Pair::new(7, path());
        let marked = Rc::new(Cell::new(0));
        let count = Rc::clone(&marked);
        pair.sim.filter(pair.client, pair.server, move |passing| {
            if passing.ecn.is_some() {
                let packet = passing.packet().expect("whole");
                assert_eq!(passing.ecn, Some(Ecn::Ect0));
                assert!(packet.kind().is_numbered(), "{:?} is marked", packet.kind());
                assert_ne!(packet.kind(), Kind::Path);
                count.set(count.get() + 1);
            }
            Fate::Pass
        });
        let info = upload(&mut pair, 500_000, with(congestion.clone()));
        assert_eq!(marked.get() > 0, marks, "{congestion:?}");
        let state = if marks {
            EcnState::Capable
        } else {
            EcnState::Off
        };
        assert_eq!(info.ecn, state, "{congestion:?}");
    }
}

/// A box that begins to mark everything in mid-transfer: that is answered as congestion until the window is at its
/// least and thirty round trips have gone by so; then packets go unmarked, and the path is used again.
#[test]
fn a_box_that_begins_to_mark_everything_holds_a_transfer_up_for_a_while_only() {
    for congestion in [Congestion::NewReno, Congestion::Cubic] {
        let mut pair = Pair::new(5, path());
        let key = begin(&mut pair, 1 << 40, with(congestion.clone()));
        pair.sim.run_for(secs(2));
        pair.sim
            .filter(pair.client, pair.server, |passing| match passing.ecn {
                Some(_) => Fate::Remark(Some(Ecn::Ce)),
                None => Fate::Pass,
            });
        let since = pair.sim.now();
        let has_failed = |sim: &aqueduct::sim::Sim| {
            sim.info(key)
                .is_some_and(|info| info.ecn == EcnState::Failed)
        };
        assert!(pair.sim.run_until(secs(10), has_failed), "it gives up");
        let took = pair.sim.now() - since;
        let before = pair.sim.bytes_delivered();
        pair.sim.run_for(secs(10));
        let rate = (pair.sim.bytes_delivered() - before) * 8 / 10;
        println!("{congestion:?}: {took:?}, then {rate} bit/s");
        assert!(took > ms(40 * 20), "not before it has answered");
        assert!(rate > 10_000_000, "{rate}");
    }
}
