//! The figures of ping-pongs and of connecting, and their tables.

use std::io;

use super::carrier::Carrier;
use super::peer::Peer;
use super::statistics::{Samples, micros, per_second, percentile, print_table, ratio};

/// The round trips of one carrier and one size of messages, nanoseconds.
#[derive(Clone, Default)]
pub(crate) struct RoundTrips {
    p50: Samples,
    p99: Samples,
}

impl RoundTrips {
    /// Plays `count` messages of `size` bytes to and fro.
    ///
    /// # Errors
    ///
    /// The carrier's error.
    pub(crate) fn measure(
        &mut self,
        carrier: &dyn Carrier,
        peer: &Peer,
        size: usize,
        count: u64,
    ) -> io::Result<()> {
        let times = carrier.ping_pong(peer.address(), size, count)?;
        let [p50, p99] = [50, 99].map(|percent| percentile(&times, percent));
        let name = carrier.name();
        println!(
            "{name}, {size} B: p50 {} us, p99 {} us",
            micros(p50),
            micros(p99)
        );
        self.p50.add(p50);
        self.p99.add(p99);
        Ok(())
    }
}

/// The connections a second of one carrier; none if it has no connections.
#[derive(Clone, Default)]
pub(crate) struct Connects(Option<Samples>);

impl Connects {
    /// Makes `count` connections in sequence.
    ///
    /// # Errors
    ///
    /// The carrier's error.
    pub(crate) fn measure(
        &mut self,
        carrier: &dyn Carrier,
        peer: &Peer,
        count: u64,
    ) -> io::Result<()> {
        if let Some(elapsed) = carrier.connects(peer.address(), count)? {
            let rate = per_second(count, elapsed);
            println!("{}: {rate} connections a second", carrier.name());
            self.0.get_or_insert_default().add(rate);
        }
        Ok(())
    }
}

/// Prints round trips; the first of each group is what the others are compared with.
pub(crate) fn print_round_trips(groups: &[(String, Vec<(&str, &RoundTrips)>)]) {
    let mut rows = Vec::new();
    let mut first_name = "";
    for (size, group) in groups {
        for (name, times) in group {
            let (first, first_times) = group[0];
            first_name = first;
            rows.push(vec![
                format!("{name}, {size}"),
                times.p50.show(micros),
                times.p99.show(micros),
                ratio(times.p50.median(), first_times.p50.median()),
            ]);
        }
    }
    let compared = format!("p50 of {first_name}");
    print_table(
        &[
            "ping-pong",
            "p50 us, median (range)",
            "p99 us, median (range)",
            &compared,
        ],
        &rows,
    );
}

/// Prints connections a second; the first is what the others are compared with.
pub(crate) fn print_connects(carriers: &[(&str, &Connects)]) {
    let measured: Vec<_> = carriers
        .iter()
        .filter_map(|(name, connects)| Some((name, connects.0.as_ref()?)))
        .collect();
    let Some((first, first_rates)) = measured.first() else {
        return;
    };
    let rows: Vec<_> = measured
        .iter()
        .map(|(name, rates)| {
            vec![
                (**name).to_owned(),
                rates.show(|rate| rate.to_string()),
                ratio(rates.median(), first_rates.median()),
            ]
        })
        .collect();
    let compared = format!("of {first}");
    print_table(
        &[
            "connect, 1 byte each way, close",
            "a second, median (range)",
            &compared,
        ],
        &rows,
    );
}
