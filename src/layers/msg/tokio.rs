//! The same calls for tasks: [`RpcClient`], [`RpcServer`] and [`Pool`] as in [`crate::msg`], with `async` in the place of waiting.
//!
//! Each connection is one task of the runtime, which reads, writes, and looks after deadlines; each handler is another. No
//! thread is started. Deadlines are of tokio's time. The runtime must have a reactor and a timer (`enable_all`).
//!
//! ```
//! use aqueduct::msg::tokio::{CallCx, RpcClient, RpcServer};
//! use aqueduct::msg::{ClientConfig, Hello, ServerConfig};
//! use aqueduct::tokio::Listener;
//! use bytes::Bytes;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let shout = |_: CallCx, body: Bytes| async move { Ok(body.to_ascii_uppercase().into()) };
//! let server = RpcServer::new(Hello::default(), ServerConfig::default(), shout);
//! let listener = Listener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(async move { server.serve(&listener).await });
//!
//! let client = RpcClient::connect(address, Hello::default(), ClientConfig::default()).await?;
//! assert_eq!(client.call(1, "hello".into()).await?, "HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! # Cancel safety
//!
//! Dropping the future of a call cancels the call: nothing of it is sent any more, or the other side is told and its handler
//! hears it ([`CallCx::cancelled`]). Whether it was executed nobody knows then. A handler is never dropped by this
//! crate while its runtime lives: it hears that nobody waits, and decides itself.

mod body;
mod client;
mod driver;
mod gate;
mod link;
mod pool;
mod server;
mod signal;

pub use body::{BodyReader, BodyWriter};
pub use client::RpcClient;
pub use pool::Pool;
pub use server::{CallCx, Reply, RpcServer, Service};
