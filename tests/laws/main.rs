//! The laws of congestion control: long simulated flows, measured against formulas and against independent
//! implementations. Each law states its tolerance.
//!
//! A failing law prints its seed; `AQUEDUCT_SEED=<seed> cargo test --test laws <name>` runs that one again.

mod agreement;
mod coexistence;
mod fairness;
mod interruption;
mod laboratory;
mod support;
mod twin;
