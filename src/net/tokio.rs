//! The same streams for tasks: names and semantics of `tokio::net::TcpStream` and `TcpListener`.
//!
//! A program that says `use tokio::net::{TcpListener, TcpStream}` runs over aqueduct when that line becomes:
//!
//! ```
//! use aqueduct::tokio::{Listener as TcpListener, Stream as TcpStream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main]
//! # async fn main() -> std::io::Result<()> {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let server = tokio::spawn(async move {
//!     let (mut stream, _) = listener.accept().await?;
//!     let (mut from, mut to) = stream.split();
//!     tokio::io::copy(&mut from, &mut to).await
//! });
//!
//! let mut stream = TcpStream::connect(address).await?;
//! stream.write_all(b"there and back").await?;
//! stream.shutdown().await?;
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer).await?;
//! assert_eq!(answer, "there and back");
//! server.await??;
//! # Ok(())
//! # }
//! ```
//!
//! # Who does the work
//!
//! What is opened within a runtime is served by a task of that runtime, on its reactor: no thread is started
//! (on Linux; elsewhere a thread of this crate does it). A write sends on the spot. As with all tasks, the
//! runtime has to run: while a runtime with one thread is kept busy, or nobody is in its `block_on`, nothing is
//! acknowledged or sent again.
//!
//! When the runtime is dropped, a thread takes over: streams that live on, in another runtime or in none, go on
//! as if nothing had happened, and what was written is still delivered. What is opened outside of any runtime
//! has such a thread from the start, so the types work with every executor.
//!
//! # Cancel safety
//!
//! Every `async` method says what becomes of it when its future is dropped. In short: nothing is ever lost or
//! doubled by that; what was not reported as read, written or accepted has not been.

#[cfg(feature = "axum")]
mod axum;
mod connect;
mod datagrams;
mod endpoint;
#[cfg(feature = "futures")]
mod futures;
#[cfg(feature = "hyper")]
mod hyper;
mod listener;
mod options;
mod owned;
mod split;
mod stream;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "axum")]
pub use axum::PeerAddr;
pub use endpoint::Endpoint;
#[cfg(feature = "hyper")]
pub use hyper::Connector;
pub use listener::Listener;
pub use owned::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use split::{ReadHalf, WriteHalf};
pub use stream::Stream;
#[cfg(feature = "tonic")]
pub use tonic::Incoming;
