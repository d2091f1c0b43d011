//! What distributed programs otherwise write by hand, above the stream.
//!
//! Each layer is again a machine without I/O, which is told the time, and thin drivers for it. The layers know
//! the stream through its public face alone; docs/LAYERS.md says what each of them gives.

pub mod clock;
pub mod detect;
pub mod discovery;
#[cfg(feature = "kv")]
pub mod kv;
pub mod msg;
#[cfg(feature = "raft")]
pub mod raft;
#[cfg(feature = "tokio")]
mod task_clock;
