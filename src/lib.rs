//! A reliable byte stream over UDP, usable in place of `TcpStream`.

pub mod config;
pub mod connection;
pub mod endpoint;
pub mod error;
pub mod limits;
pub mod range_set;
pub mod recovery;
pub mod stream;
pub mod time;
pub mod wire;

#[cfg(feature = "runtime")]
mod net;
#[cfg(feature = "runtime")]
mod runtime;

#[cfg(feature = "runtime")]
pub use net::{
    CloseError, Closed, Delivered, Endpoint, EndpointBuilder, Incoming, Listener, Report, Stream,
    StreamError, drain, set_exit_drain,
};
