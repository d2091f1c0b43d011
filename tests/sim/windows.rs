//! Windows and buffers that tune themselves.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use aqueduct::config::{Config, EndpointConfig};
use aqueduct::congestion::Congestion;
use aqueduct::error::{CloseReason, ResetCode};
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{ConnectionKey, Fate, Link, Loss, Reorder, Rng, Sim, content, seeds};

use crate::{Pair, ms, secs};

/// A path of this rate and round trip whose queue takes all that slow start puts into it.
fn long_path(seed: u64, bits: u64, rtt: Duration) -> Pair {
    let link = Link::new()
        .rate_bits(bits)
        .queue_bytes(64 << 20)
        .delay(rtt / 2);
    Pair::new(seed, link)
}

/// Bytes delivered in the second half of `time`, as a share of what the link carries, in thousandths.
fn share_of_link(pair: &mut Pair, bits: u64, time: Duration) -> u64 {
    pair.listen(|| Transfer::sink().expecting(4));
    pair.connect(Transfer::send(1 << 40).label(4));
    pair.sim.run_for(time / 2);
    let before = pair.sim.bytes_delivered();
    pair.sim.run_for(time / 2);
    let got = pair.sim.bytes_delivered() - before;
    let could = bits / 8 * u64::try_from((time / 2).as_millis()).expect("short") / 1_000;
    got * 1_000 / could
}

#[test]
fn a_long_path_of_100_mbit_is_filled() {
    let mut pair = long_path(1, 100_000_000, ms(200));
    let share = share_of_link(&mut pair, 100_000_000, secs(6));
    println!("100 Mbit/s, 200 ms: {share} thousandths of the link");
    assert!(share >= 950, "{share}");
}

#[test]
fn a_long_path_of_500_mbit_is_filled() {
    let mut pair = long_path(2, 500_000_000, ms(100));
    let share = share_of_link(&mut pair, 500_000_000, secs(4));
    println!("500 Mbit/s, 100 ms: {share} thousandths of the link");
    assert!(share >= 950, "{share}");
}

/// Tuning is to cost a start nothing: as fast as with windows that are wide from the first byte.
#[test]
fn a_tuned_start_is_as_fast_as_one_with_wide_windows() {
    let took = |config: Config| {
        let mut pair = long_path(3, 500_000_000, ms(100));
        pair.sim.listen(pair.server, config.clone(), || {
            Transfer::sink().expecting(4)
        });
        let app = Transfer::send(20_000_000).label(4);
        let key = pair.sim.connect(pair.client, pair.server, config, app);
        pair.run_to_close(key, secs(30));
        pair.sim.report(pair.peer(key)).end_at.expect("the end")
    };
    let wide = Config::default()
        .with_receive_window(64 << 20)
        .with_send_buffer(64 << 20);
    let (tuned, wide) = (took(Config::default()), took(wide));
    println!("20 MB over 500 Mbit/s, 100 ms: {tuned:?} tuned, {wide:?} wide");
    assert!(tuned - wide <= ms(100), "a round trip at most");
}

fn upload_to(pair: &mut Pair, reader: Transfer) -> ConnectionKey {
    pair.listen(move || reader.clone().expecting(4));
    pair.connect(Transfer::send(1 << 40).label(4))
}

/// The most memory that the receiver holds in this time, looked at every 10 ms.
fn most_held(pair: &mut Pair, key: ConnectionKey, time: Duration) -> usize {
    let mut most = 0;
    let end = pair.sim.now() + time;
    while pair.sim.now() < end {
        pair.sim.run_for(ms(10));
        let peer = pair.sim.peer(key);
        let connection = peer.and_then(|peer| pair.sim.connection(peer));
        most = most.max(connection.map_or(0, |connection| connection.memory()));
    }
    most
}

/// A reader that takes a tenth of what the link could bring gets no wider window than he had.
#[test]
fn a_slow_reader_holds_no_more_than_the_window_it_began_with() {
    let mut pair = long_path(4, 100_000_000, ms(40));
    let key = upload_to(
        &mut pair,
        Transfer::sink().reads_of(12_500).reads_every(ms(10)),
    );
    let most = most_held(&mut pair, key, secs(10));
    println!("a reader of 10 Mbit/s on 100 Mbit/s: {most} bytes held at most");
    assert!(pair.sim.bytes_delivered() > 9 * 1_250_000, "he is served");
    assert!(most <= (256 + 40) << 10, "{most}");
}

/// A reader that stalls gets what was promised and no more; once he reads fast, the link is filled. BBR empties the queue
/// for 200 ms in every five seconds, and leaves the path a hundredth.
#[test]
fn a_reader_that_stalls_and_then_hurries_fills_the_link() {
    for (congestion, time, least) in [(Congestion::Cubic, 2, 950), (Congestion::Bbr, 5, 930)] {
        let mut pair = long_path(5, 100_000_000, ms(100));
        let reader = || Transfer::sink().reads_after(secs(20)).expecting(4);
        pair.listen(reader);
        let config = Config::default().with_congestion(congestion.clone());
        let app = Transfer::send(1 << 40).label(4);
        let key = pair.sim.connect(pair.client, pair.server, config, app);
        let most = most_held(&mut pair, key, secs(20));
        assert!(most <= (256 + 40) << 10, "{most} bytes while nobody reads");
        pair.sim.run_for(secs(4));
        let before = pair.sim.bytes_delivered();
        pair.sim.run_for(secs(time));
        let share = (pair.sim.bytes_delivered() - before) * 1_000 / (time * 12_500_000);
        println!("{congestion:?}: {most} bytes held in 20 s, then {share} thousandths of the link");
        assert!(share >= least, "{share}");
    }
}

/// A receiver that sends nothing has the handshake's round trip alone, and that was ten times shorter than the path
/// is now: it finds out by asking.
#[test]
fn a_receiver_learns_that_its_path_has_become_longer() {
    let mut pair = long_path(6, 100_000_000, ms(20));
    pair.listen(|| Transfer::sink().expecting(4));
    // HyStart++ would take the longer path for a queue, and leave slow start: this is about the other window.
    let config = Config::default().with_congestion(Congestion::NewReno);
    let app = Transfer::send(1 << 40).label(4);
    let key = pair.sim.connect(pair.client, pair.server, config, app);
    pair.sim.run_for(secs(1));
    let (client, server) = (pair.client, pair.server);
    for (from, to) in [(client, server), (server, client)] {
        pair.sim.change_link(from, to, |link| link.delay(ms(100)));
    }
    pair.sim.run_for(secs(6));
    let before = pair.sim.bytes_delivered();
    pair.sim.run_for(secs(4));
    let share = (pair.sim.bytes_delivered() - before) * 1_000 / (4 * 12_500_000);
    let srtt = pair.sim.info(pair.peer(key)).and_then(|info| info.srtt);
    println!(
        "20 ms became 200 ms: {share} thousandths of the link, the receiver's srtt is {srtt:?}"
    );
    assert!(share >= 950, "{share}");
}

/// A connection that rests gives its memory back, and its next burst begins with the window of the first.
#[test]
fn after_a_rest_nothing_is_held_and_the_link_is_filled_again() {
    let mut pair = long_path(7, 100_000_000, ms(100));
    pair.listen(|| Transfer::sink().expecting(4));
    let app = Transfer::send(0).ending(Ending::Stay);
    let key = pair.connect(app);
    let mut sent = 0;
    for _ in 0..2 {
        let begin = pair.sim.now();
        let end = sent + 20_000_000;
        while sent < end {
            let mut data = vec![0; 16 << 10];
            content::fill(4, sent, &mut data);
            let taken = pair.sim.with(key, |io| io.write(&data)).expect("open");
            match taken {
                Ok(taken) => sent += u64::try_from(taken).expect("small"),
                Err(_) => pair.sim.run_for(ms(1)),
            }
        }
        assert!(
            pair.sim
                .run_until(secs(9), |sim| sim.bytes_delivered() >= end)
        );
        println!("20 MB took {:?}", pair.sim.now() - begin);
        assert!(pair.sim.now() - begin < secs(4));
        pair.sim.run_for(secs(5));
        for key in [key, pair.peer(key)] {
            let held = pair.sim.connection(key).expect("open").memory();
            assert!(held < 4_096, "{held} bytes at rest");
        }
    }
}

/// W11: readers of every pace, over a path that loses and reorders. The simulator checks each ACK block: none takes
/// back what an earlier one promised.
#[test]
fn no_edge_moves_back_whatever_the_reader_does() {
    let mut widest = 0;
    for seed in seeds(1, 24) {
        let mut pace = Rng::new(seed, "pace");
        let link = Link::new()
            .rate_bits(50_000_000)
            .queue_bytes(1 << 20)
            .delay(ms(5 + pace.below(60)))
            .loss(Loss::random(0.001))
            .reorder(0.01, Reorder::Distance(3));
        let mut pair = Pair::new(seed, link);
        let reader = Transfer::sink()
            .reads_of(usize::try_from(1 + pace.below(16 << 10)).expect("small"))
            .reads_every(Duration::from_micros(pace.below(1_000)))
            .reads_after(ms(pace.below(2_000)))
            .expecting(4);
        pair.listen(move || reader.clone());
        let key = pair.connect(Transfer::send(1 << 40).label(4));
        for _ in 0..4 {
            pair.sim.run_for(secs(1));
            let window = pair.sim.info(key).map_or(0, |info| info.window);
            widest = widest.max(window);
            // The process sleeps now and then: what comes meanwhile comes at once.
            let server = pair.server;
            pair.sim.pause(server, ms(pace.below(300)));
        }
    }
    println!("the widest window was {widest} bytes");
    assert!(widest > 512 << 10, "some window grew");
}

/// Twenty applications that never read use up a host's memory. A client who comes then is served.
#[test]
fn who_never_reads_makes_room_for_who_does() {
    let mut sim = Sim::new(9);
    let memory = EndpointConfig::default().with_memory(1 << 20);
    let (client, server) = (sim.add_host("client"), sim.add_host_with("server", memory));
    sim.link(
        client,
        server,
        Link::new().rate_bits(50_000_000).delay(ms(10)),
    );
    sim.listen(server, Config::default(), || {
        Transfer::sink().reads_after(secs(3_600))
    });
    let upload = || Transfer::send(1_000_000).label(4);
    let idle: Vec<_> = (0..20)
        .map(|_| sim.connect(client, server, Config::default(), upload()))
        .collect();
    sim.run_for(secs(5));
    sim.listen(server, Config::default(), || Transfer::sink().expecting(4));
    let key = sim.connect(client, server, Config::default(), upload());
    let begin = sim.now();
    assert!(sim.run_until(secs(60), |sim| sim.is_closed(key)));
    println!("served in {:?}", sim.now() - begin);
    assert!(sim.is_delivered(key));
    let told = CloseReason::Reset(ResetCode::RESOURCES);
    let given_up = idle
        .iter()
        .filter(|key| sim.report(**key).failure.as_ref() == Some(&told))
        .count();
    println!("{given_up} of 20 given up");
    assert!((1..20).contains(&given_up), "{given_up}");
}

/// Nothing leaves in a longer burst than the user said, from the first datagram on and over pauses too.
#[test]
fn a_burst_has_at_most_as_many_datagrams_as_configured() {
    for (most, congestion) in [2, 4, 44].into_iter().flat_map(|most| {
        [Congestion::NewReno, Congestion::Cubic, Congestion::Bbr].map(|choice| (most, choice))
    }) {
        let link = Link::new()
            .rate_bits(20_000_000)
            .queue_bytes(100_000)
            .delay(ms(20));
        let mut pair = Pair::new(5, link);
        let bursts = Rc::new(RefCell::new((None, 0_u16, 0_u16)));
        let seen = Rc::clone(&bursts);
        pair.sim.filter(pair.client, pair.server, move |passing| {
            let (latest, run, longest) = &mut *seen.borrow_mut();
            *run = if *latest == Some(passing.now) {
                *run + 1
            } else {
                1
            };
            (*latest, *longest) = (Some(passing.now), (*longest).max(*run));
            Fate::Pass
        });
        pair.listen(Transfer::sink);
        let config = Config::default()
            .with_congestion(congestion.clone())
            .with_max_burst_segments(most);
        let app = Transfer::send(4_000_000)
            .writes_of(400_000)
            .writes_every(ms(200));
        let key = pair.sim.connect(pair.client, pair.server, config, app);
        pair.run_to_close(key, secs(60));
        assert!(pair.sim.is_delivered(key));
        let longest = bursts.borrow().2;
        println!("{congestion:?}: {longest} of {most}");
        assert!(longest <= most, "{congestion:?}: {longest} of {most}");
        assert!(longest >= 2, "{congestion:?}: nothing left together");
    }
}
