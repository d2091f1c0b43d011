//! Slow start doubles: after n round trips IW (2^n - 1) bytes are acknowledged.

use std::time::Duration;

use aqueduct::congestion::Congestion;
use aqueduct::sim::{Link, Sim};

use crate::support::{Endless, Sink, config, ms};

/// Bytes of a datagram: ten of them are the initial window.
const DATAGRAM: u16 = 1_200;
const INITIAL: u64 = 10;
/// Datagrams that the pacer lets go at once.
const QUANTUM: u64 = 8;

/// Packets acknowledged in the first round trips, from the first packet of data on.
fn acked_by_round(congestion: &Congestion, rtt: Duration, rounds: u32) -> Vec<u64> {
    let mut sim = Sim::new(aqueduct::sim::seed(4));
    let (client, server) = (sim.add_host("client"), sim.add_host("server"));
    sim.link(client, server, Link::new().delay(rtt / 2));
    // The law is about the window: acknowledgements do not wait.
    let config = config(congestion.clone())
        .with_max_datagram(DATAGRAM)
        .with_max_ack_delay(ms(1));
    // The side that accepts sends: its first packet is one of data, and the initial window is all data.
    sim.listen(server, config.clone(), Endless::default);
    let key = sim.connect(client, server, config, Sink::new());
    let accepted = |sim: &Sim| sim.peer(key).and_then(|key| sim.info(key));
    while accepted(&sim).is_none_or(|info| info.bytes_sent == 0) {
        sim.run_for(Duration::from_micros(100));
    }
    // Pacing spreads what a round trip sends over two thirds of it, and so its acknowledgements: look when all of
    // them are there and the first of the next round trip are not.
    sim.run_for(rtt - ms(1));
    (0..rounds)
        .map(|_| {
            sim.run_for(rtt);
            accepted(&sim).map_or(0, |info| info.packets_acked)
        })
        .collect()
}

#[test]
fn after_n_round_trips_all_of_n_windows_is_acknowledged() {
    for congestion in [Congestion::NewReno, Congestion::Cubic] {
        for rtt in [ms(50), ms(100), ms(200)] {
            let acked = acked_by_round(&congestion, rtt, 10);
            println!("{congestion:?}, {rtt:?}: {acked:?} packets");
            for (n, &acked) in (1..).zip(&acked) {
                let law = INITIAL * ((1 << n) - 1);
                assert!(
                    acked.abs_diff(law) <= QUANTUM,
                    "{acked} after {n}, law {law}"
                );
            }
        }
    }
}
