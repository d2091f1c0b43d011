//! D04: every order in which five segments, and a FIN behind them, can arrive, each with a copy at every place.

use std::fmt::Write;

use aqueduct::sim::script;

/// All orders of `0..count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for order in orders(count - 1) {
        for place in 0..count {
            let mut longer = order.clone();
            longer.insert(place, count - 1);
            all.push(longer);
        }
    }
    all
}

/// Plays the arrival of five segments of 100 bytes, number 5 being the FIN alone; the packets sent in answer.
fn arrive(order: &[usize]) -> usize {
    let has_fin = order.contains(&5);
    let mut text = String::from("listen\n0.0 < S\n> SA\n0.1 < P cookie\nignore A\nignore D\n");
    for (place, segment) in order.iter().enumerate() {
        let (begin, number) = (segment * 100, segment + 1);
        let end = if *segment == 5 { begin } else { begin + 100 };
        let fin = if *segment == 5 { "F" } else { "" };
        let repeated = order[..place].contains(segment);
        // The copy of a segment is a retransmission under a new number, and then the same datagram again.
        let number = if repeated { 20 + place } else { number };
        let at = 0.2 + 0.001 * place as f64;
        writeln!(
            text,
            "{at:.3} < D {begin}:{end} {fin} pn {number} tracked 0"
        )
        .expect("a string");
    }
    text.push_str("+0.1 quiet\nread 500\n");
    text.push_str(if has_fin {
        "read = eof\nread = eof\n"
    } else {
        "read = blocked\n"
    });
    text.push_str(if has_fin {
        "state CLOSE_WAIT\n"
    } else {
        "state ESTABLISHED\n"
    });
    match script::run(&text) {
        Ok(report) => report.emitted,
        Err(failure) => panic!("order {order:?}: {failure}\n{text}"),
    }
}

#[test]
fn every_order_of_five_segments_gives_the_same_stream() {
    let all = orders(5);
    assert_eq!(all.len(), 120);
    let acks = all.iter().map(|order| arrive(order)).max().expect("orders");
    println!("120 orders, at most {acks} packets in answer");
    assert!(acks <= 5 + 3, "one acknowledgement a segment at most");
}

#[test]
fn every_order_with_a_fin_gives_the_same_stream() {
    let all = orders(6);
    assert_eq!(all.len(), 720);
    let acks = all.iter().map(|order| arrive(order)).max().expect("orders");
    println!("720 orders, at most {acks} packets in answer");
    assert!(acks <= 6 + 3);
}

#[test]
fn every_order_with_a_copy_at_every_place_gives_the_same_stream() {
    let mut cases = 0;
    for order in orders(6) {
        for place in 1..=6 {
            for copied in [order[0], order[place - 1]] {
                let mut longer = order.clone();
                longer.insert(place, copied);
                arrive(&longer);
                cases += 1;
            }
        }
    }
    println!("{cases} orders with a copy");
}

/// D06 and more: every sequence of three pieces of an eight-unit stream, bytes compared.
#[test]
fn every_overlap_of_three_pieces_gives_one_consistent_stream() {
    let pieces: Vec<(usize, usize)> = (0..8)
        .flat_map(|begin| (begin + 1..=8).map(move |end| (begin, end)))
        .collect();
    assert_eq!(pieces.len(), 36);
    let mut cases = 0;
    for first in &pieces {
        for second in &pieces {
            for third in &pieces {
                overlap(&[*first, *second, *third]);
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 46_656);
    println!("{cases} overlaps");
}

fn overlap(pieces: &[(usize, usize)]) {
    let mut text = String::from("listen\n0.0 < S\n> SA\n0.1 < P cookie\nignore A\n");
    let mut covered = [false; 9];
    for (number, (begin, end)) in pieces.iter().enumerate() {
        covered[*begin..*end].fill(true);
        let (begin, end) = (begin * 10, end * 10);
        writeln!(text, "+0.001 < D {begin}:{end} pn {} tracked 0", number + 1).expect("a string");
    }
    let readable = covered
        .iter()
        .position(|is_there| !is_there)
        .expect("the ninth")
        * 10;
    if readable > 0 {
        writeln!(text, "read {readable}").expect("a string");
    }
    text.push_str("read = blocked\n+0.1 quiet\n");
    if let Err(failure) = script::run(&text) {
        panic!("{pieces:?}: {failure}\n{text}");
    }
}
