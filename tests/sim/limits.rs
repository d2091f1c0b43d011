//! W13: what held a sender back, and how long.

use std::time::Duration;

use aqueduct::config::Config;
use aqueduct::congestion::Congestion;
use aqueduct::connection::Info;
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{Bottleneck, ConnectionKey, Link};

use crate::{Pair, ms, secs};

/// 50 Mbit/s, a round trip of 20 ms, and a queue in which slow start overshoots without a loss.
fn path(seed: u64) -> Pair {
    let link = Link::new()
        .rate_bits(50_000_000)
        .queue_bytes(1_000_000)
        .delay(ms(10));
    Pair::new(seed, link)
}

fn info(pair: &Pair, key: ConnectionKey) -> Info {
    pair.sim.info(key).expect("the connection is there")
}

/// A part of a time, in thousandths.
fn share(part: Duration, whole: Duration) -> u128 {
    part.as_nanos() * 1_000 / whole.as_nanos()
}

/// All parts of the time since the connection opened; each nanosecond is in one of them.
fn parts(info: &Info) -> [Duration; 4] {
    [
        info.limited_by_application,
        info.limited_by_window,
        info.limited_by_cwnd,
        info.limited_by_pacing,
    ]
}

#[test]
fn an_application_that_writes_now_and_then_is_what_limits_it() {
    let mut pair = path(1);
    pair.listen(|| Transfer::sink().expecting(1));
    let trickle = Transfer::send(200_000)
        .label(1)
        .writes_of(2_000)
        .writes_every(ms(50));
    let key = pair.connect(trickle);
    pair.sim.run_for(ms(4_020));
    let info = info(&pair, key);
    println!("{info:?}");
    // The handshake took a round trip; from then on nothing else ever held it back.
    let life = info.time_sending;
    assert!(life <= secs(4) && life > ms(3_999), "{life:?}");
    assert_eq!(parts(&info), [life, ms(0), ms(0), ms(0)]);
    assert_eq!(info.delivery_rate, None, "that was no rate of the path");
}

#[test]
fn a_reader_that_stalls_is_the_peers_window() {
    let mut pair = path(2);
    pair.listen(|| Transfer::sink().reads_after(secs(3)).expecting(2));
    let key = pair.connect(Transfer::send(20_000_000).label(2));
    pair.sim.run_for(ms(2_500));
    let info = info(&pair, key);
    println!("{info:?}");
    assert_eq!(info.limited_by_application, ms(0));
    // The window takes a few round trips to fill.
    assert!(share(info.limited_by_window, info.time_sending) >= 900);
}

/// Five seconds of a bulk transfer, three after its beginning: limited by cwnd, and by the pacer.
fn bulk(mut pair: Pair, congestion: Congestion) -> (Duration, Duration) {
    pair.listen(|| Transfer::sink().expecting(3));
    let config = Config::default().with_congestion(congestion);
    let app = Transfer::send(u64::MAX / 4).label(3);
    let key = pair.sim.connect(pair.client, pair.server, config, app);
    // At first the peer's window is narrow, and widens by and by.
    pair.sim.run_for(secs(3));
    let before = info(&pair, key);
    pair.sim.run_for(secs(5));
    let info = info(&pair, key);
    println!("{info:?}");
    let cwnd = info.limited_by_cwnd - before.limited_by_cwnd;
    let pacing = info.limited_by_pacing - before.limited_by_pacing;
    assert!(cwnd + pacing >= ms(4_950), "{cwnd:?} and {pacing:?}");
    assert!(before.limited_by_pacing > ms(50), "slow start is paced");
    assert_eq!(info.limited_by_application, ms(0));
    // 50 Mbit/s: what the path delivers is known to within a few percent.
    let rate = info.delivery_rate.expect("a path in full use");
    assert!(
        (5_900_000..=6_400_000).contains(&rate),
        "{rate} bytes a second"
    );
    (cwnd, pacing)
}

/// A queue that is full gives its acknowledgements as fast as the pacer would let packets go.
#[test]
fn a_bulk_transfer_that_fills_the_queue_is_limited_by_its_window() {
    let (cwnd, pacing) = bulk(path(3), Congestion::Cubic);
    assert!(cwnd > ms(4_000), "{cwnd:?} and {pacing:?}");
}

/// Where acknowledgements come in clumps, the pacer spreads what each lets leave, and then the window ends.
#[test]
fn a_bulk_transfer_is_limited_by_window_and_pacer_of_congestion_control() {
    let mut pair = path(3);
    let clumps = Bottleneck::new().rate_bits(50_000_000);
    let clumps = pair.sim.add_bottleneck(clumps.bursts_every(ms(10)));
    let (server, client) = (pair.server, pair.client);
    pair.sim
        .change_link(server, client, move |link| link.through(clumps));
    let (cwnd, pacing) = bulk(pair, Congestion::Cubic);
    assert!(
        cwnd > ms(500) && pacing > ms(500),
        "{cwnd:?} and {pacing:?}"
    );
}

/// BBR leaves no queue: what holds it back is the rate of its model.
#[test]
fn a_bulk_transfer_that_follows_a_model_is_limited_by_its_pacer() {
    let (cwnd, pacing) = bulk(path(3), Congestion::Bbr);
    assert!(pacing > ms(4_500), "{cwnd:?} and {pacing:?}");
}

/// The times of a transfer whose limits follow each other.
#[test]
fn each_limit_is_blamed_for_its_own_time() {
    let mut pair = path(4);
    pair.listen(|| Transfer::sink().reads_after(secs(2)).expecting(4));
    // A burst that the window stops until the reader wakes after two seconds, then the rest; then nothing.
    let key = pair.connect(Transfer::send(3_000_000).label(4).ending(Ending::Stay));
    pair.sim.run_for(ms(1_900));
    let stalled = info(&pair, key);
    pair.sim.run_for(secs(8));
    let done = info(&pair, key);
    println!("{stalled:?}\n{done:?}");
    assert_eq!(done.bytes_acked, 3_000_000);
    assert!(stalled.limited_by_window >= ms(1_500));
    let waited = done.limited_by_window - stalled.limited_by_window;
    assert!(waited <= secs(2), "{waited:?}");
    // 3 MB take half a second: from some time before 3.5 s to the end there was nothing to send.
    let idle = done.limited_by_application - stalled.limited_by_application;
    assert!(idle >= ms(6_000), "{idle:?}");
    let sum: Duration = parts(&done).into_iter().sum();
    assert!(sum <= done.time_sending);
    assert!(
        done.time_sending - sum <= ms(1),
        "it never waits for anything else"
    );
}

#[test]
fn time_stops_when_all_is_acknowledged() {
    let mut pair = path(5);
    pair.listen(|| Transfer::sink().expecting(5).ending(Ending::Stay));
    let key = pair.connect(Transfer::send(500_000).label(5).ending(Ending::Shutdown));
    pair.sim.run_for(secs(3));
    let first = info(&pair, key);
    pair.sim.run_for(secs(3));
    let second = info(&pair, key);
    assert!(first.time_sending < secs(2), "{:?}", first.time_sending);
    assert_eq!(first.time_sending, second.time_sending);
    assert_eq!(parts(&first), parts(&second));
}
