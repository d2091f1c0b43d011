//! Scenarios that a script cannot say well.

use std::fmt::Write;

use aqueduct::sim::{Fate, Link, apps, script};
use aqueduct::wire::Kind;

use crate::{Pair, ms, secs};

fn path() -> Link {
    Link::new()
        .rate_bits(20_000_000)
        .queue_bytes(100_000)
        .delay(ms(20))
}

/// D15: more gaps than the receiver remembers ranges; the sender goes on, and everything arrives.
#[test]
fn more_gaps_than_ranges_are_no_deadlock() {
    let mut text = String::from("listen\n0.0 < S\n> SA\n0.1 < P cookie\nignore A\n");
    for piece in 0..300 {
        let (number, at) = (2 * piece + 2, 20 * piece + 10);
        writeln!(text, "+0.001 < D {at}:{} H pn {number} tracked 0", at + 10).expect("a string");
    }
    // All that is missing, again: under new numbers, as the floor rose over the old ones.
    for piece in 0..300 {
        let (number, at) = (700 + piece, 20 * piece);
        writeln!(text, "+0.001 < D {at}:{} pn {number} tracked 0", at + 10).expect("a string");
    }
    text.push_str("read 6000\nread = blocked\n+1 quiet\n");
    // An old number is below the floor: not new, whatever it carries.
    text.push_str("< D 6000:6010 pn 3\nread = blocked\n+0.001 < D 6000:6010 pn 1001\nread 10\n");
    script::run(&text).unwrap_or_else(|failure| panic!("{failure}"));
}

/// L05: sixteen holes in one window are filled within two round trips.
#[test]
fn sixteen_holes_in_one_window_are_filled_in_two_round_trips() {
    let mut pair = Pair::new(1, path());
    let (mut data, first_loss) = (0, std::rc::Rc::new(std::cell::Cell::new(None)));
    let lost_at = std::rc::Rc::clone(&first_loss);
    pair.sim.filter(pair.client, pair.server, move |passing| {
        if !passing
            .packet()
            .is_some_and(|packet| packet.kind() == Kind::Data)
        {
            return Fate::Pass;
        }
        data += 1;
        if (60..92).contains(&data) && data % 2 == 0 {
            lost_at.set(lost_at.get().or(Some(passing.now)));
            return Fate::Drop;
        }
        Fate::Pass
    });
    pair.listen(apps::Transfer::sink);
    let key = pair.connect(apps::Transfer::send(400_000));
    assert!(pair.sim.run_until(secs(5), |sim| {
        sim.info(key).is_some_and(|info| info.packets_lost >= 16)
    }));
    let hole = pair.sim.bytes_delivered();
    // The first of them is found after a round trip, and repaired one later; so is the last.
    assert!(
        pair.sim
            .run_until(secs(5), |sim| sim.bytes_delivered() > hole + 40_000)
    );
    let took = pair.sim.now() - first_loss.get().expect("lost");
    println!("16 holes filled {took:?} after the first loss");
    assert!(took < ms(40) * 3 + ms(30), "{took:?}");
    pair.run_to_close(key, secs(10));
    assert!(pair.sim.is_delivered(key));
}

/// R08: a datagram with any one bit flipped is no datagram.
#[test]
fn every_flipped_bit_is_found() {
    let mut text = String::from("listen\n0.0 < S\n> SA\n0.1 < P cookie\n> A\n");
    let bits = (32 + 28 + 100) * 8;
    for bit in 0..bits {
        writeln!(text, "< D 0:100 F I pn 1 ack none flip {bit}\nquiet").expect("a string");
    }
    text.push_str("read = blocked\n< D 0:100 F I pn 1 ack none\n> A up 101\nread 100\n");
    script::run(&text).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{bits} flipped bits");
}

/// G05, G08: after an idle time the first burst is no larger than an initial window, nor is any later one.
#[test]
fn bursts_stay_small_after_an_idle_time() {
    let mut pair = Pair::new(2, Link::new().delay(ms(50)));
    let bursts = std::rc::Rc::new(std::cell::RefCell::new(
        Vec::<(aqueduct::time::Time, usize)>::new(),
    ));
    let seen = std::rc::Rc::clone(&bursts);
    pair.sim.filter(pair.client, pair.server, move |passing| {
        let mut bursts = seen.borrow_mut();
        match bursts.last_mut().filter(|(at, _)| *at == passing.now) {
            Some((_, bytes)) => *bytes += passing.bytes.len(),
            None => bursts.push((passing.now, passing.bytes.len())),
        }
        Fate::Pass
    });
    pair.listen(|| apps::Transfer::sink().ending(apps::Ending::Stay));
    let key = pair.connect(|_: &mut aqueduct::sim::Io<'_>| {});
    pair.sim.run_for(secs(1));
    for _ in 0..3 {
        pair.sim.with(key, |io| io.write(&vec![1; 300_000]));
        pair.sim.run_for(secs(20));
    }
    let largest = bursts.borrow().iter().map(|(_, bytes)| *bytes).max();
    println!("largest burst {largest:?} bytes");
    assert!(largest <= Some(10 * 1_472 + 1_472), "{largest:?}");
}
