//! A reliable byte stream over UDP, usable in place of `TcpStream`.
//!
//! An aqueduct carries a steady stream over uneven ground; this one carries it over datagrams that are
//! lost, doubled and reordered. What TCP does in the kernel is a library here: three-way handshake,
//! sequence numbers and checksums, retransmission on timers, flow control, congestion control, TIME_WAIT,
//! all in user space on real UDP sockets.
//!
//! # Using it
//!
//! The blocking face has the names and the semantics of `std::net`. A program that says
//! `use std::net::{TcpListener, TcpStream}` runs over aqueduct when that line becomes:
//!
//! ```
//! use aqueduct::{Listener as TcpListener, Stream as TcpStream};
//! use std::io::{Read, Write};
//!
//! # fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let mut stream = TcpStream::connect(listener.local_addr()?)?;
//! let (mut peer, _) = listener.accept()?;
//!
//! stream.write_all(b"over the valley")?;
//! stream.shutdown(std::net::Shutdown::Write)?;
//!
//! let mut arrived = String::new();
//! peer.read_to_string(&mut arrived)?;
//! assert_eq!(arrived, "over the valley");
//! # Ok(())
//! # }
//! ```
//!
//! What `TcpStream` cannot say, [`Stream`] can: [`Stream::info`] shows the round trip, the losses, and what the
//! peer's application has not read; [`Stream::wait_delivered`] waits until it has; [`Stream::close`] says
//! whether everything arrived.
//!
//! ```
//! use aqueduct::{Delivered, Listener, Stream};
//! use std::io::{Read, Write};
//! use std::time::Duration;
//!
//! # fn main() -> std::io::Result<()> {
//! # let listener = Listener::bind("127.0.0.1:0")?;
//! let mut stream = Stream::connect(listener.local_addr()?)?;
//! # let (mut peer, _) = listener.accept()?;
//! stream.write_all(b"important")?;
//! # let mut buf = [0; 9];
//! # peer.read_exact(&mut buf)?;
//! stream.wait_delivered(Delivered::Read, Duration::from_secs(5))?;
//! assert_eq!(stream.info().bytes_acked, 9);
//! # Ok(())
//! # }
//! ```
//!
//! One [`Endpoint`] carries many connections, both ways, over one UDP socket:
//!
//! ```
//! use aqueduct::Endpoint;
//!
//! # fn main() -> std::io::Result<()> {
//! let here = Endpoint::bind("127.0.0.1:0")?;
//! let there = Endpoint::bind("127.0.0.1:0")?;
//! let listener = there.listen()?;
//! let streams = (0..3)
//!     .map(|_| here.connect(there.local_addr()?))
//!     .collect::<Result<Vec<_>, _>>()?;
//! for stream in &streams {
//!     assert_eq!(stream.local_addr()?, here.local_addr()?);
//!     listener.accept()?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What to know before
//!
//! * The stream is **not encrypted**: treat it as you treat TCP.
//! * **At process exit nobody retransmits for you.** The end of the main thread waits a little, if it ever
//!   used a stream itself; in any other case call [`drain`] before the process ends.
//! * Every difference from kernel TCP stands in `docs/SEMANTICS.md`.
//!
//! # How it is made
//!
//! The modules below are the core: one connection ([`connection`]) and one socket's worth of them
//! ([`endpoint`]), made of [`wire`] (bytes), [`stream`] (the byte stream) and [`recovery`] (packets). They do no
//! I/O, read no clock, and draw no randomness of their own; the same core runs on sockets, in the
//! simulator, and under a fuzzer. They are public for those who want to drive or test them; the
//! types at the root are what programs use, and what stays stable.
//!
#![cfg_attr(
    feature = "sim",
    doc = "The simulator, [`sim`], runs whole networks of endpoints in virtual time, with faults and a seed."
)]
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `runtime` | yes | sockets and threads: [`Stream`], [`Listener`], [`Endpoint`] |
//! | `sim` | no | the simulator |
//! | `trace` | no | traces of connections as qlog: `Config::with_trace_dir` |
//! | `rpc` | no | the layers above the stream: logical clocks (`clock`), failure detection (`detect`), messages and calls (`msg`) |
//! | `kv` | no | `aqueduct::kv`: a replicated key-value store on Raft (needs rustc 1.90) |
//! | `raft` | no | `aqueduct::raft`: a log store and a network for openraft (needs rustc 1.90) |
//! | `tokio` | no | `aqueduct::tokio`: the same streams in the shape of `tokio::net`, driven by tokio's reactor |
//! | `futures` | no | the traits of `futures-io` on those streams |
//! | `axum`, `hyper`, `tonic` | no | what these need to serve and to connect over them |
//! | `mio` | no | `aqueduct::mio`: streams and listeners for an event loop on mio (Linux) |

pub mod config;
pub mod congestion;
pub mod connection;
pub mod endpoint;
pub mod error;
pub mod limits;
pub mod range_set;
pub mod recovery;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stream;
pub mod time;
#[cfg(feature = "trace")]
pub mod trace;
#[cfg(not(feature = "trace"))]
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "events are made for traces alone, and nobody asks for one"
)]
mod trace;
pub mod wire;

#[cfg(feature = "rpc")]
mod layers;
#[cfg(feature = "runtime")]
mod net;
#[cfg(feature = "runtime")]
mod runtime;
#[cfg(model)]
pub use runtime::model;

pub use config::{BusyPoll, Config, EndpointConfig, Keepalive};
pub use congestion::Congestion;
pub use connection::{Info, TcpState};
pub use error::CloseReason;
#[cfg(feature = "kv")]
pub use layers::kv;
#[cfg(feature = "raft")]
pub use layers::raft;
#[cfg(feature = "rpc")]
pub use layers::{clock, detect, discovery, msg};
#[cfg(all(feature = "mio", target_os = "linux"))]
pub use net::mio;
#[cfg(feature = "tokio")]
pub use net::tokio;
#[cfg(feature = "runtime")]
pub use net::{
    CloseError, Closed, Delivered, Endpoint, EndpointBuilder, Incoming, Listener, Report, Stream,
    StreamError, drain, set_exit_drain,
};

/// The programs in the README are compiled with the tests.
#[cfg(all(doctest, feature = "runtime"))]
#[doc = include_str!("../README.md")]
struct Readme;
