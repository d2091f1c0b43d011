//! A reliable byte stream over UDP, usable in place of `TcpStream`.

pub mod config;
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
pub mod wire;
