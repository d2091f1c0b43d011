//! Why is this transfer as fast as it is? What a connection did, event by event, for people to look at.
//!
//! ```text
//!   recovery, connection      note events in a Log, as values            the core: no file, no clock
//!           |
//!           v                 Connection::write_trace
//!   runtime, sim              hand them to a Tracer after every drain    the drivers
//!           |
//!           v
//!   Writer                    qlog 0.3 in JSON-SEQ                       any io::Write
//! ```
//!
//! A trace is qlog, version 0.3 (draft-ietf-quic-qlog-main-schema, draft-ietf-quic-qlog-quic-events), as a sequence
//! of JSON texts (RFC 7464): qvis opens it, and `cargo run --example plot` draws it. What it says, and what it costs,
//! is in `docs/TRACES.md`.
//!
//! Most events are found by comparison: what a connection is like after an input is compared with what was told last.
//! So tracing changes nothing of what it looks at, and the core knows little of it.
//!
//! Invariant: with the feature `trace` off a [`Log`] has no size, and to note something in it is no code.
//! Invariant: the packets of a connection are the same with and without a trace.

#[cfg(feature = "trace")]
mod destination;
mod event;
mod log;
mod metrics;
#[cfg(feature = "trace")]
mod qlog;
mod tracer;
#[cfg(feature = "trace")]
mod writer;

#[cfg(feature = "trace")]
pub use destination::{About, Role, Traces};
pub use event::{Acknowledgement, Event, Fate, LossTrigger, PacketSeen, Parameters, Record, Stage};
pub use log::Log;
pub(crate) use log::Told;
pub use metrics::Metrics;
pub use tracer::Tracer;
#[cfg(feature = "trace")]
pub use writer::Writer;

#[cfg(all(test, feature = "trace"))]
mod tests;
