//! The same streams for an event loop: names and semantics of `mio::net::TcpStream` and `TcpListener`, on Linux.
//!
//! A stream over UDP has no descriptor of its own. What is registered here in its place are two that only say when a
//! read or a write is worth trying; a thread of this crate sets them. As with mio everywhere, an event comes once:
//! go on until `WouldBlock` before you wait for the next.
//!
//! ```
//! use aqueduct::mio::{Listener, Stream};
//! use mio::{Events, Interest, Poll, Token};
//! use std::io::{ErrorKind, Read, Write};
//!
//! # fn main() -> std::io::Result<()> {
//! let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(16));
//! let mut listener = Listener::bind("127.0.0.1:0".parse().expect("an address"))?;
//! let mut client = Stream::connect(listener.local_addr()?)?;
//! poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
//! poll.registry().register(&mut client, Token(1), Interest::READABLE | Interest::WRITABLE)?;
//! let mut answer = String::new();
//! while answer.len() < 5 {
//!     poll.poll(&mut events, None)?;
//!     for event in &events {
//!         if event.token() == Token(0) {
//!             match listener.accept() {
//!                 Ok((mut stream, _)) => stream.write_all(b"hello")?,
//!                 Err(error) if error.kind() == ErrorKind::WouldBlock => {}
//!                 Err(error) => return Err(error),
//!             }
//!         } else if event.is_readable() {
//!             match client.read_to_string(&mut answer) {
//!                 Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
//!                 _ => {}
//!             }
//!         }
//!     }
//! }
//! assert_eq!(answer, "hello");
//! # Ok(())
//! # }
//! ```

mod bell;
mod listener;
mod stream;

pub use listener::Listener;
pub use stream::Stream;
