use super::*;

const HERE: [&str; 2] = ["127.0.0.1:1000", "127.0.0.1:2000"];
/// What four datagrams of 16,336 bytes carry, and how many of those make more than 256 KiB.
const BATCH: usize = 4 * 16_304;
const BATCHES: usize = 6;
const SMALL: usize = 1_000;

/// A pair on one machine whose client has a wide window, and more in flight than small writes join; and the
/// number of stream bytes written.
fn crowded(addresses: [&str; 2]) -> (Pair, usize) {
    let mut pair = Pair::between(addresses, Config::default().with_receive_window(8 << 20));
    pair.interface = 16_336;
    pair.settle();
    let mut written = 0;
    // Slow start opens the congestion window.
    while pair.client.info(pair.now).cwnd < 4 << 20 {
        written += pair
            .client
            .write(&bytes_of(7, written as u64, 1 << 20))
            .unwrap_or(0);
        pair.run_for(ONE_WAY);
        read_all(pair.server());
    }
    pair.run_for(4 * ONE_WAY);
    read_all(pair.server());
    // Whole batches, so that nothing of them waits; the pacer takes a moment.
    let data = bytes_of(7, written as u64, BATCHES * BATCH);
    assert_eq!(pair.client.write(&data), Ok(data.len()));
    pair.run_for(ONE_WAY / 2);
    (pair, written + data.len())
}

/// Datagrams that left the client so far.
fn sent(pair: &Pair) -> usize {
    pair.sent
        .iter()
        .filter(|(_, to_server, _)| *to_server)
        .count()
}

#[test]
fn small_writes_on_one_machine_leave_together_while_much_is_under_way() {
    let (mut pair, mut written) = crowded(HERE);
    let before = sent(&pair);
    for _ in 0..20 {
        written += pair
            .client
            .write(&bytes_of(7, written as u64, SMALL))
            .expect("room");
        pair.transmit();
    }
    assert_eq!(sent(&pair), before, "twenty do not fill a batch");
    for _ in 0..80 {
        written += pair
            .client
            .write(&bytes_of(7, written as u64, SMALL))
            .expect("room");
        pair.transmit();
    }
    assert!(sent(&pair) > before, "a hundred do");
    assert!(sent(&pair) - before <= 5, "and leave in large datagrams");
    // What is left waits for no more data: acknowledgements let it go.
    pair.settle();
    let read = read_all(pair.server());
    assert!(pair.client.is_all_acked());
    assert!(read.ends_with(&bytes_of(7, (written - SMALL) as u64, SMALL)));
}

#[test]
fn what_was_written_before_the_end_waits_for_nothing() {
    let (mut pair, written) = crowded(HERE);
    let before = sent(&pair);
    pair.client
        .write(&bytes_of(7, written as u64, SMALL))
        .expect("room");
    pair.transmit();
    assert_eq!(sent(&pair), before, "it waits for more");
    pair.client.shutdown_write();
    pair.transmit();
    assert!(sent(&pair) > before, "and for nothing now");
}

#[test]
fn on_a_longer_path_every_write_leaves_at_once() {
    let (mut pair, written) = crowded([CLIENT, SERVER]);
    let before = sent(&pair);
    pair.client
        .write(&bytes_of(7, written as u64, SMALL))
        .expect("room");
    pair.transmit();
    assert_eq!(sent(&pair), before + 1);
}
