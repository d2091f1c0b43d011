use super::*;
use crate::config::Config;
use crate::connection::tests::Pair;
use crate::time::Timer;
use crate::wire::{Body, decode};

const LIMIT: u32 = 256 << 10;

/// A pair whose windows stay as they are, so that nobody asks for round trips.
fn pair() -> Pair {
    Pair::open(Config::default().with_receive_window(LIMIT))
}

/// The PROBEs that the server has sent since, their lengths.
fn probes(pair: &Pair, since: usize) -> Vec<usize> {
    let sent = &pair.sent[since..];
    let probes = sent.iter().filter(|(_, to_server, bytes)| {
        let packet = decode(bytes).expect("what is sent can be read");
        !to_server && matches!(packet.body, Body::Probe(_))
    });
    probes.map(|(_, _, bytes)| bytes.len()).collect()
}

/// The client has so much to send, and nothing of it arrives from packet `cut` of it on.
fn cut_upload(pair: &mut Pair, bytes: usize, cut: usize) -> usize {
    // Fewer packets than sixteen are no flow.
    pair.client.write(&[7; 30_000]).expect("room");
    pair.run_for(Duration::from_millis(500));
    crate::connection::tests::read_all(pair.server());
    let since = pair.sent.len();
    let mut left = cut;
    pair.fate = Box::new(move |_, to_server, packet| {
        let is_data = to_server && matches!(packet.body, Body::Data(_));
        left = left.saturating_sub(usize::from(is_data));
        !to_server || left > 0
    });
    pair.client.write(&vec![7; bytes]).expect("room");
    since
}

#[test]
fn a_flow_that_stops_in_its_midst_is_asked_about_once_a_round_trip_later() {
    let mut pair = pair();
    let since = cut_upload(&mut pair, 40_000, 5);
    let begin = pair.now;
    // Ten there, and what the pacer spreads them over.
    pair.run_for(Duration::from_millis(10 + 4));
    // A round trip after the last one came.
    let due = pair.server().silence.since + Duration::from_micros(20_000);
    assert!(due > begin + Duration::from_micros(30_000));
    pair.run_for(due - pair.now - Duration::from_micros(10));
    assert_eq!(probes(&pair, since), [0_usize; 0]);
    pair.run_for(Duration::from_micros(20));
    let asked = probes(&pair, since);
    assert_eq!(asked, [600], "padded, so that the answer may carry data");
    // Until the question is answered the probe timeout repeats it, less and less often.
    pair.run_for(Duration::from_secs(20));
    let asked = probes(&pair, since);
    assert!(asked.len() <= 1 + 2 * 10, "{asked:?}");
    assert!(asked.iter().all(|len| *len == 600), "{asked:?}");
    assert!(pair.now > begin);
}

#[test]
fn what_ends_a_write_is_not_waited_for() {
    let mut pair = pair();
    let since = pair.sent.len();
    for _ in 0..50 {
        pair.client.write(&[7; 5_000]).expect("room");
        pair.run_for(Duration::from_millis(100));
        let timers: Vec<_> = pair.server().timers.iter().map(|due| due.why).collect();
        assert!(!timers.contains(&Timer::Silence), "{timers:?}");
        crate::connection::tests::read_all(pair.server());
    }
    assert_eq!(probes(&pair, since), [0_usize; 0]);
}

/// Who does not read knows why nothing comes.
#[test]
fn a_closed_window_is_not_waited_for() {
    let mut pair = pair();
    let since = pair.sent.len();
    let bytes = usize::try_from(LIMIT).expect("small") * 2;
    pair.client.write(&vec![7; bytes]).expect("room");
    pair.run_for(Duration::from_secs(30));
    assert_eq!(probes(&pair, since), [0_usize; 0]);
    // When the window opens, data is due, and it comes.
    let all = u64::try_from(bytes).expect("small");
    while pair.server().assembler.rcv_nxt().get() < all {
        crate::connection::tests::read_all(pair.server());
        pair.run_for(Duration::from_millis(100));
    }
    assert_eq!(probes(&pair, since), [0_usize; 0]);
    // When it opens and nothing comes, the silence is noted.
    pair.client.write(&vec![7; bytes]).expect("room");
    pair.run_for(Duration::from_secs(3));
    pair.fate = Box::new(|_, to_server, _| !to_server);
    let since = pair.sent.len();
    crate::connection::tests::read_all(pair.server());
    pair.run_for(Duration::from_millis(30));
    assert_eq!(probes(&pair, since), [600]);
}

/// A sender with a window of a packet or two pauses in each round trip: most of these pauses pass unasked.
#[test]
fn questions_are_few_beside_the_data() {
    let mut pair = pair();
    let since = pair.sent.len();
    // One packet in a round trip and a half, and always more to come.
    let mut number = 0_usize;
    pair.client.write(&vec![7; 200_000]).expect("room");
    pair.fate = Box::new(move |_, to_server, packet| {
        if !to_server || !matches!(packet.body, Body::Data(_)) {
            return true;
        }
        number += 1;
        number % 3 == 0
    });
    pair.run_for(Duration::from_secs(60));
    let data = pair.server().acks.packets();
    let asked = probes(&pair, since).len();
    println!("{asked} questions, {data} packets");
    assert!(u64::try_from(asked).expect("few") <= 2 + data / 16 * 2);
}
