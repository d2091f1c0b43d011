//! Readers that are slow, or do not read.

use aqueduct::config::Config;
use aqueduct::sim::apps::{Ending, Transfer};
use aqueduct::sim::{ConnectionKey, Link};

use crate::{Pair, ms, secs};

fn pair_with_window(
    window: u32,
    reader: impl Fn() -> Transfer + 'static,
    bytes: u64,
) -> (Pair, ConnectionKey) {
    let mut pair = Pair::new(
        1,
        Link::new()
            .rate_bits(50_000_000)
            .queue_bytes(100_000)
            .delay(ms(10)),
    );
    let config = Config::default().with_receive_window(window);
    pair.sim.listen(pair.server, config, reader);
    let key = pair.connect(Transfer::send(bytes).label(3));
    (pair, key)
}

/// W12: the reader stalls for a minute, then reads: every byte, and the sender hears of it in a round trip.
#[test]
fn a_reader_that_stalls_gets_every_byte() {
    let reader = || Transfer::sink().reads_after(secs(60)).expecting(3);
    let (mut pair, key) = pair_with_window(65_536, reader, 500_000);
    pair.sim.run_for(secs(50));
    assert_eq!(pair.sim.bytes_delivered(), 0);
    let stalled = pair.sim.link_stats(pair.client, pair.server).entered;
    println!("{stalled} datagrams before and in 50 s of a closed window");
    assert!(
        pair.sim
            .run_until(secs(20), |sim| sim.bytes_delivered() > 65_536)
    );
    let waited =
        pair.sim.now() - (pair.sim.report(pair.peer(key)).opened_at.expect("open") + secs(60));
    assert!(waited < ms(30), "{waited:?} from reading to new data");
    pair.run_to_close(key, secs(60));
    assert!(pair.sim.is_delivered(key));
}

/// The update that opens the window is lost: a probe finds out.
#[test]
fn a_lost_window_update_is_found_by_a_probe() {
    let reader = || Transfer::sink().reads_after(secs(5)).expecting(3);
    let (mut pair, key) = pair_with_window(65_536, reader, 500_000);
    let (client, server) = (pair.client, pair.server);
    pair.sim.run_for(ms(4_900));
    pair.sim.partition_one_way(server, client);
    pair.sim.run_for(ms(600));
    pair.sim.heal(client, server);
    pair.run_to_close(key, secs(60));
    assert!(pair.sim.is_delivered(key));
}

/// W05: a window that stays closed for an hour, with a peer that answers, keeps its connection.
#[test]
fn an_hour_of_closed_window_ends_nothing() {
    let reader = || Transfer::sink().reads_after(secs(3_600)).expecting(3);
    let (mut pair, key) = pair_with_window(16_384, reader, 200_000);
    pair.sim.run_for(secs(3_599));
    assert_eq!(pair.sim.report(key).failure, None);
    let probes = pair.sim.link_stats(pair.client, pair.server).entered;
    assert!(
        probes < 110,
        "{probes} datagrams in an hour: probes back off to a minute"
    );
    pair.run_to_close(key, secs(60));
    assert!(pair.sim.is_delivered(key));
}

/// W08: a reader that takes single bytes does not draw single bytes.
#[test]
fn a_byte_wise_reader_gets_no_tiny_segments() {
    let reader = || Transfer::sink().reads_of(1).reads_every(ms(1)).expecting(3);
    let (mut pair, key) = pair_with_window(16_384, reader, 40_000);
    assert!(
        pair.sim
            .run_until(secs(60), |sim| sim.bytes_delivered() == 40_000)
    );
    let data = pair.sim.link_stats(pair.client, pair.server);
    println!("40,000 bytes read one by one: {} datagrams", data.entered);
    // 28 full segments, and while the window is too small for one, probes that back off anew for each.
    assert!(data.entered < 28 * 6, "{} datagrams", data.entered);
    let _ = key;
}

#[test]
fn slow_readers_of_every_kind_get_every_byte() {
    let mut cases = 0;
    for window in [2_400, 5_000, 20_000, 262_144] {
        for (of, every) in [(100, 1), (1_000, 3), (7_777, 20), (16_384, 200)] {
            let reader = move || {
                Transfer::sink()
                    .reads_of(of)
                    .reads_every(ms(every))
                    .expecting(3)
            };
            let (mut pair, key) = pair_with_window(window, reader, 60_000);
            pair.run_to_close(key, secs(120));
            assert!(pair.sim.is_delivered(key), "{window} {of} {every}");
            cases += 1;
        }
    }
    println!("{cases} slow readers");
}

/// Neither side reads while both write: buffers fill, nothing is lost, reading frees all.
#[test]
fn two_writers_that_do_not_read_are_only_slow() {
    let mut pair = Pair::new(2, Link::new().rate_bits(50_000_000).delay(ms(10)));
    let app = |mine, theirs| {
        let app = Transfer::send(2_000_000).label(mine).expecting(theirs);
        app.reads_after(secs(10)).ending(Ending::Shutdown)
    };
    pair.listen(move || app(1, 2));
    let key = pair.connect(app(2, 1));
    pair.run_to_close(key, secs(60));
    assert!(pair.sim.is_delivered(key) && pair.sim.is_delivered(pair.peer(key)));
}
