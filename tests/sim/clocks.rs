//! Clocks that move in large steps, and timers that fire late.

use aqueduct::sim::{Link, Loss};

use crate::{Pair, ms, secs};

fn path() -> Link {
    Link::new()
        .rate_bits(20_000_000)
        .queue_bytes(100_000)
        .delay(ms(10))
}

#[test]
fn a_coarse_clock_costs_time_but_no_bytes() {
    // The pacer makes up for two milliseconds at most: of a step of 16 it uses an eighth.
    for (step, most) in [(ms(1), secs(8)), (ms(4), secs(8)), (ms(16), secs(15))] {
        for loss in [Loss::None, Loss::random(0.02)] {
            let mut pair = Pair::new(5, path().loss(loss.clone()));
            for host in [pair.client, pair.server] {
                pair.sim.set_clock_step(host, step);
            }
            let took = pair.upload(2_000_000, secs(60));
            println!("steps of {step:?}, {loss:?}: {took:?}");
            assert!(took < most, "{took:?} with steps of {step:?}, {loss:?}");
        }
    }
}

#[test]
fn late_timers_cost_time_but_no_bytes() {
    for late in [ms(1), ms(5), ms(20)] {
        for loss in [Loss::None, Loss::random(0.02)] {
            let mut pair = Pair::new(6, path().loss(loss.clone()));
            for host in [pair.client, pair.server] {
                pair.sim.set_timer_lateness(host, late);
            }
            let took = pair.upload(2_000_000, secs(60));
            println!("late by {late:?}, {loss:?}: {took:?}");
            assert!(took < secs(8), "{took:?}, late by {late:?}, {loss:?}");
        }
    }
}
