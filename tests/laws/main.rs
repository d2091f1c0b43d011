//! The laws of congestion control: long simulated flows, measured against formulas and against independent
//! implementations. Each law states its tolerance.
//!
//! A failing law prints its seed; `AQUEDUCT_SEED=<seed> cargo test --test laws <name>` runs that one again.

mod agreement;
mod bbr;
mod coexistence;
mod cubic;
mod fairness;
mod gates;
mod interruption;
mod journal;
mod laboratory;
mod new_reno;
mod response;
mod slow_start;
mod support;
mod transfers;
mod twin;
