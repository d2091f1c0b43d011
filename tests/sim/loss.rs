//! Lost datagrams: nothing is missing, and recovery is as fast as it should be.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::sim::{Fate, Link, Loss, apps, seeds};
use aqueduct::wire::{Body, Kind};

use crate::{Pair, ms, secs};

fn path() -> Link {
    Link::new()
        .rate_bits(20_000_000)
        .queue_bytes(100_000)
        .delay(ms(20))
}

#[test]
fn random_loss_up_to_a_half_loses_no_byte() {
    for (seed, loss) in seeds(1, 5).zip([0.001, 0.01, 0.05, 0.2, 0.5].into_iter().cycle()) {
        let bytes = if loss > 0.1 { 100_000 } else { 500_000 };
        Pair::new(seed, path().loss(Loss::random(loss))).upload(bytes, secs(1_800));
    }
}

#[test]
fn bursts_of_loss_lose_no_byte() {
    for (seed, length) in seeds(1, 3).zip([5.0, 50.0, 200.0].into_iter().cycle()) {
        let mut pair = Pair::new(seed, path().loss(Loss::bursts(0.1, length)));
        let patient = || Config::default().with_user_timeout(None);
        pair.sim
            .listen(pair.server, patient(), apps::Transfer::sink);
        let app = apps::Transfer::send(300_000);
        let key = pair.sim.connect(pair.client, pair.server, patient(), app);
        pair.run_to_close(key, secs(7_200));
        assert!(pair.sim.is_delivered(key));
    }
}

/// Any single DATA packet of a transfer is lost: it costs at most a probe timeout and a round trip.
#[test]
fn one_lost_packet_costs_little_wherever_it_is() {
    let clean = transfer_without(None);
    let mut worst = ms(0);
    for nth in 0..40 {
        let took = transfer_without(Some(nth));
        worst = worst.max(took.saturating_sub(clean));
    }
    println!("clean {clean:?}, worst with one loss {worst:?} more");
    assert!(worst < ms(200), "{worst:?} more than {clean:?}");
}

/// The time of a transfer whose nth DATA packet is lost.
fn transfer_without(nth: Option<u64>) -> std::time::Duration {
    let mut pair = Pair::new(1, path());
    let mut seen = 0;
    pair.sim.filter(pair.client, pair.server, move |passing| {
        if !passing
            .packet()
            .is_some_and(|packet| packet.kind() == Kind::Data)
        {
            return Fate::Pass;
        }
        seen += 1;
        if nth == Some(seen - 1) {
            Fate::Drop
        } else {
            Fate::Pass
        }
    });
    pair.upload(50_000, secs(30))
}

/// L06: the first three copies of one piece are lost, under whatever number they go.
#[test]
fn a_lost_retransmission_is_found_again() {
    let mut pair = Pair::new(2, path());
    let mut dropped = 0;
    pair.sim.filter(pair.client, pair.server, move |passing| {
        let Some(Body::Data(data)) = passing.packet().map(|packet| packet.body) else {
            return Fate::Pass;
        };
        let covers = data.offset.get() <= 40_000 && data.offset.get() + 1_400 > 40_000;
        if covers && !data.payload.is_empty() && dropped < 3 {
            dropped += 1;
            return Fate::Drop;
        }
        Fate::Pass
    });
    let took = pair.upload(400_000, secs(30));
    // Three reductions of the window in slow start, and no wait for a probe timeout.
    assert!(took < ms(1_400), "{took:?}");
}

/// L11: lost acknowledgements cost little time, and nothing is repeated for their sake. Where slow start overshoots
/// differs from seed to seed by 150 kB without any lost acknowledgement, so the sums over many seeds are compared.
#[test]
fn lost_acknowledgements_cost_little() {
    for congestion in [Congestion::Cubic, Congestion::Bbr] {
        let (clean, needed) = forty_uploads(&congestion, 0.0);
        for loss in [0.3, 0.5] {
            let (lossy, bytes) = forty_uploads(&congestion, loss);
            println!(
                "{congestion:?}: clean {clean:?}, {needed} bytes; without {loss} of the acknowledgements {lossy:?}, {bytes} bytes"
            );
            assert!(
                lossy.as_secs_f64() < clean.as_secs_f64() / 0.85,
                "{lossy:?} for {clean:?}"
            );
            assert!(bytes < needed * 102 / 100, "{bytes} bytes for {needed}");
            assert!(bytes < 40 * 2_300_000, "{bytes} bytes");
        }
    }
}

/// The time that forty uploads of 2 MB take together, without a part of their acknowledgements, and the bytes that they
/// put on the line.
fn forty_uploads(congestion: &Congestion, loss: f64) -> (Duration, u64) {
    let (mut took, mut bytes) = (Duration::ZERO, 0);
    for seed in seeds(1, 40) {
        let mut pair = Pair::new(seed, path());
        let (client, server) = (pair.client, pair.server);
        // The handshake is another matter.
        pair.sim.after(ms(100), move |sim| {
            sim.change_link(server, client, |link| link.loss(Loss::random(loss)));
        });
        took += pair.upload_by(congestion.clone(), 2_000_000, secs(300));
        bytes += pair.sim.link_stats(client, server).entered_bytes;
    }
    (took, bytes)
}

/// L11: with nine of ten acknowledgements lost a transfer is slow, but it repeats little.
#[test]
fn a_storm_of_lost_acknowledgements_is_no_storm_of_data() {
    let mut pair = Pair::new(3, path());
    let (client, server) = (pair.client, pair.server);
    pair.sim.after(ms(100), move |sim| {
        sim.change_link(server, client, |link| link.loss(Loss::random(0.9)));
    });
    pair.upload(2_000_000, secs(3_600));
    let bytes = pair.sim.link_stats(client, server).entered_bytes;
    assert!(bytes < 2_000_000 * 115 / 100, "{bytes} bytes sent");
}

/// L11: with nine of ten acknowledgements lost, the sender counts the gaps in their numbers and asks for more.
#[test]
fn nine_of_ten_lost_acknowledgements_cost_at_most_fifteen_percent() {
    let run = |seed: u64, loss: f64| {
        let mut pair = Pair::new(seed, path());
        let (client, server) = (pair.client, pair.server);
        pair.sim.after(ms(300), move |sim| {
            sim.change_link(server, client, |link| link.loss(Loss::random(loss)));
        });
        pair.listen(apps::Transfer::sink);
        pair.connect(apps::Transfer::send(200_000_000));
        pair.sim.run_for(secs(3));
        let before = pair.sim.bytes_delivered();
        pair.sim.run_for(secs(20));
        let entered = pair.sim.link_stats(client, server).entered_bytes;
        (
            pair.sim.bytes_delivered() - before,
            entered,
            pair.sim.bytes_delivered(),
        )
    };
    let (clean, ..) = run(1, 0.0);
    for seed in seeds(1, 3) {
        let (lossy, entered, delivered) = run(seed, 0.9);
        let share = lossy * 100 / clean;
        println!("seed {seed}: {lossy} of {clean} bytes, {share} %");
        assert!(share >= 85, "{share} %");
        assert!(entered < delivered * 115 / 100, "{entered} for {delivered}");
    }
}

/// Law: a single lost packet at the tail is there within a probe timeout and a round trip, always.
#[test]
fn a_lost_tail_packet_costs_at_most_a_probe_timeout_and_a_round_trip() {
    for congestion in [
        Congestion::NewReno,
        Congestion::Cubic,
        Congestion::Bbr,
        Congestion::Auto,
    ] {
        println!("{congestion:?}");
        lose_tails(&congestion);
    }
}

/// Flights of several lengths, on paths of several lengths, each without its last packet.
fn lose_tails(congestion: &Congestion) {
    for packets in [1_u64, 2, 3, 4, 9, 10, 11, 40] {
        for delay in [1, 20, 100] {
            let run = |is_lost: bool| {
                let link = Link::new().rate_bits(100_000_000).queue_bytes(200_000);
                let mut pair = Pair::new(7, link.delay(ms(delay)));
                pair.listen(apps::Transfer::sink);
                let bytes = packets * 1_168;
                // The stream stays open: no FIN comes to the help of the tail.
                let app = apps::Transfer::send(bytes).ending(apps::Ending::Stay);
                let config = Config::default().with_congestion(congestion.clone());
                let key = pair.sim.connect(pair.client, pair.server, config, app);
                let mut left = u32::from(is_lost);
                pair.sim.filter(pair.client, pair.server, move |passing| {
                    let Some(Body::Data(data)) = passing.packet().map(|packet| packet.body) else {
                        return Fate::Pass;
                    };
                    let end = data.offset.get()
                        + u64::try_from(data.payload.len()).expect("a payload is short");
                    if end == bytes && left > 0 {
                        left -= 1;
                        return Fate::Drop;
                    }
                    Fate::Pass
                });
                let done = |sim: &aqueduct::sim::Sim| sim.bytes_delivered() == bytes;
                assert!(pair.sim.run_until(secs(20), done), "{packets} packets");
                (pair.sim.now(), pair.sim.info(key).expect("open"))
            };
            let (clean, info) = run(false);
            let (lossy, _) = run(true);
            let srtt = info.srtt.expect("measured");
            let timeout = srtt + (info.rttvar * 4).max(ms(1)) + ms(8);
            let took = lossy - clean;
            println!("{packets} packets, {delay} ms: {took:?} more, timeout {timeout:?}, {srtt:?}");
            assert!(
                took <= timeout + srtt + ms(1),
                "{took:?} of {timeout:?} + {srtt:?}"
            );
        }
    }
}

/// What a probe timeout sends asks to be answered at once, be it old bytes or new ones: the next timeout counts on that,
/// and their intervals are powers of two of one another (RFC 9002 s6.2.1).
#[test]
fn probes_of_a_timeout_ask_for_an_answer_at_once_and_come_in_doubled_intervals() {
    let mut pair = Pair::new(6, path());
    let (client, server) = (pair.client, pair.server);
    pair.listen(apps::Transfer::sink);
    pair.connect(apps::Transfer::send(50_000_000));
    pair.sim.run_for(secs(3));
    let cut = pair.sim.now();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let probes = Rc::clone(&seen);
    pair.sim.filter(client, server, move |passing| {
        let packet = passing
            .packet()
            .filter(|packet| packet.kind() == Kind::Data);
        if let Some(packet) = packet.filter(|_| passing.now > cut + ms(100)) {
            probes.borrow_mut().push((passing.now, packet.flags.imm));
        }
        Fate::Drop
    });
    pair.sim.run_for(secs(9));
    let mut seen = seen.borrow().clone();
    assert!(seen.iter().all(|(_, imm)| *imm), "{seen:?}");
    seen.dedup_by_key(|(at, _)| *at);
    let intervals: Vec<_> = seen.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    println!("{intervals:?}");
    assert!(intervals.len() >= 4, "{intervals:?}");
    for pair in intervals.windows(2) {
        assert_eq!(pair[1], pair[0] * 2, "{intervals:?}");
    }
}

/// L12: 5 s of black hole, 2 s of path, over and over.
#[test]
fn a_path_that_comes_and_goes_is_used_when_it_is_there() {
    let mut pair = Pair::new(
        4,
        Link::new()
            .rate_bits(2_000_000)
            .queue_bytes(30_000)
            .delay(ms(20)),
    );
    let (client, server) = (pair.client, pair.server);
    for cycle in 0..300 {
        let begin = ms(1_000) + secs(7) * cycle;
        pair.sim
            .after(begin, move |sim| sim.partition(client, server));
        pair.sim
            .after(begin + secs(5), move |sim| sim.heal(client, server));
    }
    let patient = || Config::default().with_user_timeout(None);
    pair.sim.listen(server, patient(), apps::Transfer::sink);
    let begin = pair.sim.now();
    let key = pair
        .sim
        .connect(client, server, patient(), apps::Transfer::send(1_000_000));
    pair.run_to_close(key, secs(2_000));
    assert!(pair.sim.is_delivered(key));
    let took = pair.sim.now() - begin;
    println!("1 MB at 2 Mbit/s through a path that is there 2 of 7 s: {took:?}");
}

/// L18: the acknowledgements at the end of the connection are lost.
#[test]
fn lost_acknowledgements_at_the_end_do_not_hang_the_close() {
    for mask in 0..64_u64 {
        let mut pair = Pair::new(mask, path());
        let mut after_fin = None;
        pair.sim.filter(pair.server, pair.client, move |passing| {
            let fin = passing.packet().is_some_and(|packet| packet.flags.fin);
            if fin && after_fin.is_none() {
                after_fin = Some(passing.index);
            }
            let place = after_fin.map(|first| passing.index - first);
            let is_dropped = place.is_some_and(|place| place < 6 && mask >> place & 1 == 1);
            if is_dropped { Fate::Drop } else { Fate::Pass }
        });
        pair.upload(10_000, secs(60));
    }
}

/// L15: the FIN is lost, alone or with data.
#[test]
fn a_lost_fin_is_sent_again() {
    for (bytes, copies) in [(0, 1), (0, 4), (5_000, 1), (5_000, 4)] {
        let mut pair = Pair::new(5, path());
        let mut left = copies;
        pair.sim.filter(pair.client, pair.server, move |passing| {
            if left > 0 && passing.packet().is_some_and(|packet| packet.flags.fin) {
                left -= 1;
                return Fate::Drop;
            }
            Fate::Pass
        });
        let took = pair.upload(bytes, secs(30));
        assert!(took < secs(6), "{took:?} for {copies} lost");
    }
}

/// Damage of every kind is loss, and nothing else.
#[test]
fn damaged_datagrams_are_dropped() {
    for seed in seeds(1, 3) {
        let mut pair = Pair::new(seed, path().corrupt(0.1));
        pair.upload(300_000, secs(120));
        assert!(pair.sim.link_stats(pair.client, pair.server).corrupted > 10);
    }
}
