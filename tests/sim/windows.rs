//! Windows and buffers that tune themselves, with the default configuration unless a test says otherwise.

use std::time::Duration;

use aqueduct::sim::Link;
use aqueduct::sim::apps::Transfer;

use crate::{Pair, ms, secs};

/// A path of this rate and round trip whose queue holds two bandwidth-delay products: slow start overshoots
/// into it, and nothing is lost.
fn long_path(seed: u64, bits: u64, rtt: Duration) -> Pair {
    let product = bits / 8 * u64::try_from(rtt.as_millis()).expect("short") / 1_000;
    let link = Link::new()
        .rate_bits(bits)
        .queue_bytes(100 * product)
        .delay(rtt / 2);
    Pair::new(seed, link)
}

/// Bytes delivered in the second half of `time`, as a share of what the link carries, in thousandths.
fn share_of_link(pair: &mut Pair, bits: u64, time: Duration) -> u64 {
    pair.listen(|| Transfer::sink().expecting(4));
    pair.connect(Transfer::send(u64::MAX / 4).label(4));
    pair.sim.run_for(time / 2);
    let before = pair.sim.bytes_delivered();
    pair.sim.run_for(time / 2);
    let got = pair.sim.bytes_delivered() - before;
    let could = bits / 8 * u64::try_from((time / 2).as_millis()).expect("short") / 1_000;
    got * 1_000 / could
}

#[test]
fn a_long_path_of_100_mbit_is_filled() {
    let share = share_of_link(
        &mut long_path(1, 100_000_000, ms(200)),
        100_000_000,
        secs(6),
    );
    println!("100 Mbit/s, 200 ms: {share} thousandths of the link");
    assert!(share >= 950, "{share}");
}

#[test]
fn a_long_path_of_500_mbit_is_filled() {
    let share = share_of_link(
        &mut long_path(2, 500_000_000, ms(100)),
        500_000_000,
        secs(4),
    );
    println!("500 Mbit/s, 100 ms: {share} thousandths of the link");
    assert!(share >= 950, "{share}");
}
